import { z } from 'zod';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { checkCalledUri } from './called-uri.ts';
import { type Jwk, jwksSchema } from './jwks.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** The public keys of a client: given to us, or published where we fetch them. */
export const clientKeysSchema = z.object({
  jwks: jwksSchema.optional(),
  /** Null takes it away. */
  jwksUri: z.string().max(2000).nullable().optional(),
});
type ClientKeys = z.output<typeof clientKeysSchema>;

const URI = 'jwks_uri';

/** The metadata with what is said: of the two ways to say its keys, a client has the one that was said last. */
export function withKeys(metadata: Metadata, { jwks, jwksUri }: ClientKeys): Metadata {
  if (jwks !== undefined && typeof jwksUri === 'string')
    refuse('The keys of a client are given, or where they are: not both.');
  const next: Record<string, unknown> = { ...metadata };
  if (jwks !== undefined || jwksUri === null) delete next[URI];
  if (jwks !== undefined) next.jwks = jwks;
  if (typeof jwksUri === 'string') {
    delete next.jwks;
    next[URI] = jwksUri;
  }
  return next;
}

/** @throws AppError `invalid_client`, with the reason in words. */
export function checkKeys(metadata: Metadata, allow: OutboundAllow): void {
  const uri = metadata[URI];
  if (typeof uri === 'string') checkCalledUri("The URI of the client's keys", uri, allow);
}

/** Whether it has keys at all. */
export function hasKeys(metadata: Metadata): boolean {
  return metadata.jwks !== undefined || hasRemoteKeys(metadata);
}

/** Whether the server fetches its keys: which there are shows only then. */
function hasRemoteKeys(metadata: Metadata): boolean {
  return metadata[URI] !== undefined;
}

const fits: Readonly<Record<string, (key: Jwk) => boolean>> = {
  ES256: ({ kty, crv }) => kty === 'EC' && crv === 'P-256',
  RS256: ({ kty, n }) => kty === 'RSA' && bitsOf(n) >= 2048,
  PS256: ({ kty, n }) => kty === 'RSA' && bitsOf(n) >= 2048,
  EdDSA: ({ kty, crv }) => kty === 'OKP' && crv === 'Ed25519',
  // The same by its later name (RFC 9864).
  Ed25519: ({ kty, crv }) => kty === 'OKP' && crv === 'Ed25519',
};

const bitsOf = (n: unknown) => (typeof n === 'string' ? Buffer.from(n, 'base64url').length * 8 : 0);

/** Whether one of the keys verifies what is signed with one of the algorithms; which keys there are elsewhere shows later. */
export function canVerify(metadata: Metadata, algs: readonly string[]): boolean {
  if (hasRemoteKeys(metadata)) return true;
  return keysOf(metadata).some(
    (key) =>
      (key.use === undefined || key.use === 'sig') &&
      algs.some((alg) => fits[alg]?.(key) === true && (key.alg === undefined || key.alg === alg)),
  );
}

/** Whether one of the keys comes with its certificate, as far as that shows already. */
export function hasCertificate(metadata: Metadata): boolean {
  return (
    hasRemoteKeys(metadata) ||
    keysOf(metadata).some((key) => Array.isArray(key.x5c) && key.x5c.length > 0)
  );
}

function keysOf({ jwks }: Metadata): readonly Jwk[] {
  return (jwks as { keys?: readonly Jwk[] } | undefined)?.keys ?? [];
}
