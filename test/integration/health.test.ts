import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import pg from 'pg';
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
  hearsChanges = true,
  draining = false,
} = {}): Promise<string[]> {
  const health = new Health({
    db,
    migrations: await knownMigrations(),
    hasKeys: () => hasKeys,
    hearsChanges: () => hearsChanges,
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
  expect(await failed()).toEqual(['writes', 'migrations', 'signing_key', 'clock']);
});

test('a clock 5 seconds off the database’s is too far', async () => {
  const { kysely } = database.db;
  await sql`create schema other_clock`.execute(kysely);
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
    const db = database.connect({
      poolSize: 1,
      options: '-c search_path=other_clock,public,pg_catalog',
    });
    expect(await failed({ db })).toEqual(expected);
  }
});

test('18: it is ready only where a write is possible, and what other processes change is known', async () => {
  expect(await failed({ hearsChanges: false })).toEqual(['changes']);
  const { kysely } = database.db;
  const before = database.connect({ poolSize: 1 });
  expect(await failed({ db: before })).toEqual([]);
  const closed = sql.id(database.connection.database);
  await sql`alter database ${closed} set default_transaction_read_only = on`.execute(kysely);
  // Connections from before the change still write; new ones are refused.
  expect(await failed({ db: before })).toEqual([]);
  const after = database.connect({ poolSize: 2 });
  expect(await failed({ db: after })).toEqual([
    'database',
    'reads',
    'writes',
    'migrations',
    'signing_key',
    'clock',
  ]);
  // One that still reads is found out by the write.
  await before.pool.query('set default_transaction_read_only = on');
  expect(await failed({ db: before })).toEqual(['writes']);
});

test('18: it is not ready where the connection that reads share is gone, although the pool has its own', async () => {
  const db = database.connect({ poolSize: 1 });
  expect(await failed({ db })).toEqual([]);
  const [reader] = await db.read<{ pid: number }>({
    name: 'pid',
    text: 'select pg_backend_pid() as pid',
    values: [],
  });
  const admin = new pg.Client({ ...database.connection, database: 'postgres' });
  await admin.connect();
  try {
    const name = database.connection.database;
    await admin.query(`alter database ${name} allow_connections false`);
    await admin.query('select pg_terminate_backend($1)', [reader?.pid]);
    expect(await failed({ db })).toEqual(['reads']);
    await admin.query(`alter database ${name} allow_connections true`);
    expect(await failed({ db })).toEqual([]);
  } finally {
    await admin.end();
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
  expect(await failed({ db: nowhere })).toEqual([
    'database',
    'reads',
    'writes',
    'migrations',
    'signing_key',
    'clock',
  ]);
  await nowhere.close();
});
