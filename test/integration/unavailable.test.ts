import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server as SocketServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  post,
  redirectUri,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** The database goes away under the server, and comes back. */

let database: TestDatabase;
let folder: string;
let line: Line;
let server: ServerProcess;
let client: Credentials;
let browser: SignedInBrowser;

/** Stands between the server and PostgreSQL, and can be cut. */
class Line {
  readonly #path: string;
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  #listener: SocketServer | undefined;
  #isSilent = false;

  constructor(path: string, target: string) {
    this.#path = path;
    this.#target = target;
  }

  async open(): Promise<void> {
    this.#isSilent = false;
    const listener = createServer((incoming) => {
      const outgoing = connect(this.#target);
      for (const [socket, other] of [
        [incoming, outgoing],
        [outgoing, incoming],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy()).on('close', () => other.destroy());
        if (!this.#isSilent) socket.pipe(other);
      }
    });
    this.#listener = listener;
    await new Promise<void>((resolve) => listener.listen(this.#path, resolve));
  }

  /** Nothing passes any more, and nobody is told. */
  silence(): void {
    this.#isSilent = true;
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await new Promise((resolve) => this.#listener?.close(resolve));
  }
}

beforeAll(async () => {
  database = await createTestDatabase();
  const { host, port } = database.connection;
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-line-'));
  const socket = `.s.PGSQL.${port}`;
  line = new Line(join(folder, socket), join(host, socket));
  await line.open();
  const behind = { ...database, connection: { ...database.connection, host: folder } };
  const seed = new Seed(database.db);
  client = await seed.client();
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  server = await startServerProcess(behind, 'http://localhost:3000', { LOG_LEVEL: 'silent' });
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await line.cut();
  await rm(folder, { recursive: true, force: true });
  await database.drop();
});

test('while it is away everything answers 503 in its own form, and afterwards goes on', async () => {
  const authorization = await browser.authorize(server.url, client);
  expect((await fetch(`${server.url}/revocations`)).status).toBe(200);
  await line.cut();

  const token = await exchange(server.url, client, authorization);
  expect(token).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
  const introspection = await post(server.url, '/introspect', client, {
    token: `vs_at_${'x'.repeat(43)}`,
  });
  expect(introspection).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
  const userinfo = await fetch(new URL('/userinfo', server.url), {
    headers: { authorization: `Bearer vs_at_${'x'.repeat(43)}` },
  });
  expect(userinfo.status).toBe(503);
  expect(userinfo.headers.get('retry-after')).toBe('5');
  const { response: page } = await browser.tab().ask(server.url, client);
  expect(page.status).toBe(503);
  expect(page.headers.get('retry-after')).toBe('5');
  expect(page.headers.getSetCookie()).toEqual([]);
  const html = await page.text();
  expect(html).toContain('<title>');
  expect(html).not.toMatch(/ECONN|ENOENT|postgres|at .*\.ts/i);
  // Nothing is told to be revoked that may be an old truth: what was read half a second ago is the oldest.
  await until(async () => (await fetch(`${server.url}/revocations`)).status === 503);
  const feed = await fetch(`${server.url}/revocations`);
  expect(feed.headers.get('content-type')).toMatch('application/problem+json');
  expect(feed.headers.get('retry-after')).toBe('5');
  // What needs no database is answered.
  expect((await fetch(new URL('/jwks', server.url))).status).toBe(200);
  expect((await fetch(new URL('/livez', server.url))).status).toBe(200);
  expect((await fetch(new URL('/readyz', server.url))).status).toBe(503);

  await line.open();
  await until(async () => (await fetch(new URL('/readyz', server.url))).status === 200);
  expect((await fetch(`${server.url}/revocations`)).status).toBe(200);
  // Nothing of the failed exchange was done: the code is whole.
  expect((await exchange(server.url, client, authorization)).status).toBe(200);
});

test('16: where the database takes no writes, everything answers 503, and goes on when it does', async () => {
  const authorization = await browser.authorize(server.url, client);
  const name = database.connection.database;
  const admin = new pg.Client({ ...database.connection, database: 'postgres' });
  await admin.connect();
  const turn = async (state: 'on' | 'off') => {
    await admin.query(`alter database ${name} set default_transaction_read_only = ${state}`);
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'vouchsafe'`,
      [name],
    );
  };
  try {
    await turn('on');
    const token = await exchange(server.url, client, authorization);
    expect(token).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } });
    const introspection = await post(server.url, '/introspect', client, {
      token: `vs_at_${'x'.repeat(43)}`,
    });
    expect(introspection).toMatchObject({
      status: 503,
      body: { error: 'temporarily_unavailable' },
    });
    const { response: page } = await browser.tab().ask(server.url, client);
    expect(page.status).toBe(503);
    expect(page.headers.get('retry-after')).toBe('5');
    await until(async () => {
      const ready = await fetch(new URL('/readyz', server.url));
      return ready.status === 503 && ready.headers.get('retry-after') === '5';
    });
  } finally {
    await turn('off');
    await admin.end();
  }
  await until(async () => (await fetch(new URL('/readyz', server.url))).status === 200);
  expect((await exchange(server.url, client, authorization)).status).toBe(200);
});

test('20: while it is silent everything is answered with 503 once, however many waits it has, and afterwards goes on', async () => {
  const refused = await browser.authorize(server.url, client);
  line.silence();
  // Twice five seconds would be more than this.
  const signal = AbortSignal.timeout(9_000);
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(new URL(path, server.url), { headers, redirect: 'manual', signal });
  const query = new URLSearchParams({
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid',
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
  });
  const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const answers = await Promise.all([
    get(`/authorize?${query}`, { cookie }),
    get(`/authorize?${query}`),
    get('/userinfo', { authorization: `Bearer vs_at_${'x'.repeat(43)}` }),
    ...(
      [
        ['/introspect', { token: `vs_at_${'x'.repeat(43)}` }],
        ['/revoke', { token: `vs_at_${'x'.repeat(43)}` }],
        ['/token', { grant_type: 'refresh_token', refresh_token: `vs_rt_${'x'.repeat(43)}` }],
        ['/par', Object.fromEntries(query)],
      ] as [string, Record<string, string>][]
    ).map(([path, fields]) =>
      fetch(new URL(path, server.url), {
        method: 'POST',
        signal,
        headers: {
          authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`,
        },
        body: new URLSearchParams(fields),
      }),
    ),
  ]);
  expect(
    answers.map(({ status, headers, url }) => [url, status, headers.get('retry-after')]),
  ).toEqual(answers.map(({ url }) => [url, 503, '5']));
  await line.cut();
  await line.open();
  await until(async () => (await fetch(new URL('/readyz', server.url))).status === 200);
  expect((await exchange(server.url, client, refused)).status).toBe(200);
});
