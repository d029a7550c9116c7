import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint } from 'jose';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  redirectUri,
  Seed,
  type SignedInBrowser,
  cookieOf,
} from '../support/protocol.ts';
import {
  type Answer,
  assertion,
  type ClientKey,
  jwksOf,
  newKey,
  proof,
  send,
} from '../support/proofs.ts';
import { answered, asking, pushedUri, visit } from '../support/requests.ts';
import { enterPassword } from '../support/relying-party.ts';
import {
  appRedirectUri,
  startServer,
  type TestAccount,
  type TestServer,
} from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { countRows, form, send as sendRaw } from '../support/wire.ts';

/** Pushed authorization requests (RFC 9126), over two processes. */

const issuer = 'http://localhost:3000';
const URN = 'urn:ietf:params:oauth:request_uri:';
let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
let client: Credentials;
let other: Credentials;
let strict: Credentials;
let browser: SignedInBrowser;
let accountId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  client = await seed.client();
  other = await seed.client();
  strict = await seed.client({ requirePushed: true });
  accountId = await seed.account();
  for (const { clientId } of [client, other, strict]) await seed.consent(accountId, clientId);
  [one, two] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
  ]);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

const basic = ({ clientId, clientSecret }: Credentials) => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});

/** Pushes for the client, which authenticates with its secret. */
function push(
  by: Credentials,
  form: Record<string, string>,
  headers: Record<string, string> = {},
  server = one,
): Promise<Answer> {
  return send(server.url, '/par', form, { ...basic(by), ...headers });
}

async function pushed(by: Credentials, extra: Record<string, string | undefined> = {}) {
  const { verifier, parameters } = asking(by.clientId, extra);
  const uri = pushedUri(await push(by, parameters));
  return { verifier, uri, parameters: { client_id: by.clientId, request_uri: uri } };
}

const rowOf = async (uri: string) =>
  database.db.kysely
    .selectFrom('pushed_requests')
    .selectAll()
    .where('id_hash', '=', sha256(uri.slice(URN.length)))
    .executeTakeFirst();

async function refusals(clientId: string) {
  const { rows } = await sql<{ type: string; reason: string }>`
    select type, reason from audit_events where client_id = ${clientId} and outcome = 'refused' order by at, id`.execute(
    database.db.kysely,
  );
  return rows;
}

test('what was pushed on one process is used on the other, once, and gives a code', async () => {
  const { verifier, parameters } = asking(client.clientId);
  const answer = await push(client, parameters);
  expect(answer.status).toBe(201);
  expect(answer.body).toEqual({ request_uri: expect.any(String), expires_in: 60 });
  expect(answer.headers.get('cache-control')).toContain('no-store');
  const uri = pushedUri(answer);
  expect(uri).toMatch(/^urn:ietf:params:oauth:request_uri:[\w-]{43}$/);

  const row = await rowOf(uri);
  expect(row).toMatchObject({ client_id: client.clientId, consumed_at: null });
  expect(JSON.stringify(row)).not.toContain(uri.slice(URN.length));

  const response = await visit(browser, two.url, { client_id: client.clientId, request_uri: uri });
  expect(response.status).toBe(303);
  const got = answered(response);
  expect(got).toEqual({ code: expect.any(String), state: 'the state', iss: issuer });
  const tokens = await exchange(two.url, client, { code: got?.code as string, verifier });
  expect(tokens.status).toBe(200);
  expect(tokens.body.scope).toBe('openid email offline_access');
  expect(tokens.body.refresh_token).toBeDefined();
  expect(await rowOf(uri)).toMatchObject({ payload: null, consumed_at: expect.any(Date) });

  const again = await visit(browser, one.url, { client_id: client.clientId, request_uri: uri });
  expect([again.status, again.headers.get('location')]).toEqual([400, null]);
  expect(await again.text()).toContain('invalid_request_uri');
});

