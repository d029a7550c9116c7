import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { Database, type DatabaseObserver, type DatabaseOptions } from '../../src/db/database.ts';

/** The migrated database that every test database is a copy of. */
export const templateDatabase = 'vouchsafe_template';

export interface TestDatabase {
  readonly db: Database;
  readonly connection: { host: string; port: number; user: string; database: string };
  /** The same as a URL, for processes that take DATABASE_URL. */
  readonly url: string;
  /** Another pool on it, as a second process would have. */
  connect(
    options?: Partial<Omit<DatabaseOptions, 'connection'>> & {
      /** As libpq takes them: `-c name=value`. */
      options?: string;
    },
  ): Database;
  /** Closes every pool and drops the database. */
  drop(): Promise<void>;
}

/** A migrated, empty database of the caller's own on the PostgreSQL of the test run. */
export async function createTestDatabase(
  options: { observer?: DatabaseObserver } = {},
): Promise<TestDatabase> {
  const server = JSON.parse(process.env.VOUCHSAFE_TEST_POSTGRES as string) as {
    host: string;
    port: number;
    user: string;
    database: string;
  };
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(server, `create database ${name} template ${templateDatabase}`);
  const connection = { ...server, database: name };
  const pools: Database[] = [];
  const connect: TestDatabase['connect'] = ({ poolSize = 10, options, ...more } = {}) => {
    const database = new Database({
      connection: options === undefined ? connection : { ...connection, options },
      poolSize,
      ...more,
    });
    pools.push(database);
    return database;
  };
  return {
    db: connect(options),
    connection,
    url: `postgres://${server.user}@/${name}?host=${encodeURIComponent(server.host)}&port=${server.port}`,
    connect,
    async drop() {
      await Promise.all(pools.map((pool) => pool.close()));
      await administer(server, `drop database ${name} with (force)`);
    },
  };
}

async function administer(server: pg.ClientConfig, text: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}
