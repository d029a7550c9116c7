import { createPublicKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';

export type Jwk = Readonly<Record<string, unknown>>;

const keyTypes = new Set<unknown>(['RSA', 'EC', 'OKP']);
const privateParts = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];
const notJwks = 'expected a JWK Set: {"keys": [ ... ]} with 1 to 20 public keys';

/** Whether it is of a type that we verify with. */
export function isOfKnownType({ kty }: Jwk): boolean {
  return keyTypes.has(kty);
}

/** Whether it holds what nobody but its owner may have. */
export function hasPrivatePart(key: Jwk): boolean {
  return privateParts.some((part) => part in key);
}

/** Whether the key can be read, and is the one of the certificate that it comes with (RFC 7517, section 4.7). */
export function isUsableKey(key: Jwk): boolean {
  try {
    const publicKey = createPublicKey({ key, format: 'jwk' });
    if (key.x5c === undefined) return true;
    const [leaf] = key.x5c as string[];
    return new X509Certificate(Buffer.from(leaf as string, 'base64')).publicKey.equals(publicKey);
  } catch {
    return false;
  }
}

/** A JWK Set of public keys (RFC 7517): nobody has to give us a private one. */
export const jwksSchema = z.strictObject(
  {
    keys: z
      .array(
        z
          .record(z.string(), z.unknown(), { error: notJwks })
          .refine((key) => !hasPrivatePart(key), {
            message: 'expected public keys alone: this one has a private part',
          })
          .refine(isOfKnownType, { message: 'expected a key of type RSA, EC or OKP' })
          .refine(isUsableKey, {
            message:
              'expected a key that can be read, and the certificate of that key where it has one',
          }),
        { error: notJwks },
      )
      .min(1, notJwks)
      .max(20, notJwks),
  },
  { error: notJwks },
);
