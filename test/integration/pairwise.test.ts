import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { decodeJwt, decodeProtectedHeader, importJWK, SignJWT } from 'jose';
import { ClientService } from '../../src/client/client.service.ts';
import { reseal } from '../../src/db/reseal.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { openSubjects } from '../../src/keys/subject-keys.service.ts';
import { Subjects } from '../../src/unit-of-work/subjects.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { certificate } from '../support/certificates.ts';
import { allow, exchangeGrant, exchangeToken } from '../support/exchange.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type GatewayApi, gatewayApi } from '../support/gateway.ts';
import { type LogoutReceiver, openLogoutReceiver } from '../support/logout-receiver.ts';
import {
  type Credentials,
  exchange,
  post,
  redirectUri,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
  type TokenAnswer,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { manage, plainApp, register } from '../support/self-registering.ts';
import { cookiesOf, form, send } from '../support/wire.ts';
import { until } from '../support/process.ts';

/** OpenID Connect Core, section 8.1: who a person is for a client tells nothing to a client of another sector. */

const issuer = 'http://localhost:3000';
const inside = '127.0.0.1';
const authority = certificate({ subject: [['CN', 'Authority']], ca: true });
const trustedBefore = getCACertificates('default');
const jwt = 'https://ledgers.example.com';
const opaque = 'https://invoices.example.com';
const elsewhere = 'https://other.example.net/callback';

let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let jwtApi: GatewayApi;
let opaqueApi: GatewayApi;
let receiver: LogoutReceiver;
let accountId: string;
let pairwise: Credentials;
let sibling: Credentials;
let stranger: Credentials;
let open: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db, [inside, 'localhost']);
  setDefaultCACertificates([...trustedBefore, authority.cert]);
  const rules = [{ path: '/**' }];
  jwtApi = await gatewayApi(seed, jwt, rules, 'jwt');
  opaqueApi = await gatewayApi(seed, opaque, rules);
  server = await startServerProcess(database, issuer, {
    OUTBOUND_ALLOW: `${inside},localhost`,
    LOG_LEVEL: 'silent',
    CLIENT_REGISTRATION: 'open',
  });
  receiver = await openLogoutReceiver(
    issuer,
    () => server.url,
    () => pairwise.clientId,
  );
  const apis = [jwt, opaque].map((identifier) => ({ identifier, scopes: ['read'] }));
  const subjectType = 'pairwise';
  pairwise = await seed.client({ apis, subjectType, backchannelLogoutUri: receiver.uri });
  sibling = await seed.client({ apis, subjectType });
  stranger = await seed.client({ apis, subjectType, redirectUris: [elsewhere] });
  open = await seed.client({ apis });
  accountId = await person();
});

afterAll(async () => {
  setDefaultCACertificates(trustedBefore);
  await server.stop();
  await receiver.close();
  await database.drop();
});

async function person(): Promise<string> {
  const id = await seed.account();
  for (const { clientId } of [pairwise, sibling, stranger, open])
    await seed.consent(id, clientId, { [jwt]: ['read'], [opaque]: ['read'] });
  return id;
}

/** By single sign-on; where the client redirects to is said where it is another place than the others'. */
async function signIn(
  browser: SignedInBrowser,
  client: Credentials,
  extra: Record<string, string> = {},
): Promise<TokenAnswer['body']> {
  const { response, verifier } = await browser.ask(server.url, client, extra);
  const location = response.headers.get('location');
  if (location === null) throw new Error(`no answer: ${response.status} ${await response.text()}`);
  const code = new URL(location).searchParams.get('code') ?? '';
  const { redirect_uri: uri = redirectUri } = extra;
  const { status, body } = await exchange(
    server.url,
    client,
    { code, verifier },
    { redirect_uri: uri },
  );
  expect({ status, error: body.error }).toEqual({ status: 200, error: undefined });
  return body;
}

const subOf = (token: unknown) => decodeJwt(token as string).sub;

const introspect = async (by: Credentials, token: string, extra: Record<string, string> = {}) =>
  (await post(server.url, '/introspect', by, { token, ...extra })).body;

const gateway = async (api: GatewayApi, token: string) =>
  (
    await send(server.url, `/gateway/${api.id}/nginx`, {
      headers: {
        'x-gateway-authorization': api.basic,
        'x-original-method': 'GET',
        'x-original-uri': '/',
        authorization: `Bearer ${token}`,
      },
    })
  ).headers['x-auth-subject'];

