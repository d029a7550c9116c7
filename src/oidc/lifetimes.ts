import type { Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { type Lifetimes, ttl } from '../lifetimes.ts';
import { epochSeconds } from '../lib/time.ts';
import { isFapi } from './client-authentication/assertions.ts';
import { cibaTtl } from './decoupled/ciba.ts';

/** FAPI 2.0 Security Profile, 5.3.2.1: the most that an authorization code may live (seconds). */
const FAPI_CODE = 60;

/** How long everything lives that the engine issues, as the operator has set it. */
export function createLifetimes(lifetimes: Lifetimes): NonNullable<Configuration['ttl']> {
  /** As long as the API says, or as long as is set for the client where that is shorter. */
  function accessTokenTtl(
    _ctx: unknown,
    {
      resourceServer,
    }: { readonly resourceServer?: { readonly accessTokenTTL?: number | undefined } | undefined },
    client: Client,
  ): number {
    const { access_token_ttl: most } = client as { readonly access_token_ttl?: number };
    return Math.min(resourceServer?.accessTokenTTL ?? lifetimes.accessToken, most ?? Infinity);
  }

  /** A family has an absolute end, and no refresh token outlives it. */
  function refreshTokenTtl(ctx: KoaContextWithOIDC): number {
    const end = ctx.oidc.entities.RotatedRefreshToken?.exp ?? ctx.oidc.entities.Grant?.exp;
    return end === undefined ? lifetimes.refreshToken : Math.max(1, end - epochSeconds());
  }

  /** Every visit renews a session, up to an absolute end that counts from the sign-in. */
  function sessionTtl(_ctx: KoaContextWithOIDC, session: { loginTs?: number | undefined }): number {
    if (session.loginTs === undefined) return ttl.interaction;
    const left = session.loginTs + lifetimes.sessionAbsolute - epochSeconds();
    return Math.max(1, Math.min(lifetimes.sessionIdle, left));
  }

  return {
    AuthorizationCode: (_ctx, _code, client) =>
      isFapi(client) ? Math.min(FAPI_CODE, lifetimes.code) : lifetimes.code,
    AccessToken: accessTokenTtl,
    ClientCredentials: accessTokenTtl,
    IdToken: lifetimes.idToken,
    Interaction: ttl.interaction,
    DeviceCode: ttl.deviceCode,
    BackchannelAuthenticationRequest: cibaTtl,
    // Each family has its own end, which is set where it is built (families.ts).
    Grant: lifetimes.refreshToken,
    RefreshToken: refreshTokenTtl,
    Session: sessionTtl,
  };
}
