import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { createLogger } from '../../src/lib/log.ts';
import { createAuditMonths, keepAuditMonths } from '../../src/outbox/audit-months.ts';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(() => database.drop());

const run = (text: string) => sql.raw(text).execute(database.db.kysely);
const never = new AbortController().signal;
const clean = () => createCleaning(database.db).run(never);

/** The names of what is left in a table, in order. */
async function left(table: string, column: string): Promise<string[]> {
  const { rows } = await sql<{
    name: string;
  }>`select convert_from(${sql.ref(column)}::text::bytea, 'utf8') as name from ${sql.table(table)} order by 1`.execute(
    database.db.kysely,
  );
  return rows.map((row) => row.name);
}

describe('cleaning', () => {
  test('takes what ended ten minutes ago, a code a day ago, and nothing else', async () => {
    await run(`
      insert into accounts (id, email, email_key) values ('u', 'a@example.com', 'a@example.com');
      insert into clients (id, name, type, metadata) values ('c', 'App', 'web', '{}');
      insert into grants (id, account_id, client_id, payload, key_id, expires_at, revoked_at) values
        ('gone', 'u', 'c', '{}', 'k', now() - interval '11 minutes', null),
        ('just ended', 'u', 'c', '{}', 'k', now() - interval '9 minutes', null),
        ('has a token', 'u', 'c', '{}', 'k', now() - interval '2 hours', null),
        ('revoked', 'u', 'c', '{}', 'k', now() + interval '1 day', now() - interval '1 day');
      insert into tokens (id_hash, kind, grant_id, client_id, expires_at, consumed_at) values
        ('access gone', 'access', 'has a token', 'c', now() - interval '11 minutes', null),
        ('access just ended', 'access', null, 'c', now() - interval '9 minutes', null),
        ('access live', 'access', null, 'c', now() + interval '1 minute', null),
        ('refresh used, not over', 'refresh', null, 'c', now() + interval '1 day', now() - interval '3 days'),
        ('refresh used, over', 'refresh', null, 'c', now() - interval '11 minutes', now() - interval '3 days'),
        ('jwt gone', 'jwt', null, 'c', now() - interval '11 minutes', null),
        ('machine gone', 'machine', null, 'c', now() - interval '11 minutes', null),
        ('code gone', 'code', null, 'c', now() - interval '25 hours', now() - interval '25 hours'),
        ('code used today', 'code', 'has a token', 'c', now() - interval '23 hours', now() - interval '23 hours');
      insert into interactions (id_hash, payload, expires_at) values
        ('gone', '{}', now() - interval '11 minutes'), ('just ended', '{}', now() - interval '9 minutes');
      insert into sessions (uid, id_hash, payload, expires_at, ended_at) values
        ('gone', 'a', '{}', now() - interval '11 minutes', null), ('signed out', 'b', '{}', now() + interval '1 day', now() - interval '11 minutes'),
        ('just signed out', 'c', '{}', now() + interval '1 day', now() - interval '9 minutes'), ('live', 'd', '{}', now() + interval '1 day', null);
      insert into session_clients (session_uid, client_id, sid) values ('gone', 'c', 'sid');
      insert into revoked_tokens (id_hash, expires_at) values ('gone', now() - interval '11 minutes'), ('live', now() + interval '1 minute');
      insert into action_links (id_hash, token_hash, purpose, expires_at) values
        ('gone', 'a', 'register', now() - interval '11 minutes'), ('just ended', 'b', 'register', now() - interval '9 minutes');
      insert into rate_limits (key, points, expire) values
        ('gone', 1, (extract(epoch from now() - interval '11 minutes') * 1000)::bigint), ('live', 1, (extract(epoch from now()) * 1000)::bigint);
      insert into outbox (id, kind, done_at, dead_at, due_at) values
        ('delivered', 'mail', now() - interval '25 hours', null, now()), ('delivered today', 'mail', now() - interval '23 hours', null, now()),
        ('dead', 'mail', null, now() - interval '31 days', now()), ('just dead', 'mail', null, now() - interval '29 days', now()),
        ('never sent', 'mail', null, null, now() - interval '31 days'), ('waits', 'mail', null, null, now() - interval '29 days'),
        ('clock:clean', 'clock:clean', null, null, now() - interval '90 days');
    `);
    expect(await clean()).toBe(false);
    expect(await left('tokens', 'id_hash')).toEqual([
      'access just ended',
      'access live',
      'code used today',
      'refresh used, not over',
    ]);
    expect(await left('grants', 'id')).toEqual(['has a token', 'just ended', 'revoked']);
    expect(await left('interactions', 'id_hash')).toEqual(['just ended']);
    expect(await left('sessions', 'uid')).toEqual(['just signed out', 'live']);
    expect(await left('session_clients', 'session_uid')).toEqual([]);
    expect(await left('revoked_tokens', 'id_hash')).toEqual(['live']);
    expect(await left('action_links', 'id_hash')).toEqual(['just ended']);
    expect(await left('rate_limits', 'key')).toEqual(['live']);
    expect(await left('outbox', 'id')).toEqual([
      'clock:clean',
      'delivered today',
      'just dead',
      'waits',
    ]);
    expect(await left('accounts', 'id')).toEqual(['u']);
    // A family goes when the last of its tokens has gone.
    await run(`update tokens set expires_at = expires_at - interval '2 hours' where kind = 'code'`);
    await clean();
    expect(await left('grants', 'id')).toEqual(['just ended', 'revoked']);
  });

  test('goes in batches of a thousand, past what somebody holds', async () => {
    await run(
      `insert into tokens (id_hash, kind, client_id, expires_at) select int8send(i), 'access', 'c', now() - interval '1 hour' from generate_series(1, 3500) i`,
    );
    const deletes: string[] = [];
    const observed = database.connect({
      observer: (text) => {
        if (text.includes('"tokens"')) deletes.push(text);
        return undefined;
      },
    });
    await database.db.transaction(async (db) => {
      await sql`select from tokens where id_hash = int8send(1) for update`.execute(db);
      expect(await createCleaning(observed).run(never)).toBe(false);
    });
    // Three full ones and a last one, and one that found no codes.
    expect(deletes).toHaveLength(5);
    expect(await database.db.kysely.selectFrom('tokens').select('kind').execute()).toHaveLength(1);
    await clean();
    expect(await database.db.kysely.selectFrom('tokens').select('kind').execute()).toHaveLength(0);
  });

  test('stops where it is told to, and says that there is more', async () => {
    await run(
      `insert into tokens (id_hash, kind, client_id, expires_at) values ('x', 'access', 'c', now() - interval '1 hour')`,
    );
    const stopped = new AbortController();
    stopped.abort();
    expect(await createCleaning(database.db).run(stopped.signal)).toBe(true);
    expect(await left('tokens', 'id_hash')).toEqual(['x']);
  });

  test('finds what is gone by an index, on a table that is large', async () => {
    await run(`
      insert into tokens (id_hash, kind, client_id, expires_at) select int8send(i), case when i % 3 = 0 then 'code' else 'access' end, 'c', now() + interval '1 hour' from generate_series(1, 20000) i;
      insert into sessions (uid, id_hash, payload, expires_at, ended_at) select i::text, int8send(i), '{}', now() + interval '1 hour', null from generate_series(1, 20000) i;
      analyze tokens, sessions;
    `);
    for (const [gone, index] of [
      [
        `tokens where kind <> 'code' and expires_at < now() - interval '10 minutes'`,
        'tokens_expiry',
      ],
      [
        `tokens where kind = 'code' and expires_at < now() - interval '1 day'`,
        'tokens_code_expiry',
      ],
      [`sessions where ended_at < now() - interval '10 minutes'`, 'sessions_ended'],
    ] as const) {
      const { rows } = await sql
        .raw<{ 'QUERY PLAN': string }>(
          `explain select 1 from ${gone} limit 1000 for update skip locked`,
        )
        .execute(database.db.kysely);
      expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain(index);
    }
  });
});

