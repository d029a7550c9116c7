import type { Middleware } from 'koa';
import { answerPreflight, isPreflight } from '../http/cross-origin.ts';
import type { Endpoint } from '../http/endpoints.ts';
import type { ResourceServer } from './resource-server.ts';
import type { ResourceServerService } from './resource-server.service.ts';

/** Where the metadata of an API stands on its own host (RFC 9728, section 3.1); its path goes behind it. */
const wellKnown = '/.well-known/oauth-protected-resource';
const BELOW_ISSUER = '/resource-metadata';
/** Seconds. */
const MAX_AGE = 300;

/** As `mountAtIssuer` leaves them: see `admitRequests`. */
export const metadataEndpoints: readonly Endpoint[] = [
  BELOW_ISSUER,
  wellKnown,
  `${wellKnown}/*`,
].map((path) => ({ path, methods: ['GET'], crossOrigin: 'ours' }));

/**
 * Tells of APIs that open scopes to clients which register themselves (RFC 9728): of those on the issuer's own origin at
 * their well-known address, and of each at `/resource-metadata?resource=` below the issuer, for the proxy before an API
 * that knows nothing of this. Of others nothing is told. It stands before the issuer's path is taken off.
 */
export function resourceMetadata(
  issuer: string,
  resourceServers: ResourceServerService,
): Middleware {
  const { origin, pathname } = new URL(issuer);
  const named = `${pathname.replace(/\/$/, '')}${BELOW_ISSUER}`;

  async function find(path: string, resource: unknown): Promise<ResourceServer | undefined> {
    if (path === named)
      return typeof resource === 'string' ? resourceServers.find(resource) : undefined;
    const below = path.slice(wellKnown.length);
    const identifier = `${origin}${below}`;
    return (
      (await resourceServers.find(identifier)) ??
      (below === '' ? resourceServers.find(`${origin}/`) : undefined)
    );
  }

  return async (ctx, next) => {
    const isOurs = [named, wellKnown].includes(ctx.path) || ctx.path.startsWith(`${wellKnown}/`);
    if (!isOurs) return next();
    // MCP clients in a browser send a header of their own, for which the browser asks first.
    if (isPreflight(ctx)) return answerPreflight(ctx, ['GET']);
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return next();
    const server = await find(ctx.path, ctx.query.resource);
    if (server === undefined || server.openScopes.size === 0) return next();
    // Anybody's page may read what everybody may.
    ctx.set('Access-Control-Allow-Origin', '*');
    ctx.set('Cache-Control', `public, max-age=${MAX_AGE}`);
    ctx.body = {
      resource: server.identifier,
      authorization_servers: [issuer],
      scopes_supported: [...server.openScopes],
      bearer_methods_supported: ['header'],
      resource_name: server.name,
    };
    return undefined;
  };
}