describe('a request_uri', () => {
  test('that twenty browsers bring at once gives one code; who loses has written nothing, and sees that it was used', async () => {
    const { parameters } = await pushed(client);
    const before = await countRows(database.db);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        visit(browser.tab(), index % 2 === 0 ? one.url : two.url, parameters),
      ),
    );
    const codes = answers.filter((answer) => answered(answer)?.code !== undefined);
    expect(codes).toHaveLength(1);
    const lost = answers.filter((answer) => !codes.includes(answer));
    expect(lost.map(({ status }) => status)).toEqual(lost.map(() => 400));
    for (const answer of lost) {
      expect(answer.headers.get('location')).toBeNull();
      const text = await answer.text();
      expect(text).toContain('<dd class="code" translate="no">invalid_request_uri</dd>');
      expect(text).toContain('already used');
    }
    const after = await countRows(database.db);
    expect(Number(after.tokens) - Number(before.tokens)).toBe(1);
  });

  test('is for the client that pushed it, and another one that brings it uses nothing up', async () => {
    const { uri, parameters } = await pushed(client);
    const stolen = await visit(browser, one.url, { client_id: other.clientId, request_uri: uri });
    expect([stolen.status, stolen.headers.get('location')]).toEqual([400, null]);
    expect(await stolen.text()).toContain('invalid_request_uri');
    expect(await rowOf(uri)).toMatchObject({ consumed_at: null });
    expect(answered(await visit(browser, one.url, parameters))).toHaveProperty('code');
  });

  test('that is over, unknown, or not one of ours starts nothing', async () => {
    const { uri, parameters } = await pushed(client);
    await sql`update pushed_requests set expires_at = now() - interval '1 second'`.execute(
      database.db.kysely,
    );
    const before = await countRows(database.db);
    const hash = sha256(uri.slice(URN.length)).toString('base64url');
    for (const [request_uri, error] of [
      [uri, 'invalid_request_uri'],
      [`${URN}${'x'.repeat(43)}`, 'invalid_request_uri'],
      [URN, 'invalid_request_uri'],
      // What stands in the row, as who has stolen a dump knows it.
      [`${URN}${hash}`, 'invalid_request_uri'],
      ['https://app.example.com/request.jwt', 'request_uri_not_supported'],
      ['http://127.0.0.1/request.jwt', 'request_uri_not_supported'],
    ] as const) {
      const answer = await visit(browser, one.url, { ...parameters, request_uri });
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
      expect(await answer.text()).toContain(`>${error}<`);
    }
    expect(await countRows(database.db)).toEqual(before);
  });

  test('does not go together with a request object, and nothing beside it counts', async () => {
    const first = await pushed(client);
    const both = await visit(browser, one.url, { ...first.parameters, request: 'a.b.c' });
    expect(await both.text()).toContain('invalid_request');
    const answer = await visit(browser, one.url, {
      ...first.parameters,
      state: 'another state',
      scope: 'openid',
      redirect_uri: redirectUri,
      code_challenge: 'x'.repeat(43),
    });
    const got = answered(answer);
    expect(got).toMatchObject({ state: 'the state', code: expect.any(String) });
    const tokens = await exchange(one.url, client, {
      code: got?.code as string,
      verifier: first.verifier,
    });
    expect(tokens.body.scope).toBe('openid email offline_access');
  });
});

describe('a client that has to push', () => {
  test('gets nothing in any other way', async () => {
    const { parameters } = asking(strict.clientId);
    const plain = await visit(browser, one.url, parameters);
    expect(answered(plain)).toEqual({
      error: 'invalid_request',
      error_description: 'Pushed Authorization Request must be used',
      state: 'the state',
      iss: issuer,
    });
    const { parameters: right } = await pushed(strict);
    expect(answered(await visit(browser, one.url, right))).toHaveProperty('code');
  });

  test('has people who sign in to it', async () => {
    await expect(seed.client({ type: 'machine', requirePushed: true })).rejects.toMatchObject({
      code: 'invalid_client',
    });
  });
});

