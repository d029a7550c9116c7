import type pg from 'pg';
import type { PrimaryClient } from './primary-client.ts';
import { ConnectionError } from './sql-state.ts';

/**
 * One connection for many statements at once: each leaves as soon as it is asked for, and is answered in its turn
 * (`pipeline`). For single statements that are quickly done: a transaction would take in the statements of others, and
 * whatever takes long delays all that come after it. Where one gets no answer in time, the connection is given up with
 * all that wait on it, and the next statement opens another.
 */
export class SharedConnection {
  readonly #open: () => Promise<PrimaryClient>;
  readonly #onError: ((error: Error) => void) | undefined;
  #current: Promise<PrimaryClient> | undefined;
  #closed = false;

  /** @param onError called for a connection that broke; the statements under way fail besides. */
  constructor(open: () => Promise<PrimaryClient>, onError?: (error: Error) => void) {
    this.#open = open;
    this.#onError = onError;
  }

  async query(statement: pg.QueryConfig): Promise<pg.QueryResult> {
    const opening = (this.#current ??= this.#connect());
    const client = await opening;
    if (!client.isOver) return client.query(statement);
    this.#forget(opening);
    return this.query(statement);
  }

  /** What is under way is answered first. */
  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#current?.catch(() => undefined);
    await client?.end();
  }

  async #connect(): Promise<PrimaryClient> {
    if (this.#closed) throw new ConnectionError('08006', 'The connection was closed');
    const opening = this.#open();
    // Before anything else goes on, so that a failed connection is never kept.
    opening.catch(() => (this.#current = undefined));
    const client = await opening;
    client.on('error', (error) => this.#onError?.(error));
    return client;
  }

  #forget(opening: Promise<PrimaryClient>): void {
    if (this.#current === opening) this.#current = undefined;
  }
}
