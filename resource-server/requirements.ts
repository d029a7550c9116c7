import type { Auth } from './auth.ts';
import { Refusal } from './errors.ts';

/** What a call needs beside a live token for this API. */
export interface Requirements {
  /** Scopes that the token must have, all of them: a list, or as on the wire with spaces between them. */
  readonly scopes?: string | readonly string[] | undefined;
  /**
   * How the person must have been authenticated: every value that is good enough, the one to ask for first. Tokens of
   * clients that act for themselves are of nobody, and never good enough.
   */
  readonly acr?: string | readonly string[] | undefined;
  /** How long ago the person may have been authenticated at most (seconds). */
  readonly maxAge?: number | undefined;
  /** The token must be bound to a key, and the caller prove to hold it. */
  readonly binding?: 'dpop' | 'mtls' | 'any' | undefined;
}

export interface ParsedRequirements {
  readonly scopes: readonly string[];
  readonly acr: readonly string[];
  readonly maxAge: number | undefined;
  readonly binding: Requirements['binding'];
}

/** @throws TypeError where a requirement is none, so that a misspelt one is never one that everybody meets */
export function parseRequirements(input: Requirements = {}): ParsedRequirements {
  const known = new Set(['scopes', 'acr', 'maxAge', 'binding']);
  const unknown = Object.keys(input).find((name) => !known.has(name));
  if (unknown !== undefined) throw new TypeError(`there is no requirement named ${unknown}`);
  const { maxAge, binding } = input;
  if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 0))
    throw new TypeError('maxAge is a number of seconds');
  if (binding !== undefined && !['dpop', 'mtls', 'any'].includes(binding))
    throw new TypeError('binding is dpop, mtls or any');
  return {
    scopes: words('scopes', input.scopes),
    acr: words('acr', input.acr),
    maxAge,
    binding,
  };
}

function words(name: string, input: string | readonly string[] | undefined): string[] {
  if (input === undefined) return [];
  const list = typeof input === 'string' ? input.split(' ') : [...input];
  // As RFC 6749, section 3.3 has scopes; an empty list would ask for nothing where something was meant.
  if (list.length === 0 || !list.every((word) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(word)))
    throw new TypeError(`${name} names none, or one with characters that can't be sent`);
  return list;
}

/**
 * Passes who meets the requirements. What more must be proven of the person comes before what they may do: with a new
 * token the question of scopes is another one.
 * @throws Refusal where the token does not
 */
export function checkRequirements(auth: Auth, required: ParsedRequirements): void {
  checkBinding(auth, required);
  checkAuthentication(auth, required);
  if (!required.scopes.every((scope) => auth.scopes.has(scope)))
    throw new Refusal('insufficient_scope', 'the token does not allow this', {
      scope: required.scopes.join(' '),
    });
}

function checkBinding(auth: Auth, { binding }: ParsedRequirements): void {
  if (binding === undefined || auth.binding === binding) return;
  if (binding === 'any' && auth.binding !== undefined) return;
  throw new Refusal('invalid_token', 'the token must be bound to a key of its client');
}

/** Step-up (RFC 9470, section 3). */
function checkAuthentication(auth: Auth, { acr, maxAge }: ParsedRequirements): void {
  const isGoodEnough = acr.length === 0 || (auth.acr !== undefined && acr.includes(auth.acr));
  const isRecent =
    maxAge === undefined ||
    (auth.authTime !== undefined && Date.now() - auth.authTime.getTime() <= maxAge * 1_000);
  if (isGoodEnough && isRecent) return;
  throw new Refusal(
    'insufficient_user_authentication',
    isGoodEnough ? 'the person must sign in again' : 'the person must sign in with stronger proof',
    {
      acr_values: acr.length === 0 ? undefined : acr.join(' '),
      max_age: maxAge?.toString(),
    },
  );
}
