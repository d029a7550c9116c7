import { randomBytes } from 'node:crypto';
import argon2 from 'argon2';
import { Semaphore } from './semaphore.ts';

/** OWASP's second profile for Argon2id: 19 MiB, two passes, one lane. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** Bytes of UTF-8. Longer ones are refused whole, never cut: an attacker must not choose how much we hash. */
export const PASSWORD_MAX_BYTES = 1024;

export interface PasswordsOptions {
  /** `UV_THREADPOOL_SIZE`: hashing takes half of the threads, so that signing and the disk keep the others. 4 unless told. */
  readonly threadPoolSize?: number | undefined;
  /** How many may wait for a thread before the next one is turned away; 200 unless told. */
  readonly maxWaiting?: number | undefined;
}

/** Hashes and verifies passwords: Argon2id, as PHC strings. */
export class Passwords {
  readonly #semaphore: Semaphore;
  /** A hash that no password has, of the same cost as a real one. */
  readonly #nobody: string;

  constructor({ threadPoolSize = 4, maxWaiting = 200 }: PasswordsOptions = {}) {
    this.#semaphore = new Semaphore(Math.max(1, Math.floor(threadPoolSize / 2)), maxWaiting);
    const part = (bytes: number) => randomBytes(bytes).toString('base64').replace(/=+$/, '');
    this.#nobody = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$${part(16)}$${part(32)}`;
  }

  /** How many wait to be hashed. */
  get waiting(): number {
    return this.#semaphore.waiting;
  }

  /** @throws AppError `busy` (429) */
  hash(password: string): Promise<string> {
    return this.#semaphore.run(() =>
      argon2.hash(normalizePassword(password), { ...cost, type: argon2.argon2id }),
    );
  }

  /**
   * Whether the password is the one of the hash. Without a hash (there is no such account, or it has no password) it
   * takes the same time, and is not. One that is too long is nobody's, and is not hashed.
   * @throws AppError `busy` (429)
   */
  async verify(hash: string | undefined, password: string): Promise<boolean> {
    if (!isHashable(password)) return false;
    const typed = normalizePassword(password);
    const right = await this.#semaphore.run(() => argon2.verify(hash ?? this.#nobody, typed));
    return right && hash !== undefined;
  }

  /** Whether the hash was made at another cost than hashes are made now. */
  isOutdated(hash: string): boolean {
    return !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, cost);
  }
}

/** Whether the password is compared with a hash at all: one that is too long is nobody's. */
export function isHashable(password: string): boolean {
  return Buffer.byteLength(normalizePassword(password)) <= PASSWORD_MAX_BYTES;
}

/**
 * NIST SP 800-63B-4, section 3.1.1.2, asks for NFC: the same letters typed on another keyboard are the same password.
 * (Its third revision asked for NFKC, which also makes one of characters that a person tells apart, like ² and 2.)
 */
export function normalizePassword(password: string): string {
  return password.normalize('NFC');
}
