import { randomToken, sha256 } from '../lib/hash.ts';

export interface NewSecret {
  readonly id: string;
  /** Shown once: only its hash is kept. */
  readonly value: string;
  readonly hash: Buffer;
  readonly lastFour: string;
}

/** A secret from the system's generator. */
export function newSecret(): NewSecret {
  const value = `vs_cs_${randomToken(32)}`;
  return { id: randomToken(12), value, hash: sha256(value), lastFour: value.slice(-4) };
}
