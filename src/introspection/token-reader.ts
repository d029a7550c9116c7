import type { Database } from '../db/database.ts';
import { findTokenWorths } from '../oidc/reads.ts';
import type { TokenWorth } from '../oidc/records.ts';

/** As many are asked for in one statement. */
const MOST_AT_ONCE = 64;

interface Waiting {
  readonly idHash: Buffer;
  readonly resolve: (worth: TokenWorth | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Looks tokens up by the hash of their id. Those that are asked for in one turn of the event loop go to the database
 * in one statement: nobody waits longer for it, and a busy server asks less.
 */
export class TokenReader {
  readonly #db: Database;
  #waiting: Waiting[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  find(idHash: Buffer): Promise<TokenWorth | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ idHash, resolve, reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#send());
    });
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; from += MOST_AT_ONCE)
      this.#read(waiting.slice(from, from + MOST_AT_ONCE));
  }

  #read(batch: readonly Waiting[]): void {
    const ids = batch.map((one) => one.idHash);
    findTokenWorths(this.#db, ids).then(
      (worths) => batch.forEach((one, index) => one.resolve(worths[index])),
      (error: unknown) => batch.forEach((one) => one.reject(error)),
    );
  }
}
