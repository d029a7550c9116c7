import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import { Database, type DatabaseObserver, type DatabaseOptions } from './database.ts';
import { parseTargets } from './hosts.ts';
import { migrateUp, migrationStatus } from './migrate.ts';
import { checkPooler, poolerError } from './pooler.ts';
import { canChangeAudit, grantToServer, roleOf } from './roles.ts';
import { sqlState } from './sql-state.ts';
import { transportNotices } from './transport.ts';

export interface OpenOptions {
  readonly observer?: DatabaseObserver | undefined;
  readonly onIdleError?: (error: Error) => void;
}

/** The database of this process. `db.close()` leaves nothing open: the embedded server stops when the last one leaves. */
export interface OpenedDatabase {
  readonly db: Database;
  /** The same database as the role that owns the tables, for what the server's role may not do; `db` where that is the owner. */
  readonly owner: Database;
  /** It is the PostgreSQL of our own, in the data folder. */
  readonly embedded: boolean;
  /** Sentences for the operator, each about something unusual. */
  readonly notices: readonly string[];
  /** The names of the migrations that are still to be run. */
  pendingMigrations(): Promise<string[]>;
  /** A pool of the owner's whose statements take as long as they take; the caller closes it. */
  openUnhurried(): Database;
  /**
   * Whether the server's role could change what the audit holds, as where it owns the tables. Known once the database is
   * migrated.
   */
  canChangeAudit(): Promise<boolean>;
  /**
   * Brings the schema up to date and gives the server's role its rights, on a connection that may wait as long as that takes; gives what was run.
   * @throws AppError `migration_failed`
   */
  migrate(): Promise<string[]>;
}

/** The connections of the owner's pool: what is done by the clock is done one after the other. */
const OWNER_POOL = 2;

type Settings = Pick<Config, 'databaseUrl' | 'databasePool' | 'dataDir'> &
  Partial<Pick<Config, 'databaseOwnerUrl' | 'databasePrepared'>>;

/**
 * Opens the database that DATABASE_URL names or else the embedded one, and waits for its first answer.
 * @throws AppError `database_unreachable`, with the reason; `database_pooler` for a pooler that can't be used as it is set;
 *   the embedded one's errors.
 */
export async function openDatabase(
  config: Settings,
  options: OpenOptions = {},
): Promise<OpenedDatabase> {
  const { connection, owner: ownerConnection, notices, close } = await locate(config);
  const shared = {
    connection,
    prepared: config.databasePrepared ?? true,
    onIdleError: options.onIdleError,
  } satisfies Partial<DatabaseOptions>;
  const db = new Database({
    ...shared,
    poolSize: config.databasePool,
    observer: options.observer,
    release: async () => {
      if (owner !== db) await owner.close();
      await close();
    },
  });
  const owner: Database =
    ownerConnection === undefined
      ? db
      : new Database({ ...shared, connection: ownerConnection, poolSize: OWNER_POOL });
  const openUnhurried = () =>
    new Database({
      ...shared,
      connection: ownerConnection ?? connection,
      poolSize: 2,
      timeoutMs: 0,
    });
  try {
    await db.pool.query('select 1');
    if (config.databaseUrl !== undefined) notices.push(...(await checkPooler(db, shared.prepared)));
    if (owner !== db) await owner.pool.query('select 1');
  } catch (error) {
    await db.close();
    throw error instanceof AppError ? error : (poolerError(error) ?? unreachable(error));
  }
  const pendingMigrations = async () =>
    (await migrationStatus(owner.kysely))
      .filter((one) => one.appliedAt === undefined)
      .map((one) => one.name);
  return {
    db,
    owner,
    embedded: config.databaseUrl === undefined,
    notices,
    pendingMigrations,
    openUnhurried,
    canChangeAudit: () => canChangeAudit(db),
    async migrate() {
      const run = (await pendingMigrations()).length > 0 ? await migrate(openUnhurried()) : [];
      if (owner !== db) await grantToServer(owner, await roleOf(db));
      return run;
    },
  };
}

async function migrate(migrator: Database): Promise<string[]> {
  try {
    return await migrateUp(migrator.kysely);
  } finally {
    await migrator.close();
  }
}

interface Location {
  readonly connection: DatabaseOptions['connection'];
  /** Of the role that owns the tables, where that is another one. */
  readonly owner: DatabaseOptions['connection'] | undefined;
  readonly notices: string[];
  readonly close: () => Promise<void>;
}

async function locate({ databaseUrl, databaseOwnerUrl, dataDir }: Settings): Promise<Location> {
  if (databaseUrl !== undefined) {
    const connection = parseTargets(databaseUrl);
    return {
      connection,
      owner: databaseOwnerUrl === undefined ? undefined : parseTargets(databaseOwnerUrl),
      notices: transportNotices(connection),
      close: () => Promise.resolve(),
    };
  }
  // Production images leave it out.
  const { openEmbedded } = await import('./embedded.ts');
  const embedded = await openEmbedded(dataDir);
  const { connection, owner, notices } = embedded;
  return {
    connection,
    owner,
    notices: [...notices],
    close: () => embedded.close(),
  };
}

function unreachable(error: unknown): AppError {
  const state = sqlState(error) ?? '';
  const reason = error instanceof Error ? error.message : String(error);
  const advice = /^(28|3D)/.test(state)
    ? 'Is DATABASE_URL right?'
    : 'Is it running, and is DATABASE_URL right?';
  return new AppError(
    'database_unreachable',
    `The database does not let us in: ${reason}. ${advice}`,
    { cause: error },
  );
}
