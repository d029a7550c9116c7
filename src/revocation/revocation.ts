import { sha256 } from '../lib/hash.ts';
import { maxAccessTokenTtl } from '../resource-server/resource-server.ts';

/**
 * What the feed publishes: the hash of a revoked token's `jti`, a client whose tokens up to a time are all dead, or the hash of a
 * permission whose tokens up to a time are dead.
 */
export interface Revocation {
  /**
   * `token:<base64url SHA-256 of its jti>`, `client:<client id>` or `permission:<base64url SHA-256 of its text>`: the same on
   * every process, and the order of pages.
   */
  readonly key: string;
  /** Of a token, when it ends by itself; otherwise the time up to which tokens are dead (epoch seconds). */
  readonly time: number;
}

/** The entry of a client or a permission matters for so long after its time (seconds). */
export const LONGEST_TOKEN = maxAccessTokenTtl;

export const keyOfToken = (jtiHash: Buffer) => `token:${jtiHash.toString('base64url')}`;
export const keyOfClient = (clientId: string) => `client:${clientId}`;
export const keyOfPermission = (text: string) => `permission:${sha256(text).toString('base64url')}`;

/** Whether nobody would take the token, or one of the client's, any more; `now` in epoch seconds. */
export function isOver({ key, time }: Revocation, now: number): boolean {
  const end = key.startsWith('token:') ? time : time + LONGEST_TOKEN;
  // An API's clock may be behind ours.
  return end + 600 < now;
}
