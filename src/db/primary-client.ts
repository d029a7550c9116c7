import { callbackify, promisify } from 'node:util';
import pg from 'pg';
import { GUARD, GUARD_NAME, GuardedQuery } from './guarded-query.ts';
import { type Hosts, nameOf, type Target } from './hosts.ts';
import { retryAfter } from './retry.ts';
import { CHECK, type Checked, checkConnection, startupSettings } from './session-settings.ts';
import { ConnectionError, endsConnection, isConflict, isUnavailable } from './sql-state.ts';

/**
 * Told of each statement before it leaves; what it gives is called once the answer is there. Metrics count with it, and
 * tests count round trips and end the process at a chosen one.
 */
export type DatabaseObserver = (text: string) => (() => void) | undefined;

export interface PrimaryOptions {
  readonly hosts: Hosts;
  /** Whether statements are prepared under names, which needs a connection of one's own or a pooler that follows them. */
  readonly prepared: boolean;
  readonly observer?: DatabaseObserver | undefined;
}

type Callback<Result> = (error: Error | null, result?: Result) => void;
type Text = string | pg.QueryConfig;

/**
 * A connection to the primary, and to nothing else: it is checked when it opens, every statement that may read is refused
 * by a standby (see `GuardedQuery`), and what shows that the connection can't be used ends it.
 */
export interface PrimaryClient extends pg.Client {
  /** No statement may use it any more; those under way are answered first. */
  readonly isOver: boolean;
}

/** The class that the pool makes its connections of. */
export function primaryClientClass(
  options: PrimaryOptions,
): new (
  config: pg.ClientConfig,
) => PrimaryClient {
  return class extends Client {
    constructor(config: pg.ClientConfig) {
      super(config, options);
    }
  } as unknown as new (
    config: pg.ClientConfig,
  ) => PrimaryClient;
}

/** pg's class as it is used here: its types know `query` in ten shapes only. */
const PlainClient = pg.Client as unknown as new (
  config: pg.ClientConfig,
) => Omit<pg.Client, 'connect' | 'query'> & {
  connect(): Promise<unknown>;
  query(config: unknown): unknown;
  getStartupConf(): Record<string, string>;
};

class Client extends PlainClient {
  readonly #options: PrimaryOptions;
  readonly #target: Target;
  readonly #ownOptions: string | undefined;
  #isOver = false;
  #isChecked = false;

  constructor(config: pg.ClientConfig, options: PrimaryOptions) {
    const target = options.hosts.current;
    // All of the hosts together get the time that one would have.
    const timeout = Math.floor((config.connectionTimeoutMillis ?? 0) / options.hosts.count);
    super({ ...config, ...target, connectionTimeoutMillis: timeout });
    this.#options = options;
    this.#target = target;
    const { options: own } = (
      this as unknown as { connectionParameters: { options?: string | false } }
    ).connectionParameters;
    this.#ownOptions = own || undefined;
    // Without a listener, a connection that breaks would end the process; the statement under way hears of it.
    this.on('error', () => {
      this.#isOver = true;
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  override connect(callback?: Callback<unknown>): Promise<unknown> {
    const opened = this.#open();
    if (callback === undefined) return opened;
    callbackify(() => opened)(callback);
    return Promise.resolve();
  }

  async #open(): Promise<this> {
    const { hosts, prepared } = this.#options;
    try {
      await super.connect();
      const { rows } = (await super.query(CHECK)) as pg.QueryResult<Checked>;
      checkConnection(rows[0] as Checked, nameOf(this as unknown as pg.Client), this.#ownOptions);
      if (prepared) await super.query({ name: GUARD_NAME, text: GUARD });
      return this;
    } catch (error) {
      hosts.leave(this.#target);
      this.#end();
      throw isUnavailable(error) ? error : new ConnectionError('08001', reasonOf(error), error);
    }
  }

  /** Timeouts can't be set through a pooler either: then they are what the role has. */
  override getStartupConf(): Record<string, string> {
    const all = this.#options.hosts.takesSettings;
    const {
      statement_timeout: _,
      idle_in_transaction_session_timeout: __,
      ...kept
    } = super.getStartupConf();
    return {
      ...(all ? super.getStartupConf() : kept),
      ...startupSettings(all, this.#ownOptions),
    };
  }

  /** As pg's own: with a callback, or for a promise. */
  override query(config: Text, values?: unknown, callback?: Callback<pg.QueryResult>): unknown {
    const given = Array.isArray(values) ? (values as unknown[]) : undefined;
    const done = typeof values === 'function' ? (values as typeof callback) : callback;
    if (done !== undefined) return this.#answer(config, given, done);
    return new Promise((resolve, reject) => {
      this.#answer(config, given, (error, result) => {
        if (error) reject(error);
        else resolve(result);
      });
    });
  }

  /** With callbacks, since it is on the way of every statement. */
  #answer(config: Text, values: unknown[] | undefined, done: Callback<pg.QueryResult>): void {
    // The server undoes what a closed connection had begun. An error here would hide the one that closed it.
    if (this.#isOver && config === 'rollback') return done(null, nothingDone);
    // What a transaction has done so far is undone as a whole: only its owner can do it again.
    const mayRetry = !this.#inTransaction();
    const fail = (error: Error) => {
      if (endsConnection(error)) this.#end();
      done(error);
    };
    this.#send(config, values, (error, result) => {
      if (!error) done(null, result);
      else if (!mayRetry || !isConflict(error)) fail(error);
      else {
        const again = () => promisify(this.#send.bind(this))(config, values);
        callbackify(() => retryAfter(error, again))((last, found) =>
          last ? fail(last) : done(null, found),
        );
      }
    });
  }

  readonly #inTransaction = () => {
    const status = this.getTransactionStatus();
    return status === 'T' || status === 'E';
  };

  readonly #guarding = {
    isPrepared: () => this.#options.prepared,
    isChecked: () => {
      if (!this.#inTransaction()) this.#isChecked = false;
      return this.#isChecked;
    },
    onChecked: () => {
      this.#isChecked = true;
    },
  };

  #send(config: Text, values: unknown[] | undefined, done: Callback<pg.QueryResult>): void {
    const { prepared, observer } = this.#options;
    const query = new GuardedQuery(
      prepared || typeof config === 'string' ? config : { ...config, name: undefined },
      this.#guarding,
      values,
    );
    const answered = observer?.(query.text);
    query.callback = (error, result) => {
      answered?.();
      if (error) done(lost(error));
      else done(null, result);
    };
    super.query(query);
  }

  #end(): void {
    this.#isOver = true;
    this.end().catch(() => undefined);
  }
}

const nothingDone = { command: 'ROLLBACK', rowCount: null, oid: 0, fields: [], rows: [] };

/** A name that has several addresses fails with one error for each. */
function reasonOf(error: unknown): string {
  const reasons = error instanceof AggregateError ? (error.errors as Error[]) : [error as Error];
  return reasons.map(({ message }) => message).join('; ');
}

/**
 * What has no SQLSTATE comes from the driver: the connection broke, or the answer took too long. A value that can't be sent
 * or read is a mistake of the program's.
 */
function lost(error: Error): Error {
  const isMistake = error instanceof TypeError || error instanceof SyntaxError;
  if (error instanceof pg.DatabaseError || isMistake) return error;
  return new ConnectionError('08006', error.message, error);
}
