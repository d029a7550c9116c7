import { randomBytes } from 'node:crypto';
import { generateSecret, generateURI, verify } from 'otplib';
import { readTypedCode } from '../lib/typed-code.ts';
import type { TotpSecret } from './authenticator.ts';

/** RFC 6238 as every authenticator app has it: SHA-1, six digits, thirty seconds. */
const PERIOD = 30;
/** RFC 4226, section 4, R6: 160 bits. */
const SEED_BYTES = 20;

/** Seconds for which a code that has expired is still recognized, to tell a slow clock from a wrong code. */
const LATE = 300;

/** @param issuer the brand's name, as the app shows it. */
export function newTotpSecret(issuer: string, email: string): TotpSecret {
  const secret = generateSecret({ length: SEED_BYTES });
  const uri = generateURI({ issuer: withoutColons(issuer), label: withoutColons(email), secret });
  return { secret, uri };
}

/** Apps split the label of an `otpauth:` URI at a colon, some at the last one, and some refuse a second one. */
function withoutColons(name: string): string {
  return name.replace(/\s*[:\uFF1A\uFE55\s]+\s*/gu, ' ').trim() || 'Account';
}

/**
 * The time step that the code belongs to, at most one step before or after now. Undefined if the code is wrong or is not
 * six digits. The caller's row decides whether that step was used before.
 */
export function findStep(
  secret: string,
  code: string,
  now = Date.now(),
): Promise<number | undefined> {
  return stepWithin([PERIOD, PERIOD], secret, code, now);
}

/**
 * The time step of a code that was right within the last five minutes and no longer is. It never looks ahead: whoever
 * learned that a code is right a minute from now could wait and use it.
 */
export async function findLateStep(
  secret: string,
  code: string,
  now = Date.now(),
): Promise<number | undefined> {
  const step = await stepWithin([LATE, 0], secret, code, now);
  const isLate = step !== undefined && step < Math.floor(now / 1000 / PERIOD) - 1;
  return isLate ? step : undefined;
}

async function stepWithin(
  epochTolerance: [number, number],
  secret: string,
  code: string,
  now: number,
): Promise<number | undefined> {
  const token = readTypedCode(code);
  // otplib throws on anything but six digits.
  if (!/^\d{6}$/.test(token)) return undefined;
  const result = await verify({ secret, token, epoch: Math.floor(now / 1000), epochTolerance });
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

/** The code as it is hashed: as `readTypedCode` reads it, and with the letters that Crockford's alphabet lacks replaced. */
export function normalizeRecoveryCode(typed: string): string {
  return readTypedCode(typed).replaceAll('O', '0').replace(/[IL]/g, '1');
}
