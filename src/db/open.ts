import pg from 'pg';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import {
  Database,
  type DatabaseObserver,
  type DatabaseOptions,
  isUnavailable,
} from './database.ts';
import { migrateUp, migrationStatus } from './migrate.ts';

export interface OpenOptions {
  readonly observer?: DatabaseObserver | undefined;
  readonly onIdleError?: (error: Error) => void;
}

/** The database of this process. `db.close()` leaves nothing open: the embedded server stops when the last one leaves. */
export interface OpenedDatabase {
  readonly db: Database;
  /** It is the PostgreSQL of our own, in the data folder. */
  readonly embedded: boolean;
  /** A sentence for the operator where something is unusual. */
  readonly notice: string | undefined;
  /** The names of the migrations that are still to be run. */
  pendingMigrations(): Promise<string[]>;
  /**
   * Brings the schema up to date, on a connection that may wait as long as that takes; gives what was run.
   * @throws AppError `migration_failed`
   */
  migrate(): Promise<string[]>;
}

/**
 * Opens the database that DATABASE_URL names or else the embedded one, and waits for its first answer.
 * @throws AppError `database_unreachable`, with the reason; the embedded one's errors.
 */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'databasePool' | 'dataDir'>,
  options: OpenOptions = {},
): Promise<OpenedDatabase> {
  const { connection, notice, close } = await locate(config);
  const shared = {
    connection,
    onIdleError: options.onIdleError,
  } satisfies Partial<DatabaseOptions>;
  const db = new Database({
    ...shared,
    poolSize: config.databasePool,
    observer: options.observer,
    release: close,
  });
  try {
    await db.pool.query('select 1');
  } catch (error) {
    await db.close();
    throw unreachable(error);
  }
  const pendingMigrations = async () =>
    (await migrationStatus(db.kysely))
      .filter((one) => one.appliedAt === undefined)
      .map((one) => one.name);
  return {
    db,
    embedded: config.databaseUrl === undefined,
    notice,
    pendingMigrations,
    async migrate() {
      if ((await pendingMigrations()).length === 0) return [];
      const migrator = new Database({ ...shared, poolSize: 2, timeoutMs: 0 });
      try {
        return await migrateUp(migrator.kysely);
      } finally {
        await migrator.close();
      }
    },
  };
}

interface Location {
  readonly connection: DatabaseOptions['connection'];
  readonly notice: string | undefined;
  readonly close: () => Promise<void>;
}

async function locate({
  databaseUrl,
  dataDir,
}: Pick<Config, 'databaseUrl' | 'dataDir'>): Promise<Location> {
  if (databaseUrl !== undefined) {
    checkUrl(databaseUrl);
    return {
      connection: { connectionString: databaseUrl },
      notice: undefined,
      close: () => Promise.resolve(),
    };
  }
  // Production images leave it out.
  const { openEmbedded } = await import('./embedded.ts');
  return await openEmbedded(dataDir);
}

function checkUrl(connectionString: string): void {
  try {
    // Parses and connects to nothing.
    void new pg.Client({ connectionString });
  } catch {
    // The parser's own error holds the URL, and with it the password.
    throw new AppError(
      'database_unreachable',
      'DATABASE_URL is not a URL that can be read. Characters such as @ / : # in the password must be percent-encoded.',
    );
  }
}

function unreachable(error: unknown): AppError {
  const reasons = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
  const reason = reasons
    .map((one) => (one instanceof Error ? one.message : String(one)))
    .join('; ');
  const advice = isUnavailable(error)
    ? 'Is it running, and is DATABASE_URL right?'
    : 'Is DATABASE_URL right?';
  return new AppError(
    'database_unreachable',
    `The database does not let us in: ${reason}. ${advice}`,
    { cause: error },
  );
}
