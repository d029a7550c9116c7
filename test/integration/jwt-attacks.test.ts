import { createHmac, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CompactEncrypt, decodeJwt, decodeProtectedHeader, type JWK, SignJWT } from 'jose';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, post, redirectUri, Seed } from '../support/protocol.ts';
import {
  type Answer,
  answerOf,
  asForm,
  assertionClaims,
  type ClientKey,
  jwksOf,
  newKey,
  now,
  send,
  sign,
} from '../support/proofs.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/**
 * JWTs that somebody made to be taken for something that they are not (RFC 8725): as an access token at introspection,
 * revocation and userinfo, as a client assertion at every endpoint that takes one, as a hint at the end of a session.
 */

const issuer = 'http://localhost:3000';
const jwtApi = 'https://jwt.example.com';
const plainApi = 'https://plain.example.com';
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let apiClients: Record<string, Credentials>;
let machine: Credentials;
let web: Credentials;
let signing: string;
let key: ClientKey;
let rsa: ClientKey;
let attacker: ClientKey;
let accountId: string;
let published: JWK[];
/** Where an attacker's keys would be fetched from: nobody does. */
let trap: Server;
let trapUrl: string;
let caught = 0;

beforeAll(async () => {
  trap = createServer((_request, response) => {
    caught++;
    response.end(JSON.stringify(jwksOf(attacker)));
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  trapUrl = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/jwks`;
  database = await createTestDatabase();
  seed = new Seed(database.db);
  apiClients = {
    [jwtApi]: await seed.api(jwtApi, 'jwt'),
    [plainApi]: await seed.api(plainApi, 'jwt'),
  };
  await database.db.kysely
    .updateTable('resource_servers')
    .set({ token_typ: 'JWT', signing_alg: 'RS256' })
    .where('identifier', '=', plainApi)
    .execute();
  [key, rsa, attacker] = await Promise.all([newKey(), newKey('PS256'), newKey()]);
  const apis = [jwtApi, plainApi].map((identifier) => ({ identifier, scopes: ['read'] }));
  machine = await seed.client({ type: 'machine', apis });
  web = await seed.client({ apis });
  const keys = jwksOf(key, rsa).keys;
  ({ clientId: signing } = await seed.client({
    authMethod: 'private_key_jwt',
    authSigningAlg: 'ES256',
    apis,
    jwks: {
      keys: [
        { ...keys[0], kid: 'one' },
        { ...keys[1], kid: 'two' },
      ],
    },
  }));
  accountId = await seed.account();
  for (const id of [web.clientId, signing])
    await seed.consent(accountId, id, { [jwtApi]: ['read'], [plainApi]: ['read'] });
  server = await startServerProcess(database, issuer, { OUTBOUND_ALLOW: '127.0.0.1' });
  const { keys: ours } = (await (await fetch(new URL('/jwks', server.url))).json()) as {
    keys: JWK[];
  };
  published = ours;
});

afterAll(async () => {
  await server.stop();
  await database.drop();
  trap.close();
});

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const parts = (token: string) => token.split('.') as [string, string, string];

const machineToken = async (resource: string) =>
  (await post(server.url, '/token', machine, { grant_type: 'client_credentials', resource })).body
    .access_token;

/** All that a person's sign-in gives the client. */
async function person(extra: Record<string, string> = {}) {
  const browser = await seed.signIn(accountId);
  const { code, verifier } = await browser.authorize(server.url, web, extra);
  const { body } = await post(server.url, '/token', web, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
  });
  return { ...body, id_token: body.id_token as string, browser };
}

async function state() {
  const { kysely } = database.db;
  const tokens = await kysely
    .selectFrom('tokens')
    .select(['id_hash', 'consumed_at'])
    .orderBy('id_hash')
    .execute();
  const grants = await kysely
    .selectFrom('grants')
    .select(['id', 'revoked_at'])
    .orderBy('id')
    .execute();
  const revoked = await kysely.selectFrom('revoked_tokens').select('id_hash').execute();
  const replays = await kysely.selectFrom('replays').select('id_hash').execute();
  return { tokens, grants, revoked: revoked.length, replays: replays.length };
}

/** What was forged says nothing, ends nothing, and opens nothing. */
async function expectNothing(forged: string): Promise<void> {
  const before = await state();
  for (const client of [machine, web, ...Object.values(apiClients)]) {
    const told = await post(server.url, '/introspect', client, { token: forged });
    expect({ status: told.status, body: told.body }).toEqual({
      status: 200,
      body: { active: false },
    });
    const { status } = await post(server.url, '/revoke', client, { token: forged });
    expect(status).toBe(200);
  }
  const userinfo = await fetch(new URL('/userinfo', server.url), {
    method: 'POST',
    body: new URLSearchParams({ access_token: forged }),
  });
  expect({ status: userinfo.status, error: (await answerOf(userinfo)).body.error }).toEqual({
    status: 401,
    error: 'invalid_token',
  });
  const exchanged = await post(server.url, '/token', web, {
    grant_type: 'refresh_token',
    refresh_token: forged,
  });
  expect(exchanged.body.error).toBe('invalid_grant');
  expect(await state()).toEqual(before);
}

/** Public keys in every form in which somebody would take one for a secret. */
function secretsOf(jwk: JWK): (string | Buffer)[] {
  const { createPublicKey } = process.getBuiltinModule('node:crypto');
  const publicKey = createPublicKey({ key: jwk as Record<string, unknown>, format: 'jwk' });
  return [
    publicKey.export({ type: 'spki', format: 'pem' }),
    (publicKey.export({ type: 'spki', format: 'pem' }) as string).trim(),
    publicKey.export({ type: 'spki', format: 'der' }),
    JSON.stringify(jwk),
    String(jwk.n ?? jwk.x),
    Buffer.from(String(jwk.n ?? jwk.x), 'base64url'),
    '',
  ];
}

const hmac = (alg: string, secret: string | Buffer, claims: unknown, header: object) => {
  const text = `${encode({ alg, ...header })}.${encode(claims)}`;
  const hash = `sha${alg.slice(2)}`;
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
};

const hostileKids = [
  '../../../../dev/null',
  "' or '1'='1",
  '; drop table tokens; --',
  'http://127.0.0.1/',
  '__proto__',
  'constructor',
  '\u0000',
  '${jndi:ldap://127.0.0.1/a}',
  'x'.repeat(10_000),
  '',
  0,
  null,
  true,
  ['one'],
  { kid: 'one' },
];

describe('SECURITY JWT: access tokens', () => {
  let right: string[];

  beforeAll(async () => {
    right = [
      await machineToken(jwtApi),
      await machineToken(plainApi),
      (await person({ resource: jwtApi, scope: 'openid read' })).access_token,
    ];
  });

  test('the right ones are', async () => {
    for (const token of right) {
      const { aud } = decodeJwt(token);
      const caller = apiClients[aud as string] as Credentials;
      const told = await post(server.url, '/introspect', caller, { token });
      expect(told.body.active).toBe(true);
    }
  });

  test('none, by any name', async () => {
    for (const token of right) {
      const [header, claims, signature] = parts(token);
      const named = decodeProtectedHeader(token);
      for (const alg of ['none', 'None', 'NONE', 'nOnE', '', undefined, null, 0, ['none']])
        for (const end of ['', signature])
          await expectNothing(`${encode({ ...named, alg })}.${claims}.${end}`);
      await expectNothing(`${header}.${claims}.`);
      await expectNothing(`${header}.${claims}`);
    }
  });

  test('HS256 with the public key', async () => {
    for (const token of right) {
      const claims = decodeJwt(token);
      const header = decodeProtectedHeader(token);
      const own = published.find(({ kid }) => kid === header.kid) as JWK;
      for (const secret of secretsOf(own))
        await expectNothing(hmac('HS256', secret, claims, { typ: header.typ, kid: header.kid }));
      await expectNothing(hmac('HS512', secretsOf(own)[0] as string, claims, { typ: header.typ }));
    }
  });

  test('a broken signature, one of zeros, one of another token, other claims', async () => {
    const [first, , third] = right as [string, string, string];
    const [header, claims, signature] = parts(third);
    const flipped = signature.replace(/^./, (one) => (one === 'A' ? 'B' : 'A'));
    const other = encode({ ...decodeJwt(third), scope: 'read write', exp: now() + 9_999_999 });
    for (const forged of [
      `${header}.${claims}.${flipped}`,
      `${header}.${claims}.${'A'.repeat(86)}`,
      `${header}.${claims}.${signature.slice(0, -4)}`,
      `${header}.${claims}.${parts(first)[2]}`,
      `${header}.${other}.${signature}`,
      `${header}..${signature}`,
      `${encode({ ...decodeProtectedHeader(third), alg: 'PS256' })}.${claims}.${signature}`,
      `${encode({ ...decodeProtectedHeader(third), crit: ['x'], x: 1 })}.${claims}.${signature}`,
    ])
      await expectNothing(forged);
  });

  test("an attacker's key, named in every way", async () => {
    const { x5c, kid } = { x5c: [certificate().der.toString('base64')], kid: published[0]?.kid };
    const claims = { ...decodeJwt(right[2] as string), jti: randomUUID() };
    for (const header of [
      {},
      { kid },
      { jwk: attacker.publicJwk },
      { kid, jwk: attacker.publicJwk },
      { jku: trapUrl },
      { kid, jku: trapUrl },
      { x5u: trapUrl },
      { x5c },
      { kid: trapUrl },
      { crit: ['b64'], b64: true },
    ])
      await expectNothing(await sign(attacker, claims, { typ: 'at+jwt', ...header }));
  });

  test('hostile kids are harmless', async () => {
    const [, claims, signature] = parts(right[2] as string);
    const header = decodeProtectedHeader(right[2] as string);
    for (const kid of hostileKids)
      await expectNothing(`${encode({ ...header, kid })}.${claims}.${signature}`);
  });

  test('an ID token is no access token, nor is anything else that is signed', async () => {
    const { id_token: idToken } = await person();
    await expectNothing(idToken);
    const claims = assertionClaims(signing, issuer);
    await expectNothing(await sign(key, claims, { kid: 'one' }));
    await expectNothing(await sign(key, claims, { kid: 'one', typ: 'at+jwt' }));
    // RFC 9701: what introspection itself has signed.
    const signed = await fetch(new URL('/introspect', server.url), {
      method: 'POST',
      headers: {
        accept: 'application/token-introspection+jwt',
        authorization: `Basic ${Buffer.from(`${machine.clientId}:${machine.clientSecret}`).toString('base64')}`,
      },
      body: new URLSearchParams({ token: right[0] as string }),
    });
    await expectNothing(await signed.text());
    // The signed feed of what is revoked.
    await expectNothing(await (await fetch(new URL('/revocations', server.url))).text());
  });

  test('of all that our own keys sign only what is an access token by its type is one', async () => {
    const { jwks } = await new KeyService(database.db, new Sealer([testMasterKey])).load();
    const own = jwks.keys.find(({ alg, d }) => alg === 'ES256' && d !== undefined) as JWK;
    const made = (typ: string | undefined, other: Record<string, unknown> = {}) =>
      new SignJWT({ ...decodeJwt(right[0] as string), jti: randomUUID(), ...other })
        .setProtectedHeader({ alg: 'ES256', kid: own.kid as string, ...(typ ? { typ } : {}) })
        .sign(own);
    const told = async (token: string, api: string) =>
      (await post(server.url, '/introspect', apiClients[api] as Credentials, { token })).body
        .active;
    expect(await told(await made('at+jwt'), jwtApi)).toBe(true);
    expect(await told(await made('JWT', { aud: plainApi }), plainApi)).toBe(true);
    for (const typ of [
      undefined,
      'JWT',
      'logout+jwt',
      'secevent+jwt',
      'token-introspection+jwt',
      'at+jwt+x',
    ])
      await expectNothing(await made(typ));
    for (const other of [
      { iss: 'https://other.example.com' },
      { iss: undefined },
      { exp: now() - 60 },
      { exp: undefined },
      { client_id: undefined },
      { sub: undefined },
      { jti: undefined },
      { sub: { is: machine.clientId } },
      { client_id: 'c_unknown', sub: 'c_unknown' },
    ])
      await expectNothing(await made('at+jwt', other));
  });

  test('JWEs: oversized, compressed, made with our own public key', async () => {
    const bomb = deflateRawSync(Buffer.alloc(50_000_000, 'x'));
    const rsaKey = published.find(({ kty }) => kty === 'RSA') as JWK;
    const made = await new CompactEncrypt(Buffer.from(right[0] as string))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: rsaKey.kid as string })
      .encrypt({ ...rsaKey, alg: 'RSA-OAEP-256', use: 'enc' });
    const jwe = (header: object, body = 'AAAA') =>
      `${encode(header)}.AAAA.${'A'.repeat(16)}.${body}.${'A'.repeat(22)}`;
    for (const token of [
      made,
      jwe({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' }, bomb.toString('base64url').slice(0, 40_000)),
      jwe({ alg: 'PBES2-HS256+A128KW', enc: 'A256GCM', p2c: 2_147_483_647, p2s: 'AAAAAAAAAAA' }),
      jwe({ alg: 'RSA1_5', enc: 'A128CBC-HS256' }),
      jwe({ alg: 'dir', enc: 'A256GCM' }, 'A'.repeat(40_000)),
    ])
      await expectNothing(token);
    const { status } = await post(server.url, '/introspect', machine, {
      token: jwe({ alg: 'dir', enc: 'A256GCM' }, 'A'.repeat(70_000)),
    });
    expect([400, 413]).toContain(status);
  });

  afterAll(async () => {
    // After all of it the right ones still are.
    for (const token of right) {
      const caller = apiClients[decodeJwt(token).aud as string] as Credentials;
      const told = await post(server.url, '/introspect', caller, { token });
      expect(told.body.active).toBe(true);
    }
  });
});

describe('SECURITY 28: client assertions', () => {
  const endpoints = [
    ['/token', { grant_type: 'client_credentials', resource: jwtApi }],
    ['/introspect', { token: 'x' }],
    ['/revoke', { token: 'x' }],
  ] as const;
  const claims = (other: Record<string, unknown> = {}) => assertionClaims(signing, issuer, other);
  const right = (other: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
    sign(key, claims(other), { kid: 'one', ...header });

  const badRequest = { status: 400, error: 'invalid_request' };

  const tried = async (form: Record<string, string>): Promise<Answer[]> =>
    Promise.all(endpoints.map(([path, fields]) => send(server.url, path, { ...fields, ...form })));

  /** Whoever forged it is nobody: no row, no answer, and its id is not used up. */
  async function expectRefused(
    assertion: string,
    form: Record<string, string> = {},
    expected = { status: 401, error: 'invalid_client' },
  ): Promise<void> {
    const before = await state();
    for (const { status, body } of await tried({ ...asForm(assertion), ...form })) {
      expect({ assertion, status, error: body.error }).toEqual({ assertion, ...expected });
      expect(body.active).toBeUndefined();
    }
    expect(await state()).toEqual(before);
  }

  test('a right one is taken', async () => {
    for (const [path, fields] of endpoints.slice(1)) {
      const { status } = await send(server.url, path, { ...fields, ...asForm(await right()) });
      expect(status).toBe(200);
    }
    expect(
      (
        await send(server.url, '/introspect', {
          token: 'x',
          ...asForm(await right({}, { typ: 'client-authentication+jwt' })),
        })
      ).status,
    ).toBe(200);
  });

  test('none, by any name', async () => {
    const [, body, signature] = parts(await right());
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', undefined, null, ['none']])
      for (const end of ['', signature])
        await expectRefused(`${encode({ alg, kid: 'one' })}.${body}.${end}`);
  });

  test('HS256 with the public key, in every form of it', async () => {
    for (const jwk of [key.publicJwk, rsa.publicJwk])
      for (const secret of secretsOf(jwk))
        for (const header of [{ kid: 'one' }, { kid: 'two' }, {}])
          await expectRefused(hmac('HS256', secret, claims(), header));
    await expectRefused(hmac('HS512', '', claims(), {}));
  });

  test("another algorithm than the client's, with a key of its own", async () => {
    await expectRefused(await sign(rsa, claims(), { kid: 'two' }));
    await expectRefused(await sign(rsa, claims()));
    const [, body, signature] = parts(await right());
    for (const alg of ['PS256', 'ES384', 'EdDSA', 'ES256K', 'RS256'])
      await expectRefused(`${encode({ alg, kid: 'one' })}.${body}.${signature}`);
  });

  test('a broken signature, one of zeros, none, or other claims', async () => {
    const [header, body, signature] = parts(await right());
    for (const end of [
      signature.replace(/^./, (one) => (one === 'A' ? 'B' : 'A')),
      'A'.repeat(86),
      signature.slice(0, -2),
      '',
    ])
      await expectRefused(`${header}.${body}.${end}`);
    await expectRefused(`${header}.${encode(claims())}.${signature}`);
    await expectRefused(`${header}..${signature}`);
    await expectRefused(`${header}.${body}`);
    for (const text of ['x', '..', 'a.b.c', `${header}.${body}.${signature}.x.y`])
      await expectRefused(text);
  });

  test("an attacker's key, named in every way", async () => {
    for (const header of [
      {},
      { kid: 'one' },
      { jwk: attacker.publicJwk },
      { kid: 'one', jwk: attacker.publicJwk },
      { jku: trapUrl },
      { kid: 'one', jku: trapUrl },
      { x5u: trapUrl },
      { x5c: [certificate().der.toString('base64')] },
      { kid: trapUrl },
    ])
      await expectRefused(await sign(attacker, claims(), header));
    // Keys named in the header of a right one count for nothing either.
    const told = await send(server.url, '/introspect', {
      token: 'x',
      ...asForm(await right({}, { jwk: attacker.publicJwk, jku: trapUrl, x5u: trapUrl })),
    });
    expect(told.status).toBe(200);
  });

  test('hostile kids, and what must be understood', async () => {
    const [, body, signature] = parts(await right());
    for (const kid of hostileKids)
      await expectRefused(`${encode({ alg: 'ES256', kid })}.${body}.${signature}`);
    const crit = { crit: ['exp'], exp: now() + 60 };
    await expectRefused(`${encode({ alg: 'ES256', kid: 'one', ...crit })}.${body}.${signature}`);
    await expectRefused(
      `${encode({ alg: 'ES256', crit: ['b64'], b64: false })}.${body}.${signature}`,
    );
  });

  test.each<[string, () => Record<string, unknown>]>([
    ['no iss', () => ({ iss: undefined })],
    ['another iss', () => ({ iss: machine.clientId })],
    ['no sub', () => ({ sub: undefined })],
    ['another sub', () => ({ sub: machine.clientId })],
    ['no aud', () => ({ aud: undefined })],
    ['another aud', () => ({ aud: 'https://other.example.com' })],
    ['no jti', () => ({ jti: undefined })],
    ['a jti that is no text', () => ({ jti: 1 })],
    ['no exp', () => ({ exp: undefined })],
    ['an exp that is no number', () => ({ exp: 'tomorrow' })],
    ['an exp in the past', () => ({ exp: now() - 60 })],
    ['an exp in two hours', () => ({ exp: now() + 7_200 })],
    ['an iat that is no number', () => ({ iat: 'today' })],
    ['an iat ahead', () => ({ iat: now() + 60 })],
    ['an nbf ahead', () => ({ nbf: now() + 60 })],
  ])('%s', async (_name, other) => {
    await expectRefused(await right(other()));
  });

  test('another JWT that the client has signed', async () => {
    for (const typ of ['dpop+jwt', 'oauth-authz-req+jwt', 'at+jwt', 'logout+jwt', 'secevent+jwt'])
      await expectRefused(await right({}, { typ }));
  });

  test('an ID token, an access token and a token of another issuer are no assertion', async () => {
    const { id_token: idToken, access_token: accessToken } = await person({
      resource: jwtApi,
      scope: 'openid read',
    });
    for (const token of [idToken, accessToken, await machineToken(jwtApi)])
      for (const clientId of [undefined, web.clientId, signing, machine.clientId])
        await expectRefused(token, clientId === undefined ? {} : { client_id: clientId });
  });

  test("for another client than the one that signed, and not the client's way", async () => {
    await expectRefused(await right(), { client_id: web.clientId });
    await expectRefused(await right(), { client_secret: 'x' }, badRequest);
    await expectRefused('', {});
    const saml = 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer';
    await expectRefused(await right(), { client_assertion_type: saml }, badRequest);
    // A client with a secret does not sign, whatever key it shows.
    await expectRefused(
      await sign(attacker, assertionClaims(web.clientId, issuer), { jwk: attacker.publicJwk }),
    );
    await expectRefused(
      hmac('HS256', web.clientSecret as string, assertionClaims(web.clientId, issuer), {}),
    );
    const twice = new URLSearchParams([
      ['token', 'x'],
      ...Object.entries(asForm(await right())),
      ['client_assertion', await right()],
    ]);
    const response = await fetch(new URL('/introspect', server.url), {
      method: 'POST',
      body: twice,
    });
    expect({ status: response.status, ...(await answerOf(response)).body }).toMatchObject({
      status: 400,
      error: 'invalid_request',
    });
  });

  test('JWEs, and what is too long', async () => {
    const ours = published.find(({ crv }) => crv === 'P-256') as JWK;
    const jwe = await new CompactEncrypt(Buffer.from(await right()))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
      .encrypt({ ...ours, alg: 'ECDH-ES', use: 'enc' });
    await expectRefused(jwe);
    await expectRefused(await right({ filler: 'x'.repeat(20_000), aud: 'other' }));
    const before = await state();
    const oversized = asForm(await right({ filler: 'x'.repeat(60_000) }));
    for (const { status, body } of await tried(oversized)) {
      expect([400, 413]).toContain(status);
      expect(body.error).toBe('invalid_request');
    }
    expect(await state()).toEqual(before);
  });

  test('a key that is not for signatures signs nothing', async () => {
    const id = await seed.client({
      type: 'machine',
      authMethod: 'private_key_jwt',
      jwks: {
        keys: [
          { ...key.publicJwk, use: 'sig' },
          { ...attacker.publicJwk, use: 'enc' },
        ],
      },
    });
    await expectRefused(await sign(attacker, assertionClaims(id.clientId, issuer)));
    await expect(
      seed.client({
        authMethod: 'private_key_jwt',
        jwks: { keys: [{ ...key.publicJwk, use: 'enc' }] },
      }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
  });
});

test('SECURITY JWT: a hint at the end of a session that is not our ID token is not trusted: the user is asked', async () => {
  const { id_token: idToken, browser } = await person();
  const [header, claims, signature] = parts(idToken);
  const forged = [
    `${encode({ alg: 'none' })}.${claims}.`,
    `${header}.${claims}.${'A'.repeat(342)}`,
    `${header}.${encode({ ...decodeJwt(idToken), sub: 'u_other' })}.${signature}`,
    await sign(attacker, decodeJwt(idToken), { jwk: attacker.publicJwk, jku: trapUrl }),
    await machineToken(jwtApi),
    'a.b.c.d.e',
  ];
  for (const hint of forged) {
    const response = await browser.get(
      server.url,
      `/logout?${new URLSearchParams({ id_token_hint: hint }).toString()}`,
    );
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('name="xsrf"');
  }
  const right = await browser.get(
    server.url,
    `/logout?${new URLSearchParams({ id_token_hint: idToken }).toString()}`,
  );
  expect(right.status).toBe(200);
});

test('SECURITY JWT: what a header names was never fetched', () => {
  expect(caught).toBe(0);
});
