import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, decodeJwt, exportJWK, generateKeyPair } from 'jose';
import * as openid from 'openid-client';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, post, redirectUri, Seed } from '../support/protocol.ts';
import {
  type Answer,
  answerOf,
  assertion,
  type ClientKey,
  jwksOf,
  newKey,
  now,
  type ProofOf,
  proof,
  send,
  sign,
} from '../support/proofs.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Tokens bound to a key (RFC 9449), over two processes. */

const issuer = 'http://localhost:3000';
const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
let key: ClientKey;
let jkt: string;
let machine: Credentials;
let bound: Credentials;
let spa: Credentials;
let opaqueApi: Credentials;
let accountId: string;

const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read'] }));

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  opaqueApi = await seed.api(opaque);
  await seed.api(jwt, 'jwt');
  key = await newKey();
  jkt = await calculateJwkThumbprint(key.publicJwk);
  machine = await seed.client({ type: 'machine', apis });
  bound = await seed.client({ type: 'machine', apis, bound: 'dpop' });
  spa = await seed.client({ type: 'spa', apis });
  accountId = await seed.account();
  await seed.consent(accountId, spa.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
  [one, two] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
  ]);
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

const endpoint = (path: string) => `${issuer}${path}`;
const at = (server: ServerProcess) => server.url;
const basic = ({ clientId, clientSecret }: Credentials) => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});
const tokenProof = (
  other: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
  k = key,
) => proof(k, { htu: endpoint('/token') }, other, header);

/** A machine asks for a token with this proof, or with none. */
async function take(
  dpop: string | undefined,
  { client = machine, server = one, resource = opaque } = {},
): Promise<Answer> {
  return send(
    at(server),
    '/token',
    { grant_type: 'client_credentials', resource },
    { ...basic(client), ...(dpop === undefined ? {} : { dpop }) },
  );
}

const told = (token: string, client = opaqueApi) =>
  post(at(one), '/introspect', client, { token }).then(({ body }) => body);

const rows = async (table: 'replays' | 'tokens') => {
  const { count } = await database.db.kysely
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
};

const audited = async (reason: string) =>
  database.db.kysely
    .selectFrom('audit_events')
    .select(['type', 'client_id', 'account_id', 'data'])
    .where('reason', '=', reason)
    .execute();

/** By single sign-on. */
const authorize = async (extra: Record<string, string> = {}, client = spa) =>
  (await seed.signIn(accountId)).authorize(at(one), client, extra);

describe('a token that is bound to a key', () => {
  test('opaque and JWT: it says so, and introspection tells the key', async () => {
    const { status, body } = await take(await tokenProof());
    expect({ status, type: body.token_type }).toEqual({ status: 200, type: 'DPoP' });
    expect(await told(body.access_token)).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt },
    });
    const signed = await take(await tokenProof(), { resource: jwt });
    expect(signed.body.token_type).toBe('DPoP');
    expect(decodeJwt(signed.body.access_token)).toMatchObject({ cnf: { jkt } });
  });

  test('without a proof it is a bearer token, unless the client gets none of these', async () => {
    const free = await take(undefined);
    expect({ status: free.status, type: free.body.token_type }).toEqual({
      status: 200,
      type: 'Bearer',
    });
    expect((await told(free.body.access_token)).cnf).toBeUndefined();
    const before = await rows('tokens');
    for (const resource of [opaque, jwt]) {
      const { status, body } = await take(undefined, { client: bound, resource });
      expect(status).toBe(400);
      expect(body.error).toBe('invalid_grant');
      expect(body.access_token).toBeUndefined();
    }
    expect(await rows('tokens')).toBe(before);
    expect((await take(await tokenProof(), { client: bound })).status).toBe(200);
  });

  test('revocation and introspection ask for no proof', async () => {
    const { body } = await take(await tokenProof());
    expect(
      (await post(at(one), '/introspect', machine, { token: body.access_token })).body.active,
    ).toBe(true);
    expect((await post(at(two), '/revoke', machine, { token: body.access_token })).status).toBe(
      200,
    );
    expect((await told(body.access_token)).active).toBe(false);
  });

  test('the metadata says what proofs may be signed with', async () => {
    const metadata = (await (
      await fetch(new URL('/.well-known/openid-configuration', at(one)))
    ).json()) as Record<string, unknown>;
    expect(metadata.dpop_signing_alg_values_supported).toEqual([
      'ES256',
      'PS256',
      'EdDSA',
      'Ed25519',
    ]);
    for (const alg of metadata.dpop_signing_alg_values_supported as string[])
      expect((await take(await tokenProof({}, {}, await newKey(alg)))).status).toBe(200);
  });
});

