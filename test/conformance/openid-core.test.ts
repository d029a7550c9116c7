import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  isActive,
  refresh,
  redirectUri,
  Seed,
  type SignedInBrowser,
  type TokenAnswer,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { authorizationFields, cookiesOf, form, send } from '../support/wire.ts';

/**
 * What the OpenID Foundation's basic plan looks at, module by module, in our own words: a confidential client with a code, to a
 * person who is signed in and has allowed it before. The names are those of its modules.
 */

const issuer = 'http://localhost:3000';

let database: TestDatabase;
let server: ServerProcess;
let seed: Seed;
let client: Credentials;
let other: Credentials;
let accountId: string;
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  server = await startServerProcess(database, issuer);
  [client, other] = [await seed.client(), await seed.client()];
  accountId = await seed.account();
  for (const { clientId } of [client, other]) await seed.consent(accountId, clientId);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/** Parameters of the answer at the client's redirect URI. */
async function answered(extra: Record<string, string>, who = browser): Promise<URLSearchParams> {
  const { response } = await who.ask(server.url, client, extra);
  const location = response.headers.get('location') ?? '';
  expect(location.startsWith(redirectUri)).toBe(true);
  return new URL(location).searchParams;
}

async function tokens(extra: Record<string, string> = {}): Promise<TokenAnswer['body']> {
  const authorization = await browser.authorize(server.url, client, extra);
  const { status, body } = await exchange(server.url, client, authorization);
  expect(status).toBe(200);
  return body;
}

const idToken = (body: TokenAnswer['body']) => decodeJwt(body.id_token as string);

function userinfo(token: string, { method = 'GET', inBody = false } = {}) {
  const headers: Record<string, string> = inBody ? {} : { authorization: `Bearer ${token}` };
  const body = inBody ? form({ access_token: token }) : undefined;
  return send(server.url, '/userinfo', { method, headers, ...(body ? { body } : {}) });
}

/** What the browser is asked for instead of an answer. */
async function isAsked(extra: Record<string, string>): Promise<boolean> {
  const { response } = await browser.tab().ask(server.url, client, extra);
  return /\/interaction\//.test(response.headers.get('location') ?? '');
}

describe('the request', () => {
  test('oidcc-response-type-missing: is told in an error, with the state', async () => {
    const { fields } = authorizationFields(client, { response_type: undefined, state: 'there' });
    const { location = '' } = await send(server.url, `/authorize?${form(fields).toString()}`, {
      headers: cookiesOf(browser),
    });
    expect(Object.fromEntries(new URL(location).searchParams)).toMatchObject({
      error: 'invalid_request',
      state: 'there',
      iss: issuer,
    });
  });

  test.each<[string, Record<string, string>]>([
    ['oidcc-ensure-request-with-unknown-parameter-succeeds', { extra: 'foobar' }],
    ['oidcc-display-page', { display: 'page' }],
    ['oidcc-display-popup', { display: 'popup' }],
    ['oidcc-ui-locales', { ui_locales: 'se' }],
    ['oidcc-claims-locales', { claims_locales: 'se' }],
    ['oidcc-login-hint', { login_hint: 'somebody@example.com' }],
    ['oidcc-ensure-request-with-acr-values-succeeds', { acr_values: 'unknown' }],
    ['oidcc-ensure-request-without-nonce-succeeds-for-code-flow', {}],
    ['oidcc-alternate-happy-flow', { scope: 'offline_access email openid' }],
  ])('%s', async (_module, extra) => {
    expect((await answered(extra)).has('code')).toBe(true);
  });

  test('oidcc-ensure-post-request-succeeds', async () => {
    const { fields } = authorizationFields(client, {});
    let next = await send(server.url, '/authorize', {
      method: 'POST',
      body: form(fields),
      headers: cookiesOf(browser),
    });
    for (let steps = 0; next.location?.startsWith(issuer) && steps < 3; steps++)
      next = await send(server.url, next.location.slice(issuer.length), {
        headers: cookiesOf(browser),
      });
    expect(new URL(next.location ?? '').searchParams.has('code')).toBe(true);
  });

  test.each(['request', 'request_uri'])(
    'a %s that is not signed, or lies elsewhere, decides nothing',
    async (parameter) => {
      const value = parameter === 'request' ? unsigned({}) : 'https://app.example.com/request.jwt';
      const { response } = await browser.ask(server.url, client, { [parameter]: value });
      const text = `${response.headers.get('location') ?? ''} ${await response.text()}`;
      expect(text).toMatch(/invalid_request(_uri|_object)?|request_uri_not_supported/);
      expect(text).not.toContain('code=');
    },
  );
});

