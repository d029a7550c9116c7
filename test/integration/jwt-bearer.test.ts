import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { JWT_BEARER } from '../../src/client/client.ts';
import { type NewIssuer, type NewSubject, newIssuerSchema } from '../../src/issuer/issuer.ts';
import type { TrustedIssuers } from '../../src/issuer/issuer.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  allow,
  exchangeGrant,
  exchangeToken,
  introspect,
  machineToken,
  trustedIssuers,
} from '../support/exchange.ts';
import { until } from '../support/process.ts';
import { type Credentials, exchange, isActive, post, Seed } from '../support/protocol.ts';
import { type ClientKey, jwksOf, newKey, now, proof, send, sign } from '../support/proofs.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Assertions of trusted issuers as a grant (RFC 7523, section 2.1), over two processes. */

const issuer = 'http://localhost:3000';
const ci = 'https://ci.example.com';
const cluster = 'https://kubernetes.default.svc';
const orders = 'https://orders.example.com';
const ledger = 'https://ledger.example.com';
const apis = [orders, ledger].map((identifier) => ({ identifier, scopes: ['read', 'write'] }));
const subject = 'repo:quillet/shop:ref:refs/heads/main';

let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
let ordersApi: Credentials;
let key: ClientKey;
/** With a secret of its own, which it shows besides. */
let deployer: Credentials;
/** With nothing of its own. */
let open: Credentials;
let issuers: TrustedIssuers;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  ordersApi = await seed.api(orders);
  await seed.api(ledger, 'jwt');
  key = await newKey();
  const grantTypes = [JWT_BEARER] as [typeof JWT_BEARER];
  deployer = await seed.client({ type: 'machine', apis, grantTypes });
  open = await seed.client({ type: 'device', redirectUris: [], apis, grantTypes });
  issuers = trustedIssuers(database, ['127.0.0.1']);
  await trust({ issuer: ci, jwks: keyed(key) });
  await entrust(ci, { subject, clientId: deployer.clientId });
  await entrust(ci, { subject, clientId: open.clientId, public: true });
  [one, two] = (await Promise.all(
    [1, 2].map(() => startServerProcess(database, issuer, { OUTBOUND_ALLOW: '127.0.0.1' })),
  )) as [ServerProcess, ServerProcess];
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

const keyed = (...keys: ClientKey[]) => ({
  keys: jwksOf(...keys).keys.map((jwk, index) => ({ ...jwk, kid: `key-${index}` })),
});
const trust = (input: Partial<NewIssuer> & { issuer: string }) =>
  issuers.add(newIssuerSchema.parse(input), 'test');
const entrust = (name: string, input: Partial<NewSubject> & { clientId: string }) =>
  issuers.allow(name, { subject, api: orders, scopes: ['read'], public: false, ...input }, 'test');

const claims = (other: Record<string, unknown> = {}) => ({
  iss: ci,
  sub: subject,
  aud: issuer,
  jti: randomUUID(),
  iat: now(),
  nbf: now(),
  exp: now() + 300,
  ...other,
});
const assertion = (
  other: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  by = key,
) => sign(by, claims(other), { kid: 'key-0', typ: 'JWT', ...header });

const form = (text: string, extra: Record<string, string> = {}) => ({
  grant_type: JWT_BEARER,
  assertion: text,
  resource: orders,
  scope: 'read',
  ...extra,
});
const take = (text: string, extra: Record<string, string> = {}, client = deployer, server = one) =>
  post(server.url, '/token', client, form(text, extra));

const count = async (table: 'tokens' | 'replays') =>
  (
    await database.db.kysely
      .selectFrom(table)
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
  ).count;

const audited = async (reason: string) =>
  (
    await database.db.kysely
      .selectFrom('audit_events')
      .select('client_id')
      .where('type', '=', 'token.refused')
      .where('reason', '=', reason)
      .execute()
  ).length;

/** Waits until a process has heard of a change, by what its answers are refused for. */
async function followed(reason: string, ask: () => Promise<unknown>): Promise<void> {
  const before = await audited(reason);
  await until(async () => {
    await ask();
    return (await audited(reason)) > before;
  });
}

/** Refused; there is no token, and no id was used up. */
async function refused(
  text: string,
  reason: string,
  { error = 'invalid_grant', extra = {}, client = deployer, rows = 1 } = {},
): Promise<void> {
  const before = [await count('tokens'), await count('replays'), await audited(reason)];
  const { status, body } = await take(text, extra, client);
  expect({ status, error: body.error }).toEqual({ status: 400, error });
  expect([await count('tokens'), await count('replays'), await audited(reason)]).toEqual([
    before[0],
    before[1],
    (before[2] as number) + rows,
  ]);
}

