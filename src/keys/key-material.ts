import { exportJWK, generateKeyPair, type JWK } from 'jose';
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
