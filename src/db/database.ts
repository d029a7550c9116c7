import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { Schema } from './schema.ts';
import { SharedConnection } from './shared-connection.ts';

/** A database, or the transaction that is under way: what stores take. */
export type Db = Kysely<Schema> | Transaction<Schema>;

/**
 * Told of each statement before it leaves; what it gives is called once the answer is there. Metrics count with it, and
 * tests count round trips and end the process at a chosen one.
 */
export type DatabaseObserver = (text: string) => (() => void) | undefined;

export interface DatabaseOptions {
  readonly connection:
    | { connectionString: string }
    | { host: string; port: number; user: string; database: string };
  readonly poolSize: number;
  /** Milliseconds after which a statement is given up; 5,000 unless told, 0 for none (a migration may take its time). */
  readonly timeoutMs?: number;
  readonly observer?: DatabaseObserver | undefined;
  /** Hears of connections that broke while idle; they leave the pool by themselves. */
  readonly onIdleError?: ((error: Error) => void) | undefined;
  /** What is left once the pool has ended: leaves the embedded server. */
  readonly release?: () => Promise<void>;
}

/** Nothing that a request does waits longer on the database than this; the caller answers 503. */
const TIMEOUT_MS = 5_000;
const RETRIES = 3;
const INT8 = 20;

/** A prepared statement: `name` must be the same for the same text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/**
 * The pool and the two ways to it: Kysely for the stores, and prepared single statements for the paths that are
 * counted in round trips.
 */
export class Database {
  readonly kysely: Kysely<Schema>;
  readonly pool: pg.Pool;
  readonly #reads: SharedConnection;
  readonly #release: (() => Promise<void>) | undefined;

  constructor(options: DatabaseOptions) {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#release = options.release;
    const Client = options.observer === undefined ? pg.Client : observedClient(options.observer);
    const connection = {
      ...options.connection,
      // A socket speaks no TLS, whatever PGSSLMODE says.
      ...('host' in options.connection && options.connection.host.startsWith('/')
        ? { ssl: false }
        : undefined),
      connectionTimeoutMillis: TIMEOUT_MS,
      query_timeout: timeoutMs,
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: timeoutMs,
      keepAlive: true,
      application_name: 'vouchsafe',
      types: { getTypeParser },
    };
    this.pool = new pg.Pool({ ...connection, max: options.poolSize, Client });
    // Without a listener, a connection that breaks while idle would end the process.
    this.pool.on('error', (error) => options.onIdleError?.(error));
    // The same for one that breaks between two statements of a transaction; the next statement hears of it.
    this.pool.on('connect', (client) => client.on('error', () => undefined));
    this.kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: this.pool }) });
    this.#reads = new SharedConnection(
      () => new Client({ ...connection, pipeline: true }),
      options.onIdleError,
    );
  }

  /** Runs one prepared statement: one round trip, retried where the database asks for it. */
  async run<Row>(statement: Statement): Promise<Row[]> {
    const result = await retried(() => this.pool.query(statement));
    return result.rows as Row[];
  }

  /**
   * Runs one prepared statement that only reads, and quickly: on the connection that all such reads share, on which none
   * waits for the answer to another.
   */
  async read<Row>(statement: Statement): Promise<Row[]> {
    const result = await retried(() => this.#reads.query(statement));
    return result.rows as Row[];
  }

  /**
   * Runs `work` in a transaction: all of it is committed, or nothing. It may run more than once (40001, 40P01), so it
   * does nothing but talk to the database.
   */
  transaction<T>(work: (db: Transaction<Schema>) => Promise<T>): Promise<T> {
    return retried(async () => {
      const hooks: (() => void)[] = [];
      const result = await this.kysely.transaction().execute((db) => {
        commitHooks.set(db, hooks);
        return work(db);
      });
      for (const hook of hooks) hook();
      return result;
    });
  }

  async close(): Promise<void> {
    await this.#reads.close();
    await this.kysely.destroy();
    // Kysely ends a pool only where it has used it.
    if (!this.pool.ending) await this.pool.end();
    await this.#release?.();
  }
}

const commitHooks = new WeakMap<Db, (() => void)[]>();

/** Calls `hook` once the transaction is committed, and never where it is not; at once outside of one. */
export function afterCommit(db: Db, hook: () => void): void {
  const hooks = commitHooks.get(db);
  if (hooks === undefined) hook();
  else hooks.push(hook);
}

/** bigint counts of ours stay far below 2^53: read them as numbers. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8) return Number;
  return (
    format === 'binary'
      ? pg.types.getTypeParser(oid, 'binary')
      : pg.types.getTypeParser(oid, 'text')
  ) as (value: string) => unknown;
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === RETRIES || !isPassing(error)) throw error;
    }
  }
}

/** Whether the same work would do now: a race was lost, or a partition was attached while a row waited to be inserted. */
function isPassing(error: unknown): boolean {
  const code = sqlState(error);
  if (code === '23514') return (error as pg.DatabaseError).constraint === undefined;
  return code === '40001' || code === '40P01';
}

/** The SQLSTATE of a database error, if it is one. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** Whether an insert met a row with the same key. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505';
}

/** Whether the database could not be reached, or broke off: what is answered with 503. */
export function isUnavailable(error: unknown): boolean {
  const code = sqlState(error) ?? '';
  if (/^(08|53|57P|58|25P03)/.test(code) || /^E(CONN|PIPE|TIMEDOUT|NOENT|HOST|ACCES)/.test(code))
    return true;
  const message = error instanceof Error ? error.message : '';
  return /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|not queryable|(pool|connection) after calling end|canceling statement due to statement timeout/i.test(
    message,
  );
}

type Query = (...args: unknown[]) => unknown;

/** A client that tells of each query; `query` has a dozen overloads, and what passes through is not looked at but for its text. */
function observedClient(observer: DatabaseObserver): typeof pg.Client {
  class ObservedClient extends pg.Client {}
  const { query: original } = pg.Client.prototype as unknown as { query: Query };
  const query: Query = function query(this: unknown, ...args) {
    const [config] = args as [string | { text?: string }];
    const text = typeof config === 'string' ? config : (config.text ?? '');
    const answered = observer(text);
    const last = args.at(-1);
    if (answered === undefined) return original.call(this, ...args);
    if (typeof last === 'function') {
      const callback = (...results: unknown[]) => {
        answered();
        (last as Query)(...results);
      };
      return original.call(this, ...args.slice(0, -1), callback);
    }
    const pending = original.call(this, ...args);
    return pending instanceof Promise ? pending.finally(answered) : pending;
  };
  ObservedClient.prototype.query = query as typeof ObservedClient.prototype.query;
  return ObservedClient;
}