describe('an assertion', () => {
  test('gives a token of the client, for the API, and no refresh token', async () => {
    const { status, body } = await take(await assertion());
    expect(status).toBe(200);
    expect(Object.keys(body).toSorted()).toEqual([
      'access_token',
      'expires_in',
      'scope',
      'token_type',
    ]);
    const told = await introspect(two.url, ordersApi, body.access_token);
    expect(told).toMatchObject({
      active: true,
      client_id: deployer.clientId,
      aud: orders,
      scope: 'read',
    });
    expect(told).toMatchObject({ sub: deployer.clientId });
    const event = await database.db.kysely
      .selectFrom('audit_events')
      .selectAll()
      .where('type', '=', 'token.asserted')
      .executeTakeFirstOrThrow();
    expect(event).toMatchObject({
      client_id: deployer.clientId,
      outcome: 'success',
      data: { issuer: ci, subject, resource: orders, scopes: ['read'] },
    });
  });

  test('is enough for a client without a secret where the rule says so', async () => {
    const { status, body } = await take(await assertion(), {}, open);
    expect(status).toBe(200);
    expect(await isActive(two.url, ordersApi, body.access_token)).toBe(true);
  });

  test('is not, where it does not; nor does a client with a secret come without it', async () => {
    const id = await entrust(ci, {
      subject: 'repo:quillet/site',
      clientId: open.clientId,
      public: true,
    });
    await database.db.kysely
      .updateTable('trusted_subjects')
      .set({ public: false })
      .where('id', '=', id)
      .execute();
    await followed('client_not_authenticated', async () =>
      take(await assertion({ sub: 'repo:quillet/site' }), {}, open),
    );
    await refused(await assertion({ sub: 'repo:quillet/site' }), 'client_not_authenticated', {
      client: open,
      // Alike refusals of clients that have proved nothing are counted for a minute; the first has its row.
      rows: 0,
    });
    const { status, body } = await take(
      await assertion(),
      {},
      {
        clientId: deployer.clientId,
        clientSecret: undefined,
      },
    );
    expect({ status, error: body.error }).toEqual({ status: 401, error: 'invalid_client' });
  });

  test('works once, also a hundred times at once over two processes', async () => {
    const text = await assertion();
    const before = await count('tokens');
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        take(text, {}, deployer, index % 2 === 0 ? one : two),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ body }) => body.error === 'invalid_grant')).toHaveLength(99);
    expect(await count('tokens')).toBe(before + 1);
    await refused(text, 'assertion_replayed');
  });

  test('what the client did wrong uses nothing up', async () => {
    const text = await assertion();
    await refused(text, 'scope_not_allowed', { error: 'invalid_scope', extra: { scope: 'write' } });
    await refused(text, 'subject_not_allowed', { extra: { resource: ledger } });
    expect((await take(text)).status).toBe(200);
  });

  test('names who alone may act, and so does the token', async () => {
    const [mover, other] = (await Promise.all(
      [1, 2].map(() => seed.client({ type: 'machine', apis, ...exchangeGrant })),
    )) as [Credentials, Credentials];
    for (const { clientId } of [mover, other])
      await allow(database, {
        clientId,
        source: orders,
        target: ledger,
        scopes: ['read'],
        impersonation: true,
      });
    const { body } = await take(await assertion({ may_act: { sub: mover.clientId } }));
    expect(await introspect(one.url, ordersApi, body.access_token)).toMatchObject({
      may_act: { sub: mover.clientId },
    });
    expect((await exchangeToken(one.url, mover, body.access_token, ledger)).status).toBe(200);
    const refusal = await exchangeToken(one.url, other, body.access_token, ledger);
    expect(refusal.body.error).toBe('invalid_request');
    expect(await audited('may_act')).toBe(1);
    for (const mayAct of ['text', [], { sub: 1 }, { sub: 'x', scope: 'all' }, null])
      await refused(await assertion({ may_act: mayAct }), 'assertion_may_act');
  });

  test('is bound to a key by a proof', async () => {
    const dpop = await proof(key, { htu: `${issuer}/token` });
    const { status, body } = await send(
      one.url,
      '/token',
      { ...form(await assertion()), client_id: open.clientId },
      { dpop },
    );
    expect({ status, type: body.token_type }).toEqual({ status: 200, type: 'DPoP' });
  });
});

