import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { writeAudit } from '../../src/audit/audit.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

test('who writes to the audit while its month gets a partition finds the partition', async () => {
  const { db } = database;
  const maker = await db.pool.connect();
  const write = (() => {
    let written: Promise<unknown> | undefined;
    return () =>
      (written ??= db.transaction((trx) =>
        writeAudit(trx, { type: 'keys.rotated', outcome: 'success', actor: 'test' }),
      ));
  })();
  try {
    await maker.query('begin');
    await maker.query('lock table audit_events_rest in share row exclusive mode');
    void write().catch(() => undefined);
    await until(async () => {
      const { rows } = await db.pool.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows.length === 1;
    });
    await maker.query('create table audit_events_now (like audit_events including all)');
    await maker.query(
      `alter table audit_events attach partition audit_events_now for values from ('2000-01-01') to ('2100-01-01')`,
    );
    await maker.query('commit');
  } finally {
    maker.release();
  }
  await write();
  const { rows } = await sql<{
    name: string;
  }>`select tableoid::regclass::text as name from audit_events`.execute(db.kysely);
  expect(rows).toEqual([{ name: 'audit_events_now' }]);
});

test('a broken rule of a table is told, and not tried again', async () => {
  const { kysely } = database.db;
  let tries = 0;
  const broken = database.db.transaction(async (trx) => {
    tries += 1;
    await sql`insert into signing_keys default values`.execute(trx);
  });
  await expect(broken).rejects.toMatchObject({ code: '23502' });
  const checked = database.db.transaction(async (trx) => {
    tries += 1;
    await sql`insert into audit_events (id, type, outcome) values ('a', 'sign_in', 'maybe')`.execute(
      trx,
    );
  });
  await expect(checked).rejects.toMatchObject({ code: '23514' });
  expect(tries).toBe(2);
  expect(await kysely.selectFrom('signing_keys').selectAll().execute()).toEqual([]);
});

test('a connection that breaks in the middle of a transaction ends the transaction, and nothing else', async () => {
  const { db } = database;
  const broken = db.transaction(async (trx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
    await db.pool.query('select pg_terminate_backend($1)', [rows[0]?.pid]);
    await until(async () => {
      const { rows: left } = await db.pool.query('select from pg_stat_activity where pid = $1', [
        rows[0]?.pid,
      ]);
      return left.length === 0;
    });
    await sql`select 1`.execute(trx);
  });
  await expect(broken).rejects.toThrow('not queryable');
  expect((await db.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});
