import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openAsSuperuser } from '../support/superuser.ts';
import { type Environment, freePort, MainProcess, until } from '../support/process.ts';

const masterKey = (byte: number) => Buffer.alloc(32, byte).toString('base64');

// What a test leaves behind is removed after it, whatever became of the test.
const folders = new Set<string>();
const running = new Set<MainProcess>();
const databases = new Set<TestDatabase>();

/** A folder for data where nothing is yet; below one that mkdtemp made as root, PostgreSQL's user could not come. */
function freshFolder(): string {
  const folder = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`;
  folders.add(folder);
  return folder;
}

async function freshDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  databases.add(database);
  return database;
}

function startMain(env: Environment): MainProcess {
  const main = new MainProcess({ LOG_LEVEL: 'info', ...env });
  running.add(main);
  void main.ended.finally(() => running.delete(main));
  return main;
}

/** A server with a database of its own that takes requests. */
async function startOnFreePort(
  env: Environment = {},
): Promise<{ main: MainProcess; port: number }> {
  const database = await freshDatabase();
  const port = await freePort();
  const own = { PORT: String(port), DATABASE_URL: database.url, MASTER_KEY: masterKey(1) };
  return { main: await startMain({ ...own, ...env }).ready(), port };
}

afterEach(async () => {
  for (const main of running) main.signal('SIGKILL');
  await Promise.all([...running].map((main) => main.ended));
  await Promise.all([...databases].map((database) => database.drop()));
  databases.clear();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  folders.clear();
});

interface Readyz {
  readonly status: number;
  readonly body: { status: string; checks: Record<string, string> };
}

async function readyz(url: string): Promise<Readyz> {
  const response = await fetch(`${url}/readyz`);
  return { status: response.status, body: (await response.json()) as Readyz['body'] };
}

async function kids(url: string): Promise<string[]> {
  const { keys } = (await (await fetch(`${url}/jwks`)).json()) as { keys: { kid: string }[] };
  return keys.map(({ kid }) => kid).sort();
}

const setupLinkOf = (main: MainProcess) => /http\S+\/setup\/\S+/.exec(main.stdout)?.[0];

test('from nothing on the embedded database: it starts, says where, and finds everything again', async () => {
  const port = await freePort();
  const env = { PORT: String(port), DATA_DIR: freshFolder() };
  const url = `http://localhost:${port}`;
  const first = await startMain(env).ready();
  await until(() => setupLinkOf(first) !== undefined);
  expect(first.stdout).toContain(url);
  expect(first.stdout).toContain(`${url}/account`);
  expect(first.stdout).toContain(`${url}/dev/mail`);
  expect(await readyz(url)).toEqual({
    status: 200,
    body: {
      status: 'ok',
      checks: {
        database: 'ok',
        reads: 'ok',
        writes: 'ok',
        changes: 'ok',
        migrations: 'ok',
        signing_key: 'ok',
        clock: 'ok',
        accepting: 'ok',
      },
    },
  });
  const before = await kids(url);
  expect(before).toHaveLength(4);
  expect(statSync(join(env.DATA_DIR, 'master.key')).mode & 0o777).toBe(0o600);
  expect(await first.stop()).toBe(0);

  // The link stands on standard output alone; the logs are JSON, line by line.
  const token = setupLinkOf(first)?.split('/').at(-1) as string;
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(first.stderr).not.toContain(token);
  const logs = first.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string });
  expect(logs.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['listening', 'stopping']));

  const second = await startMain(env).ready();
  expect(await kids(url)).toEqual(before);
  await until(() => setupLinkOf(second) !== undefined);
  expect(setupLinkOf(second)).not.toBe(setupLinkOf(first));
  expect(await second.stop()).toBe(0);
  // Whoever leaves last stops the embedded server.
  expect(() => readFileSync(join(env.DATA_DIR, 'postgres/postmaster.pid'))).toThrow('ENOENT');
});

test('two at once on an empty database agree on keys, whichever is first', async () => {
  const database = await freshDatabase();
  await database.db.pool.query('drop schema public cascade; create schema public');
  const shared = {
    DATABASE_URL: database.url,
    ISSUER: 'http://localhost:4000',
    DATA_DIR: freshFolder(),
  };
  const ports = [await freePort(), await freePort()];
  const both = await Promise.all(
    ports.map((port) => startMain({ ...shared, PORT: String(port) }).ready()),
  );
  const [a, b] = await Promise.all(ports.map((port) => kids(`http://127.0.0.1:${port}`)));
  expect(a).toHaveLength(4);
  expect(b).toEqual(a);
  for (const main of both) expect(main.stderr).toContain('Set MASTER_KEY');
  expect(await Promise.all(both.map((main) => main.stop()))).toEqual([0, 0]);
});