describe('a proof that is wrong', () => {
  const refused = async (dpop: string) => {
    const before = await rows('tokens');
    const { status, body } = await take(dpop);
    expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_dpop_proof' });
    expect(await rows('tokens')).toBe(before);
  };

  test.each<[string, ProofOf]>([
    ['htm: another method', { htm: 'GET', htu: `${issuer}/token` }],
    ['htu: another endpoint', { htu: `${issuer}/userinfo` }],
    ['htu: the address behind the proxy', { htu: 'http://127.0.0.1:3000/token' }],
    ['htu: another host', { htu: 'http://localhost:3000.evil/token' }],
    ['htu: another protocol', { htu: 'https://localhost:3000/token' }],
    ['htu: no URL', { htu: '/token' }],
  ])('FAPI: %s', async (_name, of) => {
    await refused(await proof(key, of));
  });

  test('the URL is that of the issuer, with its path, whatever the request says of its host', async () => {
    const behind = 'https://id.example.com/tenant';
    const server = await startServerProcess(database, behind, { TRUST_PROXY: '1' });
    const ask = async (htu: string) => {
      const response = await fetch(new URL('/tenant/token', server.url), {
        method: 'POST',
        headers: {
          ...basic(machine),
          dpop: await proof(key, { htu }),
          'x-forwarded-for': '198.51.100.7',
          'x-forwarded-host': 'evil.example.com',
          forwarded: 'host=evil.example.com;proto=http',
        },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: opaque }),
      });
      return (await answerOf(response)).body.error ?? response.status;
    };
    try {
      expect(await ask(`${behind}/token`)).toBe(200);
      for (const htu of [
        'https://evil.example.com/tenant/token',
        'https://id.example.com/token',
        'http://id.example.com/tenant/token',
        `${server.url}/tenant/token`,
      ])
        expect(await ask(htu)).toBe('invalid_dpop_proof');
    } finally {
      await server.stop();
    }
  });

  test('the query and the fragment of htu count for nothing', async () => {
    const dpop = await proof(key, { htu: `${endpoint('/token')}?a=b#c` });
    expect((await take(dpop)).status).toBe(200);
  });

  test.each<[string, () => Record<string, unknown>]>([
    ['no jti', () => ({ jti: undefined })],
    ['an empty jti', () => ({ jti: '' })],
    ['no iat', () => ({ iat: undefined })],
    ['an iat that is no number', () => ({ iat: 'now' })],
    ['a minute ahead', () => ({ iat: now() + 60 })],
    ['a minute ahead, with an empty nonce', () => ({ iat: now() + 60, nonce: '' })],
    ['ten minutes ago', () => ({ iat: now() - 600 })],
    ['a nonce that is no text', () => ({ nonce: 1 })],
    ['expired', () => ({ exp: now() - 60 })],
  ])('%s', async (name, claims) => {
    const { status, body } = await take(await tokenProof(claims()));
    expect(status).toBe(400);
    // With a nonce of ours an old one would do: that is what the answer says.
    const old = name === 'ten minutes ago';
    expect(body.error).toBe(old ? 'use_dpop_nonce' : 'invalid_dpop_proof');
  });

  test('ten seconds ahead is right', async () => {
    expect((await take(await tokenProof({ iat: now() + 10 }))).status).toBe(200);
  });

  test('SECURITY JWT: none, HS256 with the public key, RS256, a broken signature, another typ', async () => {
    const claims = { jti: 'x', iat: now(), htm: 'POST', htu: endpoint('/token') };
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = (alg: string) =>
      `${encode({ alg, typ: 'dpop+jwt', jwk: key.publicJwk })}.${encode(claims)}.`;
    await refused(unsigned('none'));
    await refused(`${unsigned('ES256')}${'A'.repeat(86)}`);
    const [header, payload, signature = ''] = (await tokenProof()).split('.');
    await refused(
      [header, payload, signature.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))].join('.'),
    );
    await refused(await tokenProof({}, { typ: 'JWT' }));
    await refused(await tokenProof({}, { typ: undefined }));
    await refused(await tokenProof({}, {}, await newKey('RS256')));
    const secret = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const { SignJWT } = await import('jose');
    await refused(
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: key.publicJwk })
        .sign(secret),
    );
  });

  test('SECURITY JWT: a header without the key, with a private or symmetric one, or one named elsewhere', async () => {
    await refused(await tokenProof({}, { jwk: undefined }));
    await refused(await tokenProof({}, { jwk: undefined, jku: 'https://evil.example.com/jwks' }));
    await refused(await tokenProof({}, { jwk: undefined, x5u: 'https://evil.example.com/x' }));
    await refused(await tokenProof({}, { jwk: undefined, kid: '../../etc/passwd' }));
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    const mine = { ...key, privateKey };
    await refused(
      await sign(
        mine,
        { jti: 'y', iat: now(), htm: 'POST', htu: endpoint('/token') },
        {
          typ: 'dpop+jwt',
          jwk: await exportJWK(privateKey),
        },
      ),
    );
    await refused(await tokenProof({}, { jwk: { kty: 'oct', k: 'AAAA' } }));
  });

  test('no JWT, two proofs, and one that is too long', async () => {
    for (const dpop of ['x', 'a.b.c', `${await tokenProof()}, ${await tokenProof()}`])
      await refused(dpop);
    await refused(await tokenProof({ filler: 'x'.repeat(8_000), htm: 'GET' }));
  });
});

