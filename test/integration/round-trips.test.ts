import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { JWT_BEARER } from '../../src/client/client.ts';
import { newIssuerSchema } from '../../src/issuer/issuer.ts';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, files, statements } from '../support/detail-types.ts';
import {
  type Credentials,
  exchange,
  post,
  redirectUri,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import {
  assertion,
  assertionClaims,
  type ClientKey,
  jwksOf,
  newKey,
  proof,
  send,
  sign,
} from '../support/proofs.ts';
import {
  accessTokenType,
  allow,
  exchangeGrant,
  exchangeToken,
  machineToken,
  trustedIssuers,
} from '../support/exchange.ts';
import { askForCodes, cibaGrant, pollCiba, pollDevice } from '../support/polled.ts';
import { ask } from '../support/relying-party.ts';
import { answered, asking, visit } from '../support/requests.ts';
import { startServer } from '../support/server.ts';
import {
  openDoor,
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/**
 * A round trip is one wait on the database. Caches are warm. Each flow holds its budget exactly: one that got cheaper
 * changes this table too, so that it cannot grow back unseen.
 */

let database: TestDatabase;
let server: ServerProcess;
let client: Credentials;
let machine: Credentials;
let detailed: Credentials;
let pairwise: Credentials;
let opaqueApi: Credentials;
let jwtApi: Credentials;
let browser: SignedInBrowser;
let key: ClientKey;
let signing: Credentials;
let proving: Credentials;
let service: Credentials;
let deployer: Credentials;
let tv: Credentials;
let till: Credentials;

const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const table: { request: string; budget: number; waits: number }[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  opaqueApi = await seed.api(opaque);
  jwtApi = await seed.api(jwt, 'jwt');
  const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read'] }));
  client = await seed.client({ apis });
  await addDetailType(database.db, opaque, statements);
  await addDetailType(database.db, opaque, files);
  const settings = { authorizationDetailsTypes: [statements.type, files.type] };
  machine = await seed.client({ type: 'machine', apis, settings });
  detailed = await seed.client({ settings });
  pairwise = await seed.client({ apis, subjectType: 'pairwise' });
  key = await newKey();
  signing = await seed.client({
    type: 'machine',
    apis,
    authMethod: 'private_key_jwt',
    jwks: jwksOf(key),
  });
  proving = await seed.client({ type: 'spa' });
  service = await seed.client({ type: 'machine', apis, ...exchangeGrant });
  for (const source of [opaque, jwt])
    for (const target of [opaque, jwt])
      await allow(database, { clientId: service.clientId, source, target, scopes: ['read'] });
  deployer = await seed.client({ type: 'machine', apis, grantTypes: [JWT_BEARER] });
  tv = await seed.client({ type: 'device', redirectUris: [] });
  till = await seed.client({ redirectUris: [], grantTypes: [cibaGrant] });
  const issuers = trustedIssuers(database);
  await issuers.add(
    newIssuerSchema.parse({ issuer: 'https://ci.example.com', jwks: jwksOf(key) }),
    'test',
  );
  for (const api of [opaque, jwt])
    await issuers.allow(
      'https://ci.example.com',
      { subject: 'build', clientId: deployer.clientId, api, scopes: ['read'], public: false },
      'test',
    );
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
  await seed.consent(accountId, proving.clientId);
  await seed.consent(accountId, detailed.clientId);
  await database.db.kysely
    .updateTable('consents')
    .set({
      granted: JSON.stringify({
        scopes: ['openid', 'offline_access'],
        claims: [],
        resources: {},
        details: [{ type: statements.type, account: 'A' }],
      }),
    })
    .where('client_id', '=', detailed.clientId)
    .execute();
  // Started after the rows are there, it has no change to learn of while it is measured.
  server = await startServerProcess(database, 'http://localhost:3000', {
    CLIENT_REGISTRATION: 'open',
  });
  // The key of its subjects is there once a server was.
  await seed.consent(accountId, pairwise.clientId, { [jwt]: ['read'] });
  browser = await seed.signIn(accountId);
  // Warms every cache: clients, APIs, and the keys of the callers.
  await exchange(server.url, client, await browser.authorize(server.url, client));
  for (const resource of [opaque, jwt])
    await post(server.url, '/token', machine, { grant_type: 'client_credentials', resource });
  for (const caller of [opaqueApi, jwtApi])
    await post(server.url, '/introspect', caller, { token: 'unknown' });
});

afterAll(async () => {
  const width = Math.max(...table.map((row) => row.request.length));
  const lines = table.map(
    (row) => `${row.request.padEnd(width)}  budget ${row.budget}  waits ${row.waits}`,
  );
  process.stdout.write(`\nDatabase round trips per request\n${lines.join('\n')}\n\n`);
  await server.stop();
  await database.drop();
});

/**
 * `reached` where the budget is not met yet: it holds what was reached. Several where statements of two kinds are under
 * way at once: whether the last of them is a wait of its own is for the database to say.
 */
async function measure<T>(
  request: string,
  budget: number,
  work: () => Promise<T>,
  reached: number | readonly number[] = budget,
  on = server,
): Promise<T> {
  await on.arm();
  const result = await work();
  const waits = await on.waits();
  table.push({ request, budget, waits });
  expect({ request, waits, reached: [reached].flat().includes(waits) }).toEqual({
    request,
    waits,
    reached: true,
  });
  return result;
}

const person = async (extra: Record<string, string> = {}) =>
  (await exchange(server.url, client, await browser.authorize(server.url, client, extra))).body;

test('introspection of opaque tokens: 1', async () => {
  const { access_token: own, refresh_token: refreshToken } = await person();
  const { access_token: forApi } = await person({ resource: opaque, scope: 'openid read' });
  const { body: ofMachine } = await post(server.url, '/token', machine, {
    grant_type: 'client_credentials',
    resource: opaque,
  });
  const ask = async (
    request: string,
    caller: Credentials,
    token: string,
    active: boolean,
    budget = 1,
  ) => {
    const { body } = await measure(`introspection, ${request}`, budget, () =>
      post(server.url, '/introspect', caller, { token }),
    );
    expect(body.active).toBe(active);
  };
  await ask("a person's access token, by its client", client, own, true);
  await ask("a person's access token, by its API", opaqueApi, forApi, true);
  await ask("a machine's access token, by its API", opaqueApi, ofMachine.access_token, true);
  await ask('a refresh token', client, refreshToken, true);
  await ask("another API's", jwtApi, forApi, false);
  await ask('an unknown one', client, `vs_at_${'x'.repeat(43)}`, false);
  await ask('not a token of ours', client, 'unknown', false, 0);
  await revoke(server.url, client, refreshToken);
  await ask('a revoked one', client, own, false);
});

test('introspection of JWT access tokens: 1', async () => {
  const { access_token: ofPerson } = await person({ resource: jwt, scope: 'openid read' });
  const { body: ofMachine } = await post(server.url, '/token', machine, {
    grant_type: 'client_credentials',
    resource: jwt,
  });
  for (const [whose, token] of [
    ["a person's JWT", ofPerson],
    ["a machine's JWT", ofMachine.access_token],
  ] as const) {
    expect(token.split('.')).toHaveLength(3);
    const { body } = await measure(`introspection, ${whose}`, 1, () =>
      post(server.url, '/introspect', jwtApi, { token }),
    );
    expect(body.active).toBe(true);
  }
});

test('pairwise subjects cost no wait', async () => {
  const extra = { resource: jwt, scope: 'openid read' };
  // Warms the caches for this client.
  await exchange(server.url, pairwise, await browser.authorize(server.url, pairwise, extra));
  const authorization = await browser.authorize(server.url, pairwise, extra);
  const { body } = await measure('code exchange, JWT, pairwise', 2, () =>
    exchange(server.url, pairwise, authorization),
  );
  const told = await measure("introspection, a person's JWT, pairwise", 1, () =>
    post(server.url, '/introspect', jwtApi, { token: body.access_token }),
  );
  expect(told.body.sub).toMatch(/^p_/);
});

test('issuing', async () => {
  const byMachine = (resource: string) =>
    post(server.url, '/token', machine, { grant_type: 'client_credentials', resource });
  expect((await measure('client credentials, opaque', 1, () => byMachine(opaque))).status).toBe(
    200,
  );
  expect((await measure('client credentials, JWT', 0, () => byMachine(jwt))).status).toBe(200);
  const authorization = await measure('authorization, signed in and consented', 2, () =>
    browser.authorize(server.url, client),
  );
  const { parameters } = asking(client.clientId);
  const pushed = await measure('pushed authorization request', 1, () =>
    post(server.url, '/par', client, parameters),
  );
  const withPushed = await measure('authorization with it, signed in and consented', 3, () =>
    visit(browser, server.url, {
      client_id: client.clientId,
      request_uri: String(pushed.body.request_uri),
    }),
  );
  expect(answered(withPushed)).toHaveProperty('code');
  const { body } = await measure('code exchange', 2, () =>
    exchange(server.url, client, authorization),
  );
  const { body: next } = await measure('refresh with rotation', 2, () =>
    refresh(server.url, client, body.refresh_token),
  );
  const userinfo = await measure('userinfo', 1, () =>
    fetch(new URL('/userinfo', server.url), {
      headers: { authorization: `Bearer ${next.access_token}` },
    }),
  );
  expect(userinfo.status).toBe(200);
  expect(
    (await measure('revocation', 2, () => revoke(server.url, client, next.refresh_token))).status,
  ).toBe(200);
});

test('token exchange, and an assertion of a trusted issuer: 2 each', async () => {
  const issuer = 'http://localhost:3000';
  const { access_token: subject } = await person({ resource: opaque, scope: 'openid read' });
  const { access_token: ofJwt } = await person({ resource: jwt, scope: 'openid read' });
  const ofMachine = (resource: string) => machineToken(server.url, machine, resource);
  const own = await ofMachine(opaque);
  const exchanged = async (
    request: string,
    budget: number,
    token: string,
    to: string,
    more = {},
  ) => {
    const { status, body } = await measure(`token exchange, ${request}`, budget, () =>
      exchangeToken(server.url, service, token, to, more),
    );
    expect({ status, error: body.error_description }).toEqual({ status: 200 });
    return body.access_token;
  };
  // Warms the rules of the client.
  await exchangeToken(server.url, service, subject, opaque);
  const made = await exchanged("of a person's token", 2, subject, opaque);
  await exchanged("of a person's token, into a JWT", 2, subject, jwt);
  await exchanged("of a person's JWT", 2, ofJwt, opaque);
  await exchanged("of a machine's token", 2, own, opaque);
  await exchanged("of a machine's JWT, into a JWT", 2, await ofMachine(jwt), jwt);
  await exchanged('of an exchanged token', 2, made, opaque);
  await exchanged('with an actor', 2, subject, opaque, {
    actor_token: await machineToken(server.url, service, opaque),
    actor_token_type: accessTokenType,
  });
  const { body } = await measure('introspection, an exchanged token', 1, () =>
    post(server.url, '/introspect', opaqueApi, { token: made }),
  );
  expect(body.active).toBe(true);
  const refused = await measure('token exchange, refused', 2, () =>
    exchangeToken(server.url, service, 'vs_at_unknown', opaque),
  );
  expect(refused.status).toBe(400);

  const asserted = async (resource: string) => {
    const claims = assertionClaims('build', issuer, { iss: 'https://ci.example.com' });
    const fields = { grant_type: JWT_BEARER, assertion: await sign(key, claims), resource };
    return () => post(server.url, '/token', deployer, { ...fields, scope: 'read' });
  };
  // Warms the issuers.
  await (await asserted(opaque))();
  for (const [format, resource] of [
    ['opaque', opaque],
    ['JWT', jwt],
  ] as const) {
    const ask = await asserted(resource);
    const { status } = await measure(`assertion of a trusted issuer, ${format}`, 2, ask);
    expect(status).toBe(200);
  }
});

test('authorization details cost no wait more', async () => {
  const list = JSON.stringify([{ type: statements.type, account: 'A' }]);
  const extra = { authorization_details: list, scope: 'openid offline_access' };
  // Warms the cache for this client.
  await browser.authorize(server.url, detailed, extra);
  const authorization = await measure('authorization, with details that are remembered', 2, () =>
    browser.authorize(server.url, detailed, extra),
  );
  const { body } = await measure('code exchange, with details', 2, () =>
    exchange(server.url, detailed, authorization),
  );
  expect(body.authorization_details).toEqual(JSON.parse(list));
  await measure('refresh with rotation, with less details', 2, () =>
    refresh(server.url, detailed, body.refresh_token, { authorization_details: list }),
  );
  const { body: told } = await measure('introspection, with details', 1, () =>
    post(server.url, '/introspect', opaqueApi, { token: body.access_token }),
  );
  expect(told.authorization_details).toEqual(JSON.parse(list));
  const { body: ofMachine } = await measure('client credentials, with details', 1, () =>
    post(server.url, '/token', machine, {
      grant_type: 'client_credentials',
      authorization_details: JSON.stringify([{ type: files.type, path: '/a' }]),
    }),
  );
  expect(ofMachine.authorization_details).toHaveLength(1);
});

test('a signed client assertion, and a DPoP proof: 1 more each', async () => {
  const issuer = 'http://localhost:3000';
  const signed = async (path: string, form: Record<string, string>, headers = {}) => {
    const fields = { ...form, ...(await assertion(key, signing.clientId, issuer)) };
    return () => send(server.url, path, fields, headers);
  };
  const dpop = () => proof(key, { htu: `${issuer}/token` });
  const grant = (resource: string) => ({ grant_type: 'client_credentials', resource });
  // Warms the caches for this client.
  await (await signed('/token', grant(opaque)))();
  const { body } = await measure(
    'client credentials, opaque, with an assertion',
    2,
    await signed('/token', grant(opaque)),
  );
  await measure(
    'client credentials, JWT, with an assertion',
    1,
    await signed('/token', grant(jwt)),
  );
  const both = await signed('/token', grant(opaque), { dpop: await dpop() });
  await measure('client credentials, opaque, with an assertion and a proof', 3, both);
  const introspection = await signed('/introspect', { token: body.access_token });
  const told = await measure('introspection, with an assertion', 2, introspection);
  expect(told.body.active).toBe(true);
  const revocation = await signed('/revoke', { token: body.access_token });
  const revoked = await measure('revocation, with an assertion', 3, revocation);
  expect(revoked.status).toBe(200);

  const { code, verifier } = await browser.authorize(server.url, proving);
  const form = {
    client_id: proving.clientId,
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
  };
  let headers = { dpop: await dpop() };
  const { body: first } = await measure('code exchange, with a proof', 3, () =>
    send(server.url, '/token', form, headers),
  );
  expect(first.token_type).toBe('DPoP');
  headers = { dpop: await dpop() };
  const { body: next } = await measure('refresh with rotation, with a proof', 3, () =>
    send(
      server.url,
      '/token',
      {
        client_id: proving.clientId,
        grant_type: 'refresh_token',
        refresh_token: first.refresh_token,
      },
      headers,
    ),
  );
  const token = next.access_token;
  const userinfoProof = await proof(key, { htu: `${issuer}/userinfo`, htm: 'GET', token });
  const userinfo = await measure('userinfo, with a proof', 2, () =>
    fetch(new URL('/userinfo', server.url), {
      headers: { authorization: `DPoP ${token}`, dpop: userinfoProof },
    }),
  );
  expect(userinfo.status).toBe(200);
});

test('what a browser asks for', async () => {
  const home = await startServer(database);
  const door = await openDoor();
  const issuer = `http://localhost:${door.port}`;
  const app = await home.createClient();
  const running = await startServerProcess(database, issuer);
  try {
    await door.leadTo(running);
    const { email, password } = await home.createAccount();
    const at = { ...home, issuer };
    const one = new Browser();
    const follow = (page: Page) =>
      one.once(new URL(page.headers.get('location') as string, page.url).href);
    const step = (
      request: string,
      budget: number,
      reached: number | readonly number[],
      work: () => Promise<Page>,
    ) => measure(request, budget, work, reached, running);

    // Warms the caches of this process, and opens its connections.
    const before = new Browser();
    await before.submit(await before.get(ask(at, app).url), { email, password });
    const signIn = await one.get(ask(at, app).url);
    const entered = await step('sign-in form post, password right', 3, [3], () =>
      one.submitOnce(signIn, { email, password }),
    );
    const resumed = await step('resume after sign-in', 2, 2, () => follow(entered));
    const consent = await follow(resumed);
    const allowed = await one.submitOnce(consent, {}, 'allow');
    const back = await step('resume after consent', 3, 3, () => follow(allowed));
    expect(back.headers.get('location')).toContain('code=');

    const choice = await one.get(ask(at, app, { prompt: 'select_account' }).url);
    const chosen = await step('account chosen', 2, 2, () => one.submitOnce(choice));
    const gone = await step('resume after the choice', 4, 4, () => follow(chosen));
    expect(gone.headers.get('location')).toContain('code=');
  } finally {
    await running.stop();
    await door.close();
    await home.close();
  }
});

test('polls: 1, and 2 for what they end in', async () => {
  const seed = new Seed(database.db);
  const accountId = await seed.account();
  const { email } = await database.db.kysely
    .selectFrom('accounts')
    .select('email')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow();
  // The server has met both before it is measured.
  await post(server.url, '/device_authorization', tv, { scope: 'openid' });
  await post(server.url, '/ciba', till, { scope: 'openid', login_hint: email });
  const codes = await measure('device authorization', 1, () =>
    askForCodes(server.url, tv, { scope: 'openid offline_access' }),
  );
  const poll = () => pollDevice(server.url, tv, codes.device_code);
  const pending = await measure('device code, pending', 1, poll);
  expect(pending.body.error).toBe('authorization_pending');
  const early = await measure('device code, too early', 1, poll);
  expect(early.body.error).toBe('slow_down');
  await answerFor(accountId, tv.clientId, codes.device_code);
  expect((await measure('device code, exchange', 2, poll)).status).toBe(200);

  const asked = await measure('CIBA request', 3, () =>
    post(server.url, '/ciba', till, { scope: 'openid', login_hint: email }),
  );
  expect(asked.status).toBe(200);
  const nobody = await measure('CIBA request, to nobody', 3, () =>
    post(server.url, '/ciba', till, { scope: 'openid', login_hint: `no-${email}` }),
  );
  expect(nobody.status).toBe(200);
  const id = (asked.body as unknown as { auth_req_id: string }).auth_req_id;
  const pollTill = () => pollCiba(server.url, till, id);
  const waiting = await measure('CIBA, pending', 1, pollTill);
  expect(waiting.body.error).toBe('authorization_pending');
  await answerFor(accountId, till.clientId, id);
  expect((await measure('CIBA, exchange', 2, pollTill)).status).toBe(200);
});

/** What a person's answer leaves behind. */
async function answerFor(accountId: string, clientId: string, token: string): Promise<void> {
  const id = `g_${token.slice(-16)}`;
  const { keyId } = new Sealer([testMasterKey]);
  await sql`insert into grants (id, account_id, client_id, payload, offline, key_id, expires_at)
    values (${id}, ${accountId}, ${clientId}, '{"openid":{"scope":"openid offline_access"}}', true, ${keyId}, now() + interval '1 day')`.execute(
    database.db.kysely,
  );
  const answer = { accountId, grantId: id, scope: 'openid offline_access' };
  await sql`update polled_requests set state = 'approved', account_id = ${accountId}, grant_id = ${id},
    answer = ${JSON.stringify(answer)}::jsonb where id_hash = ${sha256(token)}`.execute(
    database.db.kysely,
  );
}

test('a client that registers itself: 11, and 3 to read of it', async () => {
  const body = { redirect_uris: ['https://self.example.com/callback'] };
  const send = (url: string, method: string, token?: string) =>
    fetch(url, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
    });
  const made = await measure('registration by anybody', 11, () =>
    send(new URL('/register', server.url).href, 'POST'),
  );
  expect(made.status).toBe(201);
  const { client_id: id, registration_access_token: token } = (await made.json()) as Record<
    string,
    string
  >;
  const own = new URL(`/register/${id}`, server.url).href;
  const read = await measure('registration, read', 3, () => send(own, 'GET', token));
  expect(read.status).toBe(200);
});

