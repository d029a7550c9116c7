import Provider, {
  type Account,
  type Client,
  type Configuration,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { ClientService } from '../client/client.service.ts';
import type { Config } from '../config.ts';
import { issuerPath } from '../http/request.ts';
import type { Sealer } from '../lib/seal.ts';
import { epochSeconds } from '../lib/time.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { acr } from './acr.ts';
import { markBegun } from './begun-here.ts';
import { createAdapter } from './adapter.ts';
import { claimsOf, identityClaims } from './claims.ts';
import { limitClaimsParameter } from './claims-parameter.ts';
import { consoleClients } from './console-clients.ts';
import { createLoadExistingGrant, FAMILY_TTL } from './families.ts';
import type { KeySet } from './keys.service.ts';
import { offlineAccessHook } from './offline-access.ts';
import { applyListeners, applyOverrides } from './overrides.ts';
import { createPolicy } from './policy.ts';
import { currentUnit } from './unit-of-work.ts';

/** The pages that the engine shows by itself: each is one of ours. */
export interface EnginePages {
  error(
    ctx: KoaContextWithOIDC,
    out: { error: string; error_description?: string },
    cause: Error,
  ): Promise<void>;
  signOut(ctx: KoaContextWithOIDC, form: { action: string; xsrf: string }): Promise<void>;
  signedOut(ctx: KoaContextWithOIDC): Promise<void>;
}

export interface ProviderOptions {
  readonly config: Config;
  readonly keys: KeySet;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly sealer: Sealer;
  readonly pages: EnginePages;
}

/** How confidential clients authenticate. */
const authMethods = ['client_secret_basic', 'client_secret_post'] as const;

/** Seconds. */
const ttl = {
  code: 60,
  accessToken: 3_600,
  idToken: 3_600,
  interaction: 3_600,
  sessionIdle: 14 * 86_400,
  sessionAbsolute: 30 * 86_400,
};

/**
 * The protocol engine with everything of ours applied: storage, policy, keys, pages, overrides and listeners. It reads
 * its keys once, so that a change of keys means a new one.
 */
export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.config.issuer, configuration(options));
  provider.proxy = options.config.trustProxy > 0;
  applyOverrides(provider, options);
  applyListeners(provider, options.sealer);
  return provider;
}

