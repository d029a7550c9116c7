import type { Client, Configuration } from 'oidc-provider';
import type { ClientService } from '../client/client.service.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { limitClaimsParameter } from './claims-parameter.ts';
import type { EnginePages } from './provider.ts';
import { createResourceIndicators } from './resources.ts';

export interface FeatureOptions {
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly pages: EnginePages;
}

/** What the engine does of what it can, and our policy for each. */
export function createFeatures({
  clients,
  resourceServers,
  pages,
}: FeatureOptions): NonNullable<Configuration['features']> {
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    claimsParameter: { enabled: true, assertClaimsParameter: limitClaimsParameter },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    introspection: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => mayIntrospect(client, token),
    },
    // RFC 9701: an introspection answer that is signed, and encrypted where the caller has a key for it.
    jwtIntrospection: { enabled: true },
    revocation: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
    },
    userinfo: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) =>
        pages.signOut(ctx, { action: attribute(form, 'action'), xsrf: attribute(form, 'value') }),
      postLogoutSuccessSource: (ctx) => pages.signedOut(ctx),
    },
    resourceIndicators: createResourceIndicators(clients, resourceServers),
  };

  /**
   * A token is told of to the client it was issued to, and to the API that it is for; to nobody else. A public client
   * has nothing to authenticate with, as who asks must (RFC 7662, section 2.1).
   */
  async function mayIntrospect(
    { clientId, clientAuthMethod }: Client,
    token: { clientId?: string | undefined; aud?: string | string[] | undefined },
  ): Promise<boolean> {
    if (clientAuthMethod === 'none') return false;
    if (token.clientId === clientId) return true;
    const asking = await clients.find(clientId);
    if (asking?.resourceServerId === undefined) return false;
    const server = await resourceServers.findById(asking.resourceServerId);
    return server !== undefined && token.aud === server.identifier;
  }
}

/** The value of an attribute in the form that the engine hands over; it holds nothing that was sent by anybody. */
function attribute(form: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(form)?.[1] ?? '';
}