describe('the audit by month', () => {
  const partitions = async (parent: string) => {
    const { rows } = await sql<{
      name: string;
    }>`select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = ${parent}::regclass order by 1`.execute(
      database.db.kysely,
    );
    return rows.map((row) => row.name.slice(parent.length + 1));
  };
  const month = (ahead: number) => {
    const now = new Date();
    return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1))
      .toISOString()
      .slice(0, 7)
      .replace('-', '_');
  };
  const write = (id: string, at: string) =>
    run(`
      insert into audit_events (id, at, type, outcome) values ('${id}', ${at}, 'sign_in', 'success');
      insert into audit_people (event_id, at, address) values ('${id}', ${at}, '192.0.2.7');`);
  const where = async (id: string) => {
    const { rows } = await sql<{ place: string }>`
      select tableoid::regclass::text as place from audit_events where id = ${id} union all select tableoid::regclass::text from audit_people where event_id = ${id}`.execute(
      database.db.kysely,
    );
    return rows.map((row) => row.place);
  };
  const inUtc = (months: number) =>
    `(date_trunc('month', now() at time zone 'UTC') + interval '${months} months') at time zone 'UTC'`;

  test('has a partition for this month and the next two, and what was there before moves into it', async () => {
    await write('now', 'now()');
    await write('first', inUtc(0));
    await write('next', inUtc(1));
    await write('long ago', `${inUtc(-3)}`);
    expect(await keepAuditMonths(database.db, 13)).toBe(false);
    for (const parent of ['audit_events', 'audit_people'])
      expect(await partitions(parent)).toEqual([month(0), month(1), month(2), 'rest']);
    expect(await where('now')).toEqual([`audit_events_${month(0)}`, `audit_people_${month(0)}`]);
    expect(await where('first')).toEqual([`audit_events_${month(0)}`, `audit_people_${month(0)}`]);
    expect(await where('next')).toEqual([`audit_events_${month(1)}`, `audit_people_${month(1)}`]);
    expect(await where('long ago')).toEqual(['audit_events_rest', 'audit_people_rest']);
    await write('new', 'now()');
    expect(await where('new')).toEqual([`audit_events_${month(0)}`, `audit_people_${month(0)}`]);
    // The key and the indexes of the whole are the part's.
    await expect(
      run(
        `insert into audit_events_${month(0)} (id, at, type, outcome) select id, at, type, outcome from audit_events where id = 'new'`,
      ),
    ).rejects.toMatchObject({ code: '23505' });
    const { rows } = await sql<{
      count: number;
    }>`select count(*) as count from pg_indexes where tablename = ${`audit_events_${month(0)}`}`.execute(
      database.db.kysely,
    );
    expect(rows[0]?.count).toBe(2);
    expect(await keepAuditMonths(database.db, 13)).toBe(false);
    expect(await partitions('audit_events')).toEqual([month(0), month(1), month(2), 'rest']);
  });

  test('drops what is older than the retention, wherever it lies, and keeps all where told so', async () => {
    for (const parent of ['audit_events', 'audit_people']) {
      for (const months of [-14, -13]) {
        const name = `${parent}_${month(months)}`;
        const bounds = `from ('${month(months).replace('_', '-')}-01 00:00:00+00') to ('${month(months + 1).replace('_', '-')}-01 00:00:00+00')`;
        await run(`create table ${name} partition of ${parent} for values ${bounds}`);
      }
    }
    await write('too old', inUtc(-14));
    await write('just kept', inUtc(-13));
    await write('ancient', inUtc(-40));
    await write('recent', inUtc(-2));
    await keepAuditMonths(database.db, 0);
    for (const id of ['too old', 'just kept', 'ancient', 'recent'])
      expect(await where(id)).toHaveLength(2);
    await keepAuditMonths(database.db, 13);
    expect(await partitions('audit_events')).toEqual(
      [month(-13), month(0), month(1), month(2), 'rest'].toSorted(),
    );
    for (const id of ['too old', 'ancient']) expect(await where(id)).toEqual([]);
    for (const id of ['just kept', 'recent']) expect(await where(id)).toHaveLength(2);
  });

  test('loses no event that is written while the months are made', async () => {
    const writes = Array.from({ length: 200 }, (_, i) =>
      write(`event ${i}`, `now()${i % 2 === 0 ? '' : " + interval '31 days'"}`),
    );
    await Promise.all([keepAuditMonths(database.db, 13), ...writes]);
    const { rows } = await sql<{
      events: number;
      people: number;
    }>`select (select count(*) from audit_events) as events, (select count(*) from audit_people) as people`.execute(
      database.db.kysely,
    );
    expect(rows).toEqual([{ events: 200, people: 200 }]);
    expect(await partitions('audit_events')).toHaveLength(4);
  });

  test('stays in one part, and says so, where the role may not change the tables', async () => {
    const role = `serving_${randomBytes(4).toString('hex')}`;
    await run(
      `create role ${role} login; grant select, insert on all tables in schema public to ${role}`,
    );
    try {
      const log: string[] = [];
      const { Database } = await import('../../src/db/database.ts');
      const serving = new Database({
        connection: { ...database.connection, user: role },
        poolSize: 1,
      });
      const clockwork = createAuditMonths(
        serving,
        createLogger('info', { write: (line: string) => void log.push(line) }),
        13,
      );
      expect(await clockwork.run(never)).toBe(false);
      await serving.close();
      expect(log.join()).toContain('by the role that owns it alone');
      expect(await partitions('audit_events')).toEqual(['rest']);
    } finally {
      await run(`drop owned by ${role}; drop role ${role}`);
    }
  });
});
