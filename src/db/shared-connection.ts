import type pg from 'pg';

/**
 * One connection for many statements at once: each leaves as soon as it is asked for, and is answered in its turn
 * (`pipeline`). For single statements that are quickly done: a transaction would take in the statements of others, and
 * whatever takes long delays all that come after it. Where one gets no answer in time, the connection is given up with
 * all that wait on it, and the next statement opens another.
 */
export class SharedConnection {
  readonly #create: () => pg.Client;
  readonly #onError: ((error: Error) => void) | undefined;
  #current: Promise<pg.Client> | undefined;
  #closed = false;

  /** @param onError hears of a connection that broke; whoever waited on it hears of it besides. */
  constructor(create: () => pg.Client, onError?: (error: Error) => void) {
    this.#create = create;
    this.#onError = onError;
  }

  async query(statement: pg.QueryConfig): Promise<pg.QueryResult> {
    this.#current ??= this.#connect();
    const client = await this.#current;
    return client.query(statement);
  }

  /** What is under way is answered first. */
  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#current?.catch(() => undefined);
    await client?.end();
  }

  #connect(): Promise<pg.Client> {
    // In the words of the pool, by which it is known as what passes (see `isUnavailable`).
    if (this.#closed)
      return Promise.reject(new Error('Cannot use the connection after calling end on it'));
    const client = this.#create();
    const connected = client.connect().then(() => client);
    const forget = () => {
      if (this.#current === connected) this.#current = undefined;
    };
    client.on('error', (error) => {
      forget();
      this.#onError?.(error);
    });
    client.on('end', forget);
    connected.catch(forget);
    return connected;
  }
}
