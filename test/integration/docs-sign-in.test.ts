import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { writeFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort, until } from '../support/process.ts';
import { enterPassword } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';
import { testMasterKey } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/** docs/sign-in.md: its command and its app are run as they are on the page. */

const root = join(import.meta.dirname, '../..');
const { PATH = '', HOME = '/' } = process.env;
let database: TestDatabase;
let server: TestServer;
let account: TestAccount;
let app: ChildProcess | undefined;
// Beside the tests, where openid-client is found.
const file = join(import.meta.dirname, `../../test-results/sign-in-${process.pid}.mjs`);

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(database);
  account = await server.createAccount();
});

afterAll(async () => {
  app?.kill();
  await rm(file, { force: true });
  await server.close();
  await database.drop();
});

test('the app of the page signs a user in', async () => {
  const snippets = await snippetsOf('sign-in.md');
  const env = { PATH, HOME };
  const { stdout } = await promisify(execFile)(
    'sh',
    ['-ec', snippets.get('register.sh') as string],
    {
      cwd: root,
      env: { ...env, DATABASE_URL: database.url, MASTER_KEY: testMasterKey.toString('base64') },
    },
  );
  const { client_id: id, client_secret: secret } = JSON.parse(stdout) as Record<string, string>;
  const port = await freePort();
  // The page's port may be taken on this machine.
  const redirectUri = `http://localhost:${port}/callback`;
  await server.services.clients.update(id as string, { redirectUris: [redirectUri] }, 'test');
  await writeFile(file, snippets.get('app.mjs') as string);
  app = spawn(process.execPath, [file], {
    env: {
      ...env,
      ISSUER: server.issuer,
      CLIENT_ID: id as string,
      CLIENT_SECRET: secret as string,
      PORT: String(port),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const home = `http://localhost:${port}/`;
  await until(() =>
    fetch(home, { redirect: 'manual' }).then(
      () => true,
      () => false,
    ),
  );
  const start = await fetch(home, { redirect: 'manual' });
  const cookie = (start.headers.get('set-cookie') as string).split(';', 1)[0] as string;
  const browser = new Browser();
  const page = await browser.get(start.headers.get('location') as string);
  const back = await browser.submit(await enterPassword(browser, page, account), {}, 'allow');
  expect(back.url.startsWith(redirectUri)).toBe(true);
  // In another browser the response is worth nothing.
  const stranger = await fetch(back.url, { headers: { cookie: 'sign_in=x.y' } });
  expect(stranger.status).toBe(400);
  expect(await (await fetch(back.url, { headers: { cookie } })).text()).toMatch(/^Hello, .+!$/);
});
