import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** SHA-256 of a high-entropy value: what is stored in place of a token, so that a stolen dump authenticates nobody. */
export function sha256(value: string): Buffer {
  // By way of a string: a buffer of its own, outside the heap, takes longer than the hash.
  return Buffer.from(hash('sha256', value, 'binary'), 'binary');
}

/** A random identifier or token of `bytes` bytes from the system's generator, base64url. */
export function randomToken(bytes = 32): string {
  return randomBytes(bytes).toString('base64url');
}

/** Whether two byte strings are equal, in time that depends on their length alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