describe('a proof works once', () => {
  test('the other process refuses it too', async () => {
    const dpop = await tokenProof();
    expect((await take(dpop)).status).toBe(200);
    const before = await rows('tokens');
    for (const server of [one, two]) {
      const { status, body } = await take(dpop, { server });
      expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_dpop_proof' });
    }
    expect(await rows('tokens')).toBe(before);
    expect((await audited('proof_replayed')).map((row) => row.client_id)).toEqual([
      machine.clientId,
      machine.clientId,
    ]);
  });

  test('of 50 at once over two processes exactly one', async () => {
    const dpop = await tokenProof();
    const [used, issued] = [await rows('replays'), await rows('tokens')];
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => take(dpop, { server: index % 2 === 0 ? one : two })),
    );
    const statuses = answers.map(({ status }) => status).sort((a, b) => a - b);
    expect(statuses).toEqual([200, ...Array.from({ length: 49 }, () => 400)]);
    expect(await rows('replays')).toBe(used + 1);
    expect(await rows('tokens')).toBe(issued + 1);
  });

  test('with an assertion of the same id besides, each counts for itself', async () => {
    const { clientId } = await seed.client({
      type: 'machine',
      apis,
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
    });
    const form = {
      grant_type: 'client_credentials',
      resource: opaque,
      ...(await assertion(key, clientId, issuer, { jti: 'same' })),
    };
    const { status } = await send(at(one), '/token', form, {
      dpop: await tokenProof({ jti: 'same' }),
    });
    expect(status).toBe(200);
    const again = await send(
      at(one),
      '/token',
      { ...form, ...(await assertion(key, clientId, issuer)) },
      { dpop: await tokenProof({ jti: 'same' }) },
    );
    expect(again.body.error).toBe('invalid_dpop_proof');
  });
});

describe('nonces', () => {
  let strict: Credentials;

  beforeAll(async () => {
    strict = await seed.client({
      type: 'machine',
      apis,
      bound: 'dpop',
      settings: { dpopNonce: 'required' },
    });
  });

  test('a client that needs one is told it, and every process takes it', async () => {
    const first = await take(await tokenProof(), { client: strict });
    expect({ status: first.status, error: first.body.error }).toEqual({
      status: 400,
      error: 'use_dpop_nonce',
    });
    const nonce = first.headers.get('dpop-nonce') as string;
    expect(nonce).toMatch(/^[\w-]{20,}$/);
    for (const server of [one, two]) {
      const second = await take(await tokenProof({ nonce }), { client: strict, server });
      expect(second.status).toBe(200);
    }
  });

  test('one that we did not make is refused with one of ours, for any client', async () => {
    for (const client of [strict, machine]) {
      const { status, body, headers } = await take(await tokenProof({ nonce: 'guessed' }), {
        client,
      });
      expect({ status, error: body.error }).toEqual({ status: 400, error: 'use_dpop_nonce' });
      expect(headers.get('dpop-nonce')).toMatch(/^[\w-]{20,}$/);
    }
  });

  test('with one, the clock of the client may be wrong', async () => {
    const { headers } = await take(await tokenProof({ iat: now() - 86_400 }));
    const nonce = headers.get('dpop-nonce') as string;
    const { status } = await take(await tokenProof({ iat: now() - 86_400, nonce }));
    expect(status).toBe(200);
  });

  test('FAPI clients need one always', async () => {
    const { clientId } = await seed.client({
      type: 'machine',
      apis,
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
      bound: 'dpop',
      settings: { profile: 'fapi2' },
    });
    const ask = async (dpop: string) =>
      send(
        at(one),
        '/token',
        {
          grant_type: 'client_credentials',
          resource: opaque,
          ...(await assertion(key, clientId, issuer)),
        },
        { dpop },
      );
    const first = await ask(await tokenProof());
    expect(first.body.error).toBe('use_dpop_nonce');
    const nonce = first.headers.get('dpop-nonce') as string;
    expect((await ask(await tokenProof({ nonce }))).body.token_type).toBe('DPoP');
    const ahead = await ask(await tokenProof({ nonce, iat: now() + 60 }));
    expect(ahead.body.error).toBe('invalid_dpop_proof');
  });
});

