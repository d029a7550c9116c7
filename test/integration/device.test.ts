import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { sha256 } from '../../src/lib/hash.ts';
import { type Browser, Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  askForCodes,
  browserFrom,
  type DeviceCodes,
  deviceGrant,
  enterCode,
  pollDevice,
} from '../support/polled.ts';
import { post, refresh } from '../support/protocol.ts';
import { until } from '../support/process.ts';
import { ask, redeem } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Device authorization (RFC 8628). */

const albums = 'https://albums.example.com';

let t: TestDatabase;
let server: TestServer;
let another: ServerProcess;
let api: ClientCredentials;
let tv: ClientCredentials;
let account: TestAccount;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t, { TRUST_PROXY: '1' });
  api = await server.createApi(albums, { 'albums:read': 'your photo albums' });
  tv = await deviceClient();
  account = await server.createAccount();
  another = await startServerProcess(t, server.issuer);
  // The server has heard of the API.
  await until(async () => {
    const { status } = await post(server.issuer, '/device_authorization', tv, {
      scope: 'openid',
      resource: albums,
    });
    return status === 200;
  });
});

afterAll(async () => {
  await another.stop();
  await server.close();
  await t.drop();
});

const deviceClient = (name = 'Heron') =>
  server.createClient({
    name,
    type: 'device',
    redirectUris: [],
    apis: [{ identifier: albums, scopes: ['albums:read'] }],
  });

const codes = (form: Record<string, string> = { scope: 'openid offline_access' }, client = tv) =>
  askForCodes(server.issuer, client, form);

const poll = (deviceCode: string, client = tv, at = server.issuer) =>
  pollDevice(at, client, deviceCode);

const rowOf = ({ device_code: code }: DeviceCodes) =>
  t.db.kysely
    .selectFrom('polled_requests')
    .selectAll()
    .where('id_hash', '=', sha256(code))
    .executeTakeFirstOrThrow();

/** As if the last poll had been a while ago. */
const wait = ({ device_code: code }: DeviceCodes) =>
  sql`update polled_requests set polled_at = polled_at - interval '1 minute', consumed_at = consumed_at - interval '1 minute'
    where id_hash = ${sha256(code)}`.execute(t.db.kysely);

const expire = ({ device_code: code }: DeviceCodes) =>
  sql`update polled_requests set expires_at = now() - interval '1 second' where id_hash = ${sha256(code)}`.execute(
    t.db.kysely,
  );