function configuration({
  config,
  keys,
  clients,
  resourceServers,
  pages,
}: ProviderOptions): Configuration {
  const https = !config.loopback;
  return {
    adapter: createAdapter(clients),
    clients: consoleClients(config.issuer, config.brand.name),
    jwks: {
      keys: keys.jwks.keys.map((key) => ({ ...key })) as NonNullable<Configuration['jwks']>['keys'],
    },
    cookies: {
      keys: [...keys.cookieKeys],
      names: {
        session: https ? '__Host-vs_session' : 'vs_session',
        interaction: https ? '__Secure-vs_interaction' : 'vs_interaction',
        resume: https ? '__Secure-vs_resume' : 'vs_resume',
      },
      long: {
        signed: true,
        httpOnly: true,
        sameSite: 'lax',
        secure: https,
        overwrite: true,
        path: '/',
      },
      short: { signed: true, httpOnly: true, sameSite: 'lax', secure: https, overwrite: true },
    },
    routes: {
      authorization: '/authorize',
      token: '/token',
      introspection: '/introspect',
      revocation: '/revoke',
      userinfo: '/userinfo',
      jwks: '/jwks',
      end_session: '/logout',
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      claimsParameter: { enabled: true, assertClaimsParameter: limitClaimsParameter },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      introspection: {
        enabled: true,
        allowedPolicy: (_ctx, client, token) => mayIntrospect(client, token),
      },
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
      resourceIndicators: {
        enabled: true,
        defaultResource,
        useGrantedResource: () => true,
        getResourceServerInfo: async (_ctx, identifier, client) =>
          resourceServerInfo(identifier, client.clientId),
      },
    },
    responseTypes: ['code', 'none'],
    clientAuthMethods: [...authMethods, 'none'],
    discovery: {
      introspection_endpoint_auth_methods_supported: authMethods,
      revocation_endpoint_auth_methods_supported: [...authMethods, 'none'],
    },
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'],
      userinfoSigningAlgValues: ['RS256', 'PS256', 'ES256'],
    },
    scopes: ['openid', 'offline_access', ...Object.keys(identityClaims)],
    extraParams: offlineAccessHook,
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], ...identityClaims },
    acrValues: Object.values(acr),
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    acceptQueryParamAccessTokens: false,
    // A private scheme has the origin `null`, which is also that of every sandboxed page.
    clientBasedCORS: (_ctx, origin, client) =>
      origin !== 'null' &&
      (client.redirectUris ?? []).some(
        (uri) => URL.canParse(uri) && new URL(uri).origin === origin,
      ),
    clientDefaults: { grant_types: [], response_types: [], id_token_signed_response_alg: 'RS256' },
    interactions: {
      policy: createPolicy(config.requireSecondFactor),
      url: (ctx, interaction) => {
        markBegun(ctx, interaction.uid);
        return `${issuerPath(config.issuer)}/interaction/${interaction.uid}`;
      },
    },
    findAccount,
    loadExistingGrant: createLoadExistingGrant(clients),
    issueRefreshToken: async (_ctx, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    expiresWithSession: async (_ctx, code) => !code.scopes.has('offline_access'),
    renderError: (ctx, out, cause) =>
      pages.error(ctx, out as { error: string; error_description?: string }, cause),
    ttl: {
      AuthorizationCode: ttl.code,
      AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? ttl.accessToken,
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? ttl.accessToken,
      IdToken: ttl.idToken,
      Interaction: ttl.interaction,
      Grant: FAMILY_TTL,
      RefreshToken: refreshTokenTtl,
      Session: sessionTtl,
    },
  };

  async function resourceServerInfo(identifier: string, clientId: string) {
    const server = await resourceServers.find(identifier);
    const allowed = (await clients.find(clientId))?.allowed.get(identifier);
    const scopes = [...(server?.scopes.keys() ?? [])].filter((scope) => allowed?.has(scope));
    // Not telling which of the two it was: a client learns nothing of APIs that are not open to it.
    if (server === undefined || scopes.length === 0)
      throw new errors.InvalidTarget('the resource is unknown, or not open to this client');
    return {
      scope: scopes.join(' '),
      audience: server.identifier,
      accessTokenTTL: server.accessTokenTtl,
      accessTokenFormat: server.tokenFormat,
      jwt: { sign: { alg: server.signingAlg as 'ES256' } },
    };
  }

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

/**
 * Where several were granted and none is named, the engine's answer is invalid_target; so is ours where a machine names
 * none: its token would be for nobody, and nobody could check it (RFC 8707, section 2).
 */
function defaultResource(
  ctx: KoaContextWithOIDC,
  _client: Client,
  oneOf?: readonly string[],
): string {
  if (ctx.oidc.params?.grant_type === 'client_credentials')
    throw new errors.InvalidTarget('the resource is missing: name the API that the token is for');
  return oneOf as unknown as string;
}

async function findAccount(_ctx: unknown, id: string): Promise<Account | undefined> {
  const account = await currentUnit().findAccount(id);
  if (account === undefined || account.disabled) return undefined;
  return { accountId: account.id, claims: async () => ({ sub: account.id, ...claimsOf(account) }) };
}

/** A family has an absolute end, and no refresh token outlives it. */
function refreshTokenTtl(ctx: KoaContextWithOIDC): number {
  const end = ctx.oidc.entities.RotatedRefreshToken?.exp ?? ctx.oidc.entities.Grant?.exp;
  return end === undefined ? FAMILY_TTL : Math.max(1, end - epochSeconds());
}

/** Every visit renews, up to an absolute end that counts from the sign-in. */
function sessionTtl(_ctx: KoaContextWithOIDC, session: { loginTs?: number | undefined }): number {
  if (session.loginTs === undefined) return ttl.interaction;
  const left = session.loginTs + ttl.sessionAbsolute - epochSeconds();
  return Math.max(1, Math.min(ttl.sessionIdle, left));
}

/** The value of an attribute in the form that the engine hands over; it holds nothing that was sent by anybody. */
function attribute(form: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(form)?.[1] ?? '';
}