const errorOf = (response: Response) =>
  new URL(response.headers.get('location') ?? 'x:').searchParams.get('error');

test('a client, the APIs it asks and their gateways know the person by one subject, and nobody is told the account', async () => {
  const browser = await seed.signIn(accountId);
  const plain = await signIn(browser, pairwise);
  const subject = subOf(plain.id_token);
  expect(subject).toMatch(/^p_[\w-]{43}$/);
  const userinfo = await send(server.url, '/userinfo', {
    headers: { authorization: `Bearer ${plain.access_token}` },
  });
  const atJwt = (await signIn(browser, pairwise, { scope: 'openid read', resource: jwt }))
    .access_token;
  const atOpaque = (await signIn(browser, pairwise, { scope: 'openid read', resource: opaque }))
    .access_token;
  const renewed = (await refresh(server.url, pairwise, plain.refresh_token)).body;
  const told: Record<string, unknown> = {
    userinfo: userinfo.json.sub,
    'access token': subOf(atJwt),
    'ID token by refresh': subOf(renewed.id_token),
    'gateway, JWT': await gateway(jwtApi, atJwt),
    'gateway, opaque': await gateway(opaqueApi, atOpaque),
  };
  const answers: unknown[] = [decodeJwt(atJwt), decodeJwt(plain.id_token as string), userinfo.json];
  for (const [name, by, token] of [
    ['client, JWT', pairwise, atJwt],
    ['client, opaque', pairwise, atOpaque],
    ['client, refresh token', pairwise, renewed.refresh_token],
    ['API, JWT', jwtApi.credentials, atJwt],
    ['API, opaque', opaqueApi.credentials, atOpaque],
  ] as const) {
    // The fast path's answer, and the engine's to what is not plain.
    for (const extra of [{}, { unknown: 'x' }]) {
      const answer = await introspect(by, token, extra as Record<string, string>);
      answers.push(answer);
      told[`${name} ${JSON.stringify(extra)}`] = answer.sub;
    }
  }
  expect(told).toEqual(Object.fromEntries(Object.keys(told).map((name) => [name, subject])));
  expect(JSON.stringify(answers)).not.toContain(accountId);
});

test('a sector shares its subjects; another one has others, and a public client the account itself', async () => {
  const browser = await seed.signIn(accountId);
  const subjects = [
    subOf((await signIn(browser, pairwise)).id_token),
    subOf((await signIn(browser, sibling)).id_token),
    subOf((await signIn(browser, stranger, { redirect_uri: elsewhere })).id_token),
    subOf((await signIn(browser, open)).id_token),
  ];
  expect(subjects[0]).toBe(subjects[1]);
  expect(new Set(subjects).size).toBe(3);
  expect(subjects[3]).toBe(accountId);
  const somebodyElse = await seed.signIn(await person());
  expect(subjects).not.toContain(subOf((await signIn(somebodyElse, pairwise)).id_token));
});

test('the logout token names the person as the ID token did', async () => {
  const browser = await seed.signIn(await person());
  const { id_token: idToken } = await signIn(browser, pairwise);
  const page = await send(server.url, `/logout?id_token_hint=${String(idToken)}`, {
    headers: { accept: 'text/html', ...cookiesOf(browser) },
  });
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1];
  await send(server.url, '/logout/confirm', {
    method: 'POST',
    headers: { accept: 'text/html', ...cookiesOf(browser) },
    body: form({ xsrf, logout: 'yes' }),
  });
  await until(async () => receiver.received.length > 0);
  expect(receiver.refused).toEqual([]);
  expect(receiver.received[0]?.claims.sub).toBe(subOf(idToken));
});