/** Whether the token opens userinfo, as that of a public client can't be asked about. */
async function works(token: string): Promise<boolean> {
  const { status } = await fetch(`${server.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return status === 200;
}

const familiesOf = (clientId: string) =>
  t.db.kysely.selectFrom('grants').selectAll().where('client_id', '=', clientId).execute();

async function allow(
  of: DeviceCodes,
  { browser = browserFrom(), as = account }: { browser?: Browser; as?: TestAccount } = {},
): Promise<Page> {
  return browser.submit(await enterCode(browser, server, of.user_code, as), {}, 'allow');
}

test('codes: eight letters that spell nothing, with where to enter them, for ten minutes', async () => {
  const given = await codes();
  expect(given).toEqual({
    device_code: expect.stringMatching(/^vs_dc_[\w-]{43}$/),
    user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
    verification_uri: `${server.issuer}/device`,
    verification_uri_complete: `${server.issuer}/device?user_code=${given.user_code}`,
    expires_in: 600,
    interval: 5,
  });
  const row = await rowOf(given);
  const stored = JSON.stringify({ ...row, payload_sealed: row.payload_sealed?.toString('latin1') });
  for (const secret of [given.device_code, given.user_code, given.user_code.replace('-', '')])
    expect(stored).not.toContain(secret);
  expect(row.user_code_mac).not.toEqual(sha256(given.user_code.replace('-', '')));
});

test('a person enters the code, signs in and allows; the device gets tokens for the API, once', async () => {
  const given = await codes({
    scope: 'openid profile offline_access albums:read',
    resource: albums,
  });
  expect((await poll(given.device_code)).body.error).toBe('authorization_pending');

  const browser = browserFrom();
  const entry = await browser.get(`${server.issuer}/device`);
  expect(entry.title).toContain('Connect a device');
  // In any case, with whatever stands between.
  const typed = given.user_code.toLowerCase().replace('-', ' ');
  const page = await enterCode(browser, server, typed, account);
  expect(page.title).toContain('Is this your device?');
  expect(page.text).toContain(given.user_code);
  expect(page.text).toContain('Heron');
  expect(page.text).toContain(account.email);
  expect(page.text).toContain('your photo albums');
  expect(page.text).toContain('connected while you’re not using it');
  expect(page.text).toContain('Support staff will never ask you for this');
  // The first button is what Enter does.
  expect(page.forms[0]?.buttons[0]?.value).toBe('deny');

  const done = await browser.submit(page, {}, 'allow');
  expect([done.status, done.title]).toEqual([200, 'You’ve allowed Heron · Vouchsafe']);
  // Found between two polls: what is there to be had is given at once.
  const { status, body } = await poll(given.device_code);
  expect(status).toBe(200);
  expect(body).toMatchObject({ token_type: 'Bearer', scope: 'albums:read' });
  expect(Object.keys(body)).toContain('id_token');
  const told = await post(server.issuer, '/introspect', api, { token: body.access_token });
  expect(told.body).toMatchObject({
    active: true,
    aud: albums,
    sub: account.id,
    acr: 'urn:vouchsafe:acr:1fa',
    auth_time: expect.any(Number),
  });
  expect((await refresh(server.issuer, tv, body.refresh_token)).status).toBe(200);
  expect((await poll(given.device_code)).body.error).toBe('invalid_grant');
  expect(await rowOf(given)).toMatchObject({
    state: 'approved',
    account_id: account.id,
    payload_sealed: null,
    consumed_at: expect.any(Date),
  });
});

describe('polls', () => {
  test('too early: slow_down, and five seconds more to wait, whatever the answer is', async () => {
    const given = await codes();
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
    const early = await poll(given.device_code, tv, another.url);
    expect([early.status, early.body.error]).toEqual([400, 'slow_down']);
    expect(await rowOf(given)).toMatchObject({ poll_interval: 10, polled_early: true });
    await wait(given);
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
    expect(await rowOf(given)).toMatchObject({ poll_interval: 10, polled_early: false });
  });

  test('ten at once, over two processes: one is told to wait, nine to slow down', async () => {
    const given = await codes();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        poll(given.device_code, tv, index % 2 === 0 ? server.issuer : another.url),
      ),
    );
    const errors = answers.map(({ body }) => String(body.error)).toSorted();
    expect(errors).toEqual([
      'authorization_pending',
      ...Array.from({ length: 9 }, () => 'slow_down'),
    ]);
  });

  test('past its end: expired_token, allowed or not', async () => {
    const given = await codes();
    await expire(given);
    const { status, body } = await poll(given.device_code);
    expect([status, body.error]).toEqual([400, 'expired_token']);
    const allowed = await codes();
    await allow(allowed);
    await expire(allowed);
    expect((await poll(allowed.device_code)).body.error).toBe('expired_token');
  });

  test('nothing that waits is a refusal to the audit', async () => {
    const client = await deviceClient();
    const given = await codes(undefined, client);
    await poll(given.device_code, client);
    await poll(given.device_code, client);
    const events = await t.db.kysely
      .selectFrom('audit_events')
      .select('type')
      .where('client_id', '=', client.clientId)
      .execute();
    expect(events.map(({ type }) => type)).toEqual(['client.created']);
  });
});

describe('who answers', () => {
  test('the code in the address fills the field in, and is asked of the person each time', async () => {
    const browser = browserFrom();
    await allow(await codes(), { browser });
    const given = await codes();
    const entry = await browser.get(given.verification_uri_complete);
    expect(entry.title).toContain('Connect a device');
    expect(entry.forms[0]?.fields).toContainEqual(['code', given.user_code]);
    // Signed in, and everything was allowed before.
    const page = await browser.submit(entry);
    expect(page.title).toContain('Is this your device?');
    expect(page.text).toContain(given.user_code);
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
    await browser.submit(page, {}, 'allow');
    expect((await poll(given.device_code)).status).toBe(200);
    const odd = await browser.get(`${server.issuer}/device?user_code=%22%3E%3Cscript%3E`);
    expect(odd.html).not.toContain('script>"');
    expect(odd.forms[0]?.fields).toContainEqual(['code', '']);
  });

  test('a device on another network is told of; one on the same is not', async () => {
    const given = (
      await fetch(`${server.issuer}/device_authorization`, {
        method: 'POST',
        headers: { 'x-forwarded-for': '192.0.2.7' },
        body: new URLSearchParams({ client_id: tv.clientId, scope: 'openid' }),
      })
    ).json() as Promise<DeviceCodes>;
    const { user_code: code } = await given;
    const far = await enterCode(browserFrom('198.51.100.1'), server, code, account);
    expect(far.text).toContain('another network than yours ( 192.0.2.7 )');
    const near = await enterCode(browserFrom('192.0.2.7'), server, code, account);
    expect(near.text).not.toContain('another network');
  });

  test('who does not allow it: access_denied, and nothing was given', async () => {
    const client = await deviceClient();
    const given = await codes(undefined, client);
    const browser = browserFrom();
    const page = await enterCode(browser, server, given.user_code, account);
    const denied = await browser.submit(page, {}, 'deny');
    expect([denied.status, denied.title]).toEqual([200, 'You didn’t allow Heron · Vouchsafe']);
    for (const _ of [1, 2]) {
      const { status, body } = await poll(given.device_code, client);
      expect([status, body.error]).toEqual([400, 'access_denied']);
    }
    expect(await familiesOf(client.clientId)).toEqual([]);
    expect(await rowOf(given)).toMatchObject({
      state: 'denied',
      grant_id: null,
      consumed_at: null,
    });
  });

  test('a second factor that the device asks for is asked of the person', async () => {
    const careful = await server.createAccount({ totp: true });
    const given = await codes({ scope: 'openid', acr_values: 'urn:vouchsafe:acr:2fa' });
    const page = await enterCode(browserFrom(), server, given.user_code, careful);
    expect(page.title).toContain('Enter your code');
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
  });
});

describe('families', () => {
  test('each device has its own, and the browser keeps what it was given itself', async () => {
    const client = await server.createClient({
      name: 'Both',
      grantTypes: ['authorization_code', 'refresh_token', deviceGrant],
    });
    const browser = browserFrom();
    const first = await codes({ scope: 'openid offline_access' }, client);
    await allow(first, { browser });
    const signIn = async () => {
      const asked = ask(server, client, { scope: 'openid offline_access' });
      return redeem(server, client, asked, await browser.get(asked.url));
    };
    await signIn();
    const second = await codes({ scope: 'openid offline_access' }, client);
    await allow(second, { browser });
    await signIn();
    const [one, two] = await Promise.all([rowOf(first), rowOf(second)]);
    const families = await familiesOf(client.clientId);
    expect(families).toHaveLength(3);
    expect(new Set([one.grant_id, two.grant_id]).size).toBe(2);
    const links = await t.db.kysely
      .selectFrom('session_clients')
      .select('grant_id')
      .where('client_id', '=', client.clientId)
      .execute();
    expect(links).toHaveLength(1);
    expect([one.grant_id, two.grant_id]).not.toContain(links[0]?.grant_id);
  });

  test('with offline_access a device outlives the sign-out of the browser, without it ends with it', async () => {
    const browser = browserFrom();
    const staying = await codes();
    const leaving = await codes({ scope: 'openid' });
    await allow(staying, { browser });
    await allow(leaving, { browser });
    const kept = (await poll(staying.device_code)).body;
    const lost = (await poll(leaving.device_code)).body;
    expect([typeof kept.refresh_token, typeof lost.refresh_token]).toEqual(['string', 'undefined']);
    expect(await works(lost.access_token)).toBe(true);
    const unfetched = await codes({ scope: 'openid' });
    await allow(unfetched, { browser });
    const home = await browser.get(`${server.issuer}/account`);
    await browser.submit(home, {}, 'sign-out');
    expect(await works(kept.access_token)).toBe(true);
    expect((await refresh(server.issuer, tv, kept.refresh_token)).status).toBe(200);
    expect(await works(lost.access_token)).toBe(false);
    expect((await poll(unfetched.device_code)).body.error).toBe('invalid_grant');
  });
});

describe('SECURITY: codes of devices', () => {
  test('SECURITY Authorization 5: a code that is used again within five seconds is refused; later, what it gave ends too', async () => {
    const given = await codes();
    await allow(given);
    const { body } = await poll(given.device_code);
    expect((await poll(given.device_code)).body.error).toBe('invalid_grant');
    expect(await works(body.access_token)).toBe(true);
    await wait(given);
    expect((await poll(given.device_code)).body.error).toBe('invalid_grant');
    expect(await works(body.access_token)).toBe(false);
    const { grant_id: grantId } = await rowOf(given);
    const family = (await familiesOf(tv.clientId)).find(({ id }) => id === grantId);
    expect(family).toMatchObject({ revoked_reason: 'code_replayed' });
  });

  test('SECURITY 3: another client gets nothing for it, and does not slow its own down', async () => {
    const stranger = await deviceClient('Stranger');
    const given = await codes();
    expect((await poll(given.device_code, stranger)).body.error).toBe('invalid_grant');
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
    await allow(given);
    expect((await poll(given.device_code, stranger)).body.error).toBe('invalid_grant');
    expect(await familiesOf(stranger.clientId)).toEqual([]);
    expect((await poll(given.device_code)).status).toBe(200);
    // Used, and in other hands: what it gave ends.
    expect((await poll(given.device_code, stranger)).body.error).toBe('invalid_grant');
    const { grant_id: grantId } = await rowOf(given);
    const family = (await familiesOf(tv.clientId)).find(({ id }) => id === grantId);
    expect(family?.revoked_at).toBeInstanceOf(Date);
  });

  test('SECURITY 1: twenty polls at once over two processes: one has tokens, of one family', async () => {
    const client = await deviceClient();
    const given = await codes(undefined, client);
    await allow(given);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        poll(given.device_code, client, index % 2 === 0 ? server.issuer : another.url),
      ),
    );
    const statuses = answers.map(({ status, body }) => body.error ?? status);
    expect(statuses.filter((one) => one === 200)).toHaveLength(1);
    expect(statuses.filter((one) => one === 'invalid_grant')).toHaveLength(19);
    const [family, ...more] = await familiesOf(client.clientId);
    expect([more, family?.revoked_at]).toEqual([[], null]);
    const tokens = await t.db.kysely
      .selectFrom('tokens')
      .select('kind')
      .where('client_id', '=', client.clientId)
      .execute();
    expect(tokens.map(({ kind }) => kind).toSorted()).toEqual(['access', 'refresh']);
  });

  test('two people answer one code: the first counts, and one family is made', async () => {
    const client = await deviceClient();
    const given = await codes(undefined, client);
    const other = await server.createAccount();
    const [hers, his] = [browserFrom(), browserFrom()];
    const herPage = await enterCode(hers, server, given.user_code, account);
    const hisPage = await enterCode(his, server, given.user_code, other);
    const both = await Promise.all([
      hers.submit(herPage, {}, 'allow'),
      his.submit(hisPage, {}, 'allow'),
    ]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
    const families = await familiesOf(client.clientId);
    const row = await rowOf(given);
    expect(families.map(({ id, account_id: id2 }) => [id, id2])).toEqual([
      [row.grant_id, row.account_id],
    ]);
    const third = browserFrom();
    const late = await third.submit(await third.get(`${server.issuer}/device`), {
      code: given.user_code,
    });
    expect([late.status, late.text.includes('That code didn’t work')]).toEqual([400, true]);
  });

  test('SECURITY 23: an account or a client that was disabled meanwhile gets nothing', async () => {
    const leaver = await server.createAccount();
    const given = await codes();
    await allow(given, { as: leaver });
    await server.services.accounts.setDisabled(leaver.id, true, 'test');
    expect((await poll(given.device_code)).body.error).toBe('invalid_grant');
    const client = await deviceClient();
    const [allowed, open] = [await codes(undefined, client), await codes(undefined, client)];
    await allow(allowed);
    const browser = browserFrom();
    const waiting = await enterCode(browser, server, open.user_code, account);
    await server.services.clients.setDisabled(client.clientId, true, 'test');
    expect((await poll(allowed.device_code, client, another.url)).status).not.toBe(200);
    await untilUnknown(client);
    expect((await browser.submit(waiting, {}, 'allow')).status).toBeGreaterThanOrEqual(400);
    expect((await rowOf(open)).state).toBe('pending');
    const entry = browserFrom();
    const refused = await entry.submit(await entry.get(`${server.issuer}/device`), {
      code: open.user_code,
    });
    expect(refused.status).toBe(400);
  });

  test('a browser without a session is told what went wrong, too, and is given none for it', async () => {
    const stray = browserFrom();
    const nothing = await stray.get(`${server.issuer}/device/nothing-begun`);
    expect([nothing.status, nothing.title]).toEqual([400, 'This sign-in has expired · Vouchsafe']);
    expect(Object.keys(stray.cookies()).join()).not.toContain('vs_session');
    const client = await deviceClient();
    const [early, late] = [browserFrom(), browserFrom()];
    const begin = async (browser: Browser) => {
      const { user_code: code } = await codes(undefined, client);
      return browser.submitOnce(await browser.get(`${server.issuer}/device`), { code });
    };
    const begun = await begin(early);
    const signIn = await late.get((await begin(late)).headers.get('location') as string);
    const { email, password } = account;
    const signedIn = await late.submitOnce(signIn, { email, password });
    await server.services.clients.setDisabled(client.clientId, true, 'test');
    await untilUnknown(client);
    for (const [browser, answer] of [
      [early, begun],
      [late, signedIn],
    ] as const) {
      const page = await browser.get(answer.headers.get('location') as string);
      expect([page.status, page.title]).toEqual([400, 'We don’t know this app · Vouchsafe']);
    }
    expect(Object.keys(early.cookies()).join()).not.toContain('vs_session');
  });

  test('SECURITY 12: a family that was revoked before the device fetched it gives nothing', async () => {
    const given = await codes();
    await allow(given);
    const { grant_id: grantId } = await rowOf(given);
    await sql`update grants set revoked_at = now(), revoked_reason = 'test' where id = ${grantId}`.execute(
      t.db.kysely,
    );
    const { status, body } = await poll(given.device_code);
    expect([status, body.error]).toEqual([400, 'invalid_grant']);
    expect((await rowOf(given)).consumed_at).toBeNull();
  });

  test('SECURITY 26: what began in one browser goes on in no other', async () => {
    const given = await codes();
    const browser = browserFrom();
    const entry = await browser.get(`${server.issuer}/device`);
    const begun = await browser.submitOnce(entry, { code: given.user_code });
    const resume = begun.headers.get('location') as string;
    expect(resume).toMatch(/\/device\/[\w-]{43}$/);
    const thief = browserFrom();
    const uid = resume.split('/').at(-1) as string;
    thief.setCookie('vs_resume', uid);
    const stolen = await thief.get(resume);
    expect([stolen.status, stolen.title]).toEqual([
      400,
      'This started in another browser · Vouchsafe',
    ]);
    const signIn = await browser.get(resume);
    const carried = await thief.get(signIn.url);
    expect(carried.status).toBe(400);
    expect((await poll(given.device_code)).body.error).toBe('authorization_pending');
  });

  test('another site cannot post a code', async () => {
    const given = await codes();
    const browser = browserFrom();
    browser.headers = { ...browser.headers, 'sec-fetch-site': 'cross-site' };
    const page = await browser.post(`${server.issuer}/device`, { code: given.user_code });
    expect(page.status).toBe(403);
  });
});

describe('SECURITY 19: guesses at user codes', () => {
  const guess = (browser: Browser, code = 'BBBB-BBBB') =>
    browser.post(`${server.issuer}/device`, { code });

  test('one answer for codes that are unknown, expired and used', async () => {
    const [used, expired] = [await codes(), await codes()];
    await allow(used);
    await expire(expired);
    const browser = browserFrom();
    const pages = [];
    for (const code of ['BBBB-BBBB', used.user_code, expired.user_code])
      pages.push(await guess(browser, code));
    const seen = pages.map((page) => [page.status, page.html.replace(/value="[^"]*"/, '')]);
    expect(seen[0]?.[0]).toBe(400);
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(1);
  });

  test('a hundred at once from one address count as a hundred; then the right one is refused too', async () => {
    const browser = browserFrom();
    const answers = await Promise.all(Array.from({ length: 100 }, () => guess(browser)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 400)).toHaveLength(30);
    expect(statuses.filter((status) => status === 429)).toHaveLength(70);
    const given = await codes();
    const right = await guess(browser, given.user_code);
    expect(right.status).toBe(429);
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await guess(browserFrom(), given.user_code)).status).toBe(200);
  });

  test('an account that is signed in counts, wherever it guesses from', async () => {
    const browser = browserFrom();
    await allow(await codes(), { browser, as: await server.createAccount() });
    const statuses: number[] = [];
    for (let i = 0; i < 21; i++) {
      browser.headers = browserFrom().headers;
      statuses.push((await guess(browser)).status);
    }
    expect(statuses.filter((status) => status === 400)).toHaveLength(20);
    expect(statuses.at(-1)).toBe(429);
  });

  test('codes of one’s own wipe out no count', async () => {
    const browser = browserFrom();
    for (let i = 0; i < 29; i++) await guess(browser);
    const given = await codes();
    expect((await guess(browser, given.user_code)).path).toMatch(/\/interaction\//);
    expect((await guess(browser)).status).toBe(400);
    expect((await guess(browser)).status).toBe(429);
  });

  test('refusals are told to the audit, without what was typed', async () => {
    await guess(browserFrom(), 'BCDF-BCDF');
    const events = await t.db.kysely
      .selectFrom('audit_events')
      .selectAll()
      .where('type', '=', 'device.code')
      .execute();
    // Those that came too often are only counted, and written by the minute.
    expect(new Set(events.map(({ reason }) => reason))).toEqual(new Set(['wrong_code']));
    expect(JSON.stringify(events)).not.toContain('BCDF');
  });
});

describe('what a device may ask', () => {
  const request = async (form: Record<string, string>, client = tv) => {
    const { status, body } = await post(server.issuer, '/device_authorization', client, form);
    return [status, body.error];
  };

  test('nothing that its client may not have', async () => {
    expect(await request({ scope: 'openid', resource: 'https://unknown.example.com' })).toEqual([
      400,
      'invalid_target',
    ]);
    const web = await server.createClient();
    expect((await request({ scope: 'openid' }, web))[0]).toBe(400);
    expect(
      (await request({ scope: 'openid' }, { clientId: 'nobody', clientSecret: undefined }))[0],
    ).toBe(401);
    const left = await t.db.kysely
      .selectFrom('polled_requests')
      .select('id')
      .where('client_id', '=', web.clientId)
      .execute();
    expect(left).toEqual([]);
  });

  test('scopes that are not open to it are not granted', async () => {
    const given = await codes({ scope: 'openid albums:read albums:write', resource: albums });
    await allow(given);
    expect((await poll(given.device_code)).body.scope).toBe('albums:read');
  });

  test.each([
    ['address', () => '203.0.113.50'],
    ['network of IPv6', (index: number) => `2001:db8:50:1::${index.toString(16)}`],
  ])('not more often than sixty times a minute from one %s', async (_, addressOf) => {
    const client = await deviceClient();
    const statuses: number[] = [];
    let last: Page | undefined;
    const body = new URLSearchParams({ client_id: client.clientId, scope: 'openid' });
    for (let i = 0; i < 61; i++) {
      const response = await fetch(`${server.issuer}/device_authorization`, {
        method: 'POST',
        headers: { 'x-forwarded-for': addressOf(i) },
        body,
      });
      statuses.push(response.status);
      last = new Page({
        url: response.url,
        status: response.status,
        headers: response.headers,
        html: await response.text(),
        external: false,
      });
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(60);
    expect(last?.status).toBe(429);
    expect(Number(last?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(JSON.parse(last?.html ?? '{}')).toMatchObject({ error: 'temporarily_unavailable' });
  });

  test('discovery says so', async () => {
    const metadata = (await (
      await fetch(`${server.issuer}/.well-known/openid-configuration`)
    ).json()) as Record<string, unknown>;
    expect(metadata).toMatchObject({
      device_authorization_endpoint: `${server.issuer}/device_authorization`,
      grant_types_supported: expect.arrayContaining([deviceGrant]) as unknown,
    });
  });
});

/** Until this process has heard of it. */
async function untilUnknown(client: ClientCredentials): Promise<void> {
  await until(async () => {
    const { status } = await post(server.issuer, '/device_authorization', client, {});
    return status === 401;
  });
}