describe('SECURITY 28: forged assertions', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = (header: unknown, body: unknown) => `${encode(header)}.${encode(body)}.`;

  test('alg none, in every case', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', undefined])
      await refused(unsigned({ alg, kid: 'key-0' }, claims()), 'assertion_invalid');
  });

  test('HMAC with the public key as the secret', async () => {
    const jwk = keyed(key).keys[0];
    const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .publicKey.export({ type: 'spki', format: 'pem' })
      .toString();
    for (const secret of [JSON.stringify(jwk), JSON.stringify(keyed(key)), pem, '', 'key-0'])
      for (const alg of ['HS256', 'HS384', 'HS512']) {
        const input = `${encode({ alg, kid: 'key-0' })}.${encode(claims())}`;
        const mac = createHmac(`sha${alg.slice(2)}`, secret)
          .update(input)
          .digest('base64url');
        await refused(`${input}.${mac}`, 'assertion_invalid');
      }
  });

  test('keys that the header brings along or names: jwk, jku, x5u, x5c', async () => {
    const attacker = await newKey();
    const { publicJwk } = attacker;
    for (const header of [
      { jwk: publicJwk },
      { jku: 'https://evil.example.com/jwks' },
      { x5u: 'https://evil.example.com/cert' },
      { x5c: ['MIIB'] },
    ])
      await refused(await assertion({}, header, attacker), 'assertion_invalid');
  });

  test('another key, another algorithm, another kid, a hostile kid', async () => {
    await refused(await assertion({}, {}, await newKey()), 'assertion_invalid');
    // Its own keys are elliptic, and PS256 was not said.
    for (const alg of ['RS256', 'PS256', 'EdDSA'])
      await refused(await assertion({}, {}, await newKey(alg)), 'assertion_invalid');
    for (const kid of ['key-1', '../../etc/passwd', "' or 1=1 --", '\u0000', 'x'.repeat(5_000)])
      await refused(await assertion({}, { kid }), 'assertion_invalid');
  });

  test('an algorithm that was not said, with a key that would fit it', async () => {
    const rsa = await newKey('PS256');
    await trust({ issuer: 'https://rsa.example.com', jwks: keyed(rsa), algs: ['RS256'] });
    await entrust('https://rsa.example.com', { clientId: deployer.clientId });
    const signed = () => assertion({ iss: 'https://rsa.example.com' }, {}, rsa);
    await followed('assertion_invalid', async () => take(await signed()));
    await refused(
      await assertion({ iss: 'https://rsa.example.com' }, {}, rsa),
      'assertion_invalid',
    );
  });

  test('a broken signature, a changed claim, an unknown critical header, no compact form', async () => {
    const text = await assertion();
    const [header, body, signature] = text.split('.') as [string, string, string];
    await refused(`${header}.${body}.${signature.slice(0, -4)}AAAA`, 'assertion_invalid');
    await refused(`${header}.${encode(claims({ sub: 'x' }))}.${signature}`, 'assertion_invalid');
    await refused(
      await assertion({}, { crit: ['exp'], exp: 1 }).catch(() => 'x'),
      'unknown_issuer',
    );
    const critical = `${encode({ alg: 'ES256', kid: 'key-0', crit: ['made-up'], 'made-up': 1 })}.${body}.${signature}`;
    await refused(critical, 'assertion_invalid');
    for (const nothing of ['x', '..', 'a.b.c', `${body}.${body}`, '{}', 'x'.repeat(20_000)])
      await refused(nothing, 'unknown_issuer');
  });

  test('types of other JWTs', async () => {
    for (const typ of [
      'at+jwt',
      'dpop+jwt',
      'logout+jwt',
      'client-authentication+jwt',
      'secevent+jwt',
      'JWE',
    ])
      await refused(await assertion({}, { typ }), 'assertion_type');
    for (const typ of [undefined, 'JWT', 'jwt', 'authorization-grant+jwt'])
      expect((await take(await assertion({}, { typ }))).status).toBe(200);
  });

  test('an issuer that nobody trusts, and our own', async () => {
    await refused(await assertion({ iss: 'https://evil.example.com' }), 'unknown_issuer');
    for (const iss of [issuer, [ci], `${ci}/`, ci.toUpperCase(), undefined, 1])
      await refused(await assertion({ iss }), 'unknown_issuer');
    await expect(trust({ issuer, jwks: keyed(key) })).rejects.toMatchObject({
      code: 'invalid_issuer',
    });
    const accountId = await seed.account();
    const app = await seed.client();
    await seed.consent(accountId, app.clientId);
    const browser = await seed.signIn(accountId);
    const { body } = await exchange(one.url, app, await browser.authorize(one.url, app));
    await refused(body.id_token as string, 'unknown_issuer');
    const robot = await seed.client({ type: 'machine', apis });
    await refused(await machineToken(one.url, robot, ledger), 'unknown_issuer');
  });

  test('an audience that is somebody else, or somebody else as well', async () => {
    for (const aud of [
      'https://other.example.com',
      [issuer, 'https://other.example.com'],
      [],
      undefined,
      orders,
      `${issuer}/`,
    ])
      await refused(
        await assertion({ aud }),
        Array.isArray(aud) && aud.length > 0 ? 'assertion_audience' : 'assertion_invalid',
      );
    for (const aud of [issuer, [issuer], `${issuer}/token`, [issuer, `${issuer}/token`]])
      expect((await take(await assertion({ aud }))).status).toBe(200);
  });

  test('times: over, not begun, from the future, too long, none, no numbers', async () => {
    await refused(await assertion({ exp: now() - 1 }), 'assertion_invalid');
    await refused(await assertion({ nbf: now() + 120 }), 'assertion_invalid');
    await refused(
      await assertion({ iat: now() + 60, exp: now() + 200 }),
      'assertion_from_the_future',
    );
    await refused(await assertion({ exp: now() + 3_700 }), 'assertion_lives_too_long');
    await refused(await assertion({ iat: now() - 7_200 }), 'assertion_lives_too_long');
    for (const name of ['exp', 'iat', 'jti', 'sub'])
      await refused(await assertion({ [name]: undefined }), 'assertion_invalid');
    for (const value of ['soon', String(now() + 60), null, {}, true]) {
      await refused(await assertion({ exp: value }), 'assertion_invalid');
      await refused(await assertion({ iat: value }), 'assertion_invalid');
    }
    for (const value of [1, '', ['x'], {}, 'x'.repeat(501)]) {
      await refused(await assertion({ sub: value }), 'assertion_invalid');
      await refused(await assertion({ jti: value }), 'assertion_invalid');
    }
    // A clock may be a little ahead.
    expect((await take(await assertion({ iat: now() + 10, nbf: now() + 10 }))).status).toBe(200);
  });

  test('another subject, in another case, longer, shorter, or one that a * does not reach', async () => {
    for (const sub of [
      'repo:quillet/shop',
      `${subject}2`,
      subject.toUpperCase(),
      'repo:quillet/shop:ref:refs/heads/*',
      '*',
    ])
      await refused(await assertion({ sub }), 'subject_not_allowed');
    await entrust(ci, { subject: 'group:quillet/*', clientId: deployer.clientId });
    await until(
      async () => (await take(await assertion({ sub: 'group:quillet/a' }))).status === 200,
    );
    for (const sub of ['group:quillet', 'group:quilletx/a', 'x group:quillet/a'])
      await refused(await assertion({ sub }), 'subject_not_allowed');
  });
});

