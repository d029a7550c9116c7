import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';
import { decodeJwt } from 'jose';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, exchange, Seed } from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { snippetsOf } from '../support/snippets.ts';
import { cookiesOf, form, send } from '../support/wire.ts';

/** docs/logout.md: its command and its snippet are run as they stand there. */

const root = join(import.meta.dirname, '../..');
const inside = '127.0.0.1';
let database: TestDatabase;
let server: TestServer;
let client: Credentials;
let folder: string;
let app: ChildProcess;
let said: Interface;
let uri: string;

/** An app around the snippet; it says where it listens, and then each session that it ends. */
const runner = `
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { backchannelLogout } from './backchannel-logout.mjs';
const say = (value) => console.log(JSON.stringify(value));
const app = createServer(async (request, response) => {
  const form = new URLSearchParams(await text(request));
  response.writeHead(await backchannelLogout(form, async (session) => say(session))).end();
});
app.listen(0, '${inside}', () => say({ port: app.address().port }));
`;

const next = async () => JSON.parse((await once(said, 'line'))[0] as string) as never;

beforeAll(async () => {
  const snippets = await snippetsOf('logout.md');
  database = await createTestDatabase();
  server = await startServer(database, { OUTBOUND_ALLOW: inside });
  client = await server.createClient();
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-docs-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(
    join(folder, 'backchannel-logout.mjs'),
    snippets.get('backchannel-logout.mjs') as string,
  );
  await writeFile(join(folder, 'app.mjs'), runner);
  const { PATH = '', HOME = '/' } = process.env;
  app = spawn(process.execPath, ['app.mjs'], {
    cwd: folder,
    env: { PATH, HOME, ISSUER: server.issuer, CLIENT_ID: client.clientId },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  said = createInterface({ input: app.stdout as NodeJS.ReadableStream });
  uri = `http://${inside}:${((await next()) as { port: number }).port}/backchannel-logout`;
  const command = (snippets.get('register') as string).replace(
    'https://app.example.com/backchannel-logout',
    uri,
  );
  await promisify(execFile)('sh', ['-ec', command], {
    cwd: root,
    env: {
      PATH,
      HOME,
      DATABASE_URL: database.url,
      MASTER_KEY: testMasterKey.toString('base64'),
      OUTBOUND_ALLOW: inside,
      CLIENT_ID: client.clientId,
    },
  });
});

afterAll(async () => {
  app.kill();
  await server.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

async function signedIn() {
  const seed = new Seed(database.db);
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  const browser = await seed.signIn(accountId, undefined, server.issuer);
  const redirect = { redirect_uri: 'https://app.example.com/callback' };
  const request = { ...redirect, scope: 'openid' };
  // The server learns within two seconds of what the command line has changed.
  for (;;) {
    const code = await browser.authorize(server.issuer, client, request);
    const idToken = (await exchange(server.issuer, client, code, redirect)).body.id_token as string;
    if ('sid' in decodeJwt(idToken)) return { accountId, browser, idToken };
  }
}

const post = async (token: string) =>
  (await fetch(uri, { method: 'POST', body: new URLSearchParams({ logout_token: token }) })).status;

test('the app of the page hears that somebody has signed out, of which session', async () => {
  const { accountId, browser, idToken } = await signedIn();
  const heard = next();
  const answer = await send(server.issuer, '/account/sign-out', {
    method: 'POST',
    headers: { origin: server.issuer, ...cookiesOf(browser) },
    body: form({}),
  });
  expect(answer.status).toBe(303);
  expect(await heard).toEqual({ sub: accountId, sid: decodeJwt(idToken).sid });
});

test('it takes nothing else for a logout token', async () => {
  const { idToken } = await signedIn();
  const [header, payload] = idToken.split('.');
  for (const token of [idToken, '', 'nonsense', `${header}.${payload}.AAAA`])
    expect(await post(token)).toBe(400);
});
