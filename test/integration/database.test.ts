import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { writeAudit } from '../../src/audit/audit.service.ts';
import { endsConnection, isUnavailable, sqlState } from '../../src/db/sql-state.ts';
import { StatementBatch } from '../../src/db/statement-batch.ts';
import { type Deadline, withDeadline } from '../../src/lib/deadline.ts';
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
  await expect(broken).rejects.toMatchObject({ code: expect.stringMatching(/^(08006|57P01)$/) });
  expect((await db.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

/** Fails with this SQLSTATE, always or as often as a sequence says. */
const raise = (state: string, message = 'x') =>
  sql`do ${sql.lit(`begin raise exception '${message}' using errcode = '${state}'; end`)}`;

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

const pidOf = async (db: typeof database.db) =>
  (await db.pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid;

test('16: errors are told apart by SQLSTATE; what makes the database unavailable ends its connection', async () => {
  const db = database.connect({ poolSize: 1 });
  const failing = (state: string, message?: string) =>
    failure(raise(state, message).execute(db.kysely));
  const unavailable =
    '08000 08006 08P01 25006 25P03 25P04 26000 28P01 3D000 42P05 53100 53200 53300 55P03 57014 57P01 57P02 57P03 57P05 58030';
  for (const state of unavailable.split(' ')) {
    const before = await pidOf(db);
    const error = await failing(state);
    expect([sqlState(error), isUnavailable(error), endsConnection(error)]).toEqual([
      state,
      true,
      true,
    ]);
    expect(await pidOf(db)).not.toBe(before);
  }
  const pid = await pidOf(db);
  for (const state of ['22P02', '23505', '23514', '42501', '42601', '42P01', 'P0001', 'XX000']) {
    const error = await failing(state, 'timeout exceeded when trying to connect');
    expect([sqlState(error), isUnavailable(error)]).toEqual([state, false]);
  }
  expect(await pidOf(db)).toBe(pid);
});

test('16: a transaction whose connection ends says why, and not that it could not roll back', async () => {
  const { db } = database;
  await expect(
    db.transaction(async (trx) => {
      await sql`set local statement_timeout = 1`.execute(trx);
      await sql`select pg_sleep(60)`.execute(trx);
    }),
  ).rejects.toMatchObject({ code: '57014' });
  await expect(
    db.transaction((trx) => sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx)),
  ).rejects.toMatchObject({ code: '57P01' });
});

test('16: a pool that is in use, a connection that is lost and one that is refused are unavailable', async () => {
  // On a busy machine, opening a connection takes its time, which is bounded by the same figure.
  const db = database.connect({ poolSize: 1, timeoutMs: 200, connectTimeoutMs: 3_000 });
  const held = await db.pool.connect();
  const waiting = [
    db.kysely.selectFrom('accounts').select('id').execute(),
    db.pool.query('select 1'),
  ];
  for (const error of await Promise.all(waiting.map(failure)))
    expect(isUnavailable(error)).toBe(true);
  expect(isUnavailable(await failure(held.query('select pg_sleep(10)')))).toBe(true);
  held.release();
  expect((await db.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('16: deadlocks and serialization failures are done again, in a transaction and outside of one, and then unavailable', async () => {
  const { db } = database;
  await sql`create sequence tries`.execute(db.kysely);
  const tries = async () => {
    const { rows } = await sql<{ n: number }>`select nextval('tries')::int as n`.execute(db.kysely);
    await sql`alter sequence tries restart`.execute(db.kysely);
    return (rows[0]?.n ?? 0) - 1;
  };
  const losing = (state: string, times: number) =>
    sql`do ${sql.lit(`begin if nextval('tries') <= ${times} then raise exception 'x' using errcode = '${state}'; end if; end`)}`;
  for (const state of ['40001', '40P01']) {
    await losing(state, 3).execute(db.kysely);
    expect(await tries()).toBe(4);
    await db.transaction((trx) => losing(state, 3).execute(trx));
    expect(await tries()).toBe(4);
    for (const always of [
      () => losing(state, 100).execute(db.kysely),
      () => db.transaction((trx) => losing(state, 100).execute(trx)),
    ]) {
      const error = await failure(always());
      expect([isUnavailable(error), endsConnection(error)]).toEqual([true, false]);
      expect(await tries()).toBe(5);
    }
  }
});

test('16: a session’s settings are ours, whatever the role and the database have', async () => {
  const { kysely } = database.db;
  const name = sql.id(database.connection.database);
  for (const setting of [
    `datestyle = 'German, DMY'`,
    `timezone = 'Asia/Kathmandu'`,
    `intervalstyle = 'sql_standard'`,
    `bytea_output = 'escape'`,
    `extra_float_digits = -5`,
    `standard_conforming_strings = off`,
    `search_path = elsewhere, pg_catalog`,
    `enable_seqscan = on`,
    `jit = on`,
  ])
    await sql`alter database ${name} set ${sql.raw(setting)}`.execute(kysely);
  const fresh = database.connect({ poolSize: 1 });
  const at = new Date('2026-03-04T05:06:07.891Z');
  const { rows } =
    await sql`select ${at}::timestamptz as at, '\\x00ff'::bytea as bytes, 0.1::float8 + 0.2 as sum,
    ${at}::timestamptz::text as text, current_schemas(false)::text as schemas,
    current_setting('enable_seqscan') || current_setting('jit') as planning from config_versions limit 1`.execute(
      fresh.kysely,
    );
  expect(rows).toEqual([
    {
      at,
      bytes: Buffer.from([0, 255]),
      sum: 0.1 + 0.2,
      text: '2026-03-04 05:06:07.891+00',
      schemas: '{public}',
      planning: 'offoff',
    },
  ]);
  const [read] = await fresh.read<{ at: Date }>({
    name: 'at',
    text: 'select $1::timestamptz as at',
    values: [at],
  });
  expect(read).toEqual({ at });
  await sql`alter database ${name} reset all`.execute(kysely);
});

describe('20: what a request began is not written after its 503', () => {
  const soon = { msLeft: 1 } as Deadline;
  const passed = { msLeft: -1 } as Deadline;
  const late = { code: '57014' };
  const write = {
    name: 'late',
    text: 'insert into late values (1)',
    values: [],
  };

  beforeAll(() => database.db.pool.query('create table late (n int)'));

  test.each<[string, (db: typeof database.db) => Promise<unknown>]>([
    ['one statement', (db) => withDeadline(soon, () => db.run(write))],
    ['one statement of a fast path', (db) => db.run(write, soon)],
    [
      'a batch of a fast path',
      (db) => new StatementBatch((_, deadline) => db.run(write, deadline)).do(1, soon),
    ],
    [
      'a statement of a store',
      (db) => withDeadline(soon, () => sql.raw(write.text).execute(db.kysely)),
    ],
    [
      'a transaction',
      (db) => withDeadline(soon, () => db.transaction((trx) => sql.raw(write.text).execute(trx))),
    ],
  ])('%s that waits for a connection', async (_, run) => {
    const db = database.connect({ poolSize: 1 });
    const held = await db.pool.connect();
    const given = run(db);
    given.catch(() => undefined).finally(() => held.release());
    await expect(given).rejects.toMatchObject(late);
    // It would stand before this one in the queue of the pool.
    expect((await db.pool.query('select from late')).rows).toEqual([]);
    expect([db.pool.totalCount, db.pool.idleCount]).toEqual([1, 1]);
  });

  test('a fast path begins nothing more', async () => {
    const { db } = database;
    await expect(db.run(write, passed)).rejects.toMatchObject(late);
    const batch = new StatementBatch((items: readonly number[], deadline) =>
      Promise.resolve(items.map((item) => [item, deadline?.msLeft])),
    );
    const done = Promise.all([batch.do(1, { msLeft: 9 } as Deadline), batch.do(2, soon)]);
    await expect(batch.do(3, passed)).rejects.toMatchObject(late);
    expect(await done).toEqual([
      [1, 1],
      [2, 1],
    ]);
    expect((await db.pool.query('select from late')).rows).toEqual([]);
  });

  test('one that fails ends its connection, and one that is done gives it back', async () => {
    const db = database.connect({ poolSize: 1 });
    const held = await db.pool.connect();
    const waiting = [
      db.run({ ...write, text: 'select 1/0', name: 'fails' }),
      db.run<{ one: number }>({ name: 'one', text: 'select 1 as one', values: [] }),
    ] as const;
    held.release();
    await expect(waiting[0]).rejects.toMatchObject({ code: '22012' });
    expect(await waiting[1]).toEqual([{ one: 1 }]);
    expect([db.pool.totalCount, db.pool.idleCount]).toEqual([1, 1]);
  });
});