describe('what a person allowed', () => {
  const codeForm = ({ code, verifier }: { code: string; verifier: string }, client = spa) => ({
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
    client_id: client.clientId,
  });
  const redeem = async (
    authorization: { code: string; verifier: string },
    k: ClientKey | 'none' = key,
  ) =>
    send(
      at(one),
      '/token',
      codeForm(authorization),
      k === 'none' ? {} : { dpop: await tokenProof({}, {}, k) },
    );
  const refreshed = async (token: string, k: ClientKey | undefined) =>
    send(
      at(one),
      '/token',
      { grant_type: 'refresh_token', refresh_token: token, client_id: spa.clientId },
      k === undefined ? {} : { dpop: await tokenProof({}, {}, k) },
    );

  test('a code is bound to the key that the request named', async () => {
    const other = await newKey();
    for (const k of ['none' as const, other]) {
      const wrong = await redeem(await authorize({ dpop_jkt: jkt }), k);
      expect({ status: wrong.status, error: wrong.body.error }).toEqual({
        status: 400,
        error: 'invalid_grant',
      });
    }
    const right = await redeem(await authorize({ dpop_jkt: jkt }));
    expect(right.status).toBe(200);
    expect((await told(right.body.access_token, spa)).active).toBe(false);
  });

  test("a public client's refresh token is bound to the key, and stays so", async () => {
    const { body: first } = await redeem(await authorize());
    const other = await newKey();
    for (const k of [undefined, other]) {
      const { status, body } = await refreshed(first.refresh_token, k);
      expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_grant' });
    }
    // Who could not prove the key has used nothing up.
    const { status, body: second } = await refreshed(first.refresh_token, key);
    expect({ status, type: second.token_type }).toEqual({ status: 200, type: 'DPoP' });
    expect((await refreshed(second.refresh_token, other)).body.error).toBe('invalid_grant');
    expect((await refreshed(second.refresh_token, key)).status).toBe(200);
  });

  test('bound refresh tokens need no rotation, others of public clients do', async () => {
    await expect(
      seed.client({ type: 'spa', settings: { refreshRotation: 'keep' } }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
    const client = await seed.client({
      type: 'spa',
      bound: 'dpop',
      settings: { refreshRotation: 'keep' },
    });
    await seed.consent(accountId, client.clientId);
    const { body } = await send(at(one), '/token', codeForm(await authorize({}, client), client), {
      dpop: await tokenProof(),
    });
    const again = async (k: ClientKey) =>
      send(
        at(one),
        '/token',
        {
          grant_type: 'refresh_token',
          refresh_token: body.refresh_token,
          client_id: client.clientId,
        },
        { dpop: await tokenProof({}, {}, k) },
      );
    for (let turn = 0; turn < 2; turn++) {
      const next = await again(key);
      expect(next.status).toBe(200);
      expect(next.body.refresh_token).toBe(body.refresh_token);
    }
    expect((await again(await newKey())).body.error).toBe('invalid_grant');
  });

  test('a bound client gets no token of a person without a proof', async () => {
    const client = await seed.client({ type: 'spa', bound: 'dpop' });
    await seed.consent(accountId, client.clientId);
    const authorization = await authorize({}, client);
    const without = await send(at(one), '/token', codeForm(authorization, client));
    expect(without.body.error).toBe('invalid_grant');
    const { body } = await send(at(one), '/token', codeForm(authorization, client), {
      dpop: await tokenProof(),
    });
    const bare = await send(at(one), '/token', {
      grant_type: 'refresh_token',
      refresh_token: body.refresh_token,
      client_id: client.clientId,
    });
    expect(bare.body.error).toBe('invalid_grant');
  });

  test('userinfo: the proof of the key and of the token, once', async () => {
    const { body } = await redeem(await authorize());
    const token = body.access_token;
    const htu = endpoint('/userinfo');
    const ask = async (headers: Record<string, string>, server = one) =>
      answerOf(await fetch(new URL('/userinfo', at(server)), { headers }));
    const withProof = async (of: Partial<ProofOf>, k = key, other: Record<string, unknown> = {}) =>
      ask({
        authorization: `DPoP ${token}`,
        dpop: await proof(k, { htu, htm: 'GET', token, ...of }, other),
      });
    const right = {
      authorization: `DPoP ${token}`,
      dpop: await proof(key, { htu, htm: 'GET', token }),
    };
    expect(await ask(right)).toMatchObject({ status: 200, body: { sub: accountId } });
    const replayed = await ask(right, two);
    expect(replayed).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    expect(replayed.headers.get('www-authenticate')).toMatch(/^DPoP .*error="invalid_dpop_proof"/);

    // Stolen: the bearer of it has nothing to prove it with.
    const stolen = await ask({ authorization: `Bearer ${token}` });
    expect(stolen).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    expect(stolen.headers.get('www-authenticate')).toMatch(/^DPoP .*algs="ES256/);
    const thief = await withProof({}, await newKey());
    expect(thief).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    // Both within a minute, by one process and for the same reason: one row, and a count.
    expect(await audited('invalid_token')).toEqual([
      {
        type: 'token.refused',
        client_id: spa.clientId,
        account_id: accountId,
        data: { endpoint: 'userinfo' },
      },
    ]);

    for (const [of, error] of [
      [{ token: 'another' }, 'invalid_dpop_proof'],
      [{ htm: 'POST' }, 'invalid_dpop_proof'],
      [{ htu: endpoint('/token') }, 'invalid_dpop_proof'],
    ] as const)
      expect(await withProof(of)).toMatchObject({ status: 401, body: { error } });
    const noAth = { authorization: `DPoP ${token}`, dpop: await proof(key, { htu, htm: 'GET' }) };
    expect(await ask(noAth)).toMatchObject({ status: 401, body: { error: 'invalid_dpop_proof' } });
    const nonce = await withProof({ nonce: 'guessed' });
    expect(nonce).toMatchObject({ status: 401, body: { error: 'use_dpop_nonce' } });
    const given = nonce.headers.get('dpop-nonce') as string;
    expect(await withProof({ nonce: given })).toMatchObject({ status: 200 });
  });

  test('a proof makes no bearer token a bound one', async () => {
    const { body } = await send(at(one), '/token', codeForm(await authorize()));
    const token = body.access_token;
    const answer = await answerOf(
      await fetch(new URL('/userinfo', at(one)), {
        headers: {
          authorization: `DPoP ${token}`,
          dpop: await proof(key, { htu: endpoint('/userinfo'), htm: 'GET', token }),
        },
      }),
    );
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });
});

test('COMPATIBILITY 17: a page of another origin may send a proof, and read the nonce', async () => {
  const origin = new URL(redirectUri).origin;
  const asked = await fetch(new URL('/token', one.url), {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'dpop',
    },
  });
  expect(asked.headers.get('access-control-allow-headers')).toMatch(/dpop/i);
  const form = { grant_type: 'refresh_token', refresh_token: 'x', client_id: spa.clientId };
  const { headers } = await send(at(one), '/token', form, {
    origin,
    dpop: await tokenProof({ nonce: 'guessed' }),
  });
  expect(headers.get('access-control-allow-origin')).toBe(origin);
  expect(headers.get('access-control-expose-headers')).toMatch(/DPoP-Nonce/i);
  expect(headers.get('dpop-nonce')).toMatch(/^[\w-]{20,}$/);
});

test('openid-client, which is told the nonce and goes on', async () => {
  const client = await seed.client({
    type: 'spa',
    bound: 'dpop',
    settings: { dpopNonce: 'required', refreshRotation: 'keep' },
  });
  await seed.consent(accountId, client.clientId);
  const config = await openid.discovery(
    new URL(issuer),
    client.clientId,
    undefined,
    openid.None(),
    {
      execute: [openid.allowInsecureRequests],
      [openid.customFetch]: (url, options) =>
        fetch(url.replace(issuer, one.url), options as RequestInit),
    },
  );
  const handle = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair());
  const { code, verifier } = await authorize(
    { dpop_jkt: await handle.calculateThumbprint() },
    client,
  );
  const callback = new URL(redirectUri);
  callback.search = new URLSearchParams({ code, state: 'state', iss: issuer }).toString();
  const tokens = await openid.authorizationCodeGrant(
    config,
    callback,
    { pkceCodeVerifier: verifier, expectedState: 'state' },
    undefined,
    { DPoP: handle },
  );
  expect(tokens.token_type).toBe('dpop');
  const info = await openid.fetchUserInfo(config, tokens.access_token, accountId, { DPoP: handle });
  expect(info.sub).toBe(accountId);
  const next = await openid.refreshTokenGrant(config, tokens.refresh_token as string, undefined, {
    DPoP: handle,
  });
  expect(next.access_token).not.toBe(tokens.access_token);
});
