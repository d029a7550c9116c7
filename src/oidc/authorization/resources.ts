import { errors, type Client, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import type { SigningAlg } from '../../resource-server/resource-server.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { apisOfDetails, mayAskFor } from './details.ts';

type ResourceIndicators = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;

/** Tokens are for one API, which is named in `resource` (RFC 8707): what it is, and what the client may ask for there. */
export function createResourceIndicators(
  clients: ClientService,
  resourceServers: ResourceServerService,
): ResourceIndicators {
  const resourceInfo = createResourceInfo(clients, resourceServers);
  return {
    enabled: true,
    defaultResource: async (ctx, client, oneOf) =>
      (await defaultResource(ctx, client, oneOf)) as string,
    useGrantedResource: () => true,
    getResourceServerInfo: async (_ctx, identifier, client) => {
      const info = await resourceInfo(identifier, client.clientId);
      // Not telling which of the two it was: a client learns nothing of APIs that are not open to it.
      if (info === undefined)
        throw new errors.InvalidTarget('the resource is unknown, or not open to this client');
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
    if (ctx.oidc.params?.grant_type === 'client_credentials')
      throw new errors.InvalidTarget('the resource is missing: name the API that the token is for');
    return oneOf;
  }
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
    const allowed = client?.allowed.get(identifier);
    const scopes = [...(server?.scopes.keys() ?? [])].filter((scope) => allowed?.has(scope));
    const isOpen =
      scopes.length > 0 ||
      server?.detailTypes.some(({ type }) => client !== undefined && mayAskFor(client, type));
    if (server === undefined || !isOpen) return undefined;
    return {
      scope: scopes.join(' '),
      audience: server.identifier,
      accessTokenTTL: server.accessTokenTtl,
      accessTokenFormat: server.tokenFormat,
      jwt: { sign: { alg: server.signingAlg } },
    };
  };
}
