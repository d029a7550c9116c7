import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import { grantTypes } from '../../src/client/client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  redirectUri,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import {
  type Answer,
  answered,
  ask,
  authorizationFields,
  basic,
  cookiesOf,
  countRows,
  type Fields,
  form,
  query,
  send,
} from '../support/wire.ts';

/** SECURITY.md's musts on authorization, and what went wrong there elsewhere. Numbers are that page's. */

const issuer = 'http://localhost:3000';
const api = 'https://api.example.com';

let database: TestDatabase;
let server: ServerProcess;
let seed: Seed;
let web: Credentials;
let spa: Credentials;
let native: Credentials;
let machine: Credentials;
let firstParty: Credentials;
let accountId: string;
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  server = await startServerProcess(database, issuer);
  await seed.api(api);
  web = await seed.client({ apis: [{ identifier: api, scopes: ['read'] }] });
  spa = await seed.client({
    type: 'spa',
    redirectUris: ['https://spa.example.com/callback', 'http://localhost:5173/callback'],
  });
  native = await seed.client({
    type: 'native',
    redirectUris: [
      'http://127.0.0.1/callback',
      'http://[::1]:4000/callback',
      'com.example.app:/callback',
      'https://app.example.com/native',
    ],
  });
  machine = await seed.client({ type: 'machine', apis: [{ identifier: api, scopes: ['read'] }] });
  firstParty = await seed.client({ firstParty: true });
  accountId = await seed.account();
  for (const client of [web, spa, native]) await seed.consent(accountId, client.clientId);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/** A post is answered with the same request by GET (see src/oidc/authorization/posted-requests.ts): what that leads to is asked for directly. */
const methods = ['GET'] as const;

const asking = (
  client: Credentials,
  extra: Fields = {},
  options: Parameters<typeof ask>[2] = { browser },
) => ask(server.url, authorizationFields(client, extra).fields, options);

/** Nothing that lives was left behind by what `work` did. */
async function leavingNothing<T>(work: () => Promise<T>): Promise<T> {
  const before = await countRows(database.db);
  const result = await work();
  expect(await countRows(database.db)).toEqual(before);
  return result;
}

/** A page of ours and no redirect, in which nothing unchecked stands. */
function expectPage(answer: Answer, ...unchecked: string[]): void {
  expect(answer).toMatchObject({
    status: 400,
    location: undefined,
    headers: { 'content-type': 'text/html; charset=utf-8' },
  });
  expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(answer.headers['refresh']).toBeUndefined();
  for (const text of unchecked) expect(answer.text).not.toContain(text);
}

