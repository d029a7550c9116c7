import type Provider from 'oidc-provider';

type Allows = (this: object, uri: string) => boolean;

/** A colon with no port behind it, or with one that is written with zeros before it. */
const ODD_PORT = /^http:\/\/[^/?#]*:(0\d*)?([/?#]|$)/i;

/**
 * A native app's port on loopback floats (RFC 8252, section 7.3), and it is a port as everybody writes it: the engine takes
 * any digits for one, and none, which some readers take for something else.
 */
export function refuseOddPorts({ Client }: Provider): void {
  const prototype = Client.prototype as unknown as Record<
    'redirectUriAllowed' | 'postLogoutRedirectUriAllowed',
    Allows
  >;
  for (const name of ['redirectUriAllowed', 'postLogoutRedirectUriAllowed'] as const) {
    const original = prototype[name];
    prototype[name] = function allowed(uri) {
      return !ODD_PORT.test(uri) && original.call(this, uri);
    };
  }
}