test('a hint, and a subject that is asked for, mean the person as the client knows them', async () => {
  const browser = await seed.signIn(accountId);
  const { id_token: own } = await signIn(browser, pairwise);
  const { id_token: others } = await signIn(await seed.signIn(await person()), pairwise);
  const { id_token: strangers } = await signIn(browser, stranger, { redirect_uri: elsewhere });
  const asking = async (extra: Record<string, string>) =>
    errorOf((await browser.ask(server.url, pairwise, { prompt: 'none', ...extra })).response);
  const sub = (value: unknown) => ({ claims: JSON.stringify({ id_token: { sub: { value } } }) });
  expect(await asking({ id_token_hint: own as string })).toBeNull();
  expect(await asking(sub(subOf(own)))).toBeNull();
  expect(await asking({ id_token_hint: others as string })).toBe('login_required');
  expect(await asking(sub(subOf(others)))).toBe('login_required');
  // What the client knows nobody by.
  expect(await asking(sub(accountId))).toBe('login_required');
  expect(await asking(sub(subOf(strangers)))).toBe('login_required');
  // Another client's ID token is no hint of this one's.
  expect(await asking({ id_token_hint: strangers as string })).toBe('invalid_request');
});

test('SECURITY JWT: a JWT with our signature and another subject than its row’s is worth nothing', async () => {
  const { access_token: token } = await signIn(await seed.signIn(accountId), pairwise, {
    scope: 'openid read',
    resource: jwt,
  });
  const { jwks } = await new KeyService(database.db, new Sealer([testMasterKey])).load();
  const header = decodeProtectedHeader(token);
  const key = jwks.keys.find(({ kid }) => kid === header.kid);
  const resign = async (changes: Record<string, unknown>) =>
    new SignJWT({ ...decodeJwt(token), ...changes })
      .setProtectedHeader(header as { alg: string })
      .sign(await importJWK(key as object, header.alg));
  const { id_token: other } = await signIn(await seed.signIn(await person()), pairwise);
  const active = async (jwtToken: string) =>
    (await introspect(jwtApi.credentials, jwtToken)).active;
  expect(await active(await resign({}))).toBe(true);
  for (const sub of [accountId, subOf(other), 'p_', ''])
    expect({ sub, active: await active(await resign({ sub })) }).toEqual({ sub, active: false });
});

test('a client ends its own JWT, and nobody takes it any more', async () => {
  const browser = await seed.signIn(accountId);
  const { access_token: token } = await signIn(browser, pairwise, {
    scope: 'openid read',
    resource: jwt,
  });
  expect((await introspect(jwtApi.credentials, token)).active).toBe(true);
  expect((await revoke(server.url, pairwise, token)).status).toBe(200);
  expect(await introspect(jwtApi.credentials, token)).toEqual({ active: false });
  expect(await gateway(jwtApi, token)).toBeUndefined();
});

test('what is exchanged names the person as the first client knows them: who exchanges learns no other name', async () => {
  const apis = [{ identifier: jwt, scopes: ['read'] }];
  const backend = await seed.client({ type: 'machine', apis, ...exchangeGrant });
  await allow(database, {
    clientId: backend.clientId,
    source: opaque,
    target: jwt,
    scopes: ['read'],
    impersonation: true,
  });
  const { access_token: token, id_token: idToken } = await signIn(
    await seed.signIn(accountId),
    pairwise,
    { scope: 'openid read', resource: opaque },
  );
  let exchanged: TokenAnswer | undefined;
  await until(async () => {
    exchanged = await exchangeToken(server.url, backend, token, jwt);
    return exchanged.status === 200;
  });
  const made = exchanged?.body.access_token as string;
  const told = await introspect(jwtApi.credentials, made);
  expect({ active: told.active, sub: told.sub }).toEqual({ active: true, sub: subOf(idToken) });
  expect(subOf(made)).toBe(subOf(idToken));
});

test('SECURITY Authorization 11: no subject is a client id, or another account’s', () => {
  const subjects = new Subjects(Buffer.alloc(32, 1));
  expect(subjects.of('u_one', 'a.example')).toMatch(/^p_/);
  // What is put together can't be put together otherwise.
  expect(subjects.of('b', 'a"],["')).not.toBe(subjects.of('"],["b', 'a'));
  expect(subjects.of('u_one', undefined)).toBe('u_one');
  expect(() => subjects.of('u_one', '')).toThrow('no sector');
});