function unsigned(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.`;
}

describe('prompts and ages', () => {
  test('oidcc-prompt-none-logged-in: the same person as before', async () => {
    const first = idToken(await tokens());
    const second = idToken(await tokens({ prompt: 'none' }));
    expect([second.sub, second.auth_time]).toEqual([first.sub, first.auth_time]);
  });

  test('oidcc-prompt-none-not-logged-in: login_required, with the state', async () => {
    const nobody = browser.tab();
    nobody.cookies.clear();
    const answer = await answered({ prompt: 'none', state: 'there' }, nobody);
    expect([answer.get('error'), answer.get('state')]).toEqual(['login_required', 'there']);
  });

  test('oidcc-prompt-login: who is signed in signs in again', async () => {
    expect(await isAsked({ prompt: 'login' })).toBe(true);
  });

  test('oidcc-max-age-1: an older sign-in is not enough', async () => {
    const who = await seed.signIn(accountId);
    await sql`update sessions set payload = jsonb_set(payload, '{loginTs}',
      to_jsonb((payload->>'loginTs')::int - 2)) where uid = ${who.sessionUid}`.execute(
      database.db.kysely,
    );
    const { response } = await who.ask(server.url, client, { max_age: '1' });
    expect(response.headers.get('location')).toContain('/interaction/');
  });

  test('oidcc-max-age-10000: a younger one is, and auth_time tells of it', async () => {
    const first = idToken(await tokens({ max_age: '15000' }));
    const second = idToken(await tokens({ max_age: '10000', prompt: 'none' }));
    expect(first.auth_time).toEqual(expect.any(Number));
    expect(second.auth_time).toBe(first.auth_time);
  });

  test('oidcc-id-token-hint: with prompt=none, the same person', async () => {
    const body = await tokens();
    const hint = body.id_token as string;
    const again = idToken(await tokens({ prompt: 'none', id_token_hint: hint }));
    expect(again.sub).toBe(idToken(body).sub);
  });
});

describe('tokens', () => {
  test('oidcc-server, oidcc-idtoken-signature: an ID token in RS256 by a key of the JWKS', async () => {
    const body = await tokens({ nonce: 'once' });
    const { alg, kid } = decodeProtectedHeader(body.id_token as string);
    const { json } = await send(server.url, '/jwks');
    expect(alg).toBe('RS256');
    expect((json as { keys: { kid: string }[] }).keys.map((key) => key.kid)).toContain(kid);
    expect(idToken(body)).toMatchObject({ iss: issuer, aud: client.clientId, nonce: 'once' });
  });

  test('oidcc-server-client-secret-post', async () => {
    const posting = await seed.client({ authMethod: 'client_secret_post' });
    await seed.consent(accountId, posting.clientId);
    const { code, verifier } = await browser.authorize(server.url, posting);
    const { status } = await send(server.url, '/token', {
      method: 'POST',
      body: form({
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: redirectUri,
        client_id: posting.clientId,
        client_secret: posting.clientSecret,
      }),
    });
    expect(status).toBe(200);
  });

  test.each([
    ['oidcc-userinfo-get', {}],
    ['oidcc-userinfo-post-header', { method: 'POST' }],
    ['oidcc-userinfo-post-body', { method: 'POST', inBody: true }],
  ])('%s: tells of the person of the ID token', async (_module, how) => {
    const body = await tokens();
    const { status, json } = await userinfo(body.access_token, how);
    expect([status, json.sub]).toEqual([200, idToken(body).sub]);
  });

  test.each([
    ['oidcc-scope-profile', 'openid profile', ['name']],
    ['oidcc-scope-email', 'openid email', ['email', 'email_verified']],
  ])('%s: at userinfo, and not in the ID token', async (_module, scope, claims) => {
    const body = await tokens({ scope });
    const { json } = await userinfo(body.access_token);
    for (const claim of claims) {
      expect(json).toHaveProperty(claim);
      expect(idToken(body)).not.toHaveProperty(claim);
    }
  });

  test('oidcc-claims-essential: name, which was asked for as essential', async () => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true } } });
    await sql`update consents set granted = jsonb_set(granted, '{claims}', '["name"]')
      where client_id = ${client.clientId}`.execute(database.db.kysely);
    const body = await tokens({ scope: 'openid', claims });
    expect((await userinfo(body.access_token)).json.name).toBe('Ann');
  });

  test('oidcc-codereuse-30seconds: refused, and what the code gave is dead', async () => {
    const authorization = await browser.authorize(server.url, client);
    const { body } = await exchange(server.url, client, authorization);
    await sql`update tokens set consumed_at = now() - interval '30 seconds'
      where kind = 'code' and consumed_at is not null`.execute(database.db.kysely);
    const again = await exchange(server.url, client, authorization);
    expect([again.status, again.body.error]).toEqual([400, 'invalid_grant']);
    expect(await isActive(server.url, client, body.access_token)).toBe(false);
    expect((await userinfo(body.access_token)).status).toBe(401);
  });

  test('oidcc-refresh-token: works for the client that it was given to, and for no other', async () => {
    const { refresh_token: token } = await tokens();
    const stolen = await refresh(server.url, other, token);
    expect([stolen.status, stolen.body.error]).toEqual([400, 'invalid_grant']);
    const { status, body } = await refresh(server.url, client, token);
    expect(status).toBe(200);
    expect(idToken(body).sub).toBe(accountId);
  });
});