/** A redirect to exactly this URI, with the parameters that a client may rely on. */
function expectRedirect(answer: Answer, uri: string, parameters: Record<string, unknown>): void {
  expect(answer.status).toBe(303);
  expect(answer.location?.split(/[?#]/)[0]).toBe(uri);
  expect(answered(answer.location)).toEqual(
    expect.objectContaining({ iss: issuer, state: 'the-state', ...parameters }),
  );
}

const hasCode = { code: expect.stringMatching(/^vs_ac_/) };

describe('SECURITY Authorization 1, SECURITY Authorization 2, SECURITY 4: a redirect URI is the registered one, byte for byte', () => {
  test('the registered one is taken', async () => {
    for (const method of methods)
      expectRedirect(await asking(web, {}, { browser, method }), redirectUri, hasCode);
  });

  test('by POST it is the same request by GET, and nothing is done before', async () => {
    for (const redirect_uri of [redirectUri, 'https://evil.example/']) {
      const answer = await leavingNothing(() =>
        asking(web, { redirect_uri }, { browser, method: 'POST' }),
      );
      expect(answer).toMatchObject({ status: 303, cookies: [] });
      const next = new URL(answer.location as string);
      expect(next.origin + next.pathname).toBe('http://localhost:3000/authorize');
      expect(next.searchParams.get('redirect_uri')).toBe(redirect_uri);
    }
  });

  test('one byte off, wherever it is, gets a page', async () => {
    const bytes = redirectUri.split('');
    const variants = bytes.flatMap((byte, at) => [
      redirectUri.slice(0, at) + redirectUri.slice(at + 1),
      redirectUri.slice(0, at) +
        String.fromCharCode(byte.charCodeAt(0) ^ 1) +
        redirectUri.slice(at + 1),
      redirectUri.slice(0, at) + byte + redirectUri.slice(at),
    ]);
    await leavingNothing(async () => {
      for (const uri of variants) expectPage(await asking(web, { redirect_uri: uri }), uri);
    });
  });

  test.each([
    'https://app.example.com/callback/',
    'https://app.example.com/callback?',
    'https://app.example.com/callback?tenant=1',
    'https://app.example.com/callback#',
    'https://app.example.com/callback#x',
    'https://app.example.com/callback;x',
    'https://app.example.com/callback/..;/evil',
    'https://app.example.com/callback/../evil',
    'https://app.example.com/callback/%2e%2e/evil',
    'https://app.example.com/./callback',
    'https://app.example.com//callback',
    'https://app.example.com/%63allback',
    'https://app.example.com/callback%2F',
    'https://app.example.com/callback%00',
    'https://app.example.com/callback\u0000',
    'https://app.example.com/callback%0d%0aLocation:%20https://evil.example',
    'https://app.example.com/callback ',
    ' https://app.example.com/callback',
    '\thttps://app.example.com/callback',
    'https://app.example.com\t/callback',
    'https://app.example.com/call\tback',
    'https://app.example.com/call\nback',
    'https:\\\\app.example.com\\callback',
    'https://app.example.com\\callback',
    'https:/app.example.com/callback',
    'https:app.example.com/callback',
    '//app.example.com/callback',
    '/callback',
    'http://app.example.com/callback',
    'HTTPS://app.example.com/callback',
    'https://APP.example.com/callback',
    'https://app.Example.com/callback',
    'https://app.example.com/Callback',
    'https://app.example.com:443/callback',
    'https://app.example.com:/callback',
    'https://app.example.com:8443/callback',
    'https://app.example.com./callback',
    'https://app.example.com',
    'https://app.example.com/',
    'https://app.example.com.evil.example/callback',
    'https://fooaexample.com/callback',
    'https://appXexample.com/callback',
    'https://evil.example/callback',
    'https://evil.example/https://app.example.com/callback',
    'https://evil.example/?https://app.example.com/callback',
    'https://evil.example#https://app.example.com/callback',
    'https://app.example.com@evil.example/callback',
    'https://a@b@evil.example/callback',
    'https://user@app.example.com/callback',
    'https://app.example.com:x@evil.example/callback',
    'https://app.example.com\\@evil.example/callback',
    'https://evil.example\\@app.example.com/callback',
    'https://app.example.com%2eevil.example/callback',
    'https://app.example.com%00.evil.example/callback',
    'https://app%2eexample.com/callback',
    'https://\u0430pp.example.com/callback',
    'https://app\uff0eexample.com/callback',
    'https%3A%2F%2Fapp.example.com%2Fcallback',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)//https://app.example.com/callback',
    'data:text/html,<script>alert(1)</script>',
    '"><script>alert(1)</script>',
    'https://app.example.com/callback https://evil.example',
    'https://app.example.com/callback,https://evil.example',
    'https://spa.example.com/callback',
    'null',
    '__proto__',
  ])('%j gets a page', async (uri) => {
    const answer = await leavingNothing(() => asking(web, { redirect_uri: uri }));
    expectPage(answer, 'evil.example', 'alert(1)', ...(uri.length > 12 ? [uri.trim()] : []));
  });

  test('none at all gets a page, also where only one is registered', async () => {
    for (const uri of [undefined, ''])
      expectPage(await leavingNothing(() => asking(web, { redirect_uri: uri })));
  });

  test.each([
    ['any port of loopback, IPv4', 'http://127.0.0.1:49152/callback', true],
    ['no port', 'http://127.0.0.1/callback', true],
    ['any port of loopback, IPv6', 'http://[::1]:49152/callback', true],
    ['a claimed https link', 'https://app.example.com/native', true],
    ['its private scheme', 'com.example.app:/callback', true],
    ['another path', 'http://127.0.0.1:49152/callback2', false],
    ['a query added', 'http://127.0.0.1:49152/callback?x=1', false],
    ['a fragment added', 'http://127.0.0.1:49152/callback#x', false],
    ['localhost for 127.0.0.1', 'http://localhost:49152/callback', false],
    ['another address of loopback', 'http://127.0.0.2:49152/callback', false],
    ['IPv6 for IPv4', 'http://[::ffff:127.0.0.1]:49152/callback', false],
    ['IPv6 written out', 'http://[0:0:0:0:0:0:0:1]:49152/callback', false],
    ['a short form of the address', 'http://127.1:49152/callback', false],
    ['https', 'https://127.0.0.1:49152/callback', false],
    ['a port out of range', 'http://127.0.0.1:70000/callback', false],
    ['a port that is none', 'http://127.0.0.1:1@evil.example/callback', false],
    ['user information', 'http://evil@127.0.0.1:49152/callback', false],
    ['a backslash', 'http://127.0.0.1:49152\\@evil.example/callback', false],
    ['a tab in the port', 'http://127.0.0.1:49\t152/callback', false],
    ['a port of an https link', 'https://app.example.com:8443/native', false],
    ['a longer host', 'http://127.0.0.1.evil.example:49152/callback', false],
    ['another path of its private scheme', 'com.example.app:/callback2', false],
    ['a host in its private scheme', 'com.example.app://evil.example/callback', false],
  ])('a native app: %s', async (_, uri, taken) => {
    const answer = await asking(native, { redirect_uri: uri, prompt: 'none' });
    // On loopback and private schemes the page is always shown, so that an error comes back: but to that URI.
    if (taken)
      expectRedirect(
        answer,
        uri,
        uri.startsWith('https') ? hasCode : { error: 'consent_required' },
      );
    else expectPage(answer, uri);
  });

  test('for a web app no port floats, not even on loopback', async () => {
    expectRedirect(
      await asking(spa, { redirect_uri: 'http://localhost:5173/callback', prompt: 'none' }),
      'http://localhost:5173/callback',
      { error: 'consent_required' },
    );
    for (const uri of ['http://localhost:5174/callback', 'http://localhost/callback'])
      expectPage(await asking(spa, { redirect_uri: uri }), uri);
  });
});

describe('SECURITY Authorization 2, SECURITY Authorization 8, SECURITY 5: errors', () => {
  const challenge = 'c'.repeat(43);
  const cases: [name: string, extra: Fields, error: string][] = [
    ['no response_type', { response_type: undefined }, 'invalid_request'],
    ['an unknown response_type', { response_type: 'evil' }, 'unsupported_response_type'],
    ['response_type token', { response_type: 'token' }, 'unsupported_response_type'],
    [
      'response_type id_token',
      { response_type: 'id_token', nonce: 'n' },
      'unsupported_response_type',
    ],
    ['an unknown response_mode', { response_mode: 'evil' }, 'unsupported_response_mode'],
    ['a scope with invalid characters', { scope: 'openid "x' }, 'invalid_scope'],
    ['no PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['PKCE plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['an unknown prompt', { prompt: 'evil' }, 'invalid_request'],
    ['prompt none and another', { prompt: 'none login' }, 'invalid_request'],
    ['a negative max_age', { max_age: '-1' }, 'invalid_request'],
    ['malformed claims', { claims: '{' }, 'invalid_request'],
    ['an unknown resource', { resource: 'https://unknown.example.com' }, 'invalid_target'],
    ['a relative resource', { resource: 'api' }, 'invalid_target'],
    ['a broken id_token_hint', { id_token_hint: 'e.e.e' }, 'invalid_request'],
    ['a request object', { request: 'e.e.e' }, 'invalid_request_object'],
    ['a request_uri', { request_uri: 'https://evil.example/request' }, 'request_uri_not_supported'],
    ['a registration', { registration: '{}' }, 'registration_not_supported'],
    ['a repeated scope', { scope: ['openid', 'openid'] }, 'invalid_request'],
    ['a repeated response_type', { response_type: ['code', 'code'] }, 'invalid_request'],
    ['a repeated code_challenge', { code_challenge: [challenge, challenge] }, 'invalid_request'],
    [
      'essential acr out of reach',
      { claims: '{"id_token":{"acr":{"essential":true,"value":"urn:evil"}}}' },
      'unmet_authentication_requirements',
    ],
    [
      'prompt none without consent',
      { prompt: 'none', claims: '{"userinfo":{"locale":{"essential":true}}}' },
      'consent_required',
    ],
  ];

  test.each(cases)('%s: to the registered URI, with iss and state', async (_, extra, error) => {
    for (const method of methods) {
      const answer = await leavingNothing(() => asking(web, extra, { browser, method }));
      expectRedirect(answer, redirectUri, { error });
    }
  });

  const silent: (typeof cases)[0] = ['prompt none without a session', { prompt: 'none' }, ''];
  test.each([...cases, silent])(
    '%s: with a foreign URI a page, in every response mode',
    async (name, extra) => {
      const signedIn = name === silent[0] ? undefined : browser;
      for (const mode of [undefined, 'query', 'fragment', 'form_post']) {
        for (const method of methods) {
          const answer = await leavingNothing(() =>
            asking(
              web,
              { response_mode: mode, ...extra, redirect_uri: 'https://evil.example/callback' },
              { browser: signedIn, method },
            ),
          );
          expectPage(answer, 'evil.example');
        }
      }
    },
  );

  test.each([
    ['an unknown client', { client_id: 'c_unknown' }],
    ['no client', { client_id: undefined }],
    ['an empty client', { client_id: '' }],
    ['a repeated client', { client_id: ['c_unknown', 'c_unknown'] }],
    ['a prototype for a client', { client_id: '__proto__' }],
    ['the credentials of an API', () => ({ client_id: apiClientId })],
    ['a machine', () => ({ client_id: machine.clientId })],
  ])('%s: a page, whatever else is asked', async (_, extra) => {
    const fields = typeof extra === 'function' ? extra() : extra;
    for (const more of [
      {},
      { prompt: 'none' },
      { response_type: 'token' },
      { response_mode: 'form_post' },
      { redirect_uri: 'https://evil.example/callback' },
    ] as Fields[]) {
      expectPage(await leavingNothing(() => asking(web, { ...fields, ...more })), 'evil.example');
    }
  });

  let apiClientId: string;
  beforeAll(async () => {
    apiClientId = (await seed.api('https://other.example.com')).clientId;
  });

  test('a redirect URI that came twice gets a page, in either order', async () => {
    for (const uris of [
      [redirectUri, 'https://evil.example/'],
      ['https://evil.example/', redirectUri],
      [redirectUri, redirectUri],
    ]) {
      for (const method of methods)
        expectPage(
          await leavingNothing(() => asking(web, { redirect_uri: uris }, { browser, method })),
          'evil.example',
        );
    }
  });

  test('the mistakes of a client never change where it is answered, nor split the answer', async () => {
    const state = 'x\r\nSet-Cookie: planted=1\r\nLocation: https://evil.example/\r\n\r\n<script>';
    const answer = await asking(web, { state, scope: 'openid "x' });
    expect(answer.cookies.join()).not.toContain('planted');
    expect(answer.location?.startsWith(`${redirectUri}?`)).toBe(true);
    expect(answered(answer.location)).toMatchObject({ state, error: 'invalid_scope' });
  });
});

describe('SECURITY Authorization 8: iss comes with every answer, in every response mode', () => {
  const modes = ['query', 'fragment', 'form_post'] as const;
  test.each(modes)('%s', async (response_mode) => {
    for (const [extra, expected] of [
      [{}, hasCode],
      [{ prompt: 'none', max_age: '0' }, { error: expect.any(String) }],
      [{ scope: '"' }, { error: 'invalid_scope' }],
    ] as const) {
      const answer = await asking(web, { ...extra, response_mode });
      if (response_mode === 'form_post') {
        expect(answer.text).toContain(`name="iss" value="${issuer}"`);
        expect(answer.text).toMatch(
          'code' in expected ? /name="code" value="vs_ac_/ : /name="error" value="/,
        );
        expect(answer.text).toContain(`action="${redirectUri}"`);
      } else {
        expectRedirect(answer, redirectUri, expected);
        expect(answer.location).toContain(
          response_mode === 'query' ? `${redirectUri}?` : `${redirectUri}#`,
        );
      }
    }
  });
});

describe('SECURITY Authorization 4, SECURITY 8: PKCE', () => {
  const challenge = 'a'.repeat(43);
  test.each<[string, Fields]>([
    ['left out', { code_challenge: undefined, code_challenge_method: undefined }],
    ['empty', { code_challenge: '', code_challenge_method: '' }],
    ['the method alone', { code_challenge: undefined }],
    ['the challenge alone', { code_challenge_method: undefined }],
    ['plain', { code_challenge_method: 'plain' }],
    ['S256 in lower case', { code_challenge_method: 's256' }],
    ['another method', { code_challenge_method: 'S512' }],
    ['a challenge too short', { code_challenge: 'a'.repeat(42) }],
    ['a challenge too long', { code_challenge: 'a'.repeat(129) }],
    ['a challenge with other characters', { code_challenge: `${'a'.repeat(42)}+` }],
    ['two challenges', { code_challenge: [challenge, challenge] }],
    ['two methods', { code_challenge_method: ['S256', 'plain'] }],
  ])(
    'at the authorization endpoint: %s, for confidential, public and first-party clients',
    async (_, extra) => {
      for (const [client, uri] of [
        [web, redirectUri],
        [spa, 'https://spa.example.com/callback'],
        [firstParty, redirectUri],
      ] as const) {
        const answer = await leavingNothing(() => asking(client, { ...extra, redirect_uri: uri }));
        expectRedirect(answer, uri, { error: 'invalid_request' });
      }
    },
  );

  test('at the token endpoint: without the right verifier the code gives nothing, and is not used up', async () => {
    const { fields, verifier } = authorizationFields(web);
    const code = answered((await ask(server.url, fields, { browser })).location).code as string;
    const redeem = (extra: Fields) =>
      send(server.url, '/token', {
        method: 'POST',
        headers: basic(web),
        body: form({ grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...extra }),
      });
    const codeChallenge = fields.code_challenge as string;
    await leavingNothing(async () => {
      for (const [extra, error] of [
        [{}, 'invalid_grant'],
        [{ code_verifier: '' }, 'invalid_grant'],
        [{ code_verifier: 'w'.repeat(43) }, 'invalid_grant'],
        // Stripped down to plain, the challenge would be its own verifier.
        [{ code_verifier: codeChallenge }, 'invalid_grant'],
        [{ code_verifier: codeChallenge, code_challenge_method: 'plain' }, 'invalid_grant'],
        [{ code_verifier: verifier.slice(0, 42) }, 'invalid_request'],
        [{ code_verifier: `${verifier}\n` }, 'invalid_request'],
        [{ code_verifier: [verifier, verifier] }, 'invalid_request'],
      ] as const) {
        const answer = await redeem(extra);
        expect({ extra, status: answer.status, error: answer.json.error }).toEqual({
          extra,
          status: 400,
          error,
        });
      }
    });
    expect((await redeem({ code_verifier: verifier })).status).toBe(200);
  });

  test('a verifier that nobody asked for is refused', async () => {
    const authorization = await browser.authorize(server.url, web);
    // No code is given without a challenge: this one lost it.
    await sql`update tokens set payload = payload - 'codeChallenge' - 'codeChallengeMethod' where kind = 'code' and consumed_at is null and account_id = ${accountId}`.execute(
      database.db.kysely,
    );
    expect((await leavingNothing(() => exchange(server.url, web, authorization))).body.error).toBe(
      'invalid_grant',
    );
  });
});

describe('SECURITY Authorization 5: a code', () => {
  test('lives for a minute', async () => {
    const authorization = await browser.authorize(server.url, web);
    const rows = await database.db.kysely
      .selectFrom('tokens')
      .select(['payload', 'expires_at', 'issued_at'])
      .where('kind', '=', 'code')
      .orderBy('issued_at', 'desc')
      .limit(1)
      .execute();
    const { exp, iat } = (rows[0] as (typeof rows)[0]).payload as unknown as {
      exp: number;
      iat: number;
    };
    expect(exp - iat).toBe(60);
    await sql`update tokens set expires_at = now() - interval '1 second', payload = payload || jsonb_build_object('exp', extract(epoch from now())::int - 1)
      where kind = 'code' and consumed_at is null and account_id = ${accountId}`.execute(
      database.db.kysely,
    );
    expect((await leavingNothing(() => exchange(server.url, web, authorization))).body.error).toBe(
      'invalid_grant',
    );
  });

  test.each([
    'vs_ac_',
    `vs_ac_${'x'.repeat(43)}`,
    'x',
    "vs_ac_' or true --",
    '__proto__',
    `vs_ac_${'x'.repeat(20_000)}`,
  ])('that is none of ours gives nothing: %#', async (code) => {
    const answer = await leavingNothing(() =>
      exchange(server.url, web, { code, verifier: 'v'.repeat(43) }),
    );
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test('of another kind of token gives nothing', async () => {
    const { body } = await exchange(server.url, web, await browser.authorize(server.url, web));
    for (const code of [body.access_token, body.refresh_token]) {
      expect((await exchange(server.url, web, { code, verifier: 'v'.repeat(43) })).body.error).toBe(
        'invalid_grant',
      );
    }
    const fresh = await browser.authorize(server.url, web);
    expect((await refresh(server.url, web, fresh.code)).body.error).toBe('invalid_grant');
    expect((await refresh(server.url, web, body.access_token)).body.error).toBe('invalid_grant');
    expect((await exchange(server.url, web, fresh)).status).toBe(200);
  });
});

describe('SECURITY Authorization 6: no implicit grant, no password grant', () => {
  test.each([
    'token',
    'id_token',
    'id_token token',
    'code token',
    'code id_token',
    'code id_token token',
    'none',
  ])('response_type %s', async (response_type) => {
    for (const client of [web, firstParty]) {
      const answer = await leavingNothing(() => asking(client, { response_type, nonce: 'n' }));
      const { error, access_token: access, id_token: id, code } = answered(answer.location);
      expect(['unsupported_response_type', 'invalid_request']).toContain(error);
      expect([access, id, code]).toEqual([undefined, undefined, undefined]);
      expect(answer.location?.split(/[?#]/)[0]).toBe(redirectUri);
    }
  });

  test.each([
    ['password', { username: 'ann@example.com', password: 'secret' }],
    ['implicit', {}],
    ['urn:ietf:params:oauth:grant-type:jwt-bearer', { assertion: 'e.e.e' }],
    ['urn:ietf:params:oauth:grant-type:device_code', { device_code: 'x' }],
    [
      'urn:ietf:params:oauth:grant-type:token-exchange',
      { subject_token: 'x', subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' },
    ],
    ['urn:openid:params:grant-type:ciba', { auth_req_id: 'x' }],
    ['__proto__', {}],
    ['constructor', {}],
    ['', {}],
  ])('grant_type %j', async (grant_type, extra) => {
    for (const client of [web, spa, machine, firstParty]) {
      const { status, body } = await leavingNothing(() =>
        post(server.url, '/token', client, { grant_type, scope: 'openid', ...extra } as Record<
          string,
          string
        >),
      );
      expect({ status, error: body.error }).toEqual({
        status: 400,
        error:
          grant_type === ''
            ? 'invalid_request'
            : (grantTypes as readonly string[]).includes(grant_type)
              ? 'unauthorized_client'
              : 'unsupported_grant_type',
      });
    }
  });

  test('a client has only the grants of its type', async () => {
    for (const client of [web, spa, native, firstParty]) {
      const answer = await leavingNothing(() =>
        post(server.url, '/token', client, {
          grant_type: 'client_credentials',
          resource: api,
          scope: 'read',
        }),
      );
      expect(answer.status).toBe(400);
      expect(answer.body.access_token).toBeUndefined();
    }
    const { code, verifier } = await browser.authorize(server.url, web);
    expect(
      (await leavingNothing(() => exchange(server.url, machine, { code, verifier }))).status,
    ).toBe(400);
    expect(
      (
        await post(server.url, '/token', machine, {
          grant_type: 'client_credentials',
          resource: api,
          scope: 'read',
        })
      ).status,
    ).toBe(200);
  });
});

describe('SECURITY Authorization 9: redirects, framing, CORS', () => {
  const origins = [
    'https://spa.example.com',
    'https://app.example.com',
    'https://evil.example',
    'null',
  ];

  test('every redirect is a 303', async () => {
    for (const method of methods) {
      for (const options of [{ browser, method }, { method }]) {
        for (const extra of [{}, { prompt: 'none' }, { scope: '"' }, { prompt: 'login' }])
          expect((await asking(web, extra, options)).status).toBe(303);
      }
    }
  });

  test('the authorization and sign-out endpoints have no CORS, for nobody', async () => {
    for (const origin of origins) {
      for (const path of [
        `/authorize?${query(authorizationFields(spa, { redirect_uri: 'https://spa.example.com/callback' }).fields)}`,
        '/logout',
        '/logout/confirm',
      ]) {
        for (const method of ['GET', 'POST', 'OPTIONS']) {
          const { headers } = await send(server.url, path, {
            method,
            headers: {
              origin,
              'access-control-request-method': 'GET',
              'access-control-request-headers': 'x',
              ...cookiesOf(browser),
            },
          });
          expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual(
            [],
          );
        }
      }
    }
  });

  test('the token endpoint has it for the origins of the client that asks, and for no other', async () => {
    const body = form({ grant_type: 'refresh_token', refresh_token: 'x', client_id: spa.clientId });
    const from = (origin: string) =>
      send(server.url, '/token', { method: 'POST', headers: { origin }, body });
    expect((await from('https://spa.example.com')).headers['access-control-allow-origin']).toBe(
      'https://spa.example.com',
    );
    for (const origin of [
      'https://evil.example',
      'https://spa.example.com.evil.example',
      'null',
      'http://spa.example.com',
      'https://app.example.com',
    ]) {
      const answer = await from(origin);
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
      expect(answer.json.error).toBe('invalid_request');
    }
    expect(
      (await from('https://spa.example.com')).headers['access-control-allow-credentials'],
    ).toBeUndefined();
    // The origin of a private scheme, as that of a sandboxed page, is `null`.
    const sandboxed = await send(server.url, '/token', {
      method: 'POST',
      headers: { origin: 'null' },
      body: form({ grant_type: 'refresh_token', refresh_token: 'x', client_id: native.clientId }),
    });
    expect(sandboxed.headers['access-control-allow-origin']).toBeUndefined();
    expect(sandboxed.json.error).toBe('invalid_request');
  });

  test('no page can be framed, cached, sniffed, or tells where it was', async () => {
    const signIn = (await asking(web, {}, {})).location as string;
    const pages = await Promise.all([
      asking(web, { redirect_uri: 'https://evil.example/' }),
      asking(web, { response_mode: 'form_post' }),
      send(server.url, '/logout', { headers: { accept: 'text/html', ...cookiesOf(browser) } }),
      send(server.url, signIn, { headers: { accept: 'text/html' } }),
      send(server.url, '/nowhere', { headers: { accept: 'text/html' } }),
    ]);
    for (const page of pages) {
      expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
      expect(page.headers).toMatchObject({
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': expect.stringMatching(/^(same-origin|no-referrer)$/),
        'cache-control': 'no-store',
      });
      const policy = page.headers['content-security-policy'] as string;
      for (const directive of [
        "default-src 'none'",
        "script-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
      ])
        expect(policy).toContain(directive);
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      expect(page.text).not.toMatch(
        /<script(?![^>]* src="\/)|<[^>]* on[a-z]+=|(?:src|href)="(?:https?:)?\/\/(?!localhost:3000)/,
      );
    }
  });

  test('an answer with a code is not cached and gives no referrer', async () => {
    const answer = await asking(web);
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'referrer-policy': 'same-origin',
    });
  });
});

describe('SECURITY Authorization 10, SECURITY 6: tokens in queries, duplicates', () => {
  test('a bearer token in the query is refused; in the header or the body it is taken', async () => {
    const { access_token: token } = (
      await exchange(server.url, web, await browser.authorize(server.url, web))
    ).body;
    const path = `/userinfo?${query({ access_token: token })}`;
    const header = { authorization: `Bearer ${token}` };
    expect((await send(server.url, '/userinfo', { headers: header })).json.sub).toBe(accountId);
    expect(
      (await send(server.url, '/userinfo', { method: 'POST', body: form({ access_token: token }) }))
        .json.sub,
    ).toBe(accountId);
    for (const sent of [
      {},
      { headers: header },
      { method: 'POST' },
      { method: 'POST', body: form({ access_token: token }) },
    ]) {
      const answer = await send(server.url, path, sent);
      expect(answer.json.error ?? answer.json.sub).toBe('invalid_request');
    }
    const both = await send(server.url, '/userinfo', {
      method: 'POST',
      headers: header,
      body: form({ access_token: token }),
    });
    expect(both).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
  });

  test('what is posted counts; the query of a POST does not', async () => {
    const { code, verifier } = await browser.authorize(server.url, web);
    const fields = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
    };
    const sent = { method: 'POST', headers: basic(web) };
    expect(
      (
        await leavingNothing(() =>
          send(server.url, `/token?${query(fields)}`, { ...sent, body: form({}) }),
        )
      ).status,
    ).toBe(400);
    expect(
      (await leavingNothing(() => send(server.url, `/token?${query(fields)}`, sent))).status,
    ).toBe(400);
    expect(
      (
        await send(
          server.url,
          '/token?code=evil&redirect_uri=https://evil.example/&client_id=evil',
          { ...sent, body: form(fields) },
        )
      ).status,
    ).toBe(200);
  });

  test('each parameter of an authorization request twice', async () => {
    const { fields } = authorizationFields(web, {
      nonce: 'n',
      prompt: 'none',
      max_age: '100',
      claims: '{"id_token":{"acr":null}}',
      response_mode: 'query',
      acr_values: 'a',
      ui_locales: 'en',
      login_hint: 'a',
      id_token_hint: 'e.e.e',
      claims_locales: 'en',
      display: 'page',
    });
    for (const [name, value] of Object.entries(fields)) {
      for (const values of [
        [value, value],
        [value, 'x'],
        ['x', value],
      ] as string[][]) {
        for (const method of methods) {
          const answer = await leavingNothing(() =>
            ask(server.url, { ...fields, [name]: values }, { browser, method }),
          );
          if (name === 'client_id' || name === 'redirect_uri') expectPage(answer);
          else
            expect({ name, ...answered(answer.location) }).toMatchObject({
              name,
              error: 'invalid_request',
              iss: issuer,
            });
        }
      }
    }
  });

  test('each parameter of a token request twice', async () => {
    const { code, verifier } = await browser.authorize(server.url, web);
    const { refresh_token: token } = (
      await exchange(server.url, web, await browser.authorize(server.url, web))
    ).body;
    const requests: [Credentials, Record<string, string>][] = [
      [
        web,
        {
          grant_type: 'authorization_code',
          code,
          code_verifier: verifier,
          redirect_uri: redirectUri,
        },
      ],
      [web, { grant_type: 'refresh_token', refresh_token: token, scope: 'openid' }],
      [machine, { grant_type: 'client_credentials', scope: 'read', resource: api }],
    ];
    for (const [client, fields] of requests) {
      const all = {
        ...fields,
        client_id: client.clientId,
        client_secret: client.clientSecret as string,
      };
      for (const [name, value] of Object.entries(all)) {
        if (name === 'resource') continue;
        for (const values of [
          [value, value],
          [value, 'x'],
          ['x', value],
        ]) {
          const answer = await leavingNothing(() =>
            send(server.url, '/token', { method: 'POST', body: form({ ...all, [name]: values }) }),
          );
          expect({ name, status: answer.status, error: answer.json.error }).toEqual({
            name,
            status: 400,
            error: 'invalid_request',
          });
        }
      }
      expect((await send(server.url, '/token', { method: 'POST', body: form(all) })).status).toBe(
        200,
      );
    }
  });

  test.each(['/introspect', '/revoke'])('each parameter of %s twice', async (path) => {
    const { access_token: token } = (
      await exchange(server.url, web, await browser.authorize(server.url, web))
    ).body;
    const all = {
      token,
      token_type_hint: 'access_token',
      client_id: web.clientId,
      client_secret: web.clientSecret as string,
    };
    for (const [name, value] of Object.entries(all)) {
      for (const values of [
        [value, value],
        [value, 'x'],
        ['x', value],
      ]) {
        const answer = await send(server.url, path, {
          method: 'POST',
          body: form({ ...all, [name]: values }),
        });
        expect({ name, status: answer.status, error: answer.json.error }).toEqual({
          name,
          status: 400,
          error: 'invalid_request',
        });
      }
    }
    expect(await isActive(server.url, web, token)).toBe(true);
    expect((await send(server.url, path, { method: 'POST', body: form(all) })).status).toBe(200);
  });

  test('each parameter of userinfo twice', async () => {
    const { access_token: token } = (
      await exchange(server.url, web, await browser.authorize(server.url, web))
    ).body;
    const headers = { authorization: `Bearer ${token}` };
    for (const [path, sent] of [
      ['/userinfo', { method: 'POST', body: form({ access_token: [token, token] }) }],
      ['/userinfo?scope=openid&scope=openid', { headers }],
      ['/userinfo', { method: 'POST', headers, body: form({ scope: ['openid', 'openid'] }) }],
    ] as const) {
      expect(await send(server.url, path, sent)).toMatchObject({
        status: 400,
        json: { error: 'invalid_request' },
      });
    }
    expect((await send(server.url, '/userinfo?scope=openid', { headers })).status).toBe(200);
  });

  test('every answer of the machine endpoints is no-store, errors too', async () => {
    const { access_token: token, refresh_token: refreshToken } = (
      await exchange(server.url, web, await browser.authorize(server.url, web))
    ).body;
    const headers = basic(web);
    const answers = await Promise.all([
      send(server.url, '/token', {
        method: 'POST',
        headers,
        body: form({ grant_type: 'refresh_token', refresh_token: refreshToken }),
      }),
      send(server.url, '/token', {
        method: 'POST',
        headers,
        body: form({ grant_type: 'refresh_token', refresh_token: 'x' }),
      }),
      send(server.url, '/token', {
        method: 'POST',
        headers: basic({ ...web, clientSecret: 'x' }),
        body: form({ grant_type: 'refresh_token' }),
      }),
      send(server.url, '/introspect', { method: 'POST', headers, body: form({ token }) }),
      send(server.url, '/userinfo', { headers: { authorization: `Bearer ${token}` } }),
      send(server.url, '/userinfo', { headers: { authorization: 'Bearer x' } }),
    ]);
    expect(answers.map((answer) => answer.status)).toEqual([200, 400, 401, 200, 200, 401]);
    for (const answer of answers) expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('the machine endpoints take no GET', async () => {
    for (const path of ['/token', '/introspect', '/revoke'])
      expect((await send(server.url, `${path}?token=x`, { headers: basic(web) })).status).toBe(405);
  });
});

test('SECURITY Authorization 11: a client id can never equal a subject', async () => {
  const accounts = await Promise.all(Array.from({ length: 5 }, () => seed.account()));
  const clients = await Promise.all([
    seed.client(),
    seed.client({ type: 'machine' }),
    seed.api('https://eleven.example.com'),
  ]);
  for (const id of accounts) expect(id).toMatch(/^u_/);
  for (const { clientId } of clients) expect(clientId).toMatch(/^[cr]_/);
  // Somebody who names an account as a client, or the other way round, gets nowhere.
  expectPage(await asking(web, { client_id: accountId }));
  expect(
    (
      await post(
        server.url,
        '/token',
        { clientId: accountId, clientSecret: undefined },
        { grant_type: 'client_credentials' },
      )
    ).status,
  ).toBe(401);
});

describe('SECURITY Authorization 12, SECURITY 25: consent', () => {
  const silently = (client: Credentials, extra: Fields = {}, of = browser) =>
    asking(client, { prompt: 'none', ...extra }, { browser: of });

  test('a stored one serves the client and the account that gave it', async () => {
    expectRedirect(await silently(web), redirectUri, hasCode);
    expectRedirect(
      await silently(spa, { redirect_uri: 'https://spa.example.com/callback' }),
      'https://spa.example.com/callback',
      hasCode,
    );
  });

  test("another account's serves nobody", async () => {
    const other = await seed.signIn(await seed.account());
    const answer = await leavingNothing(() => silently(web, {}, other));
    expectRedirect(answer, redirectUri, { error: 'consent_required' });
  });

  test("another client's serves nobody", async () => {
    const client = await seed.client();
    expectRedirect(await leavingNothing(() => silently(client)), redirectUri, {
      error: 'consent_required',
    });
  });

  test('without one, nobody but a confidential first-party client consents by itself', async () => {
    const person = await seed.signIn(await seed.account());
    for (const [client, uri] of [
      [web, redirectUri],
      [spa, 'https://spa.example.com/callback'],
      [native, 'https://app.example.com/native'],
      [native, 'com.example.app:/callback'],
    ] as const) {
      expectRedirect(
        await leavingNothing(() => silently(client, { redirect_uri: uri }, person)),
        uri,
        { error: 'consent_required' },
      );
      const shown = await asking(client, { redirect_uri: uri }, { browser: person });
      expect(shown.location).toMatch(/^\/interaction\/[\w-]+$/);
    }
    expectRedirect(await silently(firstParty, {}, person), redirectUri, hasCode);
    expectRedirect(
      await leavingNothing(() => asking(firstParty, { prompt: 'none' }, {})),
      redirectUri,
      { error: 'login_required' },
    );
  });

  test('a public client that is marked as first-party is asked about all the same', async () => {
    await expect(seed.client({ type: 'spa', firstParty: true })).rejects.toMatchObject({
      code: 'invalid_client',
    });
    const client = await seed.client({ type: 'spa' });
    await database.db.kysely
      .updateTable('clients')
      .set({ first_party: true })
      .where('id', '=', client.clientId)
      .execute();
    expectRedirect(await leavingNothing(() => silently(client)), redirectUri, {
      error: 'consent_required',
    });
  });

  test.each([
    'http://127.0.0.1:49152/callback',
    'http://[::1]:49152/callback',
    'com.example.app:/callback',
  ])('a public client on %s sees the page each time, stored consent or not', async (uri) => {
    expectRedirect(await leavingNothing(() => silently(native, { redirect_uri: uri })), uri, {
      error: 'consent_required',
    });
    expect((await asking(native, { redirect_uri: uri })).location).toMatch(/^\/interaction\//);
    expectRedirect(
      await silently(native, { redirect_uri: 'https://app.example.com/native' }),
      'https://app.example.com/native',
      hasCode,
    );
  });

  test('what was not decided on is asked for; what was turned down never comes', async () => {
    const id = await seed.account();
    await database.db.kysely
      .insertInto('consents')
      .values({
        id: `consent_${id}`,
        account_id: id,
        client_id: web.clientId,
        granted: JSON.stringify({ scopes: ['openid'], claims: [], resources: {} }),
        rejected: JSON.stringify({ scopes: ['email'], claims: [], resources: {} }),
        version: 1,
      })
      .execute();
    const person = await seed.signIn(id);
    expectRedirect(await silently(web, { scope: 'openid profile' }, person), redirectUri, {
      error: 'consent_required',
    });
    const authorization = await person.authorize(server.url, web, {
      scope: 'openid email',
      prompt: 'none',
    });
    const { body } = await exchange(server.url, web, authorization);
    expect(body.scope).toBe('openid');
    expect(
      (
        await send(server.url, '/userinfo', {
          headers: { authorization: `Bearer ${body.access_token}` },
        })
      ).json,
    ).toEqual({ sub: id });
  });

  test('taken back, it serves no more', async () => {
    const client = await seed.client();
    await seed.consent(accountId, client.clientId);
    expectRedirect(await silently(client), redirectUri, hasCode);
    await database.db.kysely
      .deleteFrom('consents')
      .where('client_id', '=', client.clientId)
      .execute();
    expectRedirect(await silently(client), redirectUri, { error: 'consent_required' });
  });

  test('a console asks for a sign-in and nothing else', async () => {
    const own = { client_id: 'vouchsafe-account', redirect_uri: `${issuer}/account/signed-in` };
    expectRedirect(
      await leavingNothing(() =>
        asking(web, {
          ...own,
          response_type: 'none',
          scope: 'openid',
          code_challenge: undefined,
          code_challenge_method: undefined,
        }),
      ),
      own.redirect_uri,
      {},
    );
    for (const extra of [
      {},
      { response_type: 'token' },
      { response_type: 'id_token', nonce: 'n' },
    ]) {
      const answer = await leavingNothing(() => asking(web, { ...own, ...extra }));
      expect(answered(answer.location).error).toMatch(
        /^(invalid_request|unsupported_response_type)$/,
      );
    }
    expectPage(await asking(web, { ...own, redirect_uri: redirectUri }));
    const { code, verifier } = await browser.authorize(server.url, web);
    for (const fields of [
      {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: redirectUri,
      },
      { grant_type: 'client_credentials', resource: api },
      { grant_type: 'refresh_token', refresh_token: 'x' },
    ]) {
      expect(
        (
          await post(
            server.url,
            '/token',
            { clientId: own.client_id, clientSecret: undefined },
            fields as Record<string, string>,
          )
        ).status,
      ).toBe(400);
    }
  });
});

describe('SECURITY 27: endless and malformed input', () => {
  const many = (count: number, word: string) =>
    Array.from({ length: count }, (_, index) => `${word}${index}`).join(' ');

  test('10,000 scopes: at the authorization endpoint what is ours of them is asked, and nothing of the rest is kept', async () => {
    const scope = `openid ${many(1_800, 's')}`;
    const answer = await asking(web, { scope }, { browser });
    expectRedirect(answer, redirectUri, hasCode);
    expect((await asking(web, { scope: `openid ${many(10_000, 'scope')}` })).status).toBe(431);
    const unknown = await asking(web, { scope }, {});
    expect(unknown.location).toMatch(/^\/interaction\//);
    const row = await database.db.kysely
      .selectFrom('interactions')
      .select('payload')
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    expect((row.payload as unknown as { params: { scope: string } }).params.scope).toBe('openid');
  });

  test('10,000 scopes: at the token endpoint a machine gets none that is not its own', async () => {
    const { status, body } = await post(server.url, '/token', machine, {
      grant_type: 'client_credentials',
      resource: api,
      scope: `read write ${many(8_000, 's')}`,
    });
    expect(status === 400 || body.scope === 'read').toBe(true);
  });

  test.each([
    '/token',
    '/introspect',
    '/revoke',
    '/userinfo',
    '/authorize',
    '/logout',
    '/logout/confirm',
  ])('1 MB to %s is refused with an error, short and clear', async (path) => {
    const body = form({ token: 'x'.repeat(1_000_000), grant_type: 'client_credentials' });
    for (const chunked of [false, true]) {
      for (const payload of [
        body,
        form({ password: '1 MB', token: '€'.repeat(200_000) }),
        `${'a=1&'.repeat(250_000)}`,
      ]) {
        const answer = await leavingNothing(() =>
          send(server.url, path, {
            method: 'POST',
            chunked,
            body: payload,
            headers: { ...basic(web), 'content-type': 'application/x-www-form-urlencoded' },
          }),
        );
        expect([400, 401, 404, 413]).toContain(answer.status);
        expect(answer.text.length).toBeLessThan(5_000);
        expect(answer.text).not.toMatch(/\bat .*\.[jt]s|node_modules/);
        if (!/authorize/.test(path))
          expect(answer.headers['content-type']).toMatch(/^application\/(problem\+)?json/);
      }
    }
  });

  test('just under the limit is read, in JSON or in no type of ours refused', async () => {
    const headers = basic(web);
    expect(
      (
        await send(server.url, '/introspect', {
          method: 'POST',
          headers,
          body: form({ token: 'x'.repeat(50_000) }),
        })
      ).json,
    ).toEqual({ active: false });
    for (const type of [
      'application/json',
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded; charset=evil',
    ]) {
      for (const path of ['/token', '/introspect', '/revoke']) {
        const answer = await send(server.url, path, {
          method: 'POST',
          headers: { ...headers, 'content-type': type },
          body: '{"token":"x","grant_type":"client_credentials"}',
        });
        expect({ type, path, status: answer.status }).toEqual({ type, path, status: 415 });
      }
    }
  });

  test.each([
    ['no JSON', 'x'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number', '1'],
    ['nothing in it', '{}'],
    ['a text for id_token', '{"id_token":"x"}'],
    ['null for id_token', '{"id_token":null}'],
    ['a list for userinfo', '{"userinfo":[]}'],
    ['a text for sub', '{"id_token":{"sub":"x"}}'],
    ['a number for acr', '{"id_token":{"acr":1}}'],
    ['texts for acr values', '{"id_token":{"acr":{"essential":true,"values":"x"}}}'],
    ['numbers for acr values', '{"id_token":{"acr":{"essential":true,"values":[1]}}}'],
    ['an object for an acr value', '{"id_token":{"acr":{"essential":true,"value":{}}}}'],
    ['depth', `{"id_token":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}}`],
    ['more depth, not closed', '['.repeat(4_000)],
    ['a repeated key', '{"id_token":{},"id_token":"x"}'],
  ])('claims: %s', async (name, claims) => {
    for (const signedIn of [browser, undefined]) {
      const answer = await asking(web, { claims, prompt: 'none' }, { browser: signedIn });
      expect(answer.location?.startsWith(`${redirectUri}?error=`)).toBe(true);
      expect(answered(answer.location).error).not.toBe('server_error');
      if (name !== 'depth')
        expect([
          'invalid_request',
          'unmet_authentication_requirements',
          'login_required',
        ]).toContain(answered(answer.location).error);
    }
  });

  test.each<[string, Fields]>([
    [
      'claims about a prototype',
      {
        claims:
          '{"id_token":{"__proto__":null,"constructor":{"essential":true}},"userinfo":{"toString":null}}',
      },
    ],
    [
      'claims deep below what is looked at',
      { claims: `{"id_token":{"x":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}}` },
    ],
    ['1,500 locales', { ui_locales: many(1_500, 'xx-') }],
    [
      'a locale that is a path',
      { ui_locales: '../../../etc/passwd ..%2f..%2f <script> __proto__ constructor' },
    ],
    ['a login_hint of 10,000 letters', { login_hint: 'x'.repeat(10_000) }],
    ['a nonce of 10,000 letters', { nonce: 'x'.repeat(10_000) }],
    [
      '1,200 parameters of no meaning',
      Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`p${index}`, 'x'])),
    ],
    ['1,200 context classes', { acr_values: many(1_200, 'urn:') }],
    ['a nested parameter', { 'state[a]': 'x', 'client_id[]': 'c_evil' }],
  ])('%s: no harm', async (_, extra) => {
    expectRedirect(await asking(web, extra), redirectUri, hasCode);
    const signIn = await asking(web, extra, {});
    expect(signIn.location).toMatch(/^\/interaction\/[\w-]+$/);
    const cookie = signIn.cookies.map((line) => line.split(';')[0]).join('; ');
    const page = await send(server.url, signIn.location as string, {
      headers: {
        cookie,
        accept: 'text/html',
        'accept-language': `${many(500, 'xx-')}, ../../etc/passwd`,
      },
    });
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/etc\/passwd|<script>/);
    expect(page.text.length).toBeLessThan(60_000);
  });

  test.each(['1e308', 'NaN', 'Infinity', '1.5', ' ', '0x10', '-0', '9'.repeat(400), '[]'])(
    'max_age %j is read as a number of seconds or refused',
    async (max_age) => {
      const answer = await asking(web, { max_age, prompt: 'none' });
      expect(answer.location?.startsWith(`${redirectUri}?`)).toBe(true);
      expect(answered(answer.location).error).not.toBe('server_error');
    },
  );

  test('U+0000, which the database has no place for, ends in no 5xx wherever it comes', async () => {
    const nul = '\u0000';
    const claims = JSON.stringify({ id_token: { acr: { value: nul }, [nul]: null } });
    for (const extra of [{ nonce: nul }, { state: `x${nul}` }, { claims }, { login_hint: nul }]) {
      const answer = await asking(web, extra);
      expect(answered(answer.location).code).toMatch(/^vs_ac_/);
      expect((await asking(web, extra, {})).location).toMatch(/^\/interaction\//);
    }
    expectPage(await asking(web, { client_id: nul }));
    expectPage(await asking(web, { client_id: nul }, {}));
    const fields = form({
      client_id: nul,
      grant_type: 'refresh_token',
      refresh_token: nul,
      token: nul,
    });
    for (const path of ['/token', '/introspect', '/revoke']) {
      expect((await send(server.url, path, { method: 'POST', body: fields })).status).toBe(401);
      expect(
        (
          await send(server.url, path, {
            method: 'POST',
            headers: basic({ clientId: nul, clientSecret: nul }),
            body: form({ token: nul }),
          })
        ).status,
      ).toBe(401);
    }
    for (const path of [
      `/logout?state=%00&client_id=${web.clientId}`,
      '/logout?client_id=%00',
      '/logout/success?client_id=%00',
      '/interaction/%00',
      '/%00',
    ]) {
      expect(
        (await send(server.url, path, { headers: { ...cookiesOf(browser), accept: 'text/html' } }))
          .status,
      ).toBeLessThan(500);
    }
  });

  test('hostile values of other parameters get an answer that is not a 5xx', async () => {
    const values = [
      '\u0000',
      '%00',
      '\ud800',
      '__proto__',
      '{{7*7}}',
      "' or 1=1 --",
      '../'.repeat(50),
      '🔑'.repeat(500),
    ];
    const names = [
      'scope',
      'state',
      'nonce',
      'display',
      'prompt',
      'max_age',
      'ui_locales',
      'claims_locales',
      'id_token_hint',
      'login_hint',
      'acr_values',
      'resource',
      'response_mode',
      'response_type',
      'client_id',
      'redirect_uri',
      'code_challenge',
      'code_challenge_method',
    ];
    for (const name of names) {
      for (const value of values) {
        for (const signedIn of [browser, undefined]) {
          const answer = await asking(web, { [name]: value }, { browser: signedIn });
          expect({ name, value, status: answer.status }).toEqual({
            name,
            value,
            status: answer.location === undefined ? 400 : 303,
          });
          if (answer.location !== undefined)
            expect(answer.location).toMatch(
              /^(https:\/\/app\.example\.com\/callback\?|\/interaction\/)/,
            );
          expect(answered(answer.location).error).not.toBe('server_error');
        }
      }
    }
  });
});

describe('whatever is sent', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '',
      ' ',
      '0',
      '-1',
      'null',
      '[]',
      '{}',
      'openid',
      'code',
      'none',
      'login',
      'consent',
      'form_post',
      'fragment',
      'https://evil.example/',
      '//evil.example',
      'e.e.e',
      '%00',
      '%',
      '&',
      '#',
      '"><script>',
    ),
  );
  const value = fc.oneof(
    { weight: 4, arbitrary: text },
    fc.array(text, { maxLength: 3 }),
    fc.constant(undefined),
  );
  const some = (names: string[]) => fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 4 });

  test('the authorization endpoint answers with a page, an interaction, or the registered URI', async () => {
    const names = [
      'client_id',
      'redirect_uri',
      'response_type',
      'response_mode',
      'scope',
      'state',
      'nonce',
      'prompt',
      'max_age',
      'claims',
      'acr_values',
      'login_hint',
      'id_token_hint',
      'resource',
      'ui_locales',
      'display',
      'code_challenge',
      'code_challenge_method',
      'request',
      'request_uri',
      'registration',
      'web_message_uri',
      'authorization_details',
      'dpop_jkt',
      'vs_scope',
      '__proto__',
    ];
    await fc.assert(
      fc.asyncProperty(some(names), fc.boolean(), async (extra, signedIn) => {
        const answer = await asking(web, extra, { browser: signedIn ? browser : undefined });
        expect([200, 303, 400]).toContain(answer.status);
        expect(answer.location ?? redirectUri).toMatch(
          /^(https:\/\/app\.example\.com\/callback([?#]|$)|\/interaction\/[\w-]+$)/,
        );
        expect(answered(answer.location).error).not.toBe('server_error');
        const target = /<form[^>]* action="([^"]*)"/.exec(answer.text)?.[1];
        expect([undefined, redirectUri]).toContain(target);
      }),
      { numRuns: 400 },
    );
  });

  test('the machine endpoints answer with no 5xx and no token', async () => {
    const names = [
      'grant_type',
      'code',
      'code_verifier',
      'redirect_uri',
      'refresh_token',
      'scope',
      'resource',
      'client_id',
      'client_secret',
      'client_assertion',
      'client_assertion_type',
      'token',
      'token_type_hint',
      'access_token',
      'audience',
      'authorization_details',
      '__proto__',
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('/token', '/introspect', '/revoke', '/userinfo', '/logout/confirm'),
        some(names),
        fc.constantFrom({}, basic(web), basic(machine), { authorization: 'Bearer x' }),
        async (path, fields, headers: Record<string, string>) => {
          const answer = await send(server.url, path, {
            method: 'POST',
            headers,
            body: form(fields),
          });
          expect(answer.status).toBeLessThan(500);
          expect(answer.json).not.toHaveProperty('access_token');
          expect(answer.json.active ?? false).toBe(false);
        },
      ),
      { numRuns: 400 },
    );
  });
});

test('the audit holds nothing of what was sent: refusals are told in words of ours', async () => {
  const { rows } = await sql<{
    line: string;
  }>`select row_to_json(a)::text as line from audit_events a where type = 'token.refused'`.execute(
    database.db.kysely,
  );
  expect(rows.length).toBeGreaterThan(50);
  for (const { line } of rows) {
    const { reason, data } = JSON.parse(line) as { reason: string; data: Record<string, unknown> };
    expect(reason).toMatch(
      /^(invalid_(request|client|grant|scope|target)|unsupported_grant_type|unauthorized_client)$/,
    );
    // Refusals of one reason from one address are one row a minute, with a count.
    const { count, since, ...rest } = data;
    expect([typeof count, typeof since]).toEqual(
      count === undefined ? ['undefined', 'undefined'] : ['number', 'string'],
    );
    expect(Object.keys(rest)).toEqual(['grant_type']);
    expect([...grantTypes, 'other']).toContain(data.grant_type);
  }
});

describe('request objects', () => {
  test('a request_uri is refused, and nothing is fetched', async () => {
    let hits = 0;
    const foreign = createServer((_request, response) => {
      hits++;
      response.end();
    });
    await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
    const uri = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/request`;
    for (const [request_uri, error] of [
      [uri, 'request_uri_not_supported'],
      ['urn:ietf:params:oauth:request_uri:x', 'invalid_request_uri'],
    ] as const) {
      const answer = await leavingNothing(() => asking(web, { request_uri }));
      expectRedirect(answer, redirectUri, { error });
    }
    expectPage(await leavingNothing(() => asking(web, { client_id: uri })), '127.0.0.1');
    expect(hits).toBe(0);
    await new Promise((resolve) => foreign.close(resolve));
  });

  test('an unsigned request object decides nothing', async () => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const request = `${part({ alg: 'none' })}.${part({ client_id: web.clientId, redirect_uri: 'https://evil.example/', iss: web.clientId, aud: issuer })}.`;
    expectRedirect(await leavingNothing(() => asking(web, { request })), redirectUri, {
      error: 'invalid_request_object',
    });
    expectPage(
      await leavingNothing(() => asking(web, { request, redirect_uri: undefined })),
      'evil.example',
    );
  });
});