describe('who pushes', () => {
  test('authenticates as at the token endpoint, and who does not is told of in the audit', async () => {
    const victim = await seed.client();
    const { parameters } = asking(victim.clientId);
    const wrong = await push({ ...victim, clientSecret: 'vs_cs_wrong' }, parameters);
    expect([wrong.status, wrong.body.error]).toEqual([401, 'invalid_client']);
    const without = await send(one.url, '/par', parameters);
    expect([without.status, without.body.error]).toEqual([401, 'invalid_client']);
    const asOther = await push(other, parameters);
    expect([asOther.status, asOther.body.error]).toEqual([400, 'invalid_request']);
    expect(await refusals(victim.clientId)).toEqual([
      // The second one is alike: one row a minute, and a count.
      { type: 'client.authentication', reason: 'invalid_client' },
    ]);
    const { count } = (
      await sql<{
        count: number;
      }>`select count(*)::int as count from pushed_requests where client_id = ${victim.clientId}`.execute(
        database.db.kysely,
      )
    ).rows[0] as { count: number };
    expect(count).toBe(0);
  });

  test('may be a public client', async () => {
    const spa = await seed.client({ type: 'spa' });
    await seed.consent(accountId, spa.clientId);
    const { verifier, parameters } = asking(spa.clientId);
    const request_uri = pushedUri(await send(one.url, '/par', parameters));
    const got = answered(await visit(browser, two.url, { client_id: spa.clientId, request_uri }));
    const tokens = await exchange(one.url, spa, { code: got?.code as string, verifier });
    expect(tokens.status).toBe(200);
  });

  test('signs an assertion for us, whose id is good once', async () => {
    const key = await newKey();
    const { clientId } = await seed.client({
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
    });
    const { parameters } = asking(clientId);
    const by = async (aud: string, other: Record<string, unknown> = {}) => ({
      ...parameters,
      ...(await assertion(key, clientId, aud, other)),
    });
    // RFC 9126, section 2: the issuer, the token endpoint or this one.
    for (const aud of [issuer, `${issuer}/token`, `${issuer}/par`])
      pushedUri(await send(one.url, '/par', await by(aud)));
    const used = await by(issuer);
    pushedUri(await send(one.url, '/par', used));
    for (const [server, form] of [
      [two, used],
      [one, await by('https://other.example.com')],
      [one, await by(`${issuer}/userinfo`)],
      [one, await by(issuer, { exp: 1 })],
    ] as const) {
      const { status, body } = await send(server.url, '/par', form);
      expect([status, body.error]).toEqual([401, 'invalid_client']);
    }
    expect(await refusals(clientId)).toContainEqual({
      type: 'client.authentication',
      reason: 'assertion_replayed',
    });
  });
});

