import { maxAccessTokenTtl } from '../resource-server/resource-server.ts';

/** What the feed tells: the hash of a revoked token's `jti`, or a client whose tokens up to a time are all dead. */
export interface Revocation {
  /** `token:<base64url SHA-256 of its jti>` or `client:<client id>`: the same on every process, and what pages go by. */
  readonly key: string;
  /** Of a token, when it ends by itself; of a client, the time whose tokens, and all before, are dead (epoch seconds). */
  readonly time: number;
}

/** A client's entry matters for so long after its time (seconds). */
export const LONGEST_TOKEN = maxAccessTokenTtl;

export const keyOfToken = (jtiHash: Buffer) => `token:${jtiHash.toString('base64url')}`;
export const keyOfClient = (clientId: string) => `client:${clientId}`;

/** Whether nobody would take the token, or one of the client's, any more; `now` in epoch seconds. */
export function isOver({ key, time }: Revocation, now: number): boolean {
  const end = key.startsWith('client:') ? time + LONGEST_TOKEN : time;
  // An API's clock may be behind ours.
  return end + 600 < now;
}
