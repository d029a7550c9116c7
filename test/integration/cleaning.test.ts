import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { noteAudit } from '../../src/audit/audit.service.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createAuditMonths, keepAuditMonths } from '../../src/outbox/audit-months.ts';
import { batch, createCleaning } from '../../src/outbox/cleaning.ts';
import { type Rule, retention } from '../../src/outbox/retention.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  isActive,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

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
  test('takes what has ended for a while, a code a day later, and nothing else', async () => {
    await run(`
      insert into accounts (id, email, email_key) values ('u', 'a@example.com', 'a@example.com');
      insert into clients (id, name, type, metadata) values ('c', 'App', 'web', '{}');
      insert into grants (id, account_id, client_id, payload, key_id, expires_at, revoked_at) values
        ('live', 'u', 'c', '{}', 'k', now() + interval '1 day', null),
        ('gone', 'u', 'c', '{}', 'k', now() - interval '11 minutes', null),
        ('just ended', 'u', 'c', '{}', 'k', now() - interval '9 minutes', null),
        ('has a JWT', 'u', 'c', '{}', 'k', now() - interval '2 hours', null),
        ('revoked', 'u', 'c', '{}', 'k', now() + interval '1 day', now() - interval '11 minutes'),
        ('just revoked', 'u', 'c', '{}', 'k', now() + interval '1 day', now() - interval '9 minutes'),
        ('revoked, has a JWT', 'u', 'c', '{}', 'k', now() + interval '1 day', now() - interval '1 day');
      insert into tokens (id_hash, kind, grant_id, client_id, expires_at, consumed_at) values
        ('access gone', 'access', 'live', 'c', now() - interval '2 minutes', null),
        ('access just ended', 'access', 'live', 'c', now() - interval '30 seconds', null),
        ('access live', 'access', 'live', 'c', now() + interval '1 minute', null),
        ('refresh used, not over', 'refresh', 'live', 'c', now() + interval '1 day', now() - interval '3 days'),
        ('refresh used, over', 'refresh', 'live', 'c', now() - interval '2 minutes', now() - interval '3 days'),
        ('jwt gone', 'jwt', 'has a JWT', 'c', now() - interval '2 minutes', null),
        ('jwt just ended', 'jwt', 'has a JWT', 'c', now() - interval '30 seconds', null),
        ('machine gone', 'machine', null, 'c', now() - interval '2 minutes', null),
        ('machine just ended', 'machine', null, 'c', now() - interval '30 seconds', null),
        ('code gone', 'code', 'live', 'c', now() - interval '25 hours', now() - interval '25 hours'),
        ('code used today', 'code', 'live', 'c', now() - interval '23 hours', now() - interval '23 hours'),
        ('code of a family that is over', 'code', 'has a JWT', 'c', now() - interval '23 hours', now() - interval '23 hours'),
        ('refresh revoked', 'refresh', 'revoked', 'c', now() + interval '1 day', null),
        ('refresh used, revoked', 'refresh', 'revoked', 'c', now() + interval '1 day', now() - interval '3 days'),
        ('access revoked', 'access', 'revoked', 'c', now() + interval '1 hour', null),
        ('refresh just revoked', 'refresh', 'just revoked', 'c', now() + interval '1 day', null),
        ('jwt revoked', 'jwt', 'revoked, has a JWT', 'c', now() + interval '1 hour', null);
      insert into pushed_requests (id_hash, client_id, payload, expires_at, consumed_at) values
        ('gone', 'c', null, now() - interval '7 hours', null), ('over', 'c', '{}', now() - interval '2 minutes', null),
        ('just over', 'c', '{}', now() - interval '30 seconds', null), ('live', 'c', '{}', now() + interval '30 seconds', null),
        ('answered', 'c', null, now() + interval '30 seconds', now() - interval '11 minutes'),
        ('just answered', 'c', null, now() + interval '30 seconds', now() - interval '9 minutes');
      insert into interactions (id_hash, payload, expires_at) values
        ('gone', '{}', now() - interval '2 minutes'), ('just ended', '{}', now() - interval '30 seconds');
      insert into sessions (uid, id_hash, payload, expires_at, ended_at) values
        ('gone', 'a', '{}', now() - interval '11 minutes', null), ('signed out', 'b', '{}', now() + interval '1 day', now() - interval '11 minutes'),
        ('just signed out', 'c', '{}', now() + interval '1 day', now() - interval '9 minutes'), ('live', 'd', '{}', now() + interval '1 day', null);
      insert into session_clients (session_uid, client_id, sid) values ('gone', 'c', 'sid');
      insert into revoked_tokens (id_hash, expires_at) values ('gone', now() - interval '2 minutes'), ('just ended', now() - interval '30 seconds'), ('live', now() + interval '1 minute');
      insert into action_links (id_hash, token_hash, purpose, expires_at) values
        ('gone', 'a', 'register', now() - interval '11 minutes'), ('just ended', 'b', 'register', now() - interval '9 minutes');
      insert into rate_limits (key, points, expire) values
        ('gone', 1, (extract(epoch from now() - interval '2 minutes') * 1000)::bigint), ('just ended', 1, (extract(epoch from now() - interval '30 seconds') * 1000)::bigint), ('live', 1, (extract(epoch from now()) * 1000)::bigint);
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
      'jwt just ended',
      'jwt revoked',
      'machine just ended',
      'refresh just revoked',
      'refresh used, not over',
    ]);
    expect(await left('grants', 'id')).toEqual([
      'has a JWT',
      'just ended',
      'just revoked',
      'live',
      'revoked, has a JWT',
    ]);
    expect(await left('interactions', 'id_hash')).toEqual(['just ended']);
    expect(await left('pushed_requests', 'id_hash')).toEqual([
      'just answered',
      'just over',
      'live',
      'over',
    ]);
    const { rows: kept } = await run(
      'select id_hash from pushed_requests where payload is not null',
    );
    expect(kept).toHaveLength(2);
    expect(await left('sessions', 'uid')).toEqual(['just signed out', 'live']);
    expect(await left('session_clients', 'session_uid')).toEqual([]);
    expect(await left('revoked_tokens', 'id_hash')).toEqual(['just ended', 'live']);
    expect(await left('action_links', 'id_hash')).toEqual(['just ended']);
    expect(await left('rate_limits', 'key')).toEqual(['just ended', 'live']);
    expect(await left('outbox', 'id')).toEqual([
      'clock:clean',
      'delivered today',
      'just dead',
      'waits',
    ]);
    expect(await left('accounts', 'id')).toEqual(['u']);
    // A family goes when the last of its tokens has gone.
    await run(`update tokens set expires_at = now() - interval '1 day' where kind = 'jwt'`);
    await clean();
    expect(await left('grants', 'id')).toEqual(['just ended', 'just revoked', 'live']);
  });

  test('goes in batches of a thousand, past what somebody holds', async () => {
    await run(
      `insert into tokens (id_hash, kind, client_id, expires_at) select int8send(i), 'access', 'c', now() - interval '1 hour' from generate_series(1, 3500) i`,
    );
    const deletes: string[] = [];
    const observed = database.connect({
      observer: (text) => {
        if (text.includes('delete from "tokens"')) deletes.push(text);
        return undefined;
      },
    });
    await database.db.transaction(async (db) => {
      await sql`select from tokens where id_hash = int8send(1) for update`.execute(db);
      expect(await createCleaning(observed).run(never)).toBe(false);
    });
    // Three full ones and a last one, and one each that found no code, and no family that ended in either way.
    expect(deletes).toHaveLength(7);
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

  test('looks back after ten minutes for what was held, and goes on where it came to if that takes too long', async () => {
    const insert = (id: string, minutes: number) =>
      run(
        `insert into tokens (id_hash, kind, client_id, expires_at) values ('${id}', 'access', 'c', now() - interval '${minutes} minutes')`,
      );
    let isSlow = false;
    const observed = database.connect({
      observer: (text) => {
        if (isSlow && text.includes(`r.kind <> 'code'`) && !text.includes('r.expires_at >='))
          throw Object.assign(new Error('timeout'), { code: '57014' });
        return undefined;
      },
    });
    const cleaning = createCleaning(observed);
    await insert('held', 30);
    await insert('first', 20);
    await database.db.transaction(async (db) => {
      await sql`select from tokens where id_hash = 'held' for update`.execute(db);
      await cleaning.run(never);
    });
    await insert('second', 10);
    await cleaning.run(never);
    expect(await left('tokens', 'id_hash')).toEqual(['held']);
    const now = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 11 * 60_000);
    try {
      isSlow = true;
      await insert('third', 9);
      await cleaning.run(never);
      expect(await left('tokens', 'id_hash')).toEqual(['held']);
      isSlow = false;
      now.mockReturnValue(Date.now() + 11 * 60_000);
      await cleaning.run(never);
      expect(await left('tokens', 'id_hash')).toEqual([]);
    } finally {
      now.mockRestore();
    }
  });

  test('knows of every table what keeps it from growing for ever', async () => {
    const { rows } = await sql<{ name: string }>`
      select relname as name from pg_class where relnamespace = 'public'::regnamespace
        and relkind in ('r', 'p') and not relispartition and relname not like 'kysely_%'`.execute(
      database.db.kysely,
    );
    expect(Object.keys(retention).toSorted()).toEqual(rows.map((row) => row.name).toSorted());
  });

  const rules = Object.values(retention).flatMap((one) => (typeof one === 'string' ? [] : one));
  const explain = async (rule: Rule, reached?: string) =>
    database.db.transaction(async (db) => {
      // No way but an index, if there is one.
      await sql`set local enable_seqscan = off`.execute(db);
      await sql`set local enable_bitmapscan = off`.execute(db);
      await sql`set local enable_sort = off`.execute(db);
      const { rows } = await sql<{
        'QUERY PLAN': string;
      }>`explain (analyze, costs off) ${batch(rule, reached)}`.execute(db);
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });

  test.each(rules.map((rule) => [`${rule.from} ${rule.ended} ${rule.where ?? ''}`, rule] as const))(
    'finds by an index, and in its order: %s',
    async (_, rule) => {
      for (const reached of [undefined, rule.type === 'bigint' ? '0' : '2000-01-01']) {
        const plan = await explain(rule, reached);
        expect(plan).toMatch(new RegExp(`Index Cond: \\(+${rule.ended.replace(/^[rg]\./, '')} `));
        expect(plan).not.toMatch(/Seq Scan on (?!found)|Sort/);
      }
    },
  );

  test('goes on where it came to, and does not pass again what it deleted', async () => {
    await run(
      `insert into tokens (id_hash, kind, client_id, expires_at) select int8send(i), 'access', 'c', now() - interval '1 hour' + i * interval '1 ms' from generate_series(1, 20000) i; analyze tokens`,
    );
    interface Plan {
      'Index Name'?: string;
      'Shared Hit Blocks': number;
      'Shared Read Blocks': number;
      Plans?: Plan[];
    }
    const pages = (plan: Plan): number =>
      plan['Index Name'] === 'tokens_expiry'
        ? plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
        : Math.max(0, ...(plan.Plans ?? []).map(pages));
    const look = async (reached?: string) => {
      const { rows } = await sql<{
        'QUERY PLAN': [{ Plan: Plan }];
      }>`explain (analyze, buffers, format json) ${batch(rules[0] as Rule, reached)}`.execute(
        database.db.kysely,
      );
      return pages(rows[0]?.['QUERY PLAN'][0].Plan as Plan);
    };
    // An old transaction that is still open, as a backup is: nothing that was deleted since is forgotten.
    const old = database.connect();
    await old.transaction(async (db) => {
      await sql`set transaction isolation level repeatable read`.execute(db);
      await sql`select count(*) from accounts`.execute(db);
      let reached: string | undefined;
      for (let i = 0; i < 15; i++) {
        const { rows } = await batch(rules[0] as Rule, reached).execute(database.db.kysely);
        expect(rows[0]?.count).toBe(1_000);
        reached = rows[0]?.last as string;
      }
      const onward = await look(reached);
      const anew = await look();
      expect(onward).toBeLessThan(anew / 5);
    });
  });
});

describe('what was cleaned is not missed', () => {
  const api = 'https://api.example.com';
  let server: ServerProcess;
  let client: Credentials;
  let introspector: Credentials;
  let browser: SignedInBrowser;

  beforeEach(async () => {
    const seed = new Seed(database.db);
    server = await startServerProcess(database, 'http://localhost:3000');
    introspector = await seed.api(api);
    client = await seed.client({ apis: [{ identifier: api, scopes: ['read'] }] });
    const account = await seed.account();
    await seed.consent(account, client.clientId, { [api]: ['read'] });
    browser = await seed.signIn(account);
  });

  afterEach(() => server.stop());

  const start = async () => {
    const scope = 'openid offline_access read';
    const code = await browser.authorize(server.url, client, { scope, resource: api });
    const { status, body } = await exchange(server.url, client, code, { resource: api });
    expect(status).toBe(200);
    return { code, ...body };
  };
  const tokens = () =>
    database.db.kysely
      .selectFrom('tokens')
      .select(['kind', 'payload', 'consumed_at'])
      .orderBy('kind')
      .execute();
  /** Whatever was used was used a while ago. */
  const wait = () =>
    run(`update tokens set consumed_at = consumed_at - interval '3 minutes' where consumed_at is not null;
      update grants set revoked_at = revoked_at - interval '11 minutes' where revoked_at is not null`);

  test('SECURITY 1: a used refresh token and a used code are emptied after the grace, and their replay still ends the family', async () => {
    for (const kind of ['refresh', 'code'] as const) {
      const first = await start();
      const { body: second } = await refresh(server.url, client, first.refresh_token);
      await clean();
      // Within the grace a repetition is the client's own, and needs all that it held.
      expect((await tokens()).every(({ payload }) => payload !== null)).toBe(true);
      expect((await refresh(server.url, client, first.refresh_token)).status).toBe(200);
      await wait();
      await clean();
      const used = (await tokens()).filter(({ consumed_at }) => consumed_at !== null);
      expect(used.map(({ payload }) => payload)).toEqual([null, null]);
      expect(await isActive(server.url, introspector, second.access_token)).toBe(true);
      const replay =
        kind === 'refresh'
          ? await refresh(server.url, client, first.refresh_token)
          : await exchange(server.url, client, first.code);
      expect([replay.status, replay.body.error]).toEqual([400, 'invalid_grant']);
      expect(await isActive(server.url, introspector, second.access_token)).toBe(false);
      expect((await refresh(server.url, client, second.refresh_token)).status).toBe(400);
      await run('delete from tokens; delete from grants; delete from session_clients');
    }
  });

  test('a used refresh token that was emptied still revokes its family, for its own client alone', async () => {
    const other = await new Seed(database.db).client();
    const first = await start();
    const { body: second } = await refresh(server.url, client, first.refresh_token);
    await wait();
    await clean();
    await revoke(server.url, other, first.refresh_token);
    expect(await isActive(server.url, introspector, second.access_token)).toBe(true);
    expect(await isActive(server.url, introspector, first.refresh_token)).toBe(false);
    expect((await revoke(server.url, client, first.refresh_token)).status).toBe(200);
    expect(await isActive(server.url, introspector, second.access_token)).toBe(false);
  });

  test('a family that was revoked goes with its tokens at once, and nothing of it comes back', async () => {
    const first = await start();
    const { body: second } = await refresh(server.url, client, first.refresh_token);
    await revoke(server.url, client, second.refresh_token);
    await clean();
    expect((await tokens()).map(({ kind }) => kind)).toEqual([
      'access',
      'access',
      'code',
      'refresh',
    ]);
    await wait();
    await clean();
    expect(await tokens()).toEqual([]);
    expect(await database.db.kysely.selectFrom('grants').select('id').execute()).toEqual([]);
    for (const token of [first.refresh_token, second.refresh_token]) {
      const answer = await refresh(server.url, client, token);
      expect([answer.status, answer.body.error]).toEqual([400, 'invalid_grant']);
      expect((await revoke(server.url, client, token)).status).toBe(200);
    }
    expect((await exchange(server.url, client, first.code)).status).toBe(400);
    for (const token of [first.access_token, second.access_token])
      expect(await isActive(server.url, introspector, token)).toBe(false);
    // The session remembers a family that is no more: it gets a new one.
    const again = await start();
    expect(await isActive(server.url, introspector, again.access_token)).toBe(true);
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
  /** In a transaction, as events are written: it is done again where a month was made meanwhile. */
  const write = (id: string, at: string) =>
    database.db.transaction((db) =>
      sql
        .raw(`
      insert into audit_events (id, at, type, outcome) values ('${id}', ${at}, 'sign_in', 'success');
      insert into audit_people (event_id, at, address) values ('${id}', ${at}, '192.0.2.7');`)
        .execute(db),
    );
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

  test('refuses no event that waits while a month is made', async () => {
    const writers = database.connect({ poolSize: 20 });
    let isDone = false;
    let written = 0;
    const writing = async () => {
      while (!isDone) {
        await noteAudit(writers, {
          type: 'token.refused',
          outcome: 'refused',
          address: '203.0.113.7',
        });
        written++;
      }
    };
    const all = Promise.all(Array.from({ length: 20 }, writing));
    try {
      await until(async () => written > 50);
      await keepAuditMonths(database.db, 13);
    } finally {
      isDone = true;
    }
    await all;
    const { rows } = await sql<{
      events: number;
    }>`select count(*) as events from audit_events`.execute(database.db.kysely);
    expect(Number(rows[0]?.events)).toBe(written);
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
