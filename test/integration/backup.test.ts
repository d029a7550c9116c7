import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { writeBackup } from '../../src/backup/backup.service.ts';
import { type RestoreOptions, restoreBackup } from '../../src/backup/restore.service.ts';
import { loadConfig } from '../../src/config.ts';
import type { Database } from '../../src/db/database.ts';
import { knownMigrations } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/open.ts';
import { opensMasterKeyCheck, openSealer } from '../../src/master-key.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople } from '../support/people.ts';
import { runCli } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-backup-'));
const file = join(folder, 'backup.gz');
const key = randomBytes(32);
const config = (byte: Buffer) => loadConfig({ MASTER_KEY: byte.toString('base64') });

let source: TestDatabase;
let target: TestDatabase;

beforeAll(async () => {
  [source, target] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  await openSealer({ config: config(key), db: source.db, warn: () => undefined });
  const people = createPeople(source.db);
  const seed = new Seed(source.db);
  await seed.api('https://api.example.com', 'jwt');
  await seed.client({ name: 'Näme “with” \\ \u2028 \t signs' });
  await people.signedIn('imani@example.com');
  await people.signedIn('Ünï@bücher.example.com');
  await source.db.pool.query(`
    create table audit_events_2026_01 partition of audit_events
      for values from ('2026-01-01 00:00:00+00') to ('2026-02-01 00:00:00+00');
    insert into audit_events (id, at, type, outcome, data)
      select 'e' || n, '2026-01-31 12:00:00.123456+00'::timestamptz, 'sign_in', 'success', 'null'::jsonb
        from generate_series(1, 1203) n;
    insert into audit_people (event_id, address) values ('e1', '192.0.2.7');`);
});

afterAll(async () => {
  await Promise.all([source.drop(), target.drop()]);
  rmSync(folder, { recursive: true });
});

/** Everything that a database holds, table by table. */
async function contents(db: Database): Promise<Record<string, string[]>> {
  const tables = await db.pool.query<{ name: string }>(
    "select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname !~ '^kysely' and relname !~ '_rest$' order by 1",
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables.rows) {
    const { rows } = await sql<{ row: string }>`
      select t::text as row from ${sql.table(name)} t order by 1`.execute(db.kysely);
    found[name] = rows.map(({ row }) => row);
  }
  return found;
}

const restore = (db: Database, more: Partial<RestoreOptions> = {}) =>
  restoreBackup({
    owner: db,
    serverRole: undefined,
    file,
    replace: false,
    opensCheck: (check) => opensMasterKeyCheck(config(key), check),
    actor: 'cli',
    ...more,
  });

const withoutRestored = (all: Record<string, string[]>) => ({
  ...all,
  audit_events: all.audit_events?.filter((row) => !row.includes('database.restored')),
  config_versions: [],
});

