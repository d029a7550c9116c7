import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { noteAudit } from '../../src/audit/audit.service.ts';
import { type OpenedDatabase, openDatabase } from '../../src/db/open.ts';
import { roleOf } from '../../src/db/roles.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { Database } from '../../src/db/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { MainProcess, freePort, until } from '../support/process.ts';
import { openAsSuperuser } from '../support/superuser.ts';

/** What a role may not do. */
const denied = { code: '42501' };
const event = {
  type: 'sign_in',
  outcome: 'success',
  accountId: 'u_1',
  address: '192.0.2.7',
} as const;

async function checkServerRole({ db, owner }: Pick<OpenedDatabase, 'db' | 'owner'>): Promise<void> {
  await noteAudit(db, event);
  await noteAudit(db, { ...event, accountId: 'u_2' });
  for (const statement of [
    'select id from audit_events',
    "update audit_events set reason = 'x'",
    'delete from audit_events',
    'truncate audit_events',
    'delete from audit_events_rest',
    'insert into audit_events_rest select * from audit_events',
    'drop table audit_events',
    'alter table audit_events disable trigger all',
    'select address from audit_people',
    "update audit_people set address = ''",
    'truncate audit_people',
    'delete from audit_people_rest',
    'create table mine (id int)',
    'truncate clients',
    "delete from kysely_migration where name <> ''",
    'alter table clients add column mine int',
    `set role ${await roleOf(owner)}`,
    'create role mine',
  ])
    await expect(db.pool.query(statement).then(() => statement)).rejects.toMatchObject(denied);
  // Erasure, by the account.
  const erased = await db.pool.query("delete from audit_people where account_id = 'u_1'");
  expect(erased.rowCount).toBe(1);
  const { rows } = await owner.pool.query<{ events: number; people: number }>(
    `select (select count(*) from audit_events where type = 'sign_in')::int as events,
      (select count(*) from audit_people)::int as people`,
  );
  expect(rows).toEqual([{ events: 2, people: 1 }]);
  await db.pool.query("insert into rate_limits (key, points) values ('a', 1)");
  await db.pool.query("update rate_limits set points = 2 where key = 'a'");
  await db.pool.query("delete from rate_limits where key = 'a'");
}

describe('28: an external database with two roles', () => {
  const name = randomBytes(6).toString('hex');
  const [ownerRole, serverRole] = [`owner_${name}`, `server_${name}`];
  let admin: TestDatabase;
  let env: { DATABASE_URL: string; DATABASE_OWNER_URL: string };

  beforeAll(async () => {
    admin = await createTestDatabase();
    await admin.db.pool.query(`create role ${ownerRole} login`);
    await admin.db.pool.query(`create role ${serverRole} login`);
    await admin.db.pool.query(`create database db_${name} owner ${ownerRole}`);
    const url = (role: string) => admin.url.replace(/\/\/[^/]*\/[^?]*/, `//${role}@/db_${name}`);
    env = { DATABASE_URL: url(serverRole), DATABASE_OWNER_URL: url(ownerRole) };
  });

  afterAll(async () => {
    await admin.db.pool.query(`drop database db_${name} with (force)`);
    await admin.db.pool.query(`drop role ${ownerRole}, ${serverRole}`);
    await admin.drop();
  });

  const open = (databaseOwnerUrl: string | undefined, databaseUrl = env.DATABASE_URL) =>
    openDatabase({ databaseUrl, databaseOwnerUrl, databasePool: 2, dataDir: '/nowhere' });

  test('the server can only add to the audit, and erase what is personal', async () => {
    const opened = await open(env.DATABASE_OWNER_URL);
    try {
      expect(opened.owner).not.toBe(opened.db);
      expect((await opened.migrate()).length).toBeGreaterThan(15);
      // Several that start at once change nothing.
      await Promise.all([opened.migrate(), opened.migrate(), opened.migrate()]);
      expect(await opened.canChangeAudit()).toBe(false);
      await checkServerRole(opened);
      // What somebody granted by hand is taken back at the next start, also of a month; a new table gets its rights.
      await opened.owner.pool.query(
        `grant all on audit_events, audit_events_rest to ${serverRole}`,
      );
      await opened.owner.pool.query(`revoke all on replays from ${serverRole}`);
      expect(await opened.canChangeAudit()).toBe(true);
      // Another program's is none of ours: its rights stay as they are.
      await opened.owner.pool.query(
        'create table app_orders (id int); create table app_log (id int)',
      );
      await opened.owner.pool.query(`grant insert on app_log to ${serverRole}`);
      await opened.migrate();
      expect(await opened.canChangeAudit()).toBe(false);
      await expect(opened.db.pool.query('delete from audit_events_rest')).rejects.toMatchObject(
        denied,
      );
      await opened.db.pool.query('delete from replays');
      await opened.db.pool.query('insert into app_log values (1)');
      for (const foreign of ['select id from app_orders', 'delete from app_log'])
        await expect(opened.db.pool.query(foreign)).rejects.toMatchObject(denied);
      await opened.owner.pool.query('drop table app_orders, app_log');
      // As on a database from before PostgreSQL 15: a function of the server's could stand in for one that the owner calls.
      await opened.owner.pool.query('grant create on schema public to public');
      expect(await opened.canChangeAudit()).toBe(true);
      await opened.owner.pool.query('revoke create on schema public from public');
      expect(await opened.canChangeAudit()).toBe(false);
    } finally {
      await opened.db.close();
    }
  });

  test('a whole server runs, and its worker keeps the months of the audit as the owner', async () => {
    const port = await freePort();
    const main = await new MainProcess({
      ...env,
      PORT: String(port),
      MASTER_KEY: randomBytes(32).toString('base64'),
    }).ready();
    expect((await fetch(`http://localhost:${port}/readyz`)).status).toBe(200);
    const opened = await open(env.DATABASE_OWNER_URL);
    const partitions = async () =>
      (
        await opened.owner.pool.query(
          "select from pg_inherits where inhparent = 'audit_events'::regclass",
        )
      ).rowCount;
    await until(async () => (await partitions()) === 4);
    expect(await main.stop()).toBe(0);
    expect(main.stderr).not.toContain('owns the tables');
    expect(main.stderr).not.toMatch(/permission denied|42501|by the role that owns it alone/);
    await opened.db.close();
  });

  test('with one role everything works, and it is known what is lost', async () => {
    const opened = await open(undefined, env.DATABASE_OWNER_URL);
    expect(opened.owner).toBe(opened.db);
    await opened.migrate();
    expect(await opened.canChangeAudit()).toBe(true);
    await opened.db.close();
  });
});