describe('what is pushed', () => {
  test('is checked as it comes, with nothing stored of what is refused', async () => {
    const asker = await seed.client();
    const { parameters } = asking(asker.clientId);
    const { code_challenge: _, code_challenge_method: __, ...withoutPkce } = parameters;
    for (const [form, error] of [
      [{ ...parameters, redirect_uri: `${redirectUri}/other` }, 'invalid_request'],
      [{ ...parameters, redirect_uri: 'https://evil.example.com/' }, 'invalid_request'],
      [{ ...parameters, response_type: 'code id_token' }, 'unsupported_response_type'],
      [{ ...parameters, response_type: 'token' }, 'unsupported_response_type'],
      [{ ...parameters, code_challenge_method: 'plain' }, 'invalid_request'],
      [withoutPkce, 'invalid_request'],
      [{ ...parameters, request_uri: `${URN}x` }, 'request_uri_not_supported'],
      [{ ...parameters, resource: 'https://nowhere.example.com' }, 'invalid_target'],
      [{ ...parameters, prompt: 'none login' }, 'invalid_request'],
      [{ ...parameters, client_id: other.clientId }, 'invalid_request'],
      [{}, 'invalid_request'],
    ] as const) {
      const { status, body, headers } = await push(asker, form as Record<string, string>);
      expect([status, body.error]).toEqual([400, error]);
      expect(headers.get('location')).toBeNull();
    }
    const rows = await database.db.kysely
      .selectFrom('pushed_requests')
      .select('id_hash')
      .where('client_id', '=', asker.clientId)
      .execute();
    expect(rows).toEqual([]);
    const told = await refusals(asker.clientId);
    expect(told).toContainEqual({ type: 'request.refused', reason: 'invalid_target' });
    expect(new Set(told.map(({ type }) => type))).toEqual(new Set(['request.refused']));
  });

  test('SECURITY 6: has each parameter once, is a form, and not endless', async () => {
    const { parameters } = asking(client.clientId);
    const headers = basic(client);
    for (const name of [...Object.keys(parameters), 'request', 'client_assertion']) {
      const twice = form({ ...parameters, [name]: [parameters[name] ?? 'x', 'y'] });
      const { status, json } = await sendRaw(one.url, '/par', {
        method: 'POST',
        headers,
        body: twice,
      });
      expect([name, status, json.error]).toEqual([name, 400, 'invalid_request']);
    }
    for (const [body, type] of [
      [JSON.stringify(parameters), 'application/json'],
      [form(parameters).toString(), 'text/plain'],
    ] as const) {
      const { status } = await sendRaw(one.url, '/par', {
        method: 'POST',
        headers: { ...headers, 'content-type': type },
        body,
      });
      expect(status).toBe(415);
    }
    const long = await sendRaw(one.url, '/par', {
      method: 'POST',
      headers,
      body: form({ ...parameters, state: 'x'.repeat(70_000) }),
    });
    expect([400, 413]).toContain(long.status);
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const { status } = await sendRaw(one.url, `/par?${form(parameters).toString()}`, {
        method,
        headers,
      });
      expect(status).toBe(405);
    }
  });

  test('is bound to the key of the proof that came with it, or that it names', async () => {
    const key = await newKey();
    const thief = await newKey();
    const thumbprint = await calculateJwkThumbprint(key.publicJwk);
    const proved = async (k: ClientKey, path: string) => ({
      dpop: await proof(k, { htu: `${issuer}${path}` }),
    });
    const { parameters } = asking(client.clientId);
    const mismatch = await push(
      client,
      { ...parameters, dpop_jkt: thumbprint },
      await proved(thief, '/par'),
    );
    expect([mismatch.status, mismatch.body.error]).toEqual([400, 'invalid_request']);
    const elsewhere = await push(client, parameters, await proved(key, '/token'));
    expect([elsewhere.status, elsewhere.body.error]).toEqual([400, 'invalid_dpop_proof']);

    for (const by of ['proof', 'dpop_jkt'] as const) {
      const { verifier, parameters: asked } = asking(
        client.clientId,
        by === 'dpop_jkt' ? { dpop_jkt: thumbprint } : {},
      );
      const headers = by === 'proof' ? await proved(key, '/par') : {};
      const request_uri = pushedUri(await push(client, asked, headers));
      if (by === 'proof') {
        const again = await push(client, asked, headers, two);
        expect([again.status, again.body.error]).toEqual([400, 'invalid_dpop_proof']);
      }
      const got = answered(
        await visit(browser, two.url, { client_id: client.clientId, request_uri }),
      );
      const redeem = async (headers: Record<string, string>) =>
        send(
          two.url,
          '/token',
          {
            grant_type: 'authorization_code',
            code: got?.code as string,
            code_verifier: verifier,
            redirect_uri: redirectUri,
          },
          { ...basic(client), ...headers },
        );
      for (const wrong of [{}, await proved(thief, '/token')]) {
        const { status, body } = await redeem(wrong);
        expect([status, body.error]).toEqual([400, 'invalid_grant']);
      }
      const { status, body } = await redeem(await proved(key, '/token'));
      expect([status, body.token_type]).toEqual([200, 'DPoP']);
    }
  });
});

