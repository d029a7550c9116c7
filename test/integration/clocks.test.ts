import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Processes whose clocks are five minutes off, beside one whose clock is right: the database's clock decides. */

const issuer = 'http://localhost:3000';
const api = 'https://opaque.example.com';
const jwtApi = 'https://jwt.example.com';
const OFF_MS = 300_000;

let database: TestDatabase;
let seed: Seed;
let app: Credentials;
let machine: Credentials;
let television: Credentials;
let account: string;
let right: ServerProcess;
let behind: ServerProcess;
let ahead: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(api);
  await seed.api(jwtApi, 'jwt', ['read'], { accessTokenTtl: 60 });
  app = await seed.client();
  machine = await seed.client({
    type: 'machine',
    apis: [
      { identifier: api, scopes: ['read'] },
      { identifier: jwtApi, scopes: ['read'] },
    ],
  });
  television = await seed.client({
    grantTypes: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
  });
  account = await seed.account();
  await seed.consent(account, app.clientId);
  const start = (offset?: number) =>
    startServerProcess(
      database,
      issuer,
      offset === undefined ? {} : { VOUCHSAFE_TEST_CLOCK_OFFSET: String(offset) },
    );
  [right, behind, ahead] = await Promise.all([start(), start(-OFF_MS), start(OFF_MS)]);
});

afterAll(async () => {
  await Promise.all([right, behind, ahead].map((one) => one.stop()));
  await database.drop();
});

/** As time would leave it: the row has expired, and its payload says the same. */
const expire = (token: string) =>
  sql`update tokens set expires_at = now() - interval '2 seconds',
    payload = jsonb_set(payload, '{exp}', to_jsonb(floor(extract(epoch from now()))::int - 2))
    where id_hash = ${sha256(token)}`.execute(database.db.kysely);

const tokens = async () =>
  (await sql<{ n: number }>`select count(*)::int as n from tokens`.execute(database.db.kysely))
    .rows[0]?.n;

const userinfo = async (server: ServerProcess, token: string) =>
  (
    await fetch(new URL('/userinfo', server.url), {
      headers: { authorization: `Bearer ${token}` },
    })
  ).status;

/** Everything below is asked of each process. */
const everywhere = () => [
  { name: 'right', server: right },
  { name: 'behind', server: behind },
  { name: 'ahead', server: ahead },
];

async function given(): Promise<{ access_token: string; refresh_token: string }> {
  const browser = await seed.signIn(account);
  const { body } = await exchange(right.url, app, await browser.authorize(right.url, app));
  return body;
}

describe('19: expired by the database’s clock is expired everywhere, and nothing else is', () => {
  test('codes', async () => {
    for (const { name, server } of everywhere()) {
      const browser = await seed.signIn(account);
      const live = await browser.authorize(right.url, app);
      expect([name, (await exchange(server.url, app, live)).status]).toEqual([name, 200]);
      const late = await browser.authorize(right.url, app);
      await expire(late.code);
      const before = await tokens();
      const { status, body } = await exchange(server.url, app, late);
      expect([name, status, body.error]).toEqual([name, 400, 'invalid_grant']);
      expect(await tokens()).toBe(before);
    }
  });

  test('refresh tokens', async () => {
    for (const { name, server } of everywhere()) {
      const live = await given();
      expect([name, (await refresh(server.url, app, live.refresh_token)).status]).toEqual([
        name,
        200,
      ]);
      const late = await given();
      await expire(late.refresh_token);
      const before = await tokens();
      const { status, body } = await refresh(server.url, app, late.refresh_token);
      expect([name, status, body.error]).toEqual([name, 400, 'invalid_grant']);
      expect(await tokens()).toBe(before);
    }
  });

  test('token families', async () => {
    for (const { name, server } of everywhere()) {
      const { access_token: accessToken, refresh_token: refreshToken } = await given();
      await sql`update grants set expires_at = now() - interval '2 seconds'
        where id = (select grant_id from tokens where id_hash = ${sha256(refreshToken)})`.execute(
        database.db.kysely,
      );
      const before = await tokens();
      expect([name, (await refresh(server.url, app, refreshToken)).status]).toEqual([name, 400]);
      expect([name, await userinfo(server, accessToken)]).toEqual([name, 401]);
      expect([name, await isActive(server.url, app, accessToken)]).toEqual([name, false]);
      expect(await tokens()).toBe(before);
    }
  });

  test('access tokens at userinfo and introspection', async () => {
    for (const { name, server } of everywhere()) {
      const { access_token: token } = await given();
      expect([name, await userinfo(server, token)]).toEqual([name, 200]);
      expect([name, await isActive(server.url, app, token)]).toEqual([name, true]);
      await expire(token);
      expect([name, await userinfo(server, token)]).toEqual([name, 401]);
      expect([name, await isActive(server.url, app, token)]).toEqual([name, false]);
      // By way of the engine, which a parameter that the fast path does not know leads to.
      const { body } = await post(server.url, '/introspect', app, { token, unknown: 'x' });
      expect([name, body.active]).toEqual([name, false]);
    }
  });

  test('sessions', async () => {
    const asked = async (server: ServerProcess, browser: SignedInBrowser) =>
      (await browser.ask(server.url, app)).response.headers.get('location') ?? '';
    for (const { name, server } of everywhere()) {
      const browser = await seed.signIn(account);
      const setEnd = (from: string) =>
        sql`update sessions set expires_at = now() + ${from}::interval where uid = ${browser.sessionUid}`.execute(
          database.db.kysely,
        );
      await setEnd('2 minutes');
      expect([name, await asked(server, browser.tab())]).toEqual([
        name,
        expect.stringContaining('code='),
      ]);
      await setEnd('-2 seconds');
      expect([name, await asked(server, browser.tab())]).toEqual([
        name,
        expect.stringMatching(/\/interaction\//),
      ]);
    }
  });

  test('JWT access tokens, which only the machine’s own clock has dated', async () => {
    // Issued by the process that is behind, for a minute: over for everybody, by four minutes.
    const { body } = await post(behind.url, '/token', machine, {
      grant_type: 'client_credentials',
      resource: jwtApi,
    });
    for (const { server, name } of everywhere())
      expect([name, await isActive(server.url, machine, body.access_token)]).toEqual([name, false]);
  });

  test('requests of devices', async () => {
    for (const { name, server } of everywhere()) {
      const { body } = await post(right.url, '/device_authorization', television, {
        scope: 'openid',
      });
      const code = body.device_code as string;
      const poll = async () =>
        (
          await post(server.url, '/token', television, {
            grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
            device_code: code,
          })
        ).body.error;
      expect([name, await poll()]).toEqual([name, 'authorization_pending']);
      await sql`update polled_requests set expires_at = now() - interval '2 seconds'
        where id_hash = ${sha256(code)}`.execute(database.db.kysely);
      expect([name, await poll()]).toEqual([name, 'expired_token']);
    }
  });
});
