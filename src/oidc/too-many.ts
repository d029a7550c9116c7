import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { NetworkCounts } from '../lib/network-counts.ts';

/**
 * Counts a request for its address, and for what `of` names apart from others there.
 * @throws the engine's own error for 429, with `Retry-After`
 */
export function countNetwork(ctx: KoaContextWithOIDC, counts: NetworkCounts, of?: string): void {
  const wait = counts.take(ctx.state.address as string, of);
  if (wait !== undefined) throw tooMany(ctx, wait);
}

/**
 * What a program is answered that asks too often.
 * @param retryAfter in seconds.
 */
export function tooMany(ctx: KoaContextWithOIDC, retryAfter: number | undefined): Error {
  if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
  const error = new errors.TemporarilyUnavailable('too many requests, wait a while');
  return Object.assign(error, { status: 429, statusCode: 429 });
}
