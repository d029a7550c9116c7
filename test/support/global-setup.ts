import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/db/database.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { templateDatabase } from './database.ts';
import { openAsSuperuser } from './superuser.ts';

/** One PostgreSQL for the whole run, with a migrated database from which each test file gets its own copy. */
export default async function globalSetup(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'vouchsafe-test-'));
  const embedded = await openAsSuperuser(folder, { fsync: 'off', max_connections: '300' });
  process.env.VOUCHSAFE_TEST_POSTGRES = JSON.stringify(embedded.connection);
  const admin = new Database({ connection: embedded.connection, poolSize: 2 });
  await admin.pool.query(`create database ${templateDatabase}`);
  await admin.close();
  const template = new Database({
    connection: { ...embedded.connection, database: templateDatabase },
    poolSize: 2,
  });
  await migrateUp(template.kysely);
  await template.close();
  Object.assign(globalThis, { vouchsafeTestPostgres: { embedded, folder } });
}
