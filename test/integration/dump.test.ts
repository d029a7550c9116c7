import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  redirectUri,
  refresh,
  Seed,
  SignedInBrowser,
} from '../support/protocol.ts';
import { asking, visit } from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Somebody has every row of the database, and no master key. Nothing in it authenticates anybody. */

const URN = 'urn:ietf:params:oauth:request_uri:';
let database: TestDatabase;
let server: ServerProcess;
let client: Credentials;
let machine: Credentials;
let live: { access: string; refresh: string; machine: string };
let code: { code: string; verifier: string };
let usedRefresh: string;
let requestUri: string;
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServerProcess(database, 'http://localhost:3000');
  const seed = new Seed(database.db);
  await seed.api('https://api.example.com');
  client = await seed.client();
  machine = await seed.client({
    type: 'machine',
    apis: [{ identifier: 'https://api.example.com', scopes: ['read'] }],
  });
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  browser = await seed.signIn(accountId);
  const first = (await exchange(server.url, client, await browser.authorize(server.url, client)))
    .body;
  usedRefresh = first.refresh_token;
  const second = (await refresh(server.url, client, usedRefresh)).body;
  const byMachine = (
    await post(server.url, '/token', machine, {
      grant_type: 'client_credentials',
      resource: 'https://api.example.com',
      scope: 'read',
    })
  ).body;
  live = {
    access: second.access_token,
    refresh: second.refresh_token,
    machine: byMachine.access_token,
  };
  code = await browser.authorize(server.url, client);
  const pushed = await post(server.url, '/par', client, asking(client.clientId).parameters);
  requestUri = pushed.body.request_uri as string;
  // Somebody is signing in with it.
  await visit(new SignedInBrowser('', new Map()), server.url, {
    client_id: client.clientId,
    request_uri: requestUri,
  });
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/** Every value of every column of every table, in each form in which it could be presented. */
async function dump(): Promise<Set<string>> {
  const tables = await sql<{
    table_name: string;
  }>`select table_name from information_schema.tables where table_schema = 'public'`.execute(
    database.db.kysely,
  );
  const values = new Set<string>();
  const add = (value: unknown): void => {
    if (Buffer.isBuffer(value))
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
        values.add(value.toString(form));
    else if (typeof value === 'string') values.add(value);
    else if (Array.isArray(value)) value.forEach(add);
    else if (value !== null && typeof value === 'object' && !(value instanceof Date))
      for (const [key, one] of Object.entries(value)) [key, one].forEach(add);
  };
  for (const { table_name: table } of tables.rows) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(table)}`.execute(
      database.db.kysely,
    );
    rows.forEach(add);
  }
  return values;
}

test('what is live works, and none of it stands in the dump', async () => {
  expect(await isActive(server.url, client, live.access)).toBe(true);
  expect(await isActive(server.url, machine, live.machine)).toBe(true);
  const values = await dump();
  const text = [...values].join('\n');
  for (const secret of [
    live.access,
    live.refresh,
    live.machine,
    code.code,
    client.clientSecret,
    machine.clientSecret,
    requestUri.slice(URN.length),
  ]) {
    expect(text).not.toContain(secret as string);
    // Not without its prefix either.
    expect(text).not.toContain((secret as string).replace(/^vs_.._/, ''));
  }
  expect(values.has(sha256(live.access).toString('hex'))).toBe(true);
});

test('no value of it is taken as a token, a code, a client secret, a session or a pushed request', async () => {
  const values = [...(await dump())].filter(
    (value) => value.length >= 16 && value.length <= 300 && /^[\x21-\x7e]+$/.test(value),
  );
  expect(values.length).toBeGreaterThan(50);
  for (const value of values) {
    for (const token of [value, `vs_at_${value}`, `vs_rt_${value}`, `vs_mt_${value}`]) {
      expect(await isActive(server.url, client, token)).toBe(false);
    }
    expect((await refresh(server.url, client, `vs_rt_${value}`)).status).toBe(400);
    expect(
      (await exchange(server.url, client, { code: `vs_ac_${value}`, verifier: code.verifier }))
        .status,
    ).toBe(400);
    expect(
      (
        await post(
          server.url,
          '/introspect',
          { ...client, clientSecret: value },
          { token: live.access },
        )
      ).status,
    ).toBe(401);
    const begun = await visit(browser, server.url, {
      client_id: client.clientId,
      request_uri: `${URN}${value}`,
    });
    expect(begun.status).toBe(400);
    const thief = new SignedInBrowser('', new Map([['vs_session_3000', value]]));
    const { response } = await thief.ask(server.url, client, { prompt: 'none' });
    expect(response.headers.get('location')).toContain(`${redirectUri}?error=login_required`);
  }
}, 120_000);

test('a used refresh token and the dump do not add up to its successor', async () => {
  const values = [...(await dump())];
  // Whoever had a used token and every key-like value in the database would try each as the key of the derivation.
  const { createHmac } = await import('node:crypto');
  const [family] = await database.db.kysely.selectFrom('grants').select('id').execute();
  for (const value of values) {
    const guess = createHmac('sha256', value)
      .update(`${family?.id} ${usedRefresh}`)
      .digest('base64url');
    expect(`vs_rt_${guess}`).not.toBe(live.refresh);
  }
});