describe('what is refused besides', () => {
  test('a client that was not given the grant, and another one than the rule names', async () => {
    const robot = await seed.client({ type: 'machine', apis });
    const { status } = await take(await assertion(), {}, robot);
    expect(status).toBe(400);
    const other = await seed.client({ type: 'machine', apis, grantTypes: [JWT_BEARER] });
    await refused(await assertion(), 'subject_not_allowed', { client: other });
  });

  test('no assertion, no resource, two of either', async () => {
    const { assertion: _, ...without } = form('');
    for (const [fields, error] of [
      [without, 'invalid_request'],
      [{ ...form(await assertion()), resource: '' }, 'invalid_target'],
    ] as const) {
      const { status, body } = await post(one.url, '/token', deployer, fields);
      expect({ status, error: body.error }).toEqual({ status: 400, error });
    }
    for (const name of ['assertion', 'resource']) {
      const twice = new URLSearchParams({ ...form(await assertion()), client_id: open.clientId });
      twice.append(name, 'x');
      const answer = await fetch(new URL('/token', one.url), { method: 'POST', body: twice });
      expect(answer.status).toBe(400);
    }
  });

  test('scopes beyond the rule, and beyond the client', async () => {
    await refused(await assertion(), 'scope_not_allowed', {
      error: 'invalid_scope',
      extra: { scope: 'write admin openid' },
    });
    const { body } = await take(await assertion(), { scope: 'read write admin' });
    expect(body.scope).toBe('read');
  });

  test('SECURITY 23: a client that is disabled, and its tokens with it', async () => {
    const client = await seed.client({ type: 'machine', apis, grantTypes: [JWT_BEARER] });
    await entrust(ci, { clientId: client.clientId });
    let token = '';
    await until(async () => {
      const { body } = await take(await assertion(), {}, client);
      token = body.access_token;
      return token !== undefined;
    });
    await seed.disableClient(client.clientId);
    expect(await isActive(two.url, ordersApi, token)).toBe(false);
    await until(async () => (await take(await assertion(), {}, client)).status === 401);
  });

  test('an issuer that is removed is trusted no more on any process within two seconds', async () => {
    await trust({ issuer: 'https://old.example.com', jwks: keyed(key) });
    await entrust('https://old.example.com', { clientId: deployer.clientId });
    const statuses = async () =>
      (
        await Promise.all(
          [one, two].map(async (server) =>
            take(await assertion({ iss: 'https://old.example.com' }), {}, deployer, server),
          ),
        )
      )
        .map(({ status }) => status)
        .join();
    await until(async () => (await statuses()) === '200,200');
    await issuers.remove('https://old.example.com', 'test');
    await until(async () => (await statuses()) === '400,400');
  });
});

