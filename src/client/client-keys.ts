import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { findCalledUriProblem } from './called-uri.ts';

/** Where a client publishes its public keys, in place of giving them to us (`jwks`). */
export const clientKeysSchema = z.object({
  /** Null takes it away. */
  jwksUri: z.string().max(2000).nullable().optional(),
});
type ClientKeys = z.output<typeof clientKeysSchema>;

const URI = 'jwks_uri';

/** The metadata with what is said: of the two ways to say its keys, a client has the one that was said last. */
export function withKeys(
  metadata: Readonly<Record<string, unknown>>,
  said: ClientKeys & { readonly jwks?: unknown },
): Record<string, unknown> {
  if (said.jwks !== undefined && typeof said.jwksUri === 'string')
    refuse('The keys of a client are given, or where they are: not both.');
  const next: Record<string, unknown> = { ...metadata };
  if (said.jwks !== undefined || said.jwksUri === null) delete next[URI];
  if (typeof said.jwksUri === 'string') {
    delete next.jwks;
    next[URI] = said.jwksUri;
  }
  return next;
}

/** Whether the server fetches its keys: which there are shows only then. */
export function hasRemoteKeys(metadata: Readonly<Record<string, unknown>>): boolean {
  return metadata[URI] !== undefined;
}

/**
 * Checks the URI that the server itself will call.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function checkKeys(metadata: Readonly<Record<string, unknown>>, allow: OutboundAllow): void {
  const uri = metadata[URI];
  if (typeof uri !== 'string') return;
  const problem = findCalledUriProblem(uri, allow);
  if (problem !== undefined)
    refuse(`The URI of the client's keys ${JSON.stringify(uri)} is refused: ${problem}.`);
}

function refuse(reason: string): never {
  throw new AppError('invalid_client', reason, { status: 400 });
}
