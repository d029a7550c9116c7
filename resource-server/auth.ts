/** Who calls, and what they may do: what a token that was found good says. */
export interface Auth {
  /** How the token was looked at: by its signature, or by asking the issuer. */
  readonly kind: 'jwt' | 'opaque';
  /** The account that the token speaks for; of a client that acts for itself, its own id (RFC 9068, section 2.2). */
  readonly sub: string;
  readonly clientId: string;
  /** Nobody stands behind the call but the client itself: `sub` is no account. */
  readonly isClient: boolean;
  readonly scopes: ReadonlySet<string>;
  /** How well the person was authenticated. */
  readonly acr: string | undefined;
  /** When the person was authenticated. */
  readonly authTime: Date | undefined;
  /** When the token ends. */
  readonly expiresAt: Date;
  /** What the caller has proven to hold, beside the token. */
  readonly binding: 'dpop' | 'mtls' | undefined;
  /** All claims of the JWT, or all members of the introspection's answer. */
  readonly claims: Readonly<Record<string, unknown>>;
  /**
   * Headers for the answer: a DPoP nonce for the next call, and the call's `x-fapi-interaction-id`. The adapters add
   * them.
   */
  readonly responseHeaders: Readonly<Record<string, string>>;
}

/** A live token for this API, of which it is not yet known whether the caller is the one that it is bound to. */
export interface LiveToken extends Omit<Auth, 'binding' | 'responseHeaders'> {
  /** The confirmation methods of the token (RFC 7800). */
  readonly cnf: Readonly<Record<string, unknown>> | undefined;
}

/** What one call is told of a token, which others may be told of too: nothing that one does with it reaches them. */
export function authOf(
  { cnf: _cnf, ...token }: LiveToken,
  binding: Auth['binding'],
  responseHeaders: Auth['responseHeaders'],
): Auth {
  return Object.freeze({
    ...token,
    scopes: new Set(token.scopes),
    authTime: token.authTime && new Date(token.authTime),
    expiresAt: new Date(token.expiresAt),
    claims: structuredClone(token.claims),
    binding,
    responseHeaders,
  });
}