describe('the key', () => {
  const older = new Sealer([testMasterKey]);
  const both = new Sealer([Buffer.alloc(32, 8), testMasterKey]);
  const newer = new Sealer([Buffer.alloc(32, 8)]);

  test('outlives the master key, and is made once', async () => {
    const own = await createTestDatabase();
    try {
      const made = await Promise.all([1, 2, 3].map(() => openSubjects(own.db, older)));
      const first = made[0]?.of('u_one', 'a.example');
      expect(new Set(made.map((one) => one.of('u_one', 'a.example'))).size).toBe(1);
      expect((await reseal(own.db, both)).count).toBe(1);
      expect((await openSubjects(own.db, newer)).of('u_one', 'a.example')).toBe(first);
      await expect(openSubjects(own.db, older)).rejects.toMatchObject({ code: 'unseal_failed' });
    } finally {
      await own.drop();
    }
  });

  test('is not made anew where people are known by it', async () => {
    const own = await createTestDatabase();
    try {
      const ownSeed = new Seed(own.db);
      const client = await ownSeed.client({ subjectType: 'pairwise' });
      await openSubjects(own.db, older);
      await own.db.kysely.deleteFrom('subject_keys').execute();
      // Nobody is known to it yet.
      await openSubjects(own.db, older);
      await ownSeed.consent(await ownSeed.account(), client.clientId);
      await own.db.kysely.deleteFrom('subject_keys').execute();
      await expect(openSubjects(own.db, older)).rejects.toMatchObject({
        code: 'subject_key_missing',
      });
      expect(await own.db.kysely.selectFrom('subject_keys').selectAll().execute()).toEqual([]);
    } finally {
      await own.drop();
    }
  });
});

