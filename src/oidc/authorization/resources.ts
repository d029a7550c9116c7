import { errors, type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import type { SigningAlg } from '../../resource-server/resource-server.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { apisOfDetails, mayAskFor } from './details.ts';
import { createDecideRequest } from './requested-scope.ts';
import { narrowScopes, openScopes, parseScope, possibleApis, whyNothing } from './scopes.ts';

type ResourceIndicators = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;

/** Tokens are for one API, which is named in `resource` (RFC 8707): what it is, and what the client may ask for there. */
export function createResourceIndicators(
  clients: ClientService,
  resourceServers: ResourceServerService,
): ResourceIndicators {
  const resourceInfo = createResourceInfo(clients, resourceServers);
  const impliedResource = createImpliedResource(clients, resourceServers);
  const decide = createDecideRequest(clients, resourceServers);
  return {
    enabled: true,
    defaultResource: async (ctx, client, oneOf) =>
      (await defaultResource(ctx, client, oneOf)) as string,
    useGrantedResource: () => true,
    getResourceServerInfo: async (ctx, identifier, client) => {
      const info = await resourceInfo(identifier, client.clientId);
      // Not telling which of the two it was: a client learns nothing of APIs that are not open to it.
      if (info === undefined)
        throw new errors.InvalidTarget('the resource is unknown, or not open to this client');
      if (ctx.oidc.params?.grant_type === 'client_credentials') checkMachine(ctx, info);
      return info;
    },
  };

  /**
   * The client's own default API where it names none, and those whose details it asks for. Where several were granted and none is named, the engine's answer
   * is invalid_target; so is ours where a machine names none and has no default: its token would be for nobody, and
   * nobody could check it (section 2).
   */
  async function defaultResource(
    ctx: KoaContextWithOIDC,
    { clientId }: Client,
    oneOf?: readonly string[],
  ): Promise<string | readonly string[] | undefined> {
    const preferred = (await clients.find(clientId))?.settings.defaultResource;
    const ofDetails = oneOf === undefined ? await apisOfDetails(ctx, resourceServers) : [];
    if (ofDetails.length > 0) {
      // A token is for one of them; a person may be asked for all.
      const before = preferred === undefined || ctx.oidc.route === 'token' ? [] : [preferred];
      const all = [...new Set([...before, ...ofDetails])];
      return all.length === 1 ? all[0] : all;
    }
    if (preferred !== undefined && (oneOf?.includes(preferred) ?? true)) return preferred;
    if (ctx.oidc.params?.grant_type === 'client_credentials') {
      const implied = await impliedResource(parseScope(ctx.oidc.params.scope), clientId);
      if (implied === undefined)
        throw new errors.InvalidTarget('name the API that the token is for in resource');
      return implied;
    }
    // From here on the engine drops the scopes of APIs: what they meant is decided before.
    if (requests.has(ctx.oidc.route)) return (await decide(ctx, clientId))?.impliedApi;
    return oneOf;
  }
}

/** Where a request for a person's authorization is made. */
const requests = new Set([
  'authorization',
  'pushed_authorization_request',
  'device_authorization',
  'backchannel_authentication',
]);

/** @throws InvalidScope where a machine asks only for what it can't have */
function checkMachine({ oidc: { params } }: KoaContextWithOIDC, { scope }: ResourceInfo): void {
  const asked = parseScope(params?.scope);
  const open = [...parseScope(scope)];
  if (narrowScopes(asked, open) === undefined && params?.authorization_details === undefined)
    throw new errors.InvalidScope(whyNothing(asked, open), '');
}

/** Gives the API that a client means by its scopes alone, or undefined where they belong to none or to several. */
export function createImpliedResource(
  clients: ClientService,
  resourceServers: ResourceServerService,
): (asked: ReadonlySet<string>, clientId: string) => Promise<string | undefined> {
  return async (asked, clientId) => {
    const client = await clients.find(clientId);
    if (client === undefined || asked.size === 0) return undefined;
    const [first, ...others] = possibleApis(client, await resourceServers.list(), asked);
    return others.length === 0 ? first : undefined;
  };
}

/** What a client may have of an API, in the engine's words. */
export interface ResourceInfo {
  readonly scope: string;
  readonly audience: string;
  readonly accessTokenTTL: number;
  readonly accessTokenFormat: 'opaque' | 'jwt';
  readonly jwt: { readonly sign: { readonly alg: SigningAlg } };
}

/** Gives it, or undefined where there is no such API, or nothing of it is open to the client. */
export function createResourceInfo(
  clients: ClientService,
  resourceServers: ResourceServerService,
): (identifier: string, clientId: string) => Promise<ResourceInfo | undefined> {
  return async (identifier, clientId) => {
    const server = await resourceServers.find(identifier);
    const client = await clients.find(clientId);
    if (server === undefined || client === undefined) return undefined;
    const scopes = openScopes(client, server);
    if (scopes.length === 0 && !server.detailTypes.some(({ type }) => mayAskFor(client, type)))
      return undefined;
    return {
      scope: scopes.join(' '),
      audience: server.identifier,
      accessTokenTTL: server.accessTokenTtl,
      accessTokenFormat: server.tokenFormat,
      jwt: { sign: { alg: server.signingAlg } },
    };
  };
}
