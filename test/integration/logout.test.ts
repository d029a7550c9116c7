import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  post,
  refresh,
  Seed,
  SignedInBrowser,
  cookieOf,
} from '../support/protocol.ts';
import { startServer } from '../support/server.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import {
  type Answer,
  answered,
  ask,
  authorizationFields,
  cookiesOf,
  countRows,
  type Fields,
  form,
  query,
  send,
} from '../support/wire.ts';

/** Signing out, and sessions that somebody else would like to have: SECURITY.md, tables 4, 5, 7, 18, 21, 22 and 26. */

const issuer = 'http://localhost:3000';
const bye = 'https://app.example.com/bye';
const jwtApi = 'https://jwt.example.com';

let database: TestDatabase;
let seed: Seed;
let servers: ServerProcess[];
let one: string;
let two: string;
let client: Credentials;
let other: Credentials;
let apiCredentials: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  servers = await Promise.all([1, 2].map(() => startServerProcess(database, issuer)));
  [one, two] = servers.map((server) => server.url) as [string, string];
  apiCredentials = await seed.api(jwtApi, 'jwt');
  const apis = [{ identifier: jwtApi, scopes: ['read'] }];
  client = await seed.client({
    apis,
    postLogoutRedirectUris: [bye, 'https://app.example.com/bye?tenant=1'],
  });
  other = await seed.client({ apis, postLogoutRedirectUris: ['https://other.example.com/bye'] });
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

async function person(): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  for (const each of [client, other])
    await seed.consent(accountId, each.clientId, { [jwtApi]: ['read'] });
  return { accountId, browser: await seed.signIn(accountId) };
}

const tokensFor = async (
  browser: SignedInBrowser,
  scope: string,
  of = client,
  extra: Record<string, string> = {},
) => (await exchange(one, of, await browser.authorize(one, of, { scope, ...extra }))).body;

const hintFor = async (browser: SignedInBrowser, of = client) =>
  (await tokensFor(browser, 'openid', of)).id_token as string;

/** What the browser keeps of an answer. */
function keep(browser: SignedInBrowser, answer: Answer): Answer {
  for (const line of answer.cookies) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) browser.cookies.delete(name);
    else browser.cookies.set(name, value);
  }
  return answer;
}

const get = async (server: string, browser: SignedInBrowser, path: string) =>
  keep(
    browser,
    await send(server, path, { headers: { accept: 'text/html', ...cookiesOf(browser) } }),
  );
const logout = (browser: SignedInBrowser, fields: Fields = {}, server = one) =>
  get(server, browser, `/logout?${query(fields)}`);
const confirm = async (
  browser: SignedInBrowser,
  fields: Fields,
  headers: Record<string, string> = {},
  server = one,
) =>
  keep(
    browser,
    await send(server, '/logout/confirm', {
      method: 'POST',
      headers: { accept: 'text/html', ...cookiesOf(browser), ...headers },
      body: form(fields),
    }),
  );
const xsrfOf = (page: Answer) => /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1];

/** Both steps: the page, and the button on it. */
async function signOut(browser: SignedInBrowser, fields: Fields = {}): Promise<Answer> {
  const page = await logout(browser, fields);
  expect(page.status).toBe(200);
  return confirm(browser, { xsrf: xsrfOf(page), logout: 'yes' });
}

/** The page that asks whether to sign out, with nothing on it of the app that the request names. */
async function expectPlainQuestion(browser: SignedInBrowser, fields: Fields): Promise<Answer> {
  const page = await logout(browser, fields);
  expect(page).toMatchObject({ status: 200, location: undefined });
  expect(xsrfOf(page)).toBeDefined();
  expect(page.text).not.toMatch(/Quillet|app\.example\.com|the-state/);
  return page;
}

/** Whether somebody is signed in with these cookies. */
async function isSignedIn(browser: SignedInBrowser, server = two): Promise<boolean> {
  const { location, text, status } = await ask(
    server,
    authorizationFields(client, { prompt: 'none' }).fields,
    { browser: browser.tab() },
  );
  const { code, error } = answered(location);
  if (code === undefined && error !== 'login_required')
    throw new Error(`neither: ${status} ${location} ${text}`);
  return code !== undefined;
}

const sessionOf = (uid: string) =>
  database.db.kysely
    .selectFrom('sessions')
    .selectAll()
    .where('uid', '=', uid)
    .executeTakeFirstOrThrow();
const active = async (token: string, caller: Credentials) =>
  (await post(two, '/introspect', caller, { token })).body.active;

