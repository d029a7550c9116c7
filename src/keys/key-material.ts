import { createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { ExternalSigningKey } from 'oidc-provider';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';

/** A key pair that nobody knows yet. */
export interface KeyPair {
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
}

/** Takes its time for RSA, in a thread of its own: never inside a transaction. */
export async function makeKeyPair(alg: string): Promise<KeyPair> {
  const { publicKey, privateKey } = await generateKeyPair(alg, {
    extractable: true,
    modulusLength: 2048,
  });
  const kid = randomToken(12);
  const shared = { kid, alg, use: 'sig' };
  return {
    kid,
    alg,
    publicJwk: { ...(await exportJWK(publicKey)), ...shared },
    privateJwk: { ...(await exportJWK(privateKey)), ...shared },
  };
}

/** What everybody may know of a key, whatever else it holds. */
export function publicPart({ kty, kid, alg, use, n, e, crv, x, y }: JWK): JWK & { kty: string } {
  return Object.fromEntries(
    Object.entries({ kty, kid, alg, use, n, e, crv, x, y }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as unknown as JWK & { kty: string };
}

/**
 * What stands in the place of a private part that was erased. The release before reads every key whole, and would not
 * start without these members; they sign nothing.
 */
export function withoutPrivatePart(publicJwk: JWK): JWK {
  const members = publicJwk.kty === 'RSA' ? ['d', 'p', 'q', 'dp', 'dq', 'qi'] : ['d'];
  return {
    ...publicJwk,
    ...Object.fromEntries(members.map((member) => [member, 'erased'])),
  } as JWK;
}

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