test('an assertion that lies in a file may be shown again until it ends, where the issuer was added so', async () => {
  await trust({ issuer: cluster, jwks: keyed(key), reusable: true, maxLife: 7_200 });
  await entrust(cluster, {
    subject: 'system:serviceaccount:shop:worker',
    clientId: deployer.clientId,
  });
  const text = await assertion({
    iss: cluster,
    sub: 'system:serviceaccount:shop:worker',
    jti: undefined,
    exp: now() + 7_000,
    'kubernetes.io': { namespace: 'shop' },
  });
  for (const server of [one, two])
    await until(async () => (await take(text, {}, deployer, server)).status === 200);
});

describe('keys at an address', () => {
  let keyServer: Server;
  let asked = 0;
  let answer: { status: number; body: string };
  let name: string;
  let uri: string;

  beforeAll(async () => {
    keyServer = createServer((_request, response) => {
      asked += 1;
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    }).listen(0, '127.0.0.1');
    await once(keyServer, 'listening');
    uri = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => void keyServer.close());
  beforeEach(() => {
    asked = 0;
    name = `https://${randomUUID()}.example.com`;
  });

  /** Another path for each test: what was read stays known. */
  const add = async () => {
    await trust({ issuer: name, jwksUri: `${uri}/${randomUUID()}` });
    await entrust(name, { clientId: deployer.clientId });
  };
  const by = async (signer: ClientKey, kid = 'key-0') =>
    take(await assertion({ iss: name }, { kid }, signer));

  test('are asked for once, and once more where a new one signs, and not again soon', async () => {
    const next = await newKey();
    answer = { status: 200, body: JSON.stringify(keyed(key)) };
    await add();
    await until(async () => (await by(key)).status === 200);
    await Promise.all(Array.from({ length: 10 }, () => by(key)));
    expect(asked).toBe(1);
    answer = { status: 200, body: JSON.stringify(keyed(key, next)) };
    expect((await by(next, 'key-1')).status).toBe(200);
    expect(asked).toBe(2);
    // Whoever names keys that are not there makes nobody ask again and again.
    const stranger = await newKey();
    await Promise.all(Array.from({ length: 10 }, () => by(stranger, 'key-9')));
    expect(asked).toBeLessThanOrEqual(3);
  });

  test.each([
    ['an error', { status: 500, body: 'x' }],
    ['no JSON', { status: 200, body: '<html>' }],
    ['no JWK Set', { status: 200, body: '{"keys":{}}' }],
    ['a redirect', { status: 302, body: '' }],
    ['too much', { status: 200, body: `{"keys":[],"x":"${'x'.repeat(200_000)}"}` }],
  ])('%s gives nobody anything, and is not asked for again soon', async (_what, given) => {
    answer = given;
    await add();
    await followed('keys_unavailable', () => by(key));
    await Promise.all(Array.from({ length: 10 }, () => by(key)));
    expect(asked).toBe(1);
  });

  test('shared secrets and private keys in them are no keys', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const secret = Buffer.from('secret-secret-secret-secret-secret').toString('base64url');
    for (const bad of [
      { kty: 'oct', k: secret, kid: 'key-0', alg: 'HS256' },
      privateKey.export({ format: 'jwk' }),
    ]) {
      name = `https://${randomUUID()}.example.com`;
      answer = { status: 200, body: JSON.stringify({ keys: [...keyed(key).keys, bad] }) };
      await add();
      await followed('keys_unavailable', () => by(key));
    }
    expect(asked).toBe(2);
  });

  test('SECURITY 9: an inside address is not called, nor may it be named', async () => {
    await expect(trust({ issuer: name, jwksUri: 'http://10.0.0.1/jwks' })).rejects.toMatchObject({
      code: 'invalid_issuer',
    });
    await expect(trust({ issuer: name, jwksUri: 'https://[::1]/jwks' })).rejects.toMatchObject({
      code: 'invalid_issuer',
    });
  });
});
