import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import { type Deadline, refuseLate, withDeadline, withinDeadline } from '../lib/deadline.ts';
import { deadlinePool, hasIdle, queryInTime } from './deadline-pool.ts';
import { Hosts, type Target } from './hosts.ts';
import { type DatabaseObserver, primaryClientClass } from './primary-client.ts';
import { openOnPrimary, PrimaryPool } from './primary-pool.ts';
import { retryConflicts } from './retry.ts';
import type { Schema } from './schema.ts';
import { SharedConnection } from './shared-connection.ts';

/** A database, or the transaction that is under way: what stores take. */
export type Db = Kysely<Schema> | Transaction<Schema>;

export type { DatabaseObserver } from './primary-client.ts';

export interface DatabaseOptions {
  /** One server, or several of which one is the primary, in the order in which they are tried. */
  readonly connection: Target | readonly Target[];
  readonly poolSize: number;
  /** Whether statements are prepared under names; true by default. */
  readonly prepared?: boolean;
  /** Milliseconds after which a statement is given up; 5,000 by default, 0 for none (a migration may take its time). */
  readonly timeoutMs?: number;
  /** Milliseconds that a connection is waited for; 5,000 by default. */
  readonly connectTimeoutMs?: number;
  readonly observer?: DatabaseObserver | undefined;
  /** Called for connections that broke while idle; they leave the pool by themselves. */
  readonly onIdleError?: ((error: Error) => void) | undefined;
  /** Called once the pool has ended: leaves the embedded server. */
  readonly release?: () => Promise<void>;
}

/** Nothing that a request does waits longer on the database than this; the caller answers 503. */
const TIMEOUT_MS = 5_000;
const INT8 = 20;

/** A prepared statement: `name` must be the same for the same text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
  /** It always writes or locks rows, although its text begins like a read: a standby refuses it by itself. */
  readonly writes?: boolean;
}

/**
 * The pool and the two ways to it: Kysely for the stores, and prepared single statements for the paths that are
 * counted in round trips. Every statement of either reads from the primary, or fails.
 */
export class Database {
  readonly kysely: Kysely<Schema>;
  readonly pool: pg.Pool;
  readonly #reads: SharedConnection;
  readonly #release: (() => Promise<void>) | undefined;

  constructor(options: DatabaseOptions) {
    const { poolSize, prepared = true, observer } = options;
    const { timeoutMs = TIMEOUT_MS, connectTimeoutMs = TIMEOUT_MS } = options;
    this.#release = options.release;
    const targets = [options.connection].flat() as Target[];
    const hosts = new Hosts(targets);
    const Client = primaryClientClass({ hosts, prepared, observer });
    const connection = {
      // A socket speaks no TLS, whatever PGSSLMODE says.
      ...(targets.every((one) => 'host' in one && one.host.startsWith('/'))
        ? { ssl: false }
        : undefined),
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: timeoutMs,
      statement_timeout: timeoutMs,
      idle_in_transaction_session_timeout: timeoutMs,
      keepAlive: true,
      application_name: 'vouchsafe',
      types: { getTypeParser },
    };
    const pooled = Client as unknown as pg.PoolConfig['Client'];
    this.pool = new PrimaryPool({ ...connection, max: poolSize, Client: pooled }, hosts);
    // Without a listener, a connection that breaks while idle would end the process.
    this.pool.on('error', (error) => options.onIdleError?.(error));
    this.kysely = new Kysely<Schema>({
      dialect: new PostgresDialect({ pool: deadlinePool(this.pool) }),
    });
    this.#reads = new SharedConnection(
      () =>
        openOnPrimary(hosts, async () => {
          const client = new Client({ ...connection, pipeline: true });
          await client.connect();
          return client;
        }),
      options.onIdleError,
    );
  }

  /**
   * Runs one prepared statement: one round trip, done again where it lost a race.
   * @param deadline of the request, for the fast path, which does not run in its context (`withDeadline`)
   */
  async run<Row>(statement: Statement, deadline?: Deadline): Promise<Row[]> {
    refuseLate(deadline);
    const query = () => queryInTime(this.pool, statement);
    const waits = deadline !== undefined && !hasIdle(this.pool);
    const result = await (waits ? withDeadline(deadline, query) : query());
    return result.rows as Row[];
  }

  /**
   * Runs one prepared statement that only reads, and quickly: on the connection that all such reads share, on which none
   * waits for the answer to another.
   */
  async read<Row>(statement: Statement): Promise<Row[]> {
    const result = await withinDeadline(() => this.#reads.query(statement));
    return result.rows as Row[];
  }

  /**
   * Runs `work` in a transaction: all of it is committed, or nothing. It may run more than once (40001, 40P01), so it
   * does nothing but talk to the database.
   */
  transaction<T>(work: (db: Transaction<Schema>) => Promise<T>): Promise<T> {
    return retryConflicts(async () => {
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
