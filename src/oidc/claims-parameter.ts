import { type Client, type ClaimsParameter, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { mayHaveClaim } from './allow-list.ts';

/**
 * Takes out of the `claims` parameter what belongs to scopes that the client was not given, as if it were not known
 * (OpenID Connect Core, section 5.5): single claims lead around no allow-list.
 * @throws InvalidRequest where a member is neither null nor an object.
 */
export function limitClaimsParameter(
  ctx: KoaContextWithOIDC,
  asked: ClaimsParameter,
  client: Client,
): void {
  const limited = (['userinfo', 'id_token'] as const).flatMap((name) => {
    const members = Object.entries(asked[name] ?? {});
    if (members.some(([, value]) => typeof value !== 'object' || Array.isArray(value)))
      throw new errors.InvalidRequest(`claims.${name} members must be null or objects`);
    return asked[name] === undefined
      ? []
      : [
          [
            name,
            Object.fromEntries(members.filter(([claim]) => mayHaveClaim(client.scope, claim))),
          ] as const,
        ];
  });
  if (ctx.oidc.params) ctx.oidc.params.claims = JSON.stringify(Object.fromEntries(limited));
}
