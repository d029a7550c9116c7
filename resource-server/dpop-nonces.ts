import { createHmac, timingSafeEqual } from 'node:crypto';
import { epochSeconds } from './clock.ts';

/**
 * Nonces for DPoP proofs (RFC 9449, section 9) that need no memory: a time, and a MAC of it. Processes that share the
 * secret take each other's.
 */
export class DpopNonces {
  readonly #secret: string | Uint8Array;
  readonly #lifetime: number;

  /** @param lifetime how long a nonce is good for (seconds) */
  constructor(secret: string | Uint8Array, lifetime: number) {
    this.#secret = secret;
    this.#lifetime = lifetime;
  }

  issue(): string {
    const time = Buffer.alloc(6);
    time.writeUIntBE(Math.floor(epochSeconds()), 0, 6);
    return Buffer.concat([time, this.#mac(time)]).toString('base64url');
  }

  /** Whether the nonce is one of ours, in its time; and whether it is time for the next one. */
  check(nonce: unknown): 'good' | 'old' | 'bad' {
    if (typeof nonce !== 'string' || !/^[\w-]{30}$/.test(nonce)) return 'bad';
    const bytes = Buffer.from(nonce, 'base64url');
    const time = bytes.subarray(0, 6);
    if (!timingSafeEqual(bytes.subarray(6), this.#mac(time))) return 'bad';
    const age = epochSeconds() - time.readUIntBE(0, 6);
    // Another process may be a little ahead.
    if (age < -5 || age > this.#lifetime) return 'bad';
    return age > this.#lifetime / 2 ? 'old' : 'good';
  }

  #mac(time: Uint8Array): Buffer {
    const mac = createHmac('sha256', this.#secret).update('vouchsafe dpop nonce\0').update(time);
    return mac.digest().subarray(0, 16);
  }
}
