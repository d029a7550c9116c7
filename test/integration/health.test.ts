import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Database } from '../../src/db/database.ts';
import { knownMigrations } from '../../src/db/migrate.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { Health } from '../../src/operations/health.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  await new KeyService(database.db, new Sealer([Buffer.alloc(32, 7)])).ensure();
});

afterEach(() => database.drop());

/** What fails; each look is a fresh one. */
async function failed({
  db = database.db,
  hasKeys = true,
  draining = false,
} = {}): Promise<string[]> {
  const health = new Health({
    db,
    migrations: await knownMigrations(),
    hasKeys: () => hasKeys,
    isDraining: () => draining,
  });
  const { ready, checks } = await health.readiness();
  const names = Object.entries(checks).filter(([, state]) => state !== 'ok');
  expect(ready).toBe(names.length === 0);
  return names.map(([name]) => name);
}

test('all is well', async () => {
  expect(await failed()).toEqual([]);
});

test('a process that is about to end takes no requests', async () => {
  expect(await failed({ draining: true })).toEqual(['accepting']);
});

test('keys must be there, in the database and in the engine', async () => {
  expect(await failed({ hasKeys: false })).toEqual(['signing_key']);
  await sql`update signing_keys set active_at = now() + interval '1 hour'`.execute(
    database.db.kysely,
  );
  expect(await failed()).toEqual(['signing_key']);
});

test('every migration of this release must be applied; a later release’s may be', async () => {
  await sql`insert into kysely_migration (name, timestamp) values ('9999-later', '')`.execute(
    database.db.kysely,
  );
  expect(await failed()).toEqual([]);
  await sql`delete from kysely_migration where name like '0001-%'`.execute(database.db.kysely);
  expect(await failed()).toEqual(['migrations']);
});

test('an empty database answers, and is not ready', async () => {
  await sql`drop schema public cascade`.execute(database.db.kysely);
  expect(await failed()).toEqual(['migrations', 'signing_key', 'clock']);
});

test('a clock 5 seconds off the database’s is too far', async () => {
  const { kysely } = database.db;
  await sql`create schema other_clock`.execute(kysely);
  await sql`alter database ${sql.id(database.connection.database)} set search_path = other_clock, public, pg_catalog`.execute(
    kysely,
  );
  const setClock = (offset: string) =>
    sql`create or replace function other_clock.clock_timestamp() returns timestamptz language sql as ${sql.lit(`select pg_catalog.clock_timestamp() + interval '${offset}'`)}`.execute(
      kysely,
    );
  for (const [offset, expected] of [
    ['4 seconds', []],
    ['6 seconds', ['clock']],
    ['-6 seconds', ['clock']],
  ] as const) {
    await setClock(offset);
    expect(await failed({ db: database.connect({ poolSize: 1 }) })).toEqual(expected);
  }
});

test('a database that does not answer is waited for two seconds and no longer', async () => {
  const db = database.connect({ poolSize: 1 });
  const held = await db.pool.connect();
  const started = performance.now();
  expect(await failed({ db })).toContain('database');
  expect(performance.now() - started).toBeLessThan(4_000);
  held.release();

  const nowhere = new Database({ connection: { ...database.connection, port: 1 }, poolSize: 1 });
  expect(await failed({ db: nowhere })).toEqual(['database', 'migrations', 'signing_key', 'clock']);
  await nowhere.close();
});