describe('sign-out', () => {
  test('COMPATIBILITY 20: asks first, then ends the session and goes to the registered URI with the state, and nothing else', async () => {
    const { browser } = await person();
    const id_token_hint = await hintFor(browser);
    const before = browser.tab();
    const page = await logout(browser, {
      id_token_hint,
      post_logout_redirect_uri: bye,
      state: 'the & state',
    });
    expect(page).toMatchObject({ status: 200, location: undefined });
    expect(page.text).toContain('Quillet');
    expect(await isSignedIn(browser)).toBe(true);
    const answer = await confirm(browser, { xsrf: xsrfOf(page), logout: 'yes' });
    expect(answer.status).toBe(303);
    expect(answer.location).toBe(`${bye}?state=the+%26+state`);
    expect((await sessionOf(browser.sessionUid)).ended_at).toBeInstanceOf(Date);
    expect(browser.cookies.has('vs_session_3000')).toBe(false);
    // Table 22: the cookie as it was, replayed, on either process.
    for (const server of [one, two]) expect(await isSignedIn(before, server)).toBe(false);
    expect((await get(one, before, '/account')).status).not.toBe(200);
    const events = await database.db.kysely
      .selectFrom('audit_events')
      .select(['type', 'outcome'])
      .where('type', '=', 'session.ended')
      .where('client_id', '=', client.clientId)
      .execute();
    expect(events).toContainEqual({ type: 'session.ended', outcome: 'success' });
  });

  test('a GET alone ends nothing, by whoever it was caused', async () => {
    const { browser } = await person();
    const id_token_hint = await hintFor(browser);
    for (const fields of [
      {},
      { id_token_hint },
      { id_token_hint, post_logout_redirect_uri: bye },
      { client_id: client.clientId },
      { logout: 'yes', xsrf: 'x' },
    ]) {
      await send(one, `/logout?${query(fields)}`, { method: 'HEAD', headers: cookiesOf(browser) });
      await send(one, `/logout?${query(fields)}`, {
        headers: {
          ...cookiesOf(browser),
          'sec-fetch-site': 'cross-site',
          'sec-fetch-dest': 'image',
        },
      });
      await send(one, `/logout/confirm?${query(fields)}`, { headers: cookiesOf(browser) });
    }
    expect(await isSignedIn(browser)).toBe(true);
    expect((await sessionOf(browser.sessionUid)).ended_at).toBeNull();
  });

  test('without a hint it asks as well, and stays with us', async () => {
    const { browser } = await person();
    const answer = await signOut(browser);
    expect(answer.location).toBe(`${issuer}/logout/success`);
    expect(await isSignedIn(browser)).toBe(false);
    expect(await get(one, browser, '/logout/success')).toMatchObject({ status: 200 });
  });

  test('who is not signed in signs out without an error', async () => {
    const stranger = new SignedInBrowser('', new Map());
    const answer = await logout(stranger);
    expect(answer).toMatchObject({ status: 303, location: `${issuer}/logout/success` });
    expect(await get(one, stranger, '/logout/success')).toMatchObject({ status: 200 });
  });

  test('session-bound tokens die with it; those that were given offline_access live', async () => {
    const { browser } = await person();
    const offline = await tokensFor(browser, 'openid offline_access', other);
    const bound = await tokensFor(browser, 'openid');
    const boundJwt = await tokensFor(browser, 'openid read', client, { resource: jwtApi });
    const code = await browser.authorize(one, client, { scope: 'openid' });
    const elsewhere = await seed.signIn((await sessionOf(browser.sessionUid)).account_id as string);
    const there = await tokensFor(elsewhere, 'openid');
    expect([
      await active(bound.access_token, client),
      await active(boundJwt.access_token, apiCredentials),
      await active(offline.access_token, other),
    ]).toEqual([true, true, true]);
    await signOut(browser);
    expect([
      await active(bound.access_token, client),
      await active(boundJwt.access_token, apiCredentials),
      await active(boundJwt.access_token, client),
    ]).toEqual([false, false, false]);
    expect(
      (await send(two, '/userinfo', { headers: { authorization: `Bearer ${bound.access_token}` } }))
        .status,
    ).toBe(401);
    expect((await exchange(two, client, code)).body.error).toBe('invalid_grant');
    expect(await active(offline.access_token, other)).toBe(true);
    expect((await refresh(two, other, offline.refresh_token)).status).toBe(200);
    // Another browser of the same person is not touched.
    expect(await isSignedIn(elsewhere)).toBe(true);
    expect(await active(there.access_token, client)).toBe(true);
  });

  test('it ends every app of the session, whichever asked for it', async () => {
    const { browser, accountId } = await person();
    const [first, second] = [
      await tokensFor(browser, 'openid'),
      await tokensFor(browser, 'openid', other),
    ];
    await signOut(browser, {
      id_token_hint: first.id_token as string,
      post_logout_redirect_uri: bye,
    });
    expect([
      await active(first.access_token, client),
      await active(second.access_token, other),
    ]).toEqual([false, false]);
    const families = await database.db.kysely
      .selectFrom('grants')
      .select(['revoked_at'])
      .where('account_id', '=', accountId)
      .execute();
    expect(families.map((family) => family.revoked_at)).toEqual([
      expect.any(Date),
      expect.any(Date),
    ]);
  });

  test('leaving one app alone ends what is bound of that app, and not the sign-in', async () => {
    const { browser } = await person();
    const [first, second] = [
      await tokensFor(browser, 'openid'),
      await tokensFor(browser, 'openid', other),
    ];
    const page = await logout(browser, {
      id_token_hint: first.id_token as string,
      post_logout_redirect_uri: bye,
    });
    // A post that names no button: it must not sign out.
    expect((await confirm(browser, { xsrf: xsrfOf(page) })).location).toBe(bye);
    expect(await isSignedIn(browser)).toBe(true);
    expect([
      await active(first.access_token, client),
      await active(second.access_token, other),
    ]).toEqual([false, true]);
  });
});