describe('27: a backup', () => {
  test('is whole, readable by its owner only, and replaces the one before it', async () => {
    const { rows } = await writeBackup(source.db, file);
    expect(rows).toBeGreaterThan(1_200);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await writeBackup(source.db, file);
    expect(again.rows).toBe(rows);
    expect(readdirSync(folder)).toEqual(['backup.gz']);
    await expect(writeBackup(source.db, join(folder, 'none', 'x'))).rejects.toMatchObject({
      code: 'backup_failed',
    });
    expect(gunzipSync(readFileSync(file)).toString()).not.toContain(key.toString('base64'));
  });

  test('is of one moment, while others write', async () => {
    const other = join(folder, 'moment.gz');
    const written = writeBackup(source.connect(), other);
    for (let i = 0; i < 50; i++)
      await source.db.transaction(async (trx) => {
        await sql`insert into rate_limits (key, points) values (${`m${i}`}, 1)`.execute(trx);
        await sql`insert into replays (id_hash, expires_at) values (${Buffer.from(`m${i}`)}, now())`.execute(
          trx,
        );
      });
    await written;
    const lines = gunzipSync(readFileSync(other)).toString().split('\n');
    const count = (prefix: RegExp) => lines.filter((line) => prefix.test(line)).length;
    expect(count(/^\["m\d+"/)).toBe(count(/^\["\\\\x6d3\d/));
    await sql`delete from rate_limits where key like 'm%'`.execute(source.db.kysely);
    await sql`delete from replays`.execute(source.db.kysely);
    rmSync(other);
  });

  test('gives back every row of every table, byte for byte, and the months of the audit', async () => {
    await restore(target.db);
    const [before, after] = [await contents(source.db), await contents(target.db)];
    expect(withoutRestored(after)).toEqual(withoutRestored(before));
    expect(after.audit_events_2026_01).toHaveLength(1_203);
    const { rows } = await target.db.pool.query(
      "select count(*)::int as nulls from audit_events where data = 'null'::jsonb",
    );
    expect(rows).toEqual([{ nulls: 1_203 }]);
    // Every cache is told.
    const versions = (db: Database) =>
      db.kysely.selectFrom('config_versions').selectAll().orderBy('topic').execute();
    const [old, now] = [await versions(source.db), await versions(target.db)];
    now.forEach(({ topic, version }, i) => {
      expect(topic).toBe(old[i]?.topic);
      expect(version).toBeGreaterThan(old[i]?.version as number);
    });
    const applied = await target.db.pool.query('select name from kysely_migration order by name');
    expect(applied.rows.map(({ name }) => name as string)).toEqual(await knownMigrations());
  });

  test('does not replace what is there, unless it is told to', async () => {
    await createPeople(target.db).signedIn('late@example.com');
    const before = await contents(target.db);
    await expect(restore(target.db)).rejects.toMatchObject({
      code: 'not_empty',
      message: expect.stringContaining('--replace'),
    });
    expect(await contents(target.db)).toEqual(before);
    await restore(target.db, { replace: true });
    expect(withoutRestored(await contents(target.db))).toEqual(
      withoutRestored(await contents(source.db)),
    );
  });

  test('under another master key, of a later release, or not whole changes nothing', async () => {
    const before = await contents(target.db);
    const whole = readFileSync(file);
    const text = gunzipSync(whole).toString();
    const bad = join(folder, 'bad.gz');
    const refusedWith = async (content: Buffer | string | undefined, code: string, more = {}) => {
      if (content !== undefined) writeFileSync(bad, content);
      await expect(restore(target.db, { replace: true, file: bad, ...more })).rejects.toMatchObject(
        { code },
      );
      expect(await contents(target.db)).toEqual(before);
    };
    await refusedWith(whole, 'backup_other_key', {
      opensCheck: (check: string) => opensMasterKeyCheck(config(randomBytes(32)), check),
    });
    await refusedWith(whole, 'master_key_missing', {
      opensCheck: (check: string) => opensMasterKeyCheck(loadConfig({ DATA_DIR: folder }), check),
    });
    const lines = text.trimEnd().split('\n');
    const later = text.replace('"migrations":["', '"migrations":["9999-later","');
    await refusedWith(gzipSync(later), 'backup_newer');
    await refusedWith(gzipSync(lines.slice(0, -1).join('\n')), 'backup_unreadable');
    await refusedWith(
      gzipSync([...lines.slice(0, -2), lines.at(-1)].join('\n')),
      'backup_unreadable',
    );
    await refusedWith(gzipSync(`${text}["more"]\n`), 'backup_unreadable');
    await refusedWith('no gzip', 'backup_unreadable');
    await refusedWith(gzipSync('{"other":1}\n'), 'backup_unreadable');
    writeFileSync(bad, whole);
    truncateSync(bad, whole.length - 20);
    await refusedWith(undefined, 'backup_unreadable');
    rmSync(bad);
    await refusedWith(undefined, 'backup_unreadable');
    // A row that the database refuses, late in the file.
    const forged = text.replace('["Näme', '["').replace(/^\["imani@example.com"/m, '["x"');
    const broken = forged.replace(
      /\{"end":true,"tables":(\d+),"rows":(\d+)\}/,
      (_all, tables: string, rows: string) => {
        return `{"table":"grants","columns":["id"]}\n["x"]\n{"end":true,"tables":${Number(tables) + 1},"rows":${Number(rows) + 1}}`;
      },
    );
    writeFileSync(bad, gzipSync(broken));
    await expect(restore(target.db, { replace: true, file: bad })).rejects.toThrow();
    expect(await contents(target.db)).toEqual(before);
    rmSync(bad);
  });

  test('of an earlier release is brought to this one', async () => {
    const migrations = await knownMigrations();
    const last = migrations.at(-1) as string;
    const text = gunzipSync(readFileSync(file)).toString();
    const [head = '', ...rest] = text.split('\n');
    const older = head.replace(`,"${last}"`, '');
    expect(older).not.toBe(head);
    const early = join(folder, 'early.gz');
    // Its tables hold what that release knew: none of the rows that need the last migration.
    const tables = rest.join('\n').split(/^(?=\{)/m);
    const kept = tables.filter((part) =>
      /^\{"table":"(accounts|instance|config_versions)"/.test(part),
    );
    const rows = kept.join('').match(/^\[/gm)?.length ?? 0;
    writeFileSync(
      early,
      gzipSync(`${older}\n${kept.join('')}{"end":true,"tables":${kept.length},"rows":${rows}}\n`),
    );
    await restore(target.db, { replace: true, file: early });
    const found = await contents(target.db);
    expect(found.accounts).toEqual((await contents(source.db)).accounts);
    expect(Object.keys(found)).toContain('client_registrations');
    rmSync(early);
  });
});

describe('27: tables of another program in the same schema', () => {
  let shared: TestDatabase;
  const orders = async () => (await shared.db.pool.query('select * from app_orders')).rows;
  const tablesIn = (path: string) =>
    [
      ...gunzipSync(readFileSync(path))
        .toString()
        .matchAll(/^\{"table":"(\w+)"/gm),
    ].map(([, name]) => name);

  beforeAll(async () => {
    shared = await createTestDatabase();
    await writeBackup(source.db, file);
    await shared.db.pool.query(
      "create table app_orders (id int, note text); insert into app_orders values (1, 'theirs')",
    );
  });
  afterAll(() => shared.drop());

  test('stay as they are, also with --replace', async () => {
    await restore(shared.db);
    expect(await orders()).toEqual([{ id: 1, note: 'theirs' }]);
    await restore(shared.db, { replace: true });
    expect(await orders()).toEqual([{ id: 1, note: 'theirs' }]);
    const { app_orders: _, ...ours } = await contents(shared.db);
    expect(withoutRestored(ours)).toEqual(withoutRestored(await contents(source.db)));
  });

  test('are in no backup, and a file that holds them is restored without them', async () => {
    const own = join(folder, 'own.gz');
    await writeBackup(shared.db, own);
    expect(tablesIn(own)).toContain('accounts');
    expect(tablesIn(own)).not.toContain('app_orders');
    const text = gunzipSync(readFileSync(own)).toString();
    writeFileSync(
      own,
      gzipSync(
        text.replace(
          /\{"end":true,"tables":(\d+),"rows":(\d+)\}/,
          (_all, tables: string, rows: string) =>
            ['app_orders', 'app_gone']
              .map((table) => `{"table":"${table}","columns":["id","note"]}\n["2","copied"]\n`)
              .join('') + `{"end":true,"tables":${Number(tables) + 2},"rows":${Number(rows) + 2}}`,
        ),
      ),
    );
    expect(tablesIn(own)).toContain('app_orders');
    await restore(shared.db, { replace: true, file: own });
    expect(await orders()).toEqual([{ id: 1, note: 'theirs' }]);
    rmSync(own);
  });

  test.each([
    ['a view', 'create view app_emails as select email from accounts', 'view app_emails'],
    [
      'a foreign key',
      'alter table app_orders add column client text constraint app_client references clients',
      'constraint app_client on table app_orders',
    ],
  ])(
    'that depend on ours by %s are named, and nothing is changed',
    async (_what, create, named) => {
      await shared.db.pool.query(create);
      const before = await contents(shared.db);
      await expect(restore(shared.db, { replace: true })).rejects.toMatchObject({
        code: 'tables_in_use',
        message: expect.stringContaining(named),
      });
      expect(await contents(shared.db)).toEqual(before);
      await shared.db.pool.query(
        'drop view if exists app_emails; alter table app_orders drop column if exists client',
      );
    },
  );
});

describe('27: the commands', () => {
  test('backup and restore the embedded database while it runs, with both roles', async () => {
    const dataDir = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`;
    const env = { DATA_DIR: dataDir };
    const opened = await openDatabase({ ...loadConfig(env), databasePool: 2 });
    try {
      await opened.migrate();
      const sealer = await openSealer({
        config: loadConfig(env),
        db: opened.db,
        warn: () => undefined,
      });
      expect(sealer).toBeDefined();
      await createPeople(opened.db).signedIn('imani@example.com');
      const to = join(folder, 'embedded.gz');
      const backup = await runCli(['backup', to, '--json'], env);
      expect({ ...backup, stdout: JSON.parse(backup.stdout || '{}') }).toMatchObject({
        status: 0,
        stdout: { file: to, rows: expect.any(Number) },
      });
      await opened.owner.pool.query('delete from accounts; delete from clients');
      const restored = await runCli(['restore', to], env);
      expect(restored).toMatchObject({ status: 0, stderr: '' });
      const { rows } = await opened.db.pool.query('select email from accounts');
      expect(rows).toEqual([{ email: 'imani@example.com' }]);
      // The rights of the server's role came back with the tables.
      expect(await opened.canChangeAudit()).toBe(false);
      const refused = await runCli(['restore', to], env);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toContain('--replace');
    } finally {
      await opened.db.close();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  test('account list finds accounts by a part of their email, in pages', async () => {
    const env = { DATABASE_URL: source.url, MASTER_KEY: key.toString('base64') };
    const list = async (...more: string[]) => {
      const { status, stdout } = await runCli(['account', 'list', '--json', ...more], env);
      expect(status).toBe(0);
      const { accounts, next } = JSON.parse(stdout) as {
        accounts: { email: string }[];
        next: string | null;
      };
      return { emails: accounts.map(({ email }) => email), next };
    };
    const [all, imani, page] = await Promise.all([
      list(),
      list('--email', 'IMANI@'),
      list('--limit', '1'),
    ]);
    expect(all.emails).toHaveLength(2);
    expect(all.next).toBeNull();
    expect(imani).toEqual({ emails: ['imani@example.com'], next: null });
    expect(page).toEqual({ emails: all.emails.slice(0, 1), next: all.emails[0] });
    const [rest, unicode] = await Promise.all([
      list('--limit', '1', '--after', page.next as string),
      list('--email', 'BÜCHER'),
    ]);
    expect(rest).toEqual({ emails: all.emails.slice(1), next: null });
    expect(unicode.emails).toEqual(['Ünï@bücher.example.com']);
  });
});
