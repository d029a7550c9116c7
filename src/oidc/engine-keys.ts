import { createPublicKey, type KeyObject } from 'node:crypto';
import type { JWK } from 'jose';
import { ExternalSigningKey } from 'oidc-provider';
import { AppError } from '../errors.ts';

/** As the engine takes it: a key without its private part is one that it publishes and verifies with. */
export function engineKey(jwk: JWK): ExternalSigningKey | (JWK & { kty: string }) {
  return jwk.d === undefined ? new PublicKey(jwk) : ({ ...jwk } as JWK & { kty: string });
}

class PublicKey extends ExternalSigningKey {
  readonly #jwk: JWK;
  #key: KeyObject | undefined;

  constructor(jwk: JWK) {
    super();
    this.#jwk = jwk;
  }

  override get kid(): string | undefined {
    return this.#jwk.kid;
  }

  override get alg(): string | undefined {
    return this.#jwk.alg;
  }

  override keyObject(): KeyObject {
    this.#key ??= createPublicKey({ key: this.#jwk as Record<string, unknown>, format: 'jwk' });
    return this.#key;
  }

  /** Asked only where the algorithm has no other key: it is new here, and its first one is not known to everybody yet. */
  override sign(): never {
    throw new AppError('key_waits', 'The first key of this algorithm does not sign yet.', {
      status: 503,
      expose: false,
    });
  }
}
