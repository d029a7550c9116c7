import type { Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { defaultSettings } from '../client/client.ts';
import { ttl } from '../lifetimes.ts';
import { cibaTtl } from './decoupled/ciba.ts';
import { epochSeconds } from '../lib/time.ts';

export const lifetimes: NonNullable<Configuration['ttl']> = {
  AuthorizationCode: ttl.code,
  AccessToken: accessTokenTtl,
  ClientCredentials: accessTokenTtl,
  IdToken: ttl.idToken,
  Interaction: ttl.interaction,
  DeviceCode: ttl.deviceCode,
  BackchannelAuthenticationRequest: cibaTtl,
  // Each family has its own end, which is set where it is built (families.ts).
  Grant: defaultSettings.familyTtl,
  RefreshToken: refreshTokenTtl,
  Session: sessionTtl,
};

/** As long as the API says, or as long as is said of the client where that is shorter. */
function accessTokenTtl(
  _ctx: unknown,
  {
    resourceServer,
  }: { readonly resourceServer?: { readonly accessTokenTTL?: number | undefined } | undefined },
  client: Client,
): number {
  const { access_token_ttl: most } = client as { readonly access_token_ttl?: number };
  return Math.min(resourceServer?.accessTokenTTL ?? ttl.accessToken, most ?? Infinity);
}

/** A family has an absolute end, and no refresh token outlives it. */
function refreshTokenTtl(ctx: KoaContextWithOIDC): number {
  const end = ctx.oidc.entities.RotatedRefreshToken?.exp ?? ctx.oidc.entities.Grant?.exp;
  return end === undefined ? defaultSettings.familyTtl : Math.max(1, end - epochSeconds());
}

/** Every visit renews, up to an absolute end that counts from the sign-in. */
function sessionTtl(_ctx: KoaContextWithOIDC, session: { loginTs?: number | undefined }): number {
  if (session.loginTs === undefined) return ttl.interaction;
  const left = session.loginTs + ttl.sessionAbsolute - epochSeconds();
  return Math.max(1, Math.min(ttl.sessionIdle, left));
}
