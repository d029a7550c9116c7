import Provider, {
  type Account,
  type Client,
  type Configuration,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import { clientAuthMethods, plainResponseModes } from '../client/client.ts';
import type { Config } from '../config.ts';
import { languageTags } from '../pages/messages.ts';
import { issuerPath } from '../http/request.ts';
import { cookieName, issuerPlace } from '../lib/cookies.ts';
import type { Outbound } from '../outbound/outbound.service.ts';
import type { EndedPermissions } from '../permission/permission.service.ts';
import { accessTokenClaims, createJwtCustomizer } from './access-tokens.ts';
import { acr } from './authorization/acr.ts';
import { engineCookies, setInteractionCookie } from './authorization/interaction-cookie.ts';
import { createAdapter } from './adapter/adapter.ts';
import { CookieSignatures } from '../lib/cookie-signatures.ts';
import { enabledJwa } from './algorithms.ts';
import {
  assertionSigningAlgs,
  checkAssertion,
  isFapi,
} from './client-authentication/assertions.ts';
import { accountOfNobody } from './decoupled/ciba.ts';
import { claimsBut, identityClaims } from './authorization/claims.ts';
import { otherSubject } from './authorization/claims-parameter.ts';
import type { ClientKeySets } from './client-authentication/key-sets.ts';
import { consoleClients } from './console-clients.ts';
import { deviceRateHook } from './decoupled/device.ts';
import { checkProofAtUserinfo } from './client-authentication/dpop.ts';
import { createLoadExistingGrant } from './authorization/families.ts';
import { createFeatures, type FeatureOptions } from './features.ts';
import type { GrantParts } from './grants/grant-parts.ts';
import { registerGrants } from './grants/grants.ts';
import { engineRoutes } from './endpoints.ts';
import { engineKey } from './engine-keys.ts';
import type { KeySet } from '../keys/keys.ts';
import { createLifetimes } from './lifetimes.ts';
import { takeAliasedAssertions } from './client-authentication/mtls.ts';
import { createDecideRequest, scopeHook } from './authorization/requested-scope.ts';
import { mayHaveIdentityScope } from './authorization/scopes.ts';
import { applyListeners, applyOverrides } from './overrides.ts';
import { createPolicy, promptValues } from './authorization/policy.ts';
import { pushedRateHook } from './authorization/pushed-limit.ts';
import { createResourceInfo } from './authorization/resources.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

export interface ProviderOptions extends FeatureOptions {
  readonly config: Config;
  readonly keys: KeySet;
  readonly outbound: Outbound;
  readonly keySets: ClientKeySets;
  readonly grants: GrantParts;
  readonly endedPermissions: EndedPermissions;
}

/**
 * The protocol engine with everything of ours applied: storage, policy, keys, pages, overrides and listeners. It reads
 * its keys once, so that a change of keys means a new one.
 */
export function createProvider(options: ProviderOptions): Provider {
  const provider = new Provider(options.config.issuer, configuration(options));
  provider.proxy = options.config.trustProxy > 0;
  registerGrants(provider, {
    ...options.grants,
    keySets: options.keySets,
    resourceInfo: createResourceInfo(options.clients, options.resourceServers),
  });
  applyOverrides(provider, options);
  takeAliasedAssertions(provider, options.config.clientCertificates.host);
  applyListeners(provider, options.sealer);
  return provider;
}

function configuration(options: ProviderOptions): Configuration {
  const { config, keys, clients, resourceServers, sealer, outbound, pages, subjects } = options;
  const { endedPermissions } = options;
  const https = !config.loopback;
  return {
    adapter: createAdapter({
      clients,
      resourceServers,
      sealer,
      endedPermissions,
      accessTokenTtl: config.lifetimes.accessToken,
    }),
    clients: consoleClients(config.issuer, config.brand.name),
    jwks: { keys: [...keys.jwks.keys, ...keys.hintKeys].map(engineKey) },
    cookies: {
      keys: new CookieSignatures(keys.cookieKeys) as unknown as string[],
      names: {
        session: cookieName(issuerPlace(config.issuer), 'session'),
        ...engineCookies,
      },
      long: {
        signed: true,
        httpOnly: true,
        sameSite: 'lax',
        secure: https,
        overwrite: true,
        path: '/',
      },
      // No browser gets one of these.
      short: { signed: false, httpOnly: true, sameSite: 'lax', secure: https, overwrite: true },
    },
    routes: engineRoutes,
    features: createFeatures(options),
    responseTypes: ['code', 'none'],
    clientAuthMethods: [...clientAuthMethods, 'none'],
    discovery: {
      revocations_endpoint: `${config.issuer}/revocations`,
      // Ours: src/client-registration.
      registration_endpoint:
        config.clientRegistration === 'off' ? undefined : `${config.issuer}/register`,
      prompt_values_supported: promptValues(config),
      ui_locales_supported: languageTags,
      introspection_endpoint_auth_methods_supported: clientAuthMethods,
      introspection_endpoint_auth_signing_alg_values_supported: assertionSigningAlgs,
      revocation_endpoint_auth_methods_supported: [...clientAuthMethods, 'none'],
      revocation_endpoint_auth_signing_alg_values_supported: assertionSigningAlgs,
    },
    enabledJWA: enabledJwa,
    assertJwtClientAuthClaimsAndHeader: checkAssertion,
    scopes: ['openid', 'offline_access', ...Object.keys(identityClaims)],
    extraParams: {
      ...deviceRateHook,
      ...pushedRateHook(clients),
      ...scopeHook(createDecideRequest(clients, resourceServers)),
    },
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], ...identityClaims },
    // Which clients are told it in ID tokens is for id-token-rules.ts to say.
    conformIdTokenClaims: false,
    acrValues: Object.values(acr),
    pkce: { required: (_ctx, client) => needsPkce(client, config) },
    subjectTypes: ['public', 'pairwise'],
    pairwiseIdentifier: async (_ctx, accountId, client) =>
      subjects.of(accountId, (await clients.find(client.clientId))?.settings.sector ?? ''),
    // It is read when a client is registered (client-sector.ts), and in no request of anybody else's.
    sectorIdentifierUriValidate: () => false,
    allowOmittingSingleRegisteredRedirectUri: false,
    acceptQueryParamAccessTokens: false,
    // A private scheme has the origin `null`, which is also that of every sandboxed page.
    clientBasedCORS: (_ctx, origin, client) =>
      origin !== 'null' &&
      (client.redirectUris ?? []).some(
        (uri) => URL.canParse(uri) && new URL(uri).origin === origin,
      ),
    clientDefaults: {
      grant_types: [],
      response_types: [],
      response_modes: [...plainResponseModes],
      id_token_signed_response_alg: 'RS256',
    },
    interactions: {
      policy: createPolicy(config, otherSubject(clients, subjects)),
      url: (ctx, interaction) => {
        setInteractionCookie(ctx, interaction.uid);
        return `${issuerPath(config.issuer)}/interaction/${interaction.uid}`;
      },
    },
    findAccount,
    loadExistingGrant: createLoadExistingGrant(
      clients,
      resourceServers,
      config.lifetimes.refreshToken,
    ),
    issueRefreshToken: async (_ctx, engineClient, code) => {
      if (!engineClient.grantTypeAllowed('refresh_token')) return false;
      if (!code.scopes.has('offline_access')) return false;
      // It may have been taken away since.
      const client = await clients.find(engineClient.clientId);
      return client === undefined || mayHaveIdentityScope(client, 'offline_access');
    },
    rotateRefreshToken: async (ctx) =>
      (await clients.find(ctx.oidc.client?.clientId ?? ''))?.settings.refreshRotation !== 'keep',
    extraTokenClaims: accessTokenClaims,
    formats: { customizers: { jwt: createJwtCustomizer(resourceServers) } },
    extraClientMetadata: {
      properties: [
        'access_token_ttl',
        'profile',
        'dpop_nonce',
        'pkce',
        'self_registered',
        'identity_scopes',
      ],
    },
    expiresWithSession: async (_ctx, code) => !code.scopes.has('offline_access'),
    renderError: (ctx, out, cause) =>
      pages.error(ctx, out as { error: string; error_description?: string }, cause),
    // The guard of ours stands for the engine's own (its dispatcher), and looks at more.
    fetch: (url, { method, headers, body, signal } = {}) =>
      outbound.fetch(url as string, {
        method,
        headers: new Headers(headers),
        body: body as string | URLSearchParams | undefined,
        signal: signal ?? undefined,
      }),
    fetchResponseBodyLimits: { jwks_uri: 128 * 1024, sector_identifier_uri: 128 * 1024 },
    ttl: createLifetimes(config.lifetimes),
  };
}

/** RFC 9700, section 2.1.1: every client, except confidential ones that an operator exempts, by client or by setting. */
function needsPkce(client: Client, { clientRegistrationPkce }: Config): boolean {
  if (client.clientAuthMethod === 'none' || isFapi(client)) return true;
  const isExempt = client.self_registered === true && clientRegistrationPkce === 'optional';
  return client.pkce !== 'optional' && !isExempt;
}

async function findAccount(ctx: KoaContextWithOIDC, id: string): Promise<Account | undefined> {
  checkProofAtUserinfo(ctx);
  const nobody = accountOfNobody(ctx, id);
  if (nobody !== undefined) return nobody;
  const account = await currentUnit().findAccount(id);
  if (account === undefined || account.disabled) return undefined;
  return {
    accountId: account.id,
    claims: async (_use, _scope, _claims, rejected) => ({
      sub: account.id,
      ...claimsBut(account, rejected),
    }),
  };
}