test('a wrong or missing master key is refused in words, and nothing is changed by it', async () => {
  const database = await freshDatabase();
  const folder = freshFolder();
  const env = { PORT: String(await freePort()), DATABASE_URL: database.url, DATA_DIR: folder };
  const file = join(folder, 'master.key');
  expect(await (await startMain({ ...env, MASTER_KEY: masterKey(1) }).ready()).stop()).toBe(0);

  const refused = async (changed: Environment) => {
    const main = startMain({ ...env, ...changed });
    expect(await main.ended).toBe(1);
    expect(main.stdout).toBe('');
    expect(main.stderr).not.toMatch(/ {4}at /);
    return main.stderr;
  };
  expect(await refused({ MASTER_KEY: masterKey(2) })).toMatch(/MASTER_KEY is not the key/);
  expect(await refused({})).toMatch(/there is none: set MASTER_KEY, or put .*master\.key back/);
  expect(() => statSync(file)).toThrow('ENOENT');

  // A rotation: the old key is given behind the new one.
  expect(
    await (
      await startMain({ ...env, MASTER_KEY: `${masterKey(2)},${masterKey(1)}` }).ready()
    ).stop(),
  ).toBe(0);

  const own = await freshDatabase();
  const ownEnv = { ...env, DATABASE_URL: own.url };
  expect(await (await startMain(ownEnv).ready()).stop()).toBe(0);
  chmodSync(file, 0o644);
  expect(await refused({ DATABASE_URL: own.url })).toMatch(/chmod 600/);
  chmodSync(file, 0o600);
  writeFileSync(file, `${masterKey(3)}\n`);
  expect(await refused({ DATABASE_URL: own.url })).toMatch(
    /is not the one that this database was sealed under/,
  );
  writeFileSync(file, 'half a key');
  expect(await refused({ DATABASE_URL: own.url })).toMatch(/does not hold a master key/);
});

test('mistakes in the configuration are told all at once, before anything is opened', async () => {
  const folder = freshFolder();
  const main = startMain({ PORT: 'http', ISSUER: 'http://id.example.com', DATA_DIR: folder });
  expect(await main.ended).toBe(1);
  expect(main.stdout).toBe('');
  expect(main.stderr).toMatch(/PORT: expected[^]*ISSUER: expected/);
  expect(() => statSync(folder)).toThrow('ENOENT');
});

test('a port in use and a database that is not there are told in words', async () => {
  const database = await freshDatabase();
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  try {
    const main = startMain({
      PORT: String(port),
      DATABASE_URL: database.url,
      MASTER_KEY: masterKey(1),
    });
    expect(await main.ended).toBe(1);
    expect(main.stderr).toMatch(new RegExp(`Port ${port} on 127.0.0.1 is in use already.*PORT=`));
    expect(main.stderr).not.toMatch(/ {4}at /);
    expect(main.stdout).toBe('');
  } finally {
    taken.close();
  }
  const nowhere = startMain({
    PORT: String(port),
    DATABASE_URL: `postgres://user:hunter2@127.0.0.1:${await freePort()}/none`,
  });
  expect(await nowhere.ended).toBe(1);
  expect(nowhere.stderr).toMatch(/ECONNREFUSED/);
  expect(nowhere.stderr).not.toContain('hunter2');
  const unreadable = startMain({
    PORT: String(port),
    DATABASE_URL: 'postgres://user:hun#ter2@db:port/none',
  });
  expect(await unreadable.ended).toBe(1);
  expect(unreadable.stderr).toMatch(/DATABASE_URL is not a URL that can be read/);
  expect(unreadable.stderr).not.toContain('ter2');
});

/** A request whose head is sent and whose body is not, on a connection of its own. */
async function openRequest(port: number): Promise<{ socket: Socket; finish(): Promise<string> }> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const body = 'grant_type=client_credentials';
  const head = [
    'POST /token HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${body.length}`,
    '',
    '',
  ];
  socket.write(`${head.join('\r\n')}${body.slice(0, 5)}`);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  return {
    socket,
    async finish() {
      socket.write(body.slice(5));
      await once(socket, 'close');
      return answer;
    },
  };
}

