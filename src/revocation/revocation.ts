import { newResourceServerSchema } from '../resource-server/resource-server.ts';

/** What the feed tells: the hash of a revoked token's `jti`, or a client whose tokens up to a time are all dead. */
export interface Revocation {
  /** `token:<base64url SHA-256 of its jti>` or `client:<client id>`: the same on every process, and what pages go by. */
  readonly key: string;
  /** Of a token, when it ends by itself; of a client, the time whose tokens, and all before, are dead (epoch seconds). */
  readonly time: number;
}

/** The longest that an access token lives (seconds): so long a client's entry matters after its time. */
export const LONGEST_TOKEN = newResourceServerSchema.shape.accessTokenTtl.unwrap().maxValue ?? 0;

export const keyOfToken = (jtiHash: Buffer) => `token:${jtiHash.toString('base64url')}`;
export const keyOfClient = (clientId: string) => `client:${clientId}`;

/** Whether nobody would take the token, or one of the client's, any more; `now` in epoch seconds. */
export function isOver({ key, time }: Revocation, now: number): boolean {
  const end = key.startsWith('client:') ? time + LONGEST_TOKEN : time;
  // An API's clock may be behind ours.
  return end + 600 < now;
}

/** Where a reader of the feed is. Times are milliseconds of the database's clock. */
export interface Cursor {
  /** All that was known then has been told once the last page is read. */
  readonly at: number;
  /** In the middle of the pages of one answer: since when they tell, and the key of the last that was told. */
  readonly page?: { readonly since: number; readonly after: string } | undefined;
}

export function formatCursor({ at, page }: Cursor): string {
  return Buffer.from(
    JSON.stringify(page === undefined ? [at] : [at, page.since, page.after]),
  ).toString('base64url');
}

/** What it says; undefined for any text that no release would have written: its reader is told everything. */
export function parseCursor(text: string): Cursor | undefined {
  try {
    const values = JSON.parse(Buffer.from(text.slice(0, 500), 'base64url').toString()) as unknown[];
    const [at, since, after] = values;
    if (!Number.isSafeInteger(at)) return undefined;
    if (values.length === 1) return { at: at as number };
    return Number.isSafeInteger(since) && typeof after === 'string'
      ? { at: at as number, page: { since: since as number, after } }
      : undefined;
  } catch {
    return undefined;
  }
}
