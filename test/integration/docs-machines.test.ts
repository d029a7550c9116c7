import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { introspect, machineToken, personTokens } from '../support/exchange.ts';
import { runCli, until } from '../support/process.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { jwksOf, newKey, now, sign } from '../support/proofs.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { snippetsOf } from '../support/snippets.ts';

/** docs/machines-and-exchange.md: its snippets run as they are on the page, in order. */

const root = join(import.meta.dirname, '../..');
const orders = 'https://orders.example.com';
const stock = 'https://stock.example.com';

let database: TestDatabase;
let server: TestServer;
let seed: Seed;
let snippets: Map<string, string>;
let folder: string;
let stockApi: Credentials;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-machines-'));
  snippets = await snippetsOf('machines-and-exchange.md');
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(orders, 'opaque', ['orders:read']);
  stockApi = await seed.api(stock, 'opaque', ['stock:read', 'stock:write']);
  server = await startServer(database);
});

afterAll(async () => {
  await server.close();
  await database.drop();
  rmSync(folder, { recursive: true });
});

async function run(name: string, env: Record<string, string> = {}): Promise<string> {
  const { PATH = '', HOME = '/' } = process.env;
  const { stdout } = await promisify(execFile)('sh', ['-ec', snippets.get(name) ?? 'exit 1'], {
    cwd: root,
    env: {
      PATH,
      HOME,
      DATABASE_URL: database.url,
      MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
      ISSUER: server.issuer,
      ...env,
    },
  });
  return stdout;
}

const json = async (name: string, env: Record<string, string> = {}) =>
  JSON.parse(await run(name, env)) as Record<string, string>;

/** Repeats the request until the server sees what the command line changed. */
async function token(name: string, env: Record<string, string>): Promise<Record<string, string>> {
  let body: Record<string, string> = {};
  await until(async () => {
    body = await json(name, env);
    return body.access_token !== undefined;
  });
  return body;
}

test('a program of yours', async () => {
  const { client_id: id = '', client_secret: secret = '' } = await json('nightly.sh');
  const body = await token('credentials.sh', { CLIENT_ID: id, CLIENT_SECRET: secret });
  expect(body).toMatchObject({ token_type: 'Bearer', scope: 'stock:read' });
});

test('an API that calls another API', async () => {
  const { client_id: id = '', client_secret: secret = '' } = await json('service.sh');
  await run('allow.sh', { SERVICE_ID: id });
  const app = await seed.client({ apis: [{ identifier: orders, scopes: ['orders:read'] }] });
  const person = await personTokens(server.issuer, seed, app, {
    api: orders,
    scope: 'orders:read',
  });
  const env = { SERVICE_ID: id, SERVICE_SECRET: secret, TOKEN: person.accessToken };
  const body = await token('exchange.sh', env);
  expect(Object.keys(body).toSorted()).toEqual([
    'access_token',
    'expires_in',
    'issued_token_type',
    'scope',
    'token_type',
  ]);
  expect(await introspect(server.issuer, stockApi, body.access_token as string)).toMatchObject({
    active: true,
    sub: person.accountId,
    client_id: id,
    aud: stock,
    act: { sub: id },
  });
});

test('a workload with a token from its platform', async () => {
  const { client_id: id = '', client_secret: secret } = await json('deployer.sh');
  expect(secret).toBeUndefined();
  expect(await run('github.sh', { DEPLOYER_ID: id })).toContain('is trusted');
  const key = await newKey('RS256');
  const [keys, file] = [join(folder, 'keys.json'), join(folder, 'token')];
  writeFileSync(keys, JSON.stringify(jwksOf(key)));
  await run('kubernetes.sh', { DEPLOYER_ID: id, CLUSTER_KEYS: keys });
  writeFileSync(
    file,
    await sign(key, {
      iss: 'https://kubernetes.default.svc.cluster.local',
      sub: 'system:serviceaccount:shop:worker',
      aud: [server.issuer],
      iat: now(),
      nbf: now(),
      exp: now() + 3_600,
    }),
  );
  for (let times = 0; times < 2; times++) {
    const body = await token('assertion.sh', { DEPLOYER_ID: id, ASSERTION_FILE: file });
    expect(await introspect(server.issuer, stockApi, body.access_token as string)).toMatchObject({
      active: true,
      client_id: id,
      scope: 'stock:write',
    });
  }
  const robot = await seed.client({
    type: 'machine',
    apis: [{ identifier: stock, scopes: ['stock:read'] }],
  });
  writeFileSync(file, await machineToken(server.issuer, robot, stock, 'stock:read'));
  expect(await json('assertion.sh', { DEPLOYER_ID: id, ASSERTION_FILE: file })).toMatchObject({
    error: 'invalid_grant',
  });
});

test('every snippet is run, and every command and figure of the page is there', async () => {
  expect([...snippets.keys()].toSorted()).toEqual(
    [
      'allow.sh',
      'assertion.sh',
      'credentials.sh',
      'deployer.sh',
      'exchange.sh',
      'github.sh',
      'kubernetes.sh',
      'nightly.sh',
      'service.sh',
    ].toSorted(),
  );
  const page = readFileSync(join(root, 'docs/machines-and-exchange.md'), 'utf8');
  const { stdout } = await runCli(['--help'], {});
  for (const [, words] of page.matchAll(/`((?:exchange|issuer|client) [a-z-]+)/g))
    expect(stdout).toMatch(new RegExp(`^  ${words} `, 'm'));
  const source = readFileSync(join(root, 'src/oidc/grants/token-exchange.ts'), 'utf8');
  expect(source).toContain('const DEEPEST = 4;');
  const remote = readFileSync(join(root, 'src/oidc/client-authentication/key-sets.ts'), 'utf8');
  expect(remote).toContain('const CURRENT = 5 * 60_000;');
  expect(remote).toContain('const MOST = 3;');
});
