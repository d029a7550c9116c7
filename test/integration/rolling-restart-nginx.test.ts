import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runNginx } from '../support/nginx.ts';
import { freePort, MainProcess, until } from '../support/process.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';
import { basic, form } from '../support/wire.ts';

/** 21: two processes behind the nginx of docs/operations.md, which knows nothing of readiness, are restarted in turn. */

const api = 'https://api.example.com';
const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-nginx-'));
let database: TestDatabase;
let client: Credentials;
let apiClient: Credentials;
let ports: number[];
let front: number;
let servers: MainProcess[] = [];
let nginx: Awaited<ReturnType<typeof runNginx>>;

const start = (port: number) =>
  new MainProcess({
    PORT: String(port),
    ISSUER: 'http://localhost:3000',
    DATABASE_URL: database.url,
    MASTER_KEY: testMasterKey.toString('base64'),
    SHUTDOWN_DELAY: '3',
    LOG_LEVEL: 'info',
  }).ready();

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  apiClient = await seed.api(api);
  client = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
  });
  ports = [await freePort(), await freePort()];
  front = await freePort();
  servers = await Promise.all(ports.map(start));
  const documented = (await snippetsOf('operations.md')).get('upstream.conf') ?? '';
  const site = documented
    .replace(/10\.0\.0\.1:3000/, `127.0.0.1:${ports[0]}`)
    .replace(/10\.0\.0\.2:3000/, `127.0.0.1:${ports[1]}`)
    .replace(/listen 443 ssl;/, `listen 127.0.0.1:${front};`)
    .replace(/\n\s*ssl_certificate[^\n]*/g, '');
  nginx = await runNginx(folder, site, () =>
    fetch(`http://127.0.0.1:${front}/livez`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
}, 60_000);

afterAll(async () => {
  await nginx?.stop();
  await Promise.all(servers.map((one) => one.stop()));
  await database.drop();
  rmSync(folder, { recursive: true });
}, 60_000);

interface Asked {
  readonly path: string;
  readonly fields?: Record<string, string>;
  readonly by?: Credentials;
}

function ask(agent: Agent, { path, fields, by }: Asked): Promise<string> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        port: front,
        host: '127.0.0.1',
        path,
        agent,
        method: fields === undefined ? 'GET' : 'POST',
        headers: {
          ...(by === undefined ? {} : basic(by)),
          ...(fields === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
      },
      (response) => {
        response.resume().on('end', () => resolve(`${path} ${response.statusCode}`));
      },
    );
    outgoing.on('error', (error) => resolve(`${path} ${error.message}`));
    outgoing.end(fields === undefined ? undefined : form(fields).toString());
  });
}

test('21: no request fails in a rolling restart behind a plain load balancer', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const kinds: Asked[] = [
    { path: '/token', by: client, fields: { grant_type: 'client_credentials', resource: api } },
    { path: '/introspect', by: apiClient, fields: { token: `vs_at_${'x'.repeat(43)}` } },
    { path: '/jwks' },
    { path: '/revocations' },
  ];
  const outcomes = new Map<string, number>();
  let isOver = false;
  const caller = async (kind: Asked) => {
    while (!isOver) {
      const outcome = await ask(agent, kind);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  const load = Promise.all([...kinds, ...kinds].map(caller));
  try {
    for (const [index, port] of ports.entries()) {
      const before = outcomes.get('/token 200') ?? 0;
      await until(async () => (outcomes.get('/token 200') ?? 0) > before + 20);
      const old = servers[index] as MainProcess;
      old.signal('SIGTERM');
      // Readiness fails while requests are still taken, and each ends its connection.
      await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 503);
      const taken = await fetch(`http://127.0.0.1:${port}/jwks`);
      expect([taken.status, taken.headers.get('connection')]).toEqual([200, 'close']);
      expect(await old.ended).toBe(0);
      servers[index] = await start(port);
    }
  } finally {
    isOver = true;
    await load;
    agent.destroy();
  }
  expect([...outcomes.keys()].toSorted()).toEqual([
    '/introspect 200',
    '/jwks 200',
    '/revocations 200',
    '/token 200',
  ]);
}, 120_000);
