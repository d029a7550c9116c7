import pg from 'pg';

/**
 * Fails with 25006 on a standby, and gives no row elsewhere. A standby can't assign a transaction id, and says so with the
 * SQLSTATE of read-only transactions; on a primary that branch is never taken. Citing the id makes no transaction there.
 */
export const GUARD = `select where case when pg_is_in_recovery() then pg_current_xact_id() is null else false end`;
/** Each connection prepares it under this name when it is opened. */
export const GUARD_NAME = 'vs_on_primary';

/** What may read without writing. Everything else that touches a table a standby refuses by itself, with the same 25006. */
const canRead = /^\s*(select|with|values|table)\b/i;

/** The parts of pg's own class that its types leave out. */
interface PlainQuery {
  readonly text: string;
  callback: ((error: Error | null, result?: pg.QueryResult) => void) | undefined;
  submit(connection: WireConnection): Error | null;
  prepare(connection: WireConnection): void;
  requiresPreparation(): boolean;
  handleCommandComplete(message: unknown, connection: WireConnection): void;
}

interface WireConnection {
  parse(statement: { text: string; name?: string; types?: undefined }): void;
  bind(portal: { portal: string; statement: string; values: unknown[] }): void;
  execute(portal: { portal: string; rows: number }): void;
}

const PlainQuery = pg.Query as unknown as new (
  config: string | pg.QueryConfig,
  values?: unknown[],
) => PlainQuery;

export interface GuardedOptions {
  /** A transaction is under way in which a guard has passed already: it stays on one server. */
  readonly isChecked: () => boolean;
  /** Called when the guard has passed. */
  readonly onChecked: () => void;
  /** The connection has the guard as a prepared statement. */
  readonly isPrepared: () => boolean;
}

/**
 * A statement that a standby refuses, whoever stands between: the guard and the statement are executed under one Sync,
 * which makes them one transaction, so that no pooler gives them to two servers. It costs no round trip.
 */
export class GuardedQuery extends PlainQuery {
  readonly #options: GuardedOptions;
  readonly #canRead: boolean;
  #isGuarded = false;

  constructor(config: string | pg.QueryConfig, options: GuardedOptions, values?: unknown[]) {
    super(config, values);
    this.#options = options;
    this.#canRead = canRead.test(this.text) && !(config as { writes?: boolean }).writes;
  }

  override submit(connection: WireConnection): Error | null {
    const isChecked = this.#options.isChecked();
    this.#isGuarded = this.#canRead && !isChecked;
    return super.submit(connection);
  }

  override requiresPreparation(): boolean {
    return this.#isGuarded || super.requiresPreparation();
  }

  override prepare(connection: WireConnection): void {
    if (this.#isGuarded) {
      const isPrepared = this.#options.isPrepared();
      if (!isPrepared) connection.parse({ text: GUARD });
      const statement = isPrepared ? GUARD_NAME : '';
      connection.bind({ portal: '', statement, values: [] });
      connection.execute({ portal: '', rows: 0 });
    }
    super.prepare(connection);
  }

  override handleCommandComplete(message: unknown, connection: WireConnection): void {
    // The first one is the guard's.
    if (this.#isGuarded) {
      this.#isGuarded = false;
      this.#options.onChecked();
    } else super.handleCommandComplete(message, connection);
  }
}
