import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { AccountService } from '../../src/account/account.service.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { AuthenticatorService } from '../../src/authenticator/authenticator.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { notifyClient } from '../../src/session/session.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type LogoutReceiver, openLogoutReceiver } from '../support/logout-receiver.ts';
import {
  type Authorization,
  type Credentials,
  exchange,
  isActive,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { ask, authorizationFields, cookiesOf, form, send } from '../support/wire.ts';
import { until } from '../support/process.ts';

/** Whoever is signed in is signed out everywhere that wants to hear of it: OpenID Connect Back-Channel Logout 1.0. */

const issuer = 'http://localhost:3000';
const inside = '127.0.0.1';
const jwtApi = 'https://jwt.example.com';

let database: TestDatabase;
let seed: Seed;
let servers: ServerProcess[];
let one: string;
let two: string;
let told: Credentials;
let toldToo: Credentials;
let untold: Credentials;
let receiver: LogoutReceiver;
let receiverToo: LogoutReceiver;
let accounts: AccountService;
let authenticators: AuthenticatorService;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db, [inside]);
  servers = await Promise.all([1, 2].map(() => start()));
  [one, two] = servers.map((server) => server.url) as [string, string];
  await seed.api(jwtApi, 'jwt');
  const apis = [{ identifier: jwtApi, scopes: ['read'] }];
  receiver = await openLogoutReceiver(
    issuer,
    () => two,
    () => told.clientId,
  );
  receiverToo = await openLogoutReceiver(
    issuer,
    () => two,
    () => toldToo.clientId,
  );
  told = await seed.client({ apis, backchannelLogoutUri: receiver.uri });
  toldToo = await seed.client({
    apis,
    backchannelLogoutUri: receiverToo.uri,
    idTokenSigningAlg: 'ES256',
  });
  untold = await seed.client({ apis });
  const sealer = new Sealer([testMasterKey]);
  accounts = new AccountService(database.db, new Passwords(), sealer, {
    requireSecondFactor: 'administrators',
    brandName: 'Vouchsafe',
  });
  authenticators = new AuthenticatorService(database.db, accounts, sealer);
});

afterEach(() => {
  for (const each of [receiver, receiverToo]) {
    each.received.length = 0;
    each.refused.length = 0;
    each.answerWith(200);
    each.onRequest = () => undefined;
  }
});

afterAll(async () => {
  await Promise.all([
    ...servers.map((server) => server.stop()),
    receiver.close(),
    receiverToo.close(),
  ]);
  await database.drop();
});

const start = (env: Record<string, string> = {}) =>
  startServerProcess(database, issuer, { OUTBOUND_ALLOW: inside, LOG_LEVEL: 'silent', ...env });

async function person(): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  for (const each of [told, toldToo, untold])
    await seed.consent(accountId, each.clientId, { [jwtApi]: ['read'] });
  return { accountId, browser: await seed.signIn(accountId) };
}

const tokensFor = async (
  browser: SignedInBrowser,
  of: Credentials,
  extra: Record<string, string> = { scope: 'openid' },
) => (await exchange(one, of, await browser.authorize(one, of, extra))).body;

const sidIn = (tokens: Record<string, unknown>) =>
  decodeJwt(tokens.id_token as string).sid as string;

/** The page that asks, and its button; without one, the client alone is left. */
async function signOut(
  server: string,
  browser: SignedInBrowser,
  { everywhere = true, hint }: { everywhere?: boolean; hint?: string } = {},
) {
  const page = await send(server, `/logout${hint === undefined ? '' : `?id_token_hint=${hint}`}`, {
    headers: { accept: 'text/html', ...cookiesOf(browser) },
  });
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1];
  return send(server, '/logout/confirm', {
    method: 'POST',
    headers: { accept: 'text/html', ...cookiesOf(browser) },
    body: form({ xsrf, ...(everywhere ? { logout: 'yes' } : {}) }),
  });
}

async function isSignedIn(browser: SignedInBrowser, server = two): Promise<boolean> {
  const { fields } = authorizationFields(untold, { prompt: 'none' });
  const { location } = await ask(server, fields, { browser: browser.tab() });
  const { searchParams } = new URL(location ?? '');
  expect(searchParams.get('code') ?? searchParams.get('error')).toBeTruthy();
  return searchParams.has('code');
}

