import { randomBytes } from 'node:crypto';
import { generateSecret, generateURI, verify } from 'otplib';
import type { TotpSecret } from './authenticator.ts';

/** RFC 6238 as every authenticator app has it: SHA-1, six digits, thirty seconds. */
const PERIOD = 30;
/** RFC 4226, section 4, R6: 160 bits. */
const SEED_BYTES = 20;

/** @param issuer the brand's name, as the app shows it. */
export function newTotpSecret(issuer: string, email: string): TotpSecret {
  const secret = generateSecret({ length: SEED_BYTES });
  return { secret, uri: generateURI({ issuer, label: email, secret }) };
}

/**
 * The time step whose code this is, one step to either side of now, or undefined where it is none: wrong, or no six
 * digits. Whether that step was used before is for the caller's row to say.
 */
export async function findStep(
  secret: string,
  code: string,
  now = Date.now(),
): Promise<number | undefined> {
  const token = code.replace(/[\s\u2010-\u2015-]/gu, '').normalize('NFKC');
  // otplib throws on anything but six digits.
  if (!/^\d{6}$/.test(token)) return undefined;
  const result = await verify({
    secret,
    token,
    epoch: Math.floor(now / 1000),
    epochTolerance: PERIOD,
  });
  return result.valid && 'timeStep' in result ? result.timeStep : undefined;
}

/** Crockford's alphabet: no I, L, O or U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_CHARS = 16;

/** A recovery code of 80 bits in groups of four. */
export function newRecoveryCode(): string {
  // 256 is a multiple of 32, so every letter is as likely.
  const chars = [...randomBytes(CODE_CHARS)].map((byte) => ALPHABET[byte & 31]).join('');
  return (chars.match(/.{4}/g) ?? []).join('-');
}

/** The code as it is hashed, whatever was typed: case, spaces and dashes aside, and letters read as Crockford meant them. */
export function normalizeRecoveryCode(typed: string): string {
  const plain = typed
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[^\p{L}\p{N}]/gu, '');
  return plain.replaceAll('O', '0').replace(/[IL]/g, '1');
}
