import { decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';
import { AppError } from '../../errors.ts';
import type { TrustedIssuer } from '../../issuer/issuer.ts';
import type { TrustedIssuers } from '../../issuer/issuer.service.ts';
import { epochSeconds } from '../../lib/time.ts';
import { MAX_AHEAD } from '../client-authentication/assertions.ts';
import type { ClientKeySets } from '../client-authentication/key-sets.ts';
import { keysOf } from './issuer-keys.ts';
import { refusal } from './refusal.ts';

/** An assertion whose signature and claims are right (RFC 7523, section 3). */
export interface Assertion {
  readonly issuer: TrustedIssuer;
  readonly subject: string;
  /** Its id among those of its issuer. */
  readonly jti: string | undefined;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** Who alone may act with what comes of it (RFC 8693, section 4.4). */
  readonly mayAct: { readonly sub: string } | undefined;
}

interface AssertionParts {
  readonly issuers: TrustedIssuers;
  readonly keySets: ClientKeySets;
  /** What we are called in `aud`. */
  readonly audiences: string[];
}

/** None of them is what some other JWT of the same issuer is for (RFC 8725, section 3.11). */
const types = new Set(['jwt', 'authorization-grant+jwt']);
/** No assertion comes near it. */
const LONGEST = 16 * 1024;
const LONGEST_NAME = 500;

/**
 * The assertion, verified with a key of the issuer that it names. Nothing in its header is followed but the name of a key.
 * @throws InvalidGrant (section 3.1)
 */
export async function verifyAssertion(
  text: string,
  { issuers, keySets, audiences }: AssertionParts,
): Promise<Assertion> {
  const name = text.length > LONGEST ? undefined : issuerOf(text);
  const issuer = name === undefined ? undefined : await issuers.find(name);
  if (issuer === undefined) throw invalid('unknown_issuer');
  const { payload, protectedHeader } = await jwtVerify(text, keysOf(issuer, keySets), {
    issuer: issuer.issuer,
    algorithms: [...issuer.algs],
    audience: audiences,
    requiredClaims: ['sub', 'exp', 'iat', ...(issuer.reusable ? [] : ['jti'])],
    clockTolerance: MAX_AHEAD,
  }).catch((error: unknown) => {
    throw invalid(error instanceof AppError ? error.code : 'assertion_invalid');
  });
  if (!isAssertionType(protectedHeader.typ)) throw invalid('assertion_type');
  // A list that names somebody else as well could be used there.
  if (![payload.aud].flat().every((one) => audiences.includes(one as string)))
    throw invalid('assertion_audience');
  checkTimes(payload, issuer);
  const { sub, jti } = payload;
  if (!isName(sub) || (jti !== undefined && !isName(jti))) throw invalid('assertion_invalid');
  return {
    issuer,
    subject: sub,
    jti,
    expiresAt: payload.exp as number,
    mayAct: mayActOf(payload.may_act),
  };
}

function issuerOf(text: string): string | undefined {
  try {
    const { iss } = decodeJwt(text);
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

const isAssertionType = (typ: unknown) =>
  typ === undefined ||
  (typeof typ === 'string' && types.has(typ.toLowerCase().replace(/^application\//, '')));

/** A clock may be ahead, and nothing lives longer for it; jose has looked at `nbf`. */
function checkTimes({ iat, exp = 0 }: JWTPayload, { maxLife }: TrustedIssuer): void {
  if (typeof iat !== 'number' || exp <= epochSeconds()) throw invalid('assertion_invalid');
  if (iat > epochSeconds() + MAX_AHEAD) throw invalid('assertion_from_the_future');
  if (exp - iat > maxLife) throw invalid('assertion_lives_too_long');
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= LONGEST_NAME;

/** One client of ours and nothing else: what is not understood restricts nobody. */
function mayActOf(value: unknown): Assertion['mayAct'] {
  if (value === undefined) return undefined;
  const { sub, ...others } = Object(value) as { sub?: unknown };
  if (!isName(sub) || Object.keys(others).length > 0) throw invalid('assertion_may_act');
  return { sub };
}

/** One answer for whatever is wrong: who asks may have found the assertion somewhere. */
export function invalid(reason: string): errors.InvalidGrant {
  return refusal(new errors.InvalidGrant(reason), reason);
}
