import { createHash } from 'node:crypto';

/** SHA-256 as tokens, proofs and the revocation feed write it: base64url. */
export const sha256 = (value: string | Uint8Array): string =>
  createHash('sha256').update(value).digest('base64url');
