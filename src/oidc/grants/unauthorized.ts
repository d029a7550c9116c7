import Provider, { errors, type KoaContextWithOIDC } from 'oidc-provider';

type Allows = (this: object, type: string) => boolean;

/**
 * A client that asks the token endpoint by a grant type that it was not given hears `unauthorized_client` (RFC 6749,
 * section 5.2); to the engine it is a bad request like any other.
 */
export function nameUnauthorizedGrants({ Client }: Provider): void {
  const prototype = Client.prototype as unknown as { grantTypeAllowed: Allows };
  const original = prototype.grantTypeAllowed;
  prototype.grantTypeAllowed = function allowed(type) {
    const isAllowed = original.call(this, type);
    // Others ask whether a refresh token is to be given along: that is no refusal.
    if (!isAllowed && isAskedFor(type))
      throw new errors.UnauthorizedClient('requested grant type is not allowed for this client');
    return isAllowed;
  };
}

function isAskedFor(type: string): boolean {
  const { oidc } = (Provider.ctx as KoaContextWithOIDC | undefined) ?? {};
  return oidc?.route === 'token' && oidc.params?.grant_type === type;
}
