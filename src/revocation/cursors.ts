import { createHmac } from 'node:crypto';
import { equalBytes } from '../lib/hash.ts';

/** Where a reader of the feed is. Times are milliseconds of the database's clock. */
export interface Cursor {
  /** All that was known then has been told once the last page is read. */
  readonly at: number;
  /** In the middle of the pages of one answer: since when they tell, and the key of the last that was told. */
  readonly page?: { readonly since: number; readonly after: string } | undefined;
}

const MOST_CHARACTERS = 500;

/**
 * Cursors as text, with a mark that only this server makes: nobody can have answers made that nobody was led to. What it
 * has not made is no cursor, and its reader is told everything.
 */
export class Cursors {
  readonly #keys: readonly Buffer[];

  /** @param keys the first one marks; cursors of the others are good as well, while a master key is rotated. */
  constructor(keys: readonly Buffer[]) {
    this.#keys = keys;
  }

  format({ at, page }: Cursor): string {
    const values = page === undefined ? [at] : [at, page.since, page.after];
    const text = Buffer.from(JSON.stringify(values)).toString('base64url');
    return `${text}.${mark(text, this.#keys[0] as Buffer).toString('base64url')}`;
  }

  parse(given: string): Cursor | undefined {
    if (given.length > MOST_CHARACTERS) return undefined;
    const [text = '', made = ''] = given.split('.');
    const bytes = Buffer.from(made, 'base64url');
    if (!this.#keys.some((key) => equalBytes(mark(text, key), bytes))) return undefined;
    const [at, since, after] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [
      at: number,
      since?: number,
      after?: string,
    ];
    return since === undefined || after === undefined ? { at } : { at, page: { since, after } };
  }
}

const mark = (text: string, key: Buffer) =>
  createHmac('sha256', key).update(text).digest().subarray(0, 16);
