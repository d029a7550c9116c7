import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { on } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CLOCK_SLACK } from '../../src/lib/time.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli, until } from '../support/process.ts';
import { type Credentials, exchange, post, revoke, Seed } from '../support/protocol.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** docs/revocation.md: its snippet is run as it stands there, its commands are there, and its figures hold. */

const root = join(import.meta.dirname, '../..');
const api = 'https://jwt.example.com';
const apis = [{ identifier: api, scopes: ['read'] }];

let page: string;
let folder: string;
let database: TestDatabase;
let seed: Seed;
let server: TestServer;

beforeAll(async () => {
  page = await readFile(join(root, 'docs/revocation.md'), 'utf8');
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-follow-'));
  const [, snippet = ''] = /^```js follow\.mjs\n(.*?)^```$/ms.exec(page) ?? [];
  await writeFile(join(folder, 'follow.mjs'), snippet);
  await writeFile(join(folder, 'driver.mjs'), driver);
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(api, 'jwt');
  server = await startServer(database);
});

afterAll(async () => {
  await server.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

/** Follows the feed once for each line, and says of each JWT in it whether it is revoked. */
const driver = `
import { createInterface } from 'node:readline';
import { follow, isRevoked } from './follow.mjs';
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'without') await follow();
  console.log(JSON.stringify(line.split(' ').filter((word) => word.includes('.')).map(isRevoked)));
}`;

async function* answers(child: ChildProcess): AsyncGenerator<boolean[]> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  for await (const [line] of on(lines, 'line')) yield JSON.parse(line as string) as boolean[];
}

async function personal(client: Credentials): Promise<{ jwt: string; refreshToken: string }> {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId, { [api]: ['read'] });
  const browser = await seed.signIn(accountId, undefined, server.issuer);
  const code = await browser.authorize(server.issuer, client, {
    scope: 'openid offline_access read',
    resource: api,
  });
  const { body } = await exchange(server.issuer, client, code);
  return { jwt: body.access_token, refreshToken: body.refresh_token };
}

test('the snippet follows the feed', async () => {
  const client = await seed.client({ apis });
  const robot = await seed.client({ type: 'machine', apis });
  const [first, second, stays] = [
    await personal(client),
    await personal(client),
    await personal(client),
  ];
  const machine = (
    await post(server.issuer, '/token', robot, {
      grant_type: 'client_credentials',
      resource: api,
    })
  ).body.access_token;
  await revoke(server.issuer, client, first.jwt);
  const child = spawn(process.execPath, ['driver.mjs'], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', ISSUER: server.issuer },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const said = answers(child);
  const ask = async () => {
    child.stdin?.write(`${[first.jwt, second.jwt, stays.jwt, machine].join(' ')}\n`);
    return (await said.next()).value as boolean[];
  };
  try {
    // The feed tells of what ended within two seconds.
    let answer: boolean[] = [];
    await until(async () => (answer = await ask())[0] === true);
    expect(answer).toEqual([true, false, false, false]);
    await revoke(server.issuer, client, second.refreshToken);
    await seed.disableClient(robot.clientId);
    await until(async () => (answer = await ask())[1] === true && answer[3] === true);
    expect(answer).toEqual([true, true, false, true]);
  } finally {
    child.kill();
  }
});

test('the commands of the page are there', async () => {
  const { stdout } = await runCli(['--help'], {});
  const named = [...page.matchAll(/`((?:account|client|consent|family|token) [a-z-]+)/g)].map(
    ([, words]) => words as string,
  );
  expect(new Set(named).size).toBeGreaterThan(8);
  for (const words of named) expect(stdout).toMatch(new RegExp(`^  ${words} `, 'm'));
});

test('the sizes of the page are those of the answers', async () => {
  expect(CLOCK_SLACK).toBe(5);
  const read = async () => (await fetch(`${server.issuer}/revocations`)).text();
  const small = await read();
  const started = await database.db.pool.query(
    `insert into revoked_tokens (id_hash, expires_at)
     select sha256(convert_to('n' || n, 'UTF8')), now() + interval '1 hour' from generate_series(1, 6000) n`,
  );
  expect(started.rowCount).toBe(6_000);
  await until(async () => (await read()).length > 100_000);
  const large = await read();
  const perEntry = large.length / 5_000;
  expect(Math.abs(perEntry - 76)).toBeLessThan(1);
  expect(small.length).toBeLessThan(800);
});