describe('COMPATIBILITY 20; SECURITY 4, 5, 7: where it leads', () => {
  test.each([
    'https://evil.example/',
    'https://app.example.com/bye/',
    'https://app.example.com/by',
    'https://app.example.com/byf',
    'https://app.example.com/bye?x=1',
    'https://app.example.com/bye?',
    'https://app.example.com/bye#x',
    'https://app.example.com/bye/..;/evil',
    'https://app.example.com/BYE',
    'https://APP.example.com/bye',
    'HTTPS://app.example.com/bye',
    'https://app.example.com:443/bye',
    'https://app.example.com:8443/bye',
    'http://app.example.com/bye',
    'https://app.example.com.evil.example/bye',
    'https://app.example.com@evil.example/bye',
    'https://fooaexample.com/bye',
    'https://app.example.com\\@evil.example/bye',
    'https://app.example.com/bye\t',
    ' https://app.example.com/bye',
    '//app.example.com/bye',
    '/bye',
    'https://app.example.com/callback',
    'https://other.example.com/bye',
    'javascript:alert(1)',
    'JaVaScript:alert(1)//https://app.example.com/bye',
    'data:text/html,<script>alert(1)</script>',
  ])('9: %j: the question, and no way there', async (uri) => {
    const { browser } = await person();
    const id_token_hint = await hintFor(browser);
    for (const fields of [
      { id_token_hint },
      { client_id: client.clientId },
      { id_token_hint, client_id: client.clientId },
    ]) {
      const answer = await expectPlainQuestion(browser, {
        ...fields,
        post_logout_redirect_uri: uri,
        state: 'the-state',
      });
      expect(answer.text).not.toMatch(/evil\.example|alert\(1\)/);
    }
    // Without a client to which it could belong, it is left out as well.
    expect((await signOut(browser, { post_logout_redirect_uri: uri })).location).toBe(
      `${issuer}/logout/success`,
    );
  });

  test('a registered one with a query keeps it', async () => {
    const { browser } = await person();
    const { location } = await signOut(browser, {
      client_id: client.clientId,
      post_logout_redirect_uri: 'https://app.example.com/bye?tenant=1',
      state: 's',
    });
    expect(location).toBe('https://app.example.com/bye?tenant=1&state=s');
  });

  test('9: an unknown or disabled client: the question, without it', async () => {
    const { browser } = await person();
    const disabled = await seed.client({ postLogoutRedirectUris: [bye] });
    await seed.disableClient(disabled.clientId);
    for (const client_id of ['c_unknown', '__proto__', disabled.clientId]) {
      await expectPlainQuestion(browser, { client_id, post_logout_redirect_uri: bye });
    }
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('9: a hint of one client with the id of another: the question, without either', async () => {
    const { browser } = await person();
    const id_token_hint = await hintFor(browser);
    for (const client_id of [other.clientId, 'c_unknown', 'https://app.example.com/client'])
      await expectPlainQuestion(browser, {
        id_token_hint,
        client_id,
        post_logout_redirect_uri: bye,
      });
  });

  test('9: what is not trusted ends nothing of the client that it names', async () => {
    const { browser } = await person();
    const { access_token: token } = await tokensFor(browser, 'openid read', client, {
      resource: jwtApi,
    });
    const page = await expectPlainQuestion(browser, {
      client_id: client.clientId,
      post_logout_redirect_uri: 'https://evil.example/',
    });
    // Staying signed in here has signed out of no app either.
    await confirm(browser, { xsrf: xsrfOf(page) });
    expect(await active(token, apiCredentials)).toBe(true);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('9: nobody who is signed out already is told of an error', async () => {
    const nobody = new SignedInBrowser('', new Map());
    for (const fields of [
      { id_token_hint: 'x', post_logout_redirect_uri: bye },
      { client_id: client.clientId, post_logout_redirect_uri: 'https://evil.example/' },
      { client_id: 'c_unknown' },
    ]) {
      const done = await logout(nobody, fields);
      expect(done).toMatchObject({ status: 303, location: `${issuer}/logout/success` });
    }
  });

  test('parameters that came twice are refused', async () => {
    const { browser } = await person();
    const id_token_hint = await hintFor(browser);
    const fields = {
      id_token_hint,
      client_id: client.clientId,
      post_logout_redirect_uri: bye,
      state: 's',
      logout_hint: 'x',
      ui_locales: 'en',
    };
    for (const [name, value] of Object.entries(fields)) {
      for (const values of [
        [value, value],
        [value, 'https://evil.example/'],
        ['https://evil.example/', value],
      ]) {
        expect(await logout(browser, { ...fields, [name]: values })).toMatchObject({
          status: 400,
          location: undefined,
        });
      }
    }
    const page = await logout(browser, fields);
    const xsrf = xsrfOf(page) as string;
    for (const twice of [
      { xsrf: [xsrf, xsrf], logout: 'yes' },
      { xsrf, logout: ['yes', 'yes'] },
    ])
      expect((await confirm(browser, twice)).status).toBe(400);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('a state splits no answer', async () => {
    const { browser } = await person();
    const state = 'x\r\nSet-Cookie: planted=1\r\nLocation: https://evil.example/';
    const answer = await signOut(browser, {
      client_id: client.clientId,
      post_logout_redirect_uri: bye,
      state,
    });
    expect(new URL(answer.location as string).searchParams.get('state')).toBe(state);
    expect(answer.cookies.join()).not.toContain('planted');
  });
});

describe('the hint', () => {
  const claimsOf = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()) as JWTPayload;
  const ourKey = async (alg: string) =>
    (await new KeyService(database.db, new Sealer([testMasterKey])).load()).jwks.keys.find(
      (one) => one.alg === alg,
    ) as JWK & { kid: string };
  const sign = async (claims: JWTPayload, header: object = {}) => {
    const key = await ourKey('RS256');
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: key.kid, ...header })
      .sign(await importJWK(key, 'RS256'));
  };

  test("an expired one of the client's own is taken", async () => {
    const { browser } = await person();
    const claims = claimsOf(await hintFor(browser));
    const hint = await sign({
      ...claims,
      iat: (claims.iat as number) - 7_200,
      exp: (claims.exp as number) - 7_200,
    });
    expect(
      (await signOut(browser, { id_token_hint: hint, post_logout_redirect_uri: bye })).location,
    ).toBe(bye);
  });

  test.each<[string, (hint: string) => string | Promise<string>]>([
    [
      'alg none',
      (hint) => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${hint.split('.')[1]}.`,
    ],
    ['no signature', (hint) => `${hint.split('.').slice(0, 2).join('.')}.`],
    ['a broken signature', (hint) => `${hint.slice(0, -30)}${'A'.repeat(30)}`],
    [
      'a foreign key',
      (hint) =>
        new SignJWT(claimsOf(hint))
          .setProtectedHeader({ alg: 'RS256' })
          .sign(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
    ],
    [
      'HS256 with the public key',
      async (hint) =>
        new SignJWT(claimsOf(hint))
          .setProtectedHeader({ alg: 'HS256' })
          .sign(Buffer.from(JSON.stringify((await send(one, '/jwks')).json))),
    ],
    [
      "HS256 with the client's secret",
      (hint) =>
        new SignJWT(claimsOf(hint))
          .setProtectedHeader({ alg: 'HS256' })
          .sign(Buffer.from(client.clientSecret as string)),
    ],
    [
      'another algorithm of ours',
      async (hint) =>
        new SignJWT(claimsOf(hint))
          .setProtectedHeader({ alg: 'ES256', kid: (await ourKey('ES256')).kid })
          .sign(await importJWK(await ourKey('ES256'), 'ES256')),
    ],
    ['another issuer', (hint) => sign({ ...claimsOf(hint), iss: 'https://evil.example' })],
    ['an unknown audience', (hint) => sign({ ...claimsOf(hint), aud: 'c_unknown' })],
    ['no audience', (hint) => sign({ ...claimsOf(hint), aud: undefined as unknown as string })],
    [
      'an audience that is a list',
      (hint) => sign({ ...claimsOf(hint), aud: [client.clientId, other.clientId] }),
    ],
    ['no JWT', () => 'x'],
    ['dots', () => '..'],
    [
      'JSON of no object',
      () =>
        `${Buffer.from('1').toString('base64url')}.${Buffer.from('null').toString('base64url')}.AAAA`,
    ],
    ['a long one', () => `e.${'x'.repeat(10_000)}.e`],
    ['U+0000', () => '\u0000'],
  ])('9: %s: the question, and no way to an app', async (_, make) => {
    const { browser } = await person();
    const id_token_hint = await make(await hintFor(browser));
    for (const fields of [{}, { post_logout_redirect_uri: bye, state: 'the-state' }])
      await expectPlainQuestion(browser, { id_token_hint, ...fields });
    expect(await isSignedIn(browser)).toBe(true);
    // The user decides, and stays here.
    const { location } = await signOut(browser, { id_token_hint, post_logout_redirect_uri: bye });
    expect(location).toBe(`${issuer}/logout/success`);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test("an access token is none, and another client's serves that client alone", async () => {
    const { browser } = await person();
    const access = (await tokensFor(browser, 'openid read', client, { resource: jwtApi }))
      .access_token;
    await expectPlainQuestion(browser, { id_token_hint: access });
    const foreign = await hintFor(browser, other);
    for (const client_id of [client.clientId, undefined])
      await expectPlainQuestion(browser, {
        id_token_hint: foreign,
        client_id,
        post_logout_redirect_uri: bye,
      });
    expect(
      (
        await signOut(browser, {
          id_token_hint: foreign,
          post_logout_redirect_uri: 'https://other.example.com/bye',
        })
      ).location,
    ).toBe('https://other.example.com/bye');
  });

  test("another person's hint signs nobody out by itself", async () => {
    const [{ browser }, stranger] = [await person(), await person()];
    const page = await logout(browser, {
      id_token_hint: await hintFor(stranger.browser),
      post_logout_redirect_uri: bye,
    });
    expect(page.location).toBeUndefined();
    expect([await isSignedIn(browser), await isSignedIn(stranger.browser)]).toEqual([true, true]);
  });
});

describe('the post that signs out', () => {
  test('needs the token of the page that was shown to this very browser', async () => {
    const [{ browser }, stranger] = [await person(), await person()];
    expect((await confirm(browser, { xsrf: 'x', logout: 'yes' })).status).toBe(400);
    const stale = xsrfOf(await logout(browser));
    const foreign = xsrfOf(await logout(stranger.browser));
    const fresh = xsrfOf(await logout(browser)) as string;
    for (const xsrf of [
      undefined,
      '',
      'x',
      stale,
      foreign,
      fresh.slice(0, -1),
      `${fresh}x`,
      fresh.toUpperCase(),
    ]) {
      expect(await confirm(browser, { xsrf, logout: 'yes' })).toMatchObject({
        status: 400,
        location: undefined,
      });
    }
    expect(await isSignedIn(browser)).toBe(true);
    expect((await confirm(browser, { xsrf: fresh, logout: 'yes' })).status).toBe(303);
    expect(await isSignedIn(browser)).toBe(false);
  });

  test('works once', async () => {
    const { browser } = await person();
    const xsrf = xsrfOf(await logout(browser));
    const before = browser.tab();
    expect((await confirm(browser, { xsrf, logout: 'yes' })).status).toBe(303);
    expect((await confirm(before, { xsrf, logout: 'yes' })).status).toBe(400);
  });

  test('from another site does nothing: it has no cookies, and where it had them, no token', async () => {
    const { browser } = await person();
    const xsrf = xsrfOf(await logout(browser));
    const crossSite = {
      origin: 'https://evil.example',
      'sec-fetch-site': 'cross-site',
      referer: 'https://evil.example/',
    };
    const without = new SignedInBrowser('', new Map());
    expect((await confirm(without, { xsrf, logout: 'yes' }, crossSite)).status).toBe(400);
    expect((await confirm(browser, { logout: 'yes' }, crossSite)).status).toBe(400);
    expect((await confirm(browser, { xsrf: 'guess', logout: 'yes' }, crossSite)).status).toBe(400);
    expect(await isSignedIn(browser)).toBe(true);
    expect(
      (await logout(browser)).cookies
        .filter((cookie) => cookie.startsWith('vs_session_3000'))
        .every((cookie) => /samesite=lax/i.test(cookie) && /httponly/i.test(cookie)),
    ).toBe(true);
  });
});

describe('SECURITY 21: session fixation', () => {
  const cookieKey = async () =>
    (await new KeyService(database.db, new Sealer([testMasterKey])).load()).cookieKeys[0] as string;
  const signature = (name: string, value: string, key: string) =>
    createHmac('sha1', key).update(`${name}=${value}`).digest('base64url');
  const idOf = (browser: SignedInBrowser) => browser.cookies.get('vs_session_3000') as string;

  test('a planted id that is not ours is never taken, nor told back', async () => {
    const { browser } = await person();
    const stranger = await person();
    const planted = randomBytes(32).toString('base64url');
    const key = await cookieKey();
    const cookies: [string, [string, string][]][] = [
      ['an id without a signature', [['vs_session_3000', planted]]],
      ['a live id without a signature', [['vs_session_3000', idOf(browser)]]],
      [
        'a signature by another key',
        [
          ['vs_session_3000', planted],
          ['vs_session_3000.sig', signature('vs_session_3000', planted, 'guess')],
        ],
      ],
      [
        'the signature of another id',
        [
          ['vs_session_3000', idOf(browser)],
          ['vs_session_3000.sig', stranger.browser.cookies.get('vs_session_3000.sig') as string],
        ],
      ],
      [
        'the signature of another cookie',
        [
          ['vs_session_3000', idOf(browser)],
          ['vs_session_3000.sig', signature('vs_interaction', idOf(browser), key)],
        ],
      ],
      [
        'an id that was never given, well signed',
        [
          ['vs_session_3000', planted],
          ['vs_session_3000.sig', signature('vs_session_3000', planted, key)],
        ],
      ],
      [
        "a session's uid, well signed",
        [
          ['vs_session_3000', browser.sessionUid],
          ['vs_session_3000.sig', signature('vs_session_3000', browser.sessionUid, key)],
        ],
      ],
      [
        'the hash of a live id, well signed',
        [
          ['vs_session_3000', sha256(idOf(browser)).toString('hex')],
          [
            'vs_session_3000.sig',
            signature('vs_session_3000', sha256(idOf(browser)).toString('hex'), key),
          ],
        ],
      ],
      [
        'U+0000',
        [
          ['vs_session_3000', '%00'],
          ['vs_session_3000.sig', signature('vs_session_3000', '%00', key)],
        ],
      ],
      [
        'a long one',
        [
          ['vs_session_3000', 'x'.repeat(5_000)],
          ['vs_session_3000.sig', signature('vs_session_3000', 'x'.repeat(5_000), key)],
        ],
      ],
    ];
    for (const [name, pairs] of cookies) {
      const victim = new SignedInBrowser('', new Map(pairs));
      expect({ name, signedIn: await isSignedIn(victim) }).toEqual({ name, signedIn: false });
      for (const path of [
        `/authorize?${query(authorizationFields(client).fields)}`,
        '/logout',
        '/account',
      ]) {
        const answer = await send(one, path, { headers: cookiesOf(victim) });
        expect(answer.status).toBeLessThan(500);
        for (const cookie of answer.cookies)
          expect(cookie.startsWith(`vs_session_3000=${pairs[0]?.[1]};`)).toBe(false);
      }
      const rows = await database.db.kysely
        .selectFrom('sessions')
        .select('uid')
        .where('id_hash', '=', sha256(pairs[0]?.[1] as string))
        .where('uid', '<>', browser.sessionUid)
        .execute();
      expect({ name, rows }).toEqual({ name, rows: [] });
    }
    expect(await isSignedIn(browser)).toBe(true);
  });

  /** An interaction of the browser, and what it is answered with as the pages would answer it. */
  async function paused(browser: SignedInBrowser, extra: Fields = {}, of = client) {
    const { fields, verifier } = authorizationFields(of, extra);
    const answer = keep(browser, await ask(one, fields, { browser }));
    const uid = /^\/interaction\/([\w-]+)$/.exec(answer.location ?? '')?.[1] as string;
    expect(uid).toMatch(/^[\w-]{20,}$/);
    return {
      uid,
      verifier,
      async answerWith(result: object): Promise<void> {
        await sql`update interactions set payload = payload || ${JSON.stringify({ result })}::jsonb where id_hash = ${sha256(uid)}`.execute(
          database.db.kysely,
        );
      },
      resume: (as = browser, server = one) => get(server, as, `/authorize/${uid}`),
    };
  }

  /** A single sign-on that changes the session's id: consent is given on the way. */
  async function changed() {
    const { browser, accountId } = await person();
    const third = await seed.client();
    const before = browser.tab();
    const interaction = await paused(browser, {}, third);
    await seed.consent(accountId, third.clientId);
    await interaction.answerWith({ consent: {} });
    const answer = await interaction.resume();
    expect(answered(answer.location).code).toMatch(/^vs_ac_/);
    expect(idOf(browser)).not.toBe(idOf(before));
    return { browser, before, accountId, interaction };
  }

  test('the previous id answers for its grace, is never set as a cookie, and changes nothing of the session', async () => {
    const { browser, before } = await changed();
    expect(await isSignedIn(before)).toBe(true);
    const row = await sessionOf(browser.sessionUid);
    expect(row.id_hash).toEqual(sha256(idOf(browser)));
    for (const path of [
      `/authorize?${query(authorizationFields(client, { prompt: 'none' }).fields)}`,
      `/authorize?${query(authorizationFields(client).fields)}`,
      '/logout',
      '/account',
    ]) {
      const answer = await send(two, path, { headers: cookiesOf(before) });
      expect(answer.status).toBeLessThan(500);
      expect(answer.cookies.filter((cookie) => cookie.startsWith('vs_session_3000'))).toEqual([]);
    }
    const after = await sessionOf(browser.sessionUid);
    expect({ ...after, last_seen_at: 0 }).toEqual({ ...row, last_seen_at: 0 });
    expect(await isSignedIn(browser)).toBe(true);
    // It cannot sign anybody out either.
    const page = await logout(before.tab());
    expect((await confirm(before.tab(), { xsrf: xsrfOf(page) ?? 'x', logout: 'yes' })).status).toBe(
      400,
    );
    expect((await sessionOf(browser.sessionUid)).ended_at).toBeNull();
  });

  test('after its grace the previous id is worth nothing', async () => {
    const { browser, before } = await changed();
    await sql`update sessions set previous_until = now() - interval '1 second' where uid = ${browser.sessionUid}`.execute(
      database.db.kysely,
    );
    for (const server of [one, two]) expect(await isSignedIn(before, server)).toBe(false);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('two changes later an id is worth nothing, though its grace is not over', async () => {
    const { browser, before } = await changed();
    const interaction = await paused(browser, { prompt: 'consent' });
    await interaction.answerWith({ consent: {} });
    await interaction.resume();
    expect(await isSignedIn(before)).toBe(false);
    expect(await isSignedIn(browser)).toBe(true);
  });

  test('after a sign-out the previous id is worth nothing', async () => {
    const { browser, before } = await changed();
    await signOut(browser);
    for (const server of [one, two]) expect(await isSignedIn(before, server)).toBe(false);
  });

  const login = (accountId: string) => ({
    login: {
      accountId,
      // A second later than the sign-in that the session began with.
      ts: Math.floor(Date.now() / 1000) + 1,
      amr: ['pwd'],
      acr: 'urn:vouchsafe:acr:1fa',
    },
  });

  test('a sign-in changes the id, and the one before it is worth nothing at once', async () => {
    const { browser, accountId } = await person();
    const before = browser.tab();
    const interaction = await paused(browser, { prompt: 'login' });
    await interaction.answerWith(login(accountId));
    await interaction.resume();
    expect(idOf(browser)).not.toBe(idOf(before));
    expect(await isSignedIn(browser)).toBe(true);
    for (const server of [one, two]) expect(await isSignedIn(before, server)).toBe(false);
  });

  test("an attacker's own session, planted, does not become the victim's", async () => {
    // A session of nobody, as earlier releases left them.
    const attacker = await seed.signIn(null);
    expect(attacker.cookies.has('vs_session_3000.sig')).toBe(true);
    const victim = new SignedInBrowser('', new Map(attacker.cookies));
    const { accountId } = await person();
    const interaction = await paused(victim);
    await interaction.answerWith(login(accountId));
    expect(answered((await interaction.resume()).location).code).toMatch(/^vs_ac_/);
    expect(idOf(victim)).not.toBe(idOf(attacker));
    expect(await isSignedIn(victim)).toBe(true);
    for (const server of [one, two]) expect(await isSignedIn(attacker, server)).toBe(false);
  });

  describe('SECURITY 26, SECURITY 18: an interaction is for the browser that began it, once', () => {
    test('its link without its cookies leads to a page', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(browser, { prompt: 'login' });
      await interaction.answerWith(login(accountId));
      const before = await countRows(database.db);
      const others = [
        new SignedInBrowser('', new Map()),
        (await person()).browser,
        // The session's cookie, and not the interaction's.
        new SignedInBrowser(
          '',
          new Map([...browser.cookies].filter(([name]) => name.startsWith('vs_session_3000'))),
        ),
        // The interaction's, and not the session's.
        new SignedInBrowser(
          '',
          new Map([...browser.cookies].filter(([name]) => !name.startsWith('vs_session_3000'))),
        ),
        // The engine's own cookies, which no browser has from us.
        new SignedInBrowser(
          '',
          new Map([
            ['vs_resume', interaction.uid],
            ['vs_interaction', interaction.uid],
          ]),
        ),
      ];
      before.consents = (before.consents ?? 0) + 2;
      for (const server of [one, two])
        for (const each of others)
          expect(await interaction.resume(each.tab(), server)).toMatchObject({
            status: 400,
            location: undefined,
          });
      expect(await countRows(database.db)).toEqual(before);
      expect(answered((await interaction.resume()).location).code).toMatch(/^vs_ac_/);
    });

    test('with its cookies planted, but for the one that no sibling host can plant, it leads to a page by every path', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(browser, { prompt: 'login' });
      await interaction.answerWith(login(accountId));
      const planted = new SignedInBrowser(
        '',
        new Map([
          ...[...browser.cookies].filter(([name]) => !name.includes('vs_begun')),
          ['vs_resume', interaction.uid],
          ['vs_interaction', interaction.uid],
        ]),
      );
      expect(planted.cookies.size).toBe(browser.cookies.size + 1);
      const { uid } = interaction;
      const before = await countRows(database.db);
      for (const path of [
        uid,
        `${uid}/`,
        'another',
        'an!other',
        '%61',
        `${uid}%20`,
        `${uid}.`,
        `${uid};x`,
      ]) {
        for (const route of ['/authorize', '/AUTHORIZE', '/Authorize']) {
          const answer = await get(one, planted.tab(), `${route}/${path}`);
          expect({ path, route, location: answer.location }).toEqual({
            path,
            route,
            location: undefined,
          });
          expect([400, 404]).toContain(answer.status);
        }
      }
      expect(await countRows(database.db)).toEqual(before);
      expect(answered((await interaction.resume()).location).code).toMatch(/^vs_ac_/);
    });

    test('before it is answered it gives nothing', async () => {
      const { browser } = await person();
      const interaction = await paused(browser, { prompt: 'login' });
      expect(answered((await interaction.resume()).location).code).toBeUndefined();
    });

    test('answered, it works once', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(browser, { prompt: 'login' });
      await interaction.answerWith(login(accountId));
      const twice = browser.tab();
      expect(answered((await interaction.resume()).location).code).toMatch(/^vs_ac_/);
      for (const server of [one, two])
        expect(await interaction.resume(twice.tab(), server)).toMatchObject({
          status: 400,
          location: undefined,
        });
    });

    test('raced, it gives one code', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(browser, { prompt: 'login' });
      await interaction.answerWith(login(accountId));
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          interaction.resume(browser.tab(), index % 2 === 0 ? one : two),
        ),
      );
      expect(answers.filter((answer) => answered(answer.location).code !== undefined)).toHaveLength(
        1,
      );
      expect(answers.filter((answer) => answer.status === 400)).toHaveLength(9);
    });

    test('of a session that was signed out meanwhile it gives nothing', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(browser, { prompt: 'consent' });
      await interaction.answerWith({ consent: {} });
      await sql`update sessions set ended_at = now() where uid = ${browser.sessionUid}`.execute(
        database.db.kysely,
      );
      const answer = await interaction.resume();
      expect(answer).toMatchObject({ status: 400, location: undefined });
      expect(
        await database.db.kysely
          .selectFrom('tokens')
          .select('kind')
          .where('account_id', '=', accountId)
          .execute(),
      ).toEqual([]);
    });

    test('answered for an account that was disabled meanwhile it gives nothing', async () => {
      const { browser, accountId } = await person();
      const interaction = await paused(new SignedInBrowser('', new Map()), {});
      expect(interaction.uid).toBeDefined();
      const again = await paused(browser, { prompt: 'login' });
      await again.answerWith(login(accountId));
      await sql`update accounts set disabled_at = now() where id = ${accountId}`.execute(
        database.db.kysely,
      );
      const answer = await again.resume();
      expect(answer.status).toBeLessThan(500);
      expect(answered(answer.location).code).toBeUndefined();
      expect(
        await database.db.kysely
          .selectFrom('tokens')
          .select('kind')
          .where('account_id', '=', accountId)
          .execute(),
      ).toEqual([]);
    });
  });

  test('through the pages: a session cookie from before the sign-in is not the one after it, nor lives on', async () => {
    const whole = await startServer(database);
    try {
      const account = await whole.createAccount();
      const app = await whole.createClient({ firstParty: true });
      const { fields } = authorizationFields(app);
      // The attacker's own cookie, well signed, planted in the victim's browser.
      const own = await seed.signIn(null);
      const planted = [...own.cookies].map(([name, value]) => `${name}=${value}`);
      expect(planted).toHaveLength(2);
      const jar = new Map<string, string>();
      const step = async (path: string, body?: URLSearchParams): Promise<Answer> => {
        const cookie = [
          ...planted
            .map((pair) => pair.split('=') as [string, string])
            .filter(([name]) => !jar.has(name))
            .map(([name, value]) => `${name}=${value}`),
          ...[...jar].map(([name, value]) => `${name}=${value}`),
        ].join('; ');
        const answer = await send(whole.issuer, path, {
          method: body === undefined ? 'GET' : 'POST',
          headers: { cookie, accept: 'text/html' },
          ...(body === undefined ? {} : { body }),
        });
        for (const line of answer.cookies) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
          jar.set(name, value);
        }
        return answer;
      };
      let answer = await step(`/authorize?${query(fields)}`);
      const page = await step(answer.location as string);
      const action = /<form[^>]* action="([^"]+)"/.exec(page.text)?.[1] as string;
      answer = await step(action, form({ email: account.email, password: account.password }));
      while (answer.location?.startsWith('/') || answer.location?.startsWith(whole.issuer))
        answer = await step(answer.location.replace(whole.issuer, ''));
      expect(answered(answer.location).code).toMatch(/^vs_ac_/);
      const name = cookieOf(whole.issuer, 'session');
      expect(planted).not.toContain(`${name}=${jar.get(name)}`);
      const silent = `/authorize?${query(authorizationFields(app, { prompt: 'none' }).fields)}`;
      expect(
        answered(
          (await send(whole.issuer, silent, { headers: { cookie: planted.join('; ') } })).location,
        ).error,
      ).toBe('login_required');
      expect(answered((await step(silent)).location).code).toMatch(/^vs_ac_/);
    } finally {
      await whole.close();
    }
  });
});