/** An answer on a connection that is kept. */
async function ask(agent: Agent, url: string): Promise<IncomingMessage & { text: string }> {
  const [response] = (await once(get(url, { agent }), 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  return Object.assign(response, { text });
}

test('SIGTERM: what is under way is answered, nothing new is taken, and it ends with 0', async () => {
  const { main, port } = await startOnFreePort();
  const agent = new Agent({ keepAlive: true });
  expect((await ask(agent, `http://127.0.0.1:${port}/livez`)).statusCode).toBe(200);
  const request = await openRequest(port);
  // The server has seen the head: it counts the request as one that is under way.
  await until(async () => (await fetch(`http://127.0.0.1:${port}/livez`)).ok);

  main.signal('SIGTERM');
  await until(() => main.stderr.includes('stopping'));
  await until(() =>
    fetch(`http://127.0.0.1:${port}/livez`).then(
      () => false,
      () => true,
    ),
  );
  expect(main.child.exitCode).toBeNull();
  const answer = await request.finish();
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  expect(answer).toMatch(/^Connection: close\r$/m);
  expect(answer).toContain('invalid_client');
  expect(await main.ended).toBe(0);
  agent.destroy();
});

test('21: SIGTERM: readiness fails first, requests are still taken, and kept connections end with their answers', async () => {
  const { main, port } = await startOnFreePort({ SHUTDOWN_DELAY: '300' });
  const url = `http://127.0.0.1:${port}`;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  expect((await ask(agent, `${url}/jwks`)).headers.connection).toBe('keep-alive');
  main.signal('SIGTERM');
  await until(async () => (await fetch(`${url}/readyz`)).status === 503);
  expect((await readyz(url)).body.checks).toMatchObject({ database: 'ok', accepting: 'failed' });
  for (const path of ['/jwks', '/livez', '/.well-known/openid-configuration']) {
    const { statusCode, headers } = await ask(agent, url + path);
    expect([path, statusCode, headers.connection]).toEqual([path, 200, 'close']);
  }
  const request = await openRequest(port);
  expect(await request.finish()).toMatch(/^HTTP\/1\.1 401 [^]*^Connection: close\r$/m);
  agent.destroy();
  main.signal('SIGKILL');
  await main.ended;
});

test('a second signal ends it at once; the echo that npm makes of the first one does not', async () => {
  const { main, port } = await startOnFreePort();
  const { socket } = await openRequest(port);
  await until(async () => (await fetch(`http://127.0.0.1:${port}/livez`)).ok);
  const stopped = performance.now();
  main.signal('SIGINT');
  main.signal('SIGINT');
  await until(() => main.stderr.includes('stopping'));
  await until(() => performance.now() - stopped > 1_200);
  expect(main.child.exitCode).toBeNull();
  main.signal('SIGINT');
  expect(await main.ended).toBe(1);
  expect(performance.now() - stopped).toBeLessThan(5_000);
  socket.destroy();
});

let ownServer: Awaited<ReturnType<typeof openAsSuperuser>>;
let ownFolder: string;

beforeAll(async () => {
  ownFolder = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`;
  ownServer = await openAsSuperuser(ownFolder, { fsync: 'off' });
});

afterAll(async () => {
  await ownServer.close();
  rmSync(ownFolder, { recursive: true, force: true });
});

test('/readyz is 503 while the database is away, and 200 when it is back', async () => {
  const { host, port, user, database } = ownServer.connection;
  const url = `postgres://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`;
  const issuerPort = await freePort();
  const origin = `http://localhost:${issuerPort}`;
  const issuer = `${origin}/tenant`;
  const main = await startMain({
    PORT: String(issuerPort),
    ISSUER: issuer,
    DATABASE_URL: url,
    MASTER_KEY: masterKey(1),
  }).ready();
  for (const base of [origin, issuer]) {
    expect((await readyz(base)).status).toBe(200);
    expect((await fetch(`${base}/livez`)).status).toBe(200);
  }
  expect((await fetch(`${origin}/readyz`, { method: 'POST' })).status).toBe(405);

  // Connections are refused, as while a database restarts; those that are open are ended.
  const admin = new pg.Client({ ...ownServer.connection, database: 'postgres' });
  await admin.connect();
  try {
    await admin.query(`alter database ${database} allow_connections false`);
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
      database,
    ]);
    await until(async () => (await readyz(origin)).status === 503);
    const { body } = await readyz(origin);
    expect(body).toMatchObject({
      status: 'failed',
      checks: { database: 'failed', reads: 'failed', writes: 'failed', accepting: 'ok' },
    });
    expect((await fetch(`${origin}/readyz`)).headers.get('retry-after')).toBe('5');
    expect((await fetch(`${origin}/livez`)).status).toBe(200);
    expect((await fetch(`${issuer}/.well-known/openid-configuration`)).status).toBe(200);
  } finally {
    await admin.query(`alter database ${database} allow_connections true`);
    await admin.end();
  }
  await until(async () => (await readyz(origin)).status === 200);
  expect(await main.stop()).toBe(0);
});