const rows = () =>
  database.db.kysely
    .selectFrom('outbox')
    .selectAll()
    .where('kind', '=', 'backchannel_logout')
    .orderBy('created_at')
    .execute();
const openRows = async () => (await rows()).filter((row) => row.done_at === null);
const settled = () => until(async () => (await openRows()).length === 0);
/** Makes what waits for its next try due now. */
const hurry = () =>
  database.db.kysely
    .updateTable('outbox')
    .set({ due_at: sql<Date>`now()`, leased_until: null })
    .where('kind', '=', 'backchannel_logout')
    .where('done_at', 'is', null)
    .execute();

/** Until so many connections wait for somebody's lock. */
const waiting = (count: number) =>
  until(async () => {
    const { rows: found } = await sql<{ count: number }>`
      select count(*) as count from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(database.db.kysely);
    return found[0]?.count === count;
  });

const sids = (of: LogoutReceiver) => of.received.map(({ claims }) => String(claims.sid)).toSorted();

describe('COMPATIBILITY 20: who is told of a sign-out', () => {
  test('each client of the session that wants to hear of it, once, by the sid of its own ID token', async () => {
    const { accountId, browser } = await person();
    const tokens = await tokensFor(browser, told);
    const tokensToo = await tokensFor(browser, toldToo, { scope: 'openid offline_access' });
    const untoldTokens = await tokensFor(browser, untold);
    // Who can't be told is told no name of the session either.
    expect(decodeJwt(untoldTokens.id_token as string)).not.toHaveProperty('sid');
    expect((await signOut(one, browser)).status).toBe(303);
    await settled();
    expect([sids(receiver), sids(receiverToo)]).toEqual([[sidIn(tokens)], [sidIn(tokensToo)]]);
    expect([...receiver.refused, ...receiverToo.refused]).toEqual([]);
    const [{ claims, header }] = receiver.received as [(typeof receiver.received)[0]];
    expect(claims).toEqual({
      iss: issuer,
      aud: told.clientId,
      sub: accountId,
      sid: sidIn(tokens),
      iat: expect.any(Number),
      exp: (claims.iat as number) + 120,
      jti: expect.any(String),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    });
    expect(header).toEqual({ alg: 'RS256', typ: 'logout+jwt', kid: expect.any(String) });
    expect(receiverToo.received[0]?.header).toMatchObject({ alg: 'ES256', typ: 'logout+jwt' });
    // What may live on without the browser does.
    expect((await refresh(two, toldToo, tokensToo.refresh_token)).status).toBe(200);
    expect(await isActive(two, told, tokens.access_token)).toBe(false);
    // What was delivered holds nothing any more.
    expect(await rows()).toMatchObject(
      [1, 2].map(() => ({ attempts: 1, about: null, payload_sealed: null, dead_at: null })),
    );
  });

  test('a sign-out on the account page tells the same', async () => {
    const { browser } = await person();
    const tokens = await tokensFor(browser, told);
    const answer = await send(two, '/account/sign-out', {
      method: 'POST',
      headers: { origin: issuer, ...cookiesOf(browser) },
      body: form({}),
    });
    expect(answer.status).toBe(303);
    expect(await isSignedIn(browser, one)).toBe(false);
    await settled();
    expect(sids(receiver)).toEqual([sidIn(tokens)]);
  });

  test('twice at once on two processes, it is told once', async () => {
    const { browser } = await person();
    const tokens = await tokensFor(browser, told);
    const page = await send(one, '/logout', {
      headers: { accept: 'text/html', ...cookiesOf(browser) },
    });
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1];
    const headers = { accept: 'text/html', ...cookiesOf(browser) };
    await Promise.all(
      [one, two, one, two].map((server) =>
        send(server, '/logout/confirm', {
          method: 'POST',
          headers,
          body: form({ xsrf, logout: 'yes' }),
        }),
      ),
    );
    await settled();
    expect(sids(receiver)).toEqual([sidIn(tokens)]);
  });

  test('who leaves one app alone: that app and no other', async () => {
    const { browser } = await person();
    const tokens = await tokensFor(browser, told);
    await tokensFor(browser, toldToo);
    await signOut(one, browser, { everywhere: false, hint: tokens.id_token as string });
    await settled();
    expect(sids(receiver)).toEqual([sidIn(tokens)]);
    expect(receiverToo.received).toEqual([]);
    expect(await isActive(two, told, tokens.access_token)).toBe(false);
    // Whoever comes back is a new one, and so is its name.
    const again = await tokensFor(browser, told);
    expect(sidIn(again)).not.toBe(sidIn(tokens));
  });

  test('a client that is disabled, or has taken its URI back, is told nothing', async () => {
    const gone = await seed.client({ backchannelLogoutUri: receiver.uri });
    const changed = await seed.client({ backchannelLogoutUri: receiver.uri });
    const { accountId, browser } = await person();
    for (const each of [gone, changed]) {
      await seed.consent(accountId, each.clientId);
      await tokensFor(browser, each);
    }
    await seed.disableClient(gone.clientId);
    await seed.updateClient(changed.clientId, { backchannelLogoutUri: null });
    await signOut(one, browser);
    await settled();
    expect([...receiver.received, ...receiver.refused]).toEqual([]);
  });

  test('two tabs that bring it into the session at once know that by one name', async () => {
    const { browser } = await person();
    const tabs = await database.db.transaction(async (db) => {
      await sql`select uid from sessions where uid = ${browser.sessionUid} for update`.execute(db);
      const both = [one, two].map((server) =>
        browser.tab().authorize(server, told, { scope: 'openid' }),
      );
      await waiting(2);
      return both;
    });
    const tokens = await Promise.all(
      tabs.map(async (code) => (await exchange(one, told, await code)).body),
    );
    const [first, second] = tokens.map(sidIn);
    expect(first).toBe(second);
    await signOut(two, browser);
    await settled();
    expect(sids(receiver)).toEqual([first]);
  });

  test('discovery says so', async () => {
    const { json } = await send(one, '/.well-known/openid-configuration');
    expect(json).toMatchObject({
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    });
  });
});

test('COMPATIBILITY 20: userinfo answers by GET and by POST, with the token in the header or in the form', async () => {
  const { accountId, browser } = await person();
  const { access_token: token } = await tokensFor(browser, told, { scope: 'openid email' });
  const headers = { authorization: `Bearer ${token}` };
  const answers = await Promise.all([
    send(one, '/userinfo', { headers }),
    send(two, '/userinfo', { method: 'POST', headers }),
    send(one, '/userinfo', { method: 'POST', body: form({ access_token: token }) }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(answers[0]?.json).toMatchObject({ sub: accountId, email: expect.any(String) });
});

describe('SECURITY 22: what an administrator ends', () => {
  test.each([
    ['the account', (id: string) => accounts.setDisabled(id, true, 'test')],
    ['its second factor', (id: string) => authenticators.reset(id, 'test')],
    ['all its sessions', (id: string) => accounts.signOut(id, 'test')],
  ])(
    '%s: every cookie and every token of every session is dead on both processes, and the clients are told',
    async (_, end) => {
      const { accountId, browser } = await person();
      const elsewhere = await seed.signIn(accountId);
      const bound = await tokensFor(browser, told);
      const jwt = await tokensFor(browser, told, { scope: 'openid read', resource: jwtApi });
      const offline = await tokensFor(elsewhere, toldToo, { scope: 'openid offline_access' });
      const there = await tokensFor(elsewhere, told);
      const code = await browser.authorize(one, untold, { scope: 'openid' });
      const uids = [browser.sessionUid, elsewhere.sessionUid];
      await end(accountId);
      for (const server of [one, two]) {
        expect(await isActive(server, told, bound.access_token)).toBe(false);
        expect(await isActive(server, told, jwt.access_token)).toBe(false);
        expect(await isActive(server, told, there.access_token)).toBe(false);
        expect(await isActive(server, toldToo, offline.access_token)).toBe(false);
        expect(await isActive(server, toldToo, offline.refresh_token)).toBe(false);
        expect((await refresh(server, toldToo, offline.refresh_token)).body.error).toBe(
          'invalid_grant',
        );
        expect((await exchange(server, untold, code)).body.error).toBe('invalid_grant');
        for (const tokens of [bound, jwt, offline]) {
          const headers = { authorization: `Bearer ${tokens.access_token}` };
          expect((await send(server, '/userinfo', { headers })).status).toBe(401);
          expect((await send(server, '/userinfo', { method: 'POST', headers })).status).toBe(401);
        }
        for (const each of [browser, elsewhere]) {
          expect(await isSignedIn(each, server)).toBe(false);
          const account = await send(server, '/account', {
            headers: { accept: 'text/html', ...cookiesOf(each) },
          });
          expect([account.status, account.location]).toEqual([
            303,
            expect.stringContaining('/authorize?'),
          ]);
        }
      }
      const sessions = await database.db.kysely
        .selectFrom('sessions')
        .select('ended_at')
        .where('uid', 'in', uids)
        .execute();
      expect(sessions).toEqual([1, 2].map(() => ({ ended_at: expect.any(Date) })));
      const families = await database.db.kysely
        .selectFrom('grants')
        .select('revoked_at')
        .where('account_id', '=', accountId)
        .execute();
      expect(families).toHaveLength(4);
      expect(families.every((family) => family.revoked_at !== null)).toBe(true);
      // Nobody on this process has written of it, so that it is found and not rung for.
      await settled();
      expect(sids(receiver)).toEqual([sidIn(bound), sidIn(there)].toSorted());
      expect(sids(receiverToo)).toEqual([sidIn(offline)]);
    },
  );

  test('a session that was deleted from the table is worth nothing, nor what is bound to it', async () => {
    const { browser } = await person();
    const bound = await tokensFor(browser, untold);
    const jwt = await tokensFor(browser, untold, { scope: 'openid read', resource: jwtApi });
    await database.db.kysely.deleteFrom('sessions').where('uid', '=', browser.sessionUid).execute();
    for (const server of [one, two]) {
      expect(await isActive(server, untold, bound.access_token)).toBe(false);
      expect(await isActive(server, untold, jwt.access_token)).toBe(false);
      const headers = { authorization: `Bearer ${bound.access_token}` };
      expect((await send(server, '/userinfo', { headers })).status).toBe(401);
      expect(await isSignedIn(browser, server)).toBe(false);
    }
  });
});

describe('delivery', () => {
  async function signedOut(): Promise<string> {
    const { browser } = await person();
    const tokens = await tokensFor(browser, told);
    await signOut(one, browser);
    return sidIn(tokens);
  }

  test('is tried again until it is taken, each time with a fresh token of the same jti', async () => {
    receiver.answerWith(503, 500, 204);
    const sid = await signedOut();
    for (const attempts of [1, 2]) {
      await until(async () => {
        const [row] = await openRows();
        return row?.attempts === attempts && row.leased_until === null;
      });
      expect((await openRows())[0]).toMatchObject({
        last_error: expect.stringMatching(/^logout_not_taken 127\.0\.0\.1:\d+ status 50[03]$/),
      });
      await hurry();
    }
    await settled();
    expect(sids(receiver)).toEqual([sid, sid, sid]);
    expect(new Set(receiver.received.map(({ claims }) => claims.jti)).size).toBe(1);
    const signatures = receiver.received.map(({ token }) => token.split('.')[2]);
    const times = receiver.received.map(({ claims }) => claims.iat);
    expect(new Set(signatures).size).toBe(new Set(times).size);
  });

  test('is over with a 400: the client has said that it will not take it', async () => {
    receiver.answerWith(400);
    await signedOut();
    await until(async () =>
      /^undeliverable 127\.0\.0\.1:\d+ status 400$/.test((await openRows())[0]?.last_error ?? ''),
    );
    expect(receiver.received).toHaveLength(1);
    expect((await openRows())[0]).toMatchObject({
      attempts: 1,
      dead_at: expect.any(Date),
    });
    await database.db.kysely.deleteFrom('outbox').where('dead_at', 'is not', null).execute();
  });

  test('SECURITY 9: goes to no redirect', async () => {
    receiver.answerWith({ location: receiverToo.uri });
    await signedOut();
    await until(async () =>
      ((await openRows())[0]?.last_error ?? '').startsWith('logout_not_taken '),
    );
    expect(receiver.received).toHaveLength(1);
    expect([...receiverToo.received, ...receiverToo.refused]).toEqual([]);
    receiver.answerWith(200);
    await hurry();
    await settled();
  });

  test('SECURITY 9: goes to no inside host, wherever the registration has it from', async () => {
    const strict = new URL(receiver.uri);
    for (const host of ['127.0.0.2', '[::1]', '169.254.169.254']) {
      strict.protocol = 'https:';
      strict.host = `${host}:${strict.port}`;
      // As though it had been a name of the outside world when it was registered.
      const client = await seed.client({ backchannelLogoutUri: receiver.uri });
      await sql`update clients set metadata = metadata || ${JSON.stringify({ backchannel_logout_uri: strict.href })}::jsonb where id = ${client.clientId}`.execute(
        database.db.kysely,
      );
      const { accountId, browser } = await person();
      await seed.consent(accountId, client.clientId);
      await tokensFor(browser, client);
      await signOut(one, browser);
      await until(async () =>
        ((await openRows())[0]?.last_error ?? '').startsWith(`outbound_refused ${strict.host}`),
      );
      expect([...receiver.received, ...receiver.refused]).toEqual([]);
      await database.db.kysely
        .deleteFrom('outbox')
        .where('kind', '=', 'backchannel_logout')
        .execute();
    }
  });

  test('to one that lets everybody wait holds up no other', async () => {
    const { accountId, browser } = await person();
    receiver.onRequest = () => new Promise<never>(() => undefined);
    for (let i = 0; i < 160; i++)
      await notifyClient(database.db.kysely, {
        clientId: told.clientId,
        accountId,
        sid: `before ${i}`,
      });
    await until(async () => receiver.received.length > 0);
    const sid = sidIn(await tokensFor(browser, toldToo));
    await signOut(one, browser);
    // All of the others would take a minute.
    await until(async () => receiverToo.received.length > 0);
    expect(sids(receiverToo)).toEqual([sid]);
    await database.db.kysely
      .deleteFrom('outbox')
      .where('kind', '=', 'backchannel_logout')
      .execute();
  });

  test('a process that dies between the commit and the delivery leaves it to another one', async () => {
    const { browser } = await person();
    const tokens = await tokensFor(browser, told);
    const others = [await person(), await person()];
    for (const other of others) await tokensFor(other.browser, told);
    const dying = await start();
    try {
      const page = async (of: SignedInBrowser) =>
        /name="xsrf" value="([^"]+)"/.exec(
          (
            await send(dying.url, '/logout', {
              headers: { accept: 'text/html', ...cookiesOf(of) },
            })
          ).text,
        )?.[1];
      const confirm = (of: SignedInBrowser, xsrf: string | undefined) =>
        send(dying.url, '/logout/confirm', {
          method: 'POST',
          headers: { accept: 'text/html', ...cookiesOf(of) },
          body: form({ xsrf, logout: 'yes' }),
        });
      // The first one fills the caches, so that the second one asks what the third one will.
      for (const other of others) {
        const xsrf = await page(other.browser);
        await dying.arm();
        await confirm(other.browser, xsrf);
      }
      const commit = await dying.statements();
      await settled();
      receiver.received.length = 0;
      const xsrf = await page(browser);
      await dying.arm({ at: commit, when: 'after' });
      await expect(confirm(browser, xsrf)).rejects.toThrow();
      await dying.ended;
    } finally {
      await dying.stop();
    }
    expect(await isSignedIn(browser)).toBe(false);
    await settled();
    expect(sids(receiver)).toEqual([sidIn(tokens)]);
  });

  test('a process that dies after the delivery, before it is noted, leaves it to be told again by the same jti', async () => {
    const { browser } = await person();
    await tokensFor(browser, told);
    // Nobody else is there to deliver it.
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    const dying = await start();
    [one, two] = [dying.url, dying.url];
    receiver.onRequest = async () => {
      receiver.onRequest = () => undefined;
      await dying.stop();
    };
    await signOut(dying.url, browser);
    await dying.ended;
    expect(await openRows()).toMatchObject([{ attempts: 1, done_at: null }]);
    servers = await Promise.all([start(), start()]);
    [one, two] = servers.map((server) => server.url) as [string, string];
    // Its lease is over.
    await hurry();
    await settled();
    expect(receiver.received).toHaveLength(2);
    expect(new Set(receiver.received.map(({ claims }) => claims.jti)).size).toBe(1);
  });
});

describe('a sign-out in the very instant of something else', () => {
  /** Somebody whose apps keep nothing when the browser signs out, and the button of the page that asks. */
  async function asked() {
    const { accountId, browser } = await person();
    await sql`update consents set granted = jsonb_set(granted, '{scopes}', '["openid", "email"]')
      where account_id = ${accountId}`.execute(database.db.kysely);
    const headers = { accept: 'text/html', ...cookiesOf(browser) };
    const page = await send(two, '/logout', { headers });
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1];
    const confirm = () =>
      send(two, '/logout/confirm', {
        method: 'POST',
        headers,
        body: form({ xsrf, logout: 'yes' }),
      });
    return { accountId, browser, confirm };
  }

  const familiesOf = (accountId: string) =>
    database.db.kysely
      .selectFrom('grants')
      .select(['revoked_at', 'revoked_reason'])
      .where('account_id', '=', accountId)
      .execute();

  /** Runs both with the session's row held, so that each has begun before the other has committed. */
  async function inThisOrder<A, B>(uid: string, first: () => Promise<A>, second: () => Promise<B>) {
    return database.db.transaction(async (db) => {
      await sql`select uid from sessions where uid = ${uid} for update`.execute(db);
      const running = [Promise.allSettled([first()])];
      await waiting(1);
      running.push(Promise.allSettled([second()]) as never);
      await waiting(2);
      return () => Promise.all(running).then((results) => results.flat());
    });
  }
  const jwtRequest = { scope: 'openid read', resource: jwtApi };

  test('a single sign-on in another tab: its family dies with the others, and its client is told', async () => {
    const { accountId, browser, confirm } = await asked();
    const results = await inThisOrder(
      browser.sessionUid,
      () => browser.tab().authorize(one, told, jwtRequest),
      confirm,
    );
    const [authorization, signedOut] = await results();
    expect(signedOut).toMatchObject({ value: { status: 303 } });
    expect(await familiesOf(accountId)).toEqual([
      { revoked_at: expect.any(Date), revoked_reason: 'signed_out' },
    ]);
    const code = (authorization as { value: unknown }).value as Authorization;
    expect((await exchange(one, told, code)).body.error).toBe('invalid_grant');
    await settled();
    expect(receiver.received).toHaveLength(1);
  });

  test('a single sign-on that comes second gives nothing', async () => {
    const { accountId, browser, confirm } = await asked();
    const results = await inThisOrder(browser.sessionUid, confirm, () =>
      browser.tab().authorize(one, told, jwtRequest),
    );
    expect((await results()).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(await familiesOf(accountId)).toEqual([]);
    await settled();
    expect(receiver.received).toEqual([]);
  });

  test('an exchange for a JWT that comes second gives none', async () => {
    const { accountId, browser, confirm } = await asked();
    const code = await browser.authorize(one, told, jwtRequest);
    const results = await inThisOrder(browser.sessionUid, confirm, () => exchange(one, told, code));
    const [, exchanged] = await results();
    expect(exchanged).toMatchObject({ value: { status: 400, body: { error: 'invalid_grant' } } });
    const tokens = await database.db.kysely
      .selectFrom('tokens')
      .select(['kind', 'consumed_at'])
      .where('account_id', '=', accountId)
      .execute();
    expect(tokens).toEqual([{ kind: 'code', consumed_at: null }]);
    await settled();
  });

  test('many of both, in any order: nothing of the session lives', async () => {
    const { accountId, browser, confirm } = await asked();
    await Promise.allSettled([
      ...Array.from({ length: 10 }, async (_, index) => {
        const [server, client] = [index % 2 === 0 ? one : two, index % 3 === 0 ? told : untold];
        const code = await browser.tab().authorize(server, client, jwtRequest);
        return exchange(server, client, code);
      }),
      confirm(),
      confirm(),
    ]);
    expect(await isSignedIn(browser)).toBe(false);
    for (const family of await familiesOf(accountId))
      expect(family.revoked_at).toEqual(expect.any(Date));
    await settled();
  });
});
