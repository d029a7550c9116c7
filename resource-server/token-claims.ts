import type { LiveToken } from './auth.ts';
import { Refusal } from './errors.ts';
import { isObject } from './fetch-document.ts';

/**
 * What the claims of a JWT or of an introspection's answer say, which name each thing alike (RFC 9068, section 2.2;
 * RFC 7662, section 2.2). Signature, issuer, audience and times are checked by then.
 * @throws Refusal where a claim is not of its type, or one without which nothing can be decided is missing
 */
export function readClaims(
  kind: LiveToken['kind'],
  claims: Readonly<Record<string, unknown>>,
): LiveToken {
  const clientId = text(claims, 'client_id');
  const exp = number(claims, 'exp');
  if (clientId === undefined || clientId === '' || exp === undefined)
    throw new Refusal('invalid_token', 'the token lacks a claim');
  // A client's own token has no subject, or the client's id as such: a client id is never an account's (SECURITY 11).
  const sub = text(claims, 'sub') ?? clientId;
  const authTime = number(claims, 'auth_time');
  return {
    kind,
    sub,
    clientId,
    isClient: sub === clientId,
    scopes: new Set((text(claims, 'scope') ?? '').split(' ').filter((scope) => scope !== '')),
    acr: text(claims, 'acr'),
    authTime: authTime === undefined ? undefined : new Date(authTime * 1_000),
    expiresAt: new Date(exp * 1_000),
    cnf: confirmation(claims['cnf']),
    claims,
  };
}

/** Whether this API is among those that the token is for. */
export function isFor(audience: string, aud: unknown): boolean {
  return Array.isArray(aud) ? aud.includes(audience) : aud === audience;
}

function text(claims: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = claims[name];
  if (value === undefined || typeof value === 'string') return value;
  throw new Refusal('invalid_token', 'a claim of the token is malformed');
}

function number(claims: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
  throw new Refusal('invalid_token', 'a claim of the token is malformed');
}

/** A token that is bound to nothing that can be understood is not one for everybody. */
function confirmation(cnf: unknown): LiveToken['cnf'] {
  if (cnf === undefined || (isObject(cnf) && Object.keys(cnf).length > 0)) return cnf;
  throw new Refusal('invalid_token', 'a claim of the token is malformed');
}
