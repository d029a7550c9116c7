import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli, until } from '../support/process.ts';
import { post } from '../support/protocol.ts';
import { ask, enterPassword, redeem } from '../support/relying-party.ts';
import { testMasterKey } from '../support/server-process.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { snippetsOf } from '../support/snippets.ts';

/** docs/authorization-details.md: its files, commands and snippets are used as they stand there. */

const root = join(import.meta.dirname, '../..');
const bank = 'https://bank.example.com';

let database: TestDatabase;
let server: TestServer;
let client: ClientCredentials;
let api: ClientCredentials;
let folder: string;
let snippets: Map<string, string>;
let env: Record<string, string>;

interface AskModule {
  readonly details: readonly Record<string, unknown>[];
  readonly parameters: Record<string, string>;
}
interface PayModule {
  readonly allowedBy: (claims: object, payment: object) => unknown;
}

const load = async <T>(name: string) =>
  (await import(
    `data:text/javascript;base64,${Buffer.from(snippets.get(name) as string).toString('base64')}`
  )) as T;

beforeAll(async () => {
  snippets = await snippetsOf('authorization-details.md');
  database = await createTestDatabase();
  server = await startServer(database);
  api = await server.createApi(bank, { 'accounts:read': 'your accounts' });
  client = await server.createClient({ name: 'Heron' });
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-details-'));
  for (const name of ['payment.schema.json', 'payment.words.json'])
    await writeFile(join(folder, name), snippets.get(name) as string);
  env = {
    DATABASE_URL: database.url,
    MASTER_KEY: testMasterKey.toString('base64'),
    CLIENT_ID: client.clientId,
  };
});

afterAll(async () => {
  await server.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

async function run(name: string): Promise<unknown> {
  const { PATH = '', HOME = '/' } = process.env;
  const command = (snippets.get(name) as string).replaceAll(' payment.', ` ${folder}/payment.`);
  const { stdout } = await promisify(execFile)('sh', ['-ec', command], {
    cwd: root,
    env: { PATH, HOME, ...env },
  });
  return JSON.parse(stdout) as unknown;
}

const cli = async (...args: string[]) => {
  const { status, stdout, stderr } = await runCli(args, env);
  return { status, stdout, stderr };
};

test('a type is registered, asked for, allowed, and checked by its API', async () => {
  expect(await run('register.sh')).toEqual({ type: 'payment_initiation' });
  expect(await run('client.sh')).toEqual({ client_id: client.clientId });
  const { details, parameters } = await load<AskModule>('ask.mjs');
  const { allowedBy } = await load<PayModule>('pay.mjs');
  const account = await server.createAccount();
  let browser = new Browser();
  let asked = ask(server, client, parameters);
  // A server that runs learns of both within two seconds.
  await until(async () => {
    browser = new Browser();
    asked = ask(server, client, parameters);
    return (await browser.get(asked.url)).title.includes('Sign in');
  });
  const page = await enterPassword(browser, await browser.get(asked.url), account);
  expect(page.text).toContain('Heron will be able to pay 123.50 EUR to Merchant A');
  const back = await browser.submit(page, {}, 'allow');
  const tokens = await redeem(server, client, asked, back);
  expect(tokens).toMatchObject({ authorization_details: details });
  const { body } = await post(server.issuer, '/introspect', api, { token: tokens.access_token });
  expect(allowedBy(body, { amount: '123.50', currency: 'EUR', to: 'Merchant A' })).toEqual(
    details[0],
  );
  expect(allowedBy(body, { amount: '999.00', currency: 'EUR', to: 'Merchant A' })).toBeUndefined();
  const german = new Browser();
  german.headers = { 'accept-language': 'de' };
  const seite = await enterPassword(german, await german.get(asked.url), account);
  expect(seite.text).toContain('123.50 EUR an Merchant A');
});

test('the commands list, change and remove', async () => {
  const listed = await cli('api', 'list-detail-types', '--api', bank, '--json');
  const { types } = JSON.parse(listed.stdout) as { types: object[] };
  expect(types).toMatchObject([
    { type: 'payment_initiation', api: bank, remember: false, machines: false, version: 1 },
  ]);
  expect((await cli('api', 'list-detail-types')).stdout).toContain(
    'pay {instructedAmount.amount} {instructedAmount.currency} to {creditorName}',
  );
  const again = await cli(
    'api',
    'add-detail-type',
    '--api',
    bank,
    '--type',
    'payment_initiation',
    '--schema',
    `${folder}/payment.schema.json`,
    '--words',
    `${folder}/payment.words.json`,
  );
  expect([again.status, again.stderr]).toEqual([
    1,
    expect.stringContaining('There is a type payment_initiation already'),
  ]);
  await writeFile(
    join(folder, 'odd.json'),
    JSON.stringify({ en: { verb: 'pay', text: '{instructedAmount.sum}' } }),
  );
  const wrong = await cli(
    'api',
    'update-detail-type',
    '--type',
    'payment_initiation',
    '--words',
    `${folder}/odd.json`,
  );
  expect([wrong.status, wrong.stderr]).toEqual([
    1,
    expect.stringContaining('{instructedAmount.sum}'),
  ]);
  const nothing = await cli('api', 'update-detail-type', '--type', 'payment_initiation');
  expect(nothing.status).toBe(2);
  const changed = await cli(
    'api',
    'update-detail-type',
    '--type',
    'payment_initiation',
    '--machines',
    'true',
  );
  expect(changed.status).toBe(0);
  const unknown = await cli(
    'client',
    'update',
    '--client-id',
    client.clientId,
    '--detail-types',
    'nothing',
  );
  expect([unknown.status, unknown.stderr]).toEqual([
    1,
    expect.stringContaining('No API has the type nothing'),
  ]);
  const removed = await cli('api', 'remove-detail-type', '--type', 'payment_initiation', '--json');
  expect(JSON.parse(removed.stdout)).toEqual({ type: 'payment_initiation' });
  expect((await cli('api', 'remove-detail-type', '--type', 'payment_initiation')).status).toBe(1);
  const audit = await database.db.kysely
    .selectFrom('audit_events')
    .select(['type', 'actor'])
    .where('type', 'like', 'resource_server.detail%')
    .orderBy('at')
    .execute();
  expect(audit).toEqual(
    ['added', 'changed', 'removed'].map((what) => ({
      type: `resource_server.detail_type_${what}`,
      actor: 'cli',
    })),
  );
});