describe('with a sign-in between', () => {
  let home: TestServer;
  let app: Credentials;
  let account: TestAccount;

  beforeAll(async () => {
    home = await startServer(database);
    app = await home.createClient({ requirePushed: true });
    account = await home.createAccount();
  });

  afterAll(() => home.close());

  const start = async () => {
    const { verifier, parameters } = asking(app.clientId, { redirect_uri: appRedirectUri });
    const request_uri = pushedUri(await send(home.issuer, '/par', parameters, basic(app)));
    const query = new URLSearchParams({ client_id: app.clientId, request_uri });
    return { verifier, request_uri, url: `${home.issuer}/authorize?${query.toString()}` };
  };

  test('it may be opened again until it was answered, and its end does not end the sign-in', async () => {
    const { verifier, request_uri, url } = await start();
    const first = new Browser();
    const page = await first.get(url);
    const second = new Browser();
    const other = await second.get(url);
    expect([page.status, other.status]).toEqual([200, 200]);
    await sql`update pushed_requests set expires_at = now() - interval '10 minutes'`.execute(
      database.db.kysely,
    );
    expect(await dumpOf('interactions')).not.toContain(request_uri.slice(URN.length));

    const consent = await enterPassword(first, page, account);
    const back = await first.submit(consent, {}, 'allow');
    expect(back.params.get('state')).toBe('the state');
    const code = back.params.get('code') as string;
    expect(await rowOf(request_uri)).toMatchObject({ payload: null });

    // The other browser comes too late: the request has its answer.
    const late = await enterPassword(second, other, account);
    expect(late.external).toBe(false);
    expect(late.status).toBe(400);
    expect(late.text).toContain('invalid_request_uri');
    const tokens = await send(
      home.issuer,
      '/token',
      {
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: appRedirectUri,
      },
      basic(app),
    );
    expect(tokens.status).toBe(200);
    const { payload } = (
      await sql<{ payload: { parJti?: string } }>`
      select payload from interactions limit 1`.execute(database.db.kysely)
    ).rows[0] ?? {
      payload: {},
    };
    expect(payload.parJti).toBeUndefined();
  });

  test('a person who says no leaves it unused, and it may be asked again while it lives', async () => {
    const { request_uri, url } = await start();
    const browser = new Browser();
    const anew = await home.createAccount();
    const consent = await enterPassword(browser, await browser.get(url), anew);
    const back = await browser.submit(consent, {}, 'deny');
    expect(back.params.get('error')).toBe('access_denied');
    expect(await rowOf(request_uri)).toMatchObject({ consumed_at: null });
  });

  test('who was away too long is led back to the app, which hears that it has to push again', async () => {
    const { url } = await start();
    const browser = new Browser();
    const page = await browser.get(url);
    const kept = Buffer.from(
      decodeURIComponent(browser.cookies()[cookieOf(home.issuer, 'again')] ?? ''),
      'base64url',
    ).toString();
    expect(kept).not.toMatch(/code_challenge|scope|nonce/);
    await sql`delete from interactions`.execute(database.db.kysely);
    const back = await browser.submit(page, { email: account.email, password: account.password });
    expect(back.external).toBe(true);
    expect(back.url.startsWith(appRedirectUri)).toBe(true);
    expect(Object.fromEntries(back.params)).toEqual({
      error: 'invalid_request_uri',
      error_description: expect.any(String),
      state: 'the state',
      iss: home.issuer,
    });
  });

  const dumpOf = async (table: string) =>
    JSON.stringify((await sql`select * from ${sql.table(table)}`.execute(database.db.kysely)).rows);
});
