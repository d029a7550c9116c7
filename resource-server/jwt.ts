import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose';
import type { LiveToken } from './auth.ts';
import { epochSeconds } from './clock.ts';
import { Refusal, Unavailable } from './errors.ts';
import type { IssuerKeys } from './keys.ts';
import { readClaims } from './token-claims.ts';

export interface JwtRules {
  readonly issuer: string;
  readonly audience: string;
  /** The algorithms that are taken; every one of them is asymmetric. */
  readonly algorithms: readonly string[];
  /** By how many seconds the clocks may differ. */
  readonly clockTolerance: number;
  /** Tokens of `typ` JWT are taken too. */
  readonly acceptTypJwt: boolean;
}

/** A verified access token, and what the revocation feed names it by. */
export interface VerifiedJwt {
  readonly token: LiveToken;
  readonly jti: string;
  readonly issuedAt: number;
}

/** The claims that every access token has (RFC 9068, section 2.2). */
const requiredClaims = ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'];

/** Whether it looks like a JWS, and not like a token that only the issuer can read. */
export function isJwt(token: string): boolean {
  if (token.split('.').length !== 3) return false;
  try {
    return typeof decodeProtectedHeader(token).alg === 'string';
  } catch {
    return false;
  }
}

/**
 * A JWT access token (RFC 9068, section 4) of the issuer for this API, in its time. Whether it was revoked is another
 * question.
 * @throws Refusal where it is none; Unavailable where the keys of the issuer can't be read
 */
export async function verifyJwt(
  jwt: string,
  keys: IssuerKeys,
  rules: JwtRules,
): Promise<VerifiedJwt> {
  const payload = await verifySignature(jwt, keys, rules);
  const { jti, iat = 0, sub } = payload;
  // An ID token or a logout token has other claims, even where its `typ` does not tell (RFC 8725, section 3.12).
  const isAnother = 'nonce' in payload || 'at_hash' in payload || 'events' in payload;
  if (isAnother || typeof jti !== 'string' || jti === '' || typeof sub !== 'string' || sub === '')
    throw new Refusal('invalid_token', 'this is no access token');
  if (iat > epochSeconds() + rules.clockTolerance)
    throw new Refusal('invalid_token', 'the token is of the future');
  return { token: readClaims('jwt', payload), jti, issuedAt: iat };
}

async function verifySignature(
  jwt: string,
  keys: IssuerKeys,
  { issuer, audience, algorithms, clockTolerance, acceptTypJwt }: JwtRules,
): Promise<JWTPayload> {
  try {
    const { payload, protectedHeader } = await jwtVerify(jwt, keys.find, {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance,
      requiredClaims,
    });
    const typ = protectedHeader.typ?.toLowerCase().replace(/^application\//, '');
    const isAccessToken = typ === 'at+jwt' || (acceptTypJwt && typ === 'jwt');
    if (!isAccessToken || protectedHeader.crit !== undefined)
      throw new Refusal('invalid_token', 'this is no access token');
    return payload;
  } catch (error) {
    if (error instanceof Refusal || error instanceof Unavailable) throw error;
    if (error instanceof errors.JWTExpired)
      throw new Refusal('invalid_token', 'the token has ended', {}, error);
    if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud')
      throw new Refusal('invalid_token', 'the token is not for this API', {}, error);
    throw new Refusal('invalid_token', 'the token is not valid', {}, error);
  }
}