describe('28: the embedded database', () => {
  const folders: string[] = [];
  const fresh = () => {
    folders.push(`/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`);
    return folders.at(-1) as string;
  };
  const open = (dataDir: string) =>
    openDatabase({ databaseUrl: undefined, databasePool: 2, dataDir });
  const attributes = async ({ owner }: OpenedDatabase) =>
    (
      await owner.pool.query(
        "select rolname, rolsuper, rolcreaterole from pg_roles where rolname ~ '^vouchsafe_' order by 1",
      )
    ).rows;
  const noSuperusers = [
    { rolname: 'vouchsafe_owner', rolsuper: false, rolcreaterole: false },
    { rolname: 'vouchsafe_server', rolsuper: false, rolcreaterole: false },
  ];

  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  /** Nobody gets in without a password, nor as the superuser that every cluster has. */
  async function checkDoor(dataDir: string): Promise<void> {
    const socket = { host: join(dataDir, 'postgres'), port: 5432, database: 'vouchsafe' };
    for (const login of [
      { user: 'vouchsafe' },
      { user: 'postgres' },
      { user: 'vouchsafe_owner', password: 'wrong' },
      { user: 'vouchsafe_server', password: 'wrong' },
    ]) {
      const client = new pg.Client({ ...socket, ...login });
      client.on('error', () => undefined);
      await expect(client.connect()).rejects.toMatchObject({ code: /^28/ });
    }
  }

  test('has both roles, with passwords, and neither is a superuser', async () => {
    const dataDir = fresh();
    const opened = await open(dataDir);
    await opened.migrate();
    expect(await attributes(opened)).toEqual(noSuperusers);
    expect(statSync(join(dataDir, 'postgres.passwords')).mode & 0o777).toBe(0o600);
    expect(await opened.canChangeAudit()).toBe(false);
    await checkServerRole(opened);
    await checkDoor(dataDir);

    // Passwords that are lost or wrong are replaced by who owns the files.
    const file = join(dataDir, 'postgres.passwords');
    const before = readFileSync(file, 'utf8');
    rmSync(file);
    const healed = await open(dataDir);
    await healed.db.close();
    expect(readFileSync(file, 'utf8')).not.toBe(before);
    await opened.db.close();
    writeFileSync(file, before);
    const again = await open(dataDir);
    expect((await again.owner.pool.query('select from audit_events')).rowCount).toBe(2);
    await checkDoor(dataDir);
    await again.db.close();
  });

  test('of an earlier release, all of it the superuser’s, goes on with both roles and its data', async () => {
    const dataDir = fresh();
    const old = await openAsSuperuser(dataDir, { fsync: 'off' });
    const db = new Database({ connection: old.connection, poolSize: 2 });
    await db.pool.query('alter database vouchsafe owner to vouchsafe');
    await migrateUp(db.kysely);
    await noteAudit(db, { ...event, accountId: 'u_old' });
    await db.close();
    const { close } = old;
    const admin = new pg.Client({ ...old.connection, database: 'postgres' });
    await admin.connect();
    await admin.query('drop owned by vouchsafe_server, vouchsafe_owner');
    await close();
    await admin.query('drop role vouchsafe_server').catch(() => undefined);
    await admin.end().catch(() => undefined);
    rmSync(join(dataDir, 'postgres.passwords'));
    writeFileSync(join(dataDir, 'postgres', 'pg_hba.conf'), 'local all all trust\n');

    const opened = await open(dataDir);
    await opened.migrate();
    expect(await attributes(opened)).toEqual(noSuperusers);
    const { rows } = await opened.owner.pool.query(
      "select distinct pg_get_userbyid(relowner) as owner from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')",
    );
    expect(rows).toEqual([{ owner: 'vouchsafe_owner' }]);
    expect(
      (await opened.owner.pool.query("select from audit_events where account_id = 'u_old'"))
        .rowCount,
    ).toBe(1);
    await opened.owner.pool.query('delete from audit_people; delete from audit_events');
    await checkServerRole(opened);
    await checkDoor(dataDir);
    await opened.db.close();
  });
});