test('39: no statement is planned for each execution', async () => {
  // With few rows every plan is as cheap as another.
  for (const fill of [
    sql`insert into accounts (id, email, email_key) select 'fill_' || n, n || '@example.com', n || '@example.com' from generate_series(1, 20000) n`,
    sql`insert into grants (id, account_id, client_id, payload, offline, key_id, expires_at)
      select 'g_' || id, id, ${client.clientId}, '{}', true, 'none', now() + interval '1 day' from accounts where id like 'fill_%'`,
    sql`insert into tokens (id_hash, kind, client_id, grant_id, account_id, payload, expires_at)
      select sha256(id::bytea), 'access', client_id, id, account_id, '{}', expires_at from grants where id like 'g_fill_%'`,
    sql`analyze`,
  ])
    await fill.execute(database.db.kysely);
  await server.arm();
  const subject = (await person({ resource: opaque, scope: 'openid read' })).access_token;
  for (let round = 0; round < 10; round++) {
    const { body } = await exchange(
      server.url,
      client,
      await browser.authorize(server.url, client, {
        resource: opaque,
        scope: 'openid offline_access read',
      }),
    );
    const { body: next } = await refresh(server.url, client, body.refresh_token);
    await post(server.url, '/introspect', opaqueApi, { token: next.access_token });
    const { body: other } = await exchangeToken(server.url, service, subject, opaque);
    await post(server.url, '/introspect', opaqueApi, { token: other.access_token });
    await exchangeToken(server.url, service, other.access_token, jwt);
    await machineToken(server.url, machine, opaque);
    const { parameters } = asking(client.clientId);
    const { body: pushed } = await post(server.url, '/par', client, parameters);
    const uri = String(pushed.request_uri);
    await visit(browser, server.url, { client_id: client.clientId, request_uri: uri });
    const codes = await askForCodes(server.url, tv, { scope: 'openid' });
    await pollDevice(server.url, tv, codes.device_code);
    await revoke(server.url, client, next.refresh_token);
  }
  expect(await server.replanned()).toEqual([]);
});

test('what is public: 0', async () => {
  for (const path of [
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
    '/jwks',
  ]) {
    const response = await measure(path, 0, () => fetch(new URL(path, server.url)));
    expect(response.status).toBe(200);
  }
});