describe('a client’s registration', () => {
  const settingsOf = async ({ clientId }: Credentials) =>
    database.db.kysely
      .selectFrom('clients')
      .select(['settings', 'metadata'])
      .where('id', '=', clientId)
      .executeTakeFirstOrThrow();

  test('its people’s subjects do not change, unless that is forced, and then all its tokens end', async () => {
    const client = await seed.client({ redirectUris: [redirectUri] });
    // Nobody has signed in yet.
    await seed.updateClient(client.clientId, { subjectType: 'pairwise' });
    await seed.updateClient(client.clientId, { subjectType: 'public' });
    await seed.consent(accountId, client.clientId);
    const { id_token: before, refresh_token: token } = await signIn(
      await seed.signIn(accountId),
      client,
    );
    const stored = await settingsOf(client);
    await expect(
      seed.updateClient(client.clientId, { subjectType: 'pairwise' }),
    ).rejects.toMatchObject({ code: 'has_people' });
    expect(await settingsOf(client)).toEqual(stored);
    expect((await introspect(client, token)).active).toBe(true);
    await forced(client, { subjectType: 'pairwise' });
    expect(await introspect(client, token)).toEqual({ active: false });
    // What is made from now on is young enough only when the clocks can't differ any more.
    await database.db.kysely
      .updateTable('clients')
      .set({ tokens_since: new Date(Date.now() - 60_000) })
      .where('id', '=', client.clientId)
      .execute();
    const browser = await seed.signIn(accountId);
    await until(async () => subOf((await signIn(browser, client)).id_token) !== subOf(before));
  });

  const forced = (client: Credentials, changes: { subjectType: 'public' | 'pairwise' }) =>
    new ClientService(
      database.db,
      new ResourceServerService(database.db),
      new OutboundAllow(),
    ).update(client.clientId, changes, 'test', { forced: true });

  test('one that registered itself has pairwise subjects too, and can’t change them once it has people', async () => {
    const { status, body } = await register(server.url, { ...plainApp, subject_type: 'pairwise' });
    expect(status).toBe(201);
    expect(body.subject_type).toBe('pairwise');
    const client = { clientId: body.client_id, clientSecret: body.client_secret };
    await seed.consent(accountId, client.clientId);
    const { id_token: token } = await signIn(await seed.signIn(accountId), client, {
      scope: 'openid email',
    });
    expect(subOf(token)).toMatch(/^p_/);
    const stored = await settingsOf(client);
    const uri = `${server.url}/register/${body.client_id}`;
    const changed = await manage({ body: { ...body, registration_client_uri: uri } }, 'PUT', {
      ...plainApp,
      client_id: body.client_id,
      subject_type: 'public',
    });
    expect(changed.status).toBe(400);
    expect(changed.body.error).toBe('invalid_client_metadata');
    expect(await settingsOf(client)).toEqual(stored);
    const astray = await register(server.url, {
      ...plainApp,
      subject_type: 'pairwise',
      sector_identifier_uri: 'https://127.0.0.1:1/sector.json',
    });
    expect(astray.status).toBe(400);
  });

  test('what has no sector has no pairwise subjects', async () => {
    const subjectType = 'pairwise';
    for (const [input, said] of [
      [{ type: 'machine', redirectUris: [] }, 'people sign in'],
      [{ redirectUris: [redirectUri, elsewhere] }, 'several hosts'],
      [{ type: 'native', redirectUris: ['http://127.0.0.1/cb'] }, 'the device itself'],
      [{ type: 'native', redirectUris: ['com.example.app:/cb'] }, 'the device itself'],
    ] as const)
      await expect(
        seed.client({ ...input, redirectUris: [...input.redirectUris], subjectType }),
      ).rejects.toThrow(said);
  });

  test('a sector of several hosts is what its document says, which is read at registration alone', async () => {
    const document = await startDocument([redirectUri, elsewhere]);
    try {
      const both = await seed.client({
        redirectUris: [redirectUri, elsewhere],
        subjectType: 'pairwise',
        sectorIdentifierUri: document.uri,
      });
      const other = await seed.client({
        redirectUris: [elsewhere],
        subjectType: 'pairwise',
        sectorIdentifierUri: document.uri,
      });
      expect(document.asked()).toBe(2);
      for (const { clientId } of [both, other]) await seed.consent(accountId, clientId);
      const browser = await seed.signIn(accountId);
      const here = subOf((await signIn(browser, both)).id_token);
      const there = subOf((await signIn(browser, other, { redirect_uri: elsewhere })).id_token);
      expect(here).toBe(there);
      expect(here).not.toBe(subOf((await signIn(browser, pairwise)).id_token));
      expect(document.asked()).toBe(2);
    } finally {
      await document.close();
    }
  });

  test('SECURITY 9: a sector identifier URI leads to no inside host, by itself or by a redirect, and is never refetched', async () => {
    const named = await startDocument([redirectUri]);
    const astray = await startDocument(undefined);
    try {
      const outside = new Seed(database.db);
      const count = async () =>
        (await database.db.kysely.selectFrom('clients').select('id').execute()).length;
      const before = await count();
      for (const [of, uri] of [
        [outside, named.uri],
        [outside, 'http://app.example.com/sector.json'],
        [outside, 'https://127.0.0.1/sector.json'],
        [outside, 'https://[::ffff:169.254.169.254]/latest'],
        [outside, 'https://localhost/sector.json'],
        [seed, named.uri.replace('https', 'http')],
        [outside, 'https://user@app.example.com/sector.json'],
        [outside, 'https://app.example.com/a/../sector.json'],
        [outside, 'javascript:alert(1)'],
        [outside, 'file:///etc/passwd'],
        // It redirects to the right document, and is not followed.
        [seed, astray.uri],
      ] as const)
        await expect(
          of.client({ subjectType: 'pairwise', sectorIdentifierUri: uri }),
        ).rejects.toMatchObject({ code: 'invalid_client' });
      for (const wrong of [[elsewhere], {}, [], 'x'.repeat(300_000)]) {
        const document = await startDocument(wrong);
        await expect(
          seed.client({ subjectType: 'pairwise', sectorIdentifierUri: document.uri }),
        ).rejects.toMatchObject({ code: 'invalid_client' });
        await document.close();
      }
      expect(named.asked()).toBe(0);
      expect(await count()).toBe(before);
    } finally {
      await named.close();
      await astray.close();
    }
  });

  /** A client's server with the list of a sector; without one it redirects. */
  async function startDocument(content: unknown) {
    let asked = 0;
    const { cert, key } = certificate({ issuer: authority, names: { dns: 'localhost' } });
    const http = createServer({ cert, key }, (_request, response) => {
      asked++;
      if (content === undefined) response.writeHead(302, { location: '/sector.json' }).end();
      else response.end(JSON.stringify(content));
    });
    http.listen(0, inside);
    await once(http, 'listening');
    return {
      uri: `https://localhost:${(http.address() as AddressInfo).port}/sector.json`,
      asked: () => asked,
      async close() {
        http.closeAllConnections();
        http.close();
        await once(http, 'close');
      },
    };
  }
});
