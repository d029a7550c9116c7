import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { claimsGiven } from './grants/given-claims.ts';

/** What an access token says beyond the engine's own claims. */

interface SignedIn {
  readonly acr?: string | undefined;
  readonly authTime?: number | undefined;
}

/** A person's token tells how, and when, the person signed in (RFC 9068, section 2.2.1): for APIs that ask for more (RFC 9470). */
export const accessTokenClaims: NonNullable<Configuration['extraTokenClaims']> = (ctx, token) => {
  const given = claimsGiven(token);
  if (given !== undefined) return given;
  if (token.kind !== 'AccessToken') return undefined;
  const {
    AuthorizationCode: code,
    RefreshToken: refresh,
    DeviceCode: device,
    BackchannelAuthenticationRequest: asked,
  } = ctx.oidc.entities;
  const { acr, authTime } = (code ?? refresh ?? device ?? asked ?? {}) as SignedIn;
  return {
    ...(acr === undefined ? {} : { acr }),
    ...(authTime === undefined ? {} : { auth_time: authTime }),
  };
};

/** The `typ` that the API asked for, the machine that a token of another client stands for, and the session. */
export function createJwtCustomizer(resourceServers: ResourceServerService) {
  return async (
    _ctx: KoaContextWithOIDC,
    token: { readonly aud?: string | string[] | undefined; readonly sid?: string | undefined },
    jwt: {
      header?: Record<string, unknown> | undefined;
      payload: Record<string, unknown>;
    },
  ): Promise<void> => {
    const { aud } = token;
    const sub = claimsGiven(token)?.sub;
    if (sub !== undefined) jwt.payload.sub = sub;
    if (token.sid !== undefined) jwt.payload.sid = token.sid;
    const server = typeof aud === 'string' ? await resourceServers.find(aud) : undefined;
    if (server !== undefined && server.tokenTyp !== 'at+jwt')
      jwt.header = { ...jwt.header, typ: server.tokenTyp };
  };
}
