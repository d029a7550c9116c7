import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';

/** What an access token says beyond the engine's own claims. */

interface SignedIn {
  readonly acr?: string | undefined;
  readonly authTime?: number | undefined;
}

/** A person's token tells how, and when, the person signed in (RFC 9068, section 2.2.1): for APIs that ask for more (RFC 9470). */
export const accessTokenClaims: NonNullable<Configuration['extraTokenClaims']> = (ctx, token) => {
  if (token.kind !== 'AccessToken') return undefined;
  const { AuthorizationCode: code, RefreshToken: refresh } = ctx.oidc.entities;
  const { acr, authTime } = (code ?? refresh ?? {}) as SignedIn;
  return {
    ...(acr === undefined ? {} : { acr }),
    ...(authTime === undefined ? {} : { auth_time: authTime }),
  };
};

/** The `typ` that the API asked for. */
export function createJwtCustomizer(resourceServers: ResourceServerService) {
  return async (
    _ctx: KoaContextWithOIDC,
    { aud }: { readonly aud?: string | string[] | undefined },
    jwt: { header?: Record<string, unknown> | undefined },
  ): Promise<void> => {
    const server = typeof aud === 'string' ? await resourceServers.find(aud) : undefined;
    if (server !== undefined && server.tokenTyp !== 'at+jwt')
      jwt.header = { ...jwt.header, typ: server.tokenTyp };
  };
}
