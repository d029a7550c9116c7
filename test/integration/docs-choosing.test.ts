import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { enterCode } from '../support/polled.ts';
import { until } from '../support/process.ts';
import { post } from '../support/protocol.ts';
import { enterPassword } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';
import { testMasterKey } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/** docs/choosing-a-grant.md: its commands and its programs are run as they stand there. */

const root = join(import.meta.dirname, '../..');
const { PATH = '', HOME = '/' } = process.env;
let database: TestDatabase;
let server: TestServer;
let account: TestAccount;
let folder: string;
let snippets: Map<string, string>;
const programs: ChildProcess[] = [];

beforeAll(async () => {
  snippets = await snippetsOf('choosing-a-grant.md');
  database = await createTestDatabase();
  server = await startServer(database);
  account = await server.createAccount();
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-docs-'));
});

afterAll(async () => {
  for (const program of programs) program.kill();
  await rm(folder, { recursive: true, force: true });
  await server.close();
  await database.drop();
});

interface Registered {
  readonly client_id: string;
  readonly client_secret?: string;
}

/** Runs a command of the page; gives what it prints as JSON, if it does. */
async function command(name: string, env: Record<string, string> = {}): Promise<Registered> {
  const { stdout } = await promisify(execFile)('sh', ['-ec', snippets.get(name) as string], {
    cwd: root,
    env: {
      PATH,
      HOME,
      DATABASE_URL: database.url,
      MASTER_KEY: testMasterKey.toString('base64'),
      ...env,
    },
  });
  return (stdout.startsWith('{') ? JSON.parse(stdout) : {}) as Registered;
}

/** Starts a program of the page; gives the lines that it prints. */
async function run(name: string, env: Record<string, string>): Promise<AsyncIterator<string>> {
  await writeFile(join(folder, name), snippets.get(name) as string);
  const program = spawn(process.execPath, [name], {
    cwd: folder,
    env: { PATH, HOME, ISSUER: server.issuer, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  programs.push(program);
  void once(program, 'exit');
  return createInterface({ input: program.stdout as NodeJS.ReadableStream })[
    Symbol.asyncIterator
  ]();
}

const lineOf = async (lines: AsyncIterator<string>) => (await lines.next()).value as string;

test('a device signs in', async () => {
  const { client_id: clientId } = await command('register-device');
  // The server hears of it within a second or so.
  await until(async () => {
    const form = { client_id: clientId, scope: 'openid' };
    const answer = await post(
      server.issuer,
      '/device_authorization',
      { clientId, clientSecret: undefined },
      form,
    );
    return answer.status === 200;
  });
  const lines = await run('device.mjs', { CLIENT_ID: clientId });
  const [, uri, code] = /^Open (\S+) and enter (\S+)$/.exec(await lineOf(lines)) ?? [];
  expect(uri).toBe(`${server.issuer}/device`);
  const browser = new Browser();
  await browser.submit(await enterCode(browser, server, code as string, account), {}, 'allow');
  expect(await lineOf(lines)).toBe('Signed in.');
});

test('an app asks from elsewhere', async () => {
  const { client_id: clientId, client_secret: secret = '' } = await command('register-ciba');
  await until(async () => {
    const client = { clientId, clientSecret: secret };
    const form = { scope: 'openid', login_hint: 'nobody@example.com' };
    return (await post(server.issuer, '/ciba', client, form)).status === 200;
  });
  const lines = await run('ciba.mjs', {
    CLIENT_ID: clientId,
    CLIENT_SECRET: secret,
    EMAIL: account.email,
  });
  expect(await lineOf(lines)).toContain('Order 4711');
  const [mail] = await server.mails(account.email);
  const browser = new Browser();
  const signIn = await browser.get(mail?.links.find((link) => link.includes('/asked/')) as string);
  const page = await enterPassword(browser, signIn, account);
  expect(page.text).toContain('Order 4711');
  await browser.submit(page, {}, 'allow');
  expect(await lineOf(lines)).toBe('Allowed.');

  await command('ping', { CLIENT_ID: clientId });
  const { client } = await server.services.clients.show(clientId);
  expect(client.metadata).toMatchObject({
    backchannel_token_delivery_mode: 'ping',
    backchannel_client_notification_endpoint: 'https://till.example.com/ciba',
  });
});
