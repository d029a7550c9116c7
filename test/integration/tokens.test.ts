import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CompactEncrypt,
  type CompactJWEHeaderParameters,
  createLocalJWKSet,
  decodeJwt,
  exportJWK,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  jwtVerify,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { sql } from 'kysely';
import { AccountService } from '../../src/account/account.service.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { ClientService } from '../../src/client/client.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  redirectUri,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import {
  answered,
  ask,
  authorizationFields,
  basic,
  countRows,
  form,
  query,
  send,
} from '../support/wire.ts';
import { until } from '../support/process.ts';

/** What a token is worth, to whom, and until when. Numbers are SECURITY.md's. */

const issuer = 'http://localhost:3000';
const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read'] }));

let database: TestDatabase;
let seed: Seed;
let servers: ServerProcess[];
let one: string;
let two: string;
let client: Credentials;
let other: Credentials;
let spa: Credentials;
let machine: Credentials;
let opaqueApi: Credentials;
let jwtApi: Credentials;
let thirdApi: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  servers = await Promise.all([1, 2].map(() => startServerProcess(database, issuer)));
  [one, two] = servers.map((server) => server.url) as [string, string];
  opaqueApi = await seed.api(opaque);
  jwtApi = await seed.api(jwt, 'jwt');
  thirdApi = await seed.api('https://third.example.com', 'jwt');
  [client, other, spa, machine] = await Promise.all([
    seed.client({ apis }),
    seed.client({ apis }),
    seed.client({ type: 'spa', apis }),
    seed.client({ type: 'machine', apis }),
  ]);
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

async function person(
  ...clients: Credentials[]
): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  for (const each of clients)
    await seed.consent(accountId, each.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
  return { accountId, browser: await seed.signIn(accountId) };
}

const scope = 'openid email offline_access read';
const byMachine = async (resource: string, credentials = machine) =>
  (
    await post(one, '/token', credentials, {
      grant_type: 'client_credentials',
      resource,
      scope: 'read',
    })
  ).body.access_token;

/** One token of each kind. */
async function issue(
  of: Credentials = client,
  given?: { accountId: string; browser: SignedInBrowser },
) {
  const { accountId, browser } = given ?? (await person(of));
  const plain = (await exchange(one, of, await browser.authorize(one, of))).body;
  const forOpaque = (
    await exchange(one, of, await browser.authorize(one, of, { resource: opaque, scope }))
  ).body;
  const forJwt = (
    await exchange(one, of, await browser.authorize(one, of, { resource: jwt, scope }))
  ).body;
  return {
    accountId,
    browser,
    idToken: plain.id_token as string,
    own: plain.access_token,
    forOpaque: forOpaque.access_token,
    forJwt: forJwt.access_token,
    refresh: plain.refresh_token,
    jwtRefresh: forJwt.refresh_token,
  };
}

const introspect = (
  server: string,
  caller: Credentials,
  token: string,
  extra: Record<string, string> = {},
) => post(server, '/introspect', caller, { token, ...extra });
const inactive = { status: 200, body: { active: false } };
const userinfo = (server: string, token: string) =>
  send(server, '/userinfo', { headers: { authorization: `Bearer ${token}` } });

/** Dead everywhere it could be presented (12). */
async function expectDead(
  tokens: Partial<Awaited<ReturnType<typeof issue>>>,
  of: Credentials = client,
): Promise<void> {
  for (const server of [one, two]) {
    if (tokens.own !== undefined) expect((await userinfo(server, tokens.own)).status).toBe(401);
    if (tokens.forOpaque !== undefined)
      expect(await introspect(server, opaqueApi, tokens.forOpaque)).toEqual(inactive);
    if (tokens.forJwt !== undefined)
      expect(await introspect(server, jwtApi, tokens.forJwt)).toEqual(inactive);
    for (const token of [tokens.refresh, tokens.jwtRefresh]) {
      if (token !== undefined)
        expect((await refresh(server, of, token)).status).toBeGreaterThanOrEqual(400);
    }
  }
}

async function expectAlive(
  tokens: Partial<Awaited<ReturnType<typeof issue>>>,
  of: Credentials = client,
): Promise<void> {
  for (const server of [one, two]) {
    if (tokens.own !== undefined) expect((await userinfo(server, tokens.own)).status).toBe(200);
    if (tokens.forOpaque !== undefined)
      expect(await isActive(server, opaqueApi, tokens.forOpaque)).toBe(true);
    if (tokens.forJwt !== undefined)
      expect(await isActive(server, jwtApi, tokens.forJwt)).toBe(true);
    if (tokens.refresh !== undefined) expect(await isActive(server, of, tokens.refresh)).toBe(true);
  }
}

describe('SECURITY 10: introspection', () => {
  test('tells of a token to the client it was issued to and to the API it is for, and to nobody else', async () => {
    const tokens = await issue();
    const cases: [string, string, Credentials[]][] = [
      ["a person's token for userinfo", tokens.own, [client]],
      ["a person's token for an API", tokens.forOpaque, [client, opaqueApi]],
      ["a person's JWT", tokens.forJwt, [client, jwtApi]],
      ['a refresh token', tokens.refresh, [client]],
      ["a machine's token", await byMachine(opaque), [machine, opaqueApi]],
      ["a machine's JWT", await byMachine(jwt), [machine, jwtApi]],
    ];
    for (const [name, token, allowed] of cases) {
      for (const caller of [client, other, machine, opaqueApi, jwtApi, thirdApi, spa]) {
        for (const hint of ['', 'access_token', 'refresh_token', 'id_token', 'evil']) {
          const { status, body } = await introspect(two, caller, token, { token_type_hint: hint });
          const may = allowed.includes(caller);
          expect({ name, caller: caller.clientId, hint, status, active: body.active }).toEqual({
            name,
            caller: caller.clientId,
            hint,
            status: 200,
            active: may,
          });
          if (!may) expect(body).toEqual({ active: false });
        }
      }
    }
  });

  test('a public client has nothing to authenticate with: it is told nothing, not even of its own tokens', async () => {
    const tokens = await issue(spa);
    for (const token of [tokens.own, tokens.forOpaque, tokens.forJwt, tokens.refresh])
      expect(await introspect(one, spa, token)).toEqual(inactive);
    expect((await introspect(one, opaqueApi, tokens.forOpaque)).body).toMatchObject({
      active: true,
      client_id: spa.clientId,
    });
    expect((await introspect(one, jwtApi, tokens.forJwt)).body).toMatchObject({
      active: true,
      client_id: spa.clientId,
    });
  });

  test('nothing but tokens is told of', async () => {
    const { browser, idToken, own } = await issue();
    const { code } = await browser.authorize(one, client);
    const session = browser.cookies.get('vs_session') as string;
    const grant = await database.db.kysely
      .selectFrom('grants')
      .select('id')
      .executeTakeFirstOrThrow();
    for (const token of [
      code,
      idToken,
      session,
      browser.sessionUid,
      grant.id,
      client.clientSecret as string,
      client.clientId,
      own.slice(0, -1),
      `${own}x`,
      own.replace('vs_at_', 'vs_rt_'),
      own.toUpperCase(),
      ` ${own}`,
      'x'.repeat(50_000),
      '\u0000',
      '__proto__',
    ]) {
      for (const caller of [client, opaqueApi])
        expect({ token, ...(await introspect(one, caller, token)) }).toEqual({
          token,
          ...inactive,
        });
    }
  });

  test('what it tells of a live token', async () => {
    const { accountId, forOpaque, forJwt, refresh: refreshToken } = await issue();
    const now = Math.floor(Date.now() / 1000);
    for (const [caller, token, aud] of [
      [opaqueApi, forOpaque, opaque],
      [jwtApi, forJwt, jwt],
    ] as const) {
      const { body } = await introspect(one, caller, token);
      expect(body).toMatchObject({
        active: true,
        sub: accountId,
        client_id: client.clientId,
        scope: 'read',
        aud,
        iss: issuer,
        token_type: 'Bearer',
      });
      expect(body.exp).toBeGreaterThan(now);
      expect(body.iat).toBeLessThanOrEqual(now + 1);
      // The person lets the client have the address, and these tokens are not for it.
      expect(Object.keys(body).filter((key) => /email|name|secret|grant/.test(key))).toEqual([]);
    }
    expect((await introspect(one, client, refreshToken)).body).not.toHaveProperty('token_type');
  });

  test('an expired token is not active', async () => {
    const tokens = await issue();
    await expectAlive(tokens);
    await sql`update tokens set expires_at = now() - interval '1 minute', payload = payload || jsonb_build_object('exp', extract(epoch from now())::int - 60) where account_id = ${tokens.accountId}`.execute(
      database.db.kysely,
    );
    await expectDead({ own: tokens.own, forOpaque: tokens.forOpaque, refresh: tokens.refresh });
  });
});

describe('who asks must be who it says', () => {
  const endpoints = ['/introspect', '/revoke', '/token'] as const;
  const fields = (token: string) => ({ token, grant_type: 'refresh_token', refresh_token: token });

  test.each(endpoints)('%s: wrong credentials are refused, and change nothing', async (path) => {
    const { refresh: token } = await issue();
    const wrong = { ...client, clientSecret: `${client.clientSecret}x` };
    const bad: [string, Record<string, string>, Record<string, string>, number][] = [
      ['a wrong secret', basic(wrong), {}, 401],
      ['no secret', basic({ ...client, clientSecret: '' }), {}, 401],
      ['an unknown client', basic({ ...client, clientId: 'c_unknown' }), {}, 401],
      ["another client's secret", basic({ ...client, clientSecret: other.clientSecret }), {}, 401],
      [
        'a public client with a secret',
        basic({ ...spa, clientSecret: client.clientSecret }),
        {},
        401,
      ],
      ['two clients', basic(client), { client_id: other.clientId }, 400],
      [
        'two methods',
        basic(client),
        { client_secret: client.clientSecret as string, client_id: client.clientId },
        400,
      ],
      ['another scheme', { authorization: `Bearer ${client.clientSecret}` }, {}, 401],
      ['no base64', { authorization: 'Basic €€€€'.replace(/€/g, '%') }, {}, 401],
      [
        'base64 without a colon',
        { authorization: `Basic ${Buffer.from('x').toString('base64')}` },
        {},
        401,
      ],
      ['nobody', {}, {}, 401],
    ];
    for (const [name, headers, extra, status] of bad) {
      const answer = await send(one, path, {
        method: 'POST',
        headers,
        body: form({ ...fields(token), ...extra }),
      });
      expect({ name, status: answer.status, error: answer.json.error }).toEqual({
        name,
        status,
        error: status === 401 ? 'invalid_client' : 'invalid_request',
      });
      expect(answer.headers['www-authenticate'] ?? '').toMatch(
        status === 401 ? /^Basic realm=/ : /^$/,
      );
    }
    for (const body of [
      { client_id: client.clientId },
      { client_id: client.clientId, client_secret: wrong.clientSecret },
      { client_id: 'c_unknown', client_secret: 'x' },
      {
        client_id: client.clientId,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: 'e.e.e',
      },
    ]) {
      const answer = await send(one, path, {
        method: 'POST',
        body: form({ ...fields(token), ...body }),
      });
      expect({ body, status: answer.status, error: answer.json.error }).toEqual({
        body,
        status: 401,
        error: 'invalid_client',
      });
    }
    expect(await isActive(one, client, token)).toBe(true);
    for (const sent of [
      { headers: basic(client), body: form(fields(token)) },
      {
        body: form({
          ...fields(token),
          client_id: client.clientId,
          client_secret: client.clientSecret,
        }),
      },
    ]) {
      expect((await send(one, path, { method: 'POST', ...sent })).status).toBe(200);
    }
  });

  test('a client assertion signed with the secret, with nothing, or by whomever: refused', async () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: client.clientId,
      sub: client.clientId,
      aud: issuer,
      jti: 'x',
      iat: now,
      exp: now + 60,
    };
    const secret = new TextEncoder().encode(client.clientSecret);
    const assertions = [
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret),
      unsigned({ alg: 'none' }, claims),
      (await issue()).idToken,
    ];
    for (const client_assertion of assertions) {
      const answer = await send(one, '/token', {
        method: 'POST',
        body: form({
          grant_type: 'refresh_token',
          refresh_token: 'x',
          client_id: client.clientId,
          client_assertion,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        }),
      });
      expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    }
  });

  test('two secrets live at once, and the one before them does not', async () => {
    const rotated = await seed.client();
    const service = new ClientService(database.db, new ResourceServerService(database.db));
    const works = async (clientSecret: string | undefined) =>
      (await introspect(one, { ...rotated, clientSecret }, 'x')).status === 200;
    expect(await works(rotated.clientSecret)).toBe(true);
    const second = (await service.addSecret(rotated.clientId, 'test')).clientSecret;
    await until(() => works(second));
    expect(await works(rotated.clientSecret)).toBe(true);
    const third = (await service.addSecret(rotated.clientId, 'test')).clientSecret;
    await until(() => works(third));
    expect(await works(second)).toBe(true);
    expect(await works(rotated.clientSecret)).toBe(false);
  });

  test('a request without a token is refused', async () => {
    for (const path of ['/introspect', '/revoke']) {
      for (const body of [form({}), form({ token: '' }), form({ access_token: 'x' })]) {
        expect(
          await send(one, path, { method: 'POST', headers: basic(client), body }),
        ).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
      }
    }
  });
});

function unsigned(header: object, payload: object, signature = ''): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(payload)}.${signature}`;
}

describe('JWT: SECURITY 28 and the line on JWTs', () => {
  let token: string;
  let machineToken: string;
  let idToken: string;
  let own: string;
  let claims: JWTPayload;
  let keys: JWK[];
  let published: JSONWebKeySet;
  let foreign: Server;
  let foreignUrl: string;
  let hits = 0;
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const strangerRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

  beforeAll(async () => {
    ({ forJwt: token, idToken, own } = await issue());
    machineToken = await byMachine(jwt);
    claims = decodeJwt(token);
    keys = [...(await new KeyService(database.db, new Sealer([testMasterKey])).load()).jwks.keys];
    published = (await send(one, '/jwks')).json as unknown as JSONWebKeySet;
    const jwks = {
      keys: [{ ...(await exportJWK(stranger.publicKey)), kid: 'evil', alg: 'ES256', use: 'sig' }],
    };
    foreign = createServer((_request, response) => {
      hits++;
      response.setHeader('content-type', 'application/json').end(JSON.stringify(jwks));
    });
    await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve));
    foreignUrl = `http://127.0.0.1:${(foreign.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => new Promise((resolve) => foreign.close(resolve)));

  const key = (alg: string) => keys.find((one) => one.alg === alg) as JWK & { kid: string };
  /** Signed by the server's own key, as only the server can. */
  const sign = async (payload: object, header: object = {}, alg = 'ES256') =>
    new SignJWT({ ...claims, ...payload } as JWTPayload)
      .setProtectedHeader({ alg, kid: key(alg).kid, typ: 'at+jwt', ...header })
      .sign(await importJWK(key(alg), alg));
  const byStranger = (header: object, payload: object = {}) =>
    new SignJWT({ ...claims, ...payload })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', ...header })
      .sign(stranger.privateKey);
  const encrypt = (
    header: object,
    recipient: Parameters<CompactEncrypt['encrypt']>[0],
    plaintext: Buffer = Buffer.from(token),
  ) =>
    new CompactEncrypt(plaintext)
      .setProtectedHeader({
        cty: 'at+jwt',
        typ: 'at+jwt',
        ...header,
      } as unknown as CompactJWEHeaderParameters)
      .encrypt(recipient);
  const changed = (change: object) => {
    const [header, , signature] = token.split('.') as [string, string, string];
    return `${header}.${Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url')}.${signature}`;
  };
  const now = Math.floor(Date.now() / 1000);

  test('as the server signs them they are taken', async () => {
    expect((await introspect(one, jwtApi, token)).body).toMatchObject({
      active: true,
      sub: claims.sub,
    });
    for (const [payload, header] of [
      [{}, {}],
      [{}, { typ: 'application/at+jwt' }],
      [{ nbf: now - 10 }, {}],
    ] as const) {
      expect((await introspect(one, jwtApi, await sign(payload, header))).body.active).toBe(true);
    }
    // The positive twin of every forgery by key: it is the key that counts.
    expect(
      (
        await introspect(
          one,
          jwtApi,
          await sign({}, { alg: 'RS256', kid: key('RS256').kid }, 'RS256'),
        )
      ).body.active,
    ).toBe(true);
  });

  const hmac = (secret: string | Buffer) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: key('ES256').kid, typ: 'at+jwt' })
      .sign(Buffer.from(secret));
  const publicPem = (alg: string) =>
    createPublicKey({
      key: published.keys.find((one) => one.alg === alg) as never,
      format: 'jwk',
    }).export({ type: 'spki', format: 'pem' }) as string;
  const publicDer = (alg: string) =>
    createPublicKey(publicPem(alg)).export({ type: 'spki', format: 'der' });

  const forgeries: [name: string, make: () => string | Promise<string>][] = [
    ...['none', 'None', 'NONE', 'nOnE', ''].map((alg): [string, () => string] => [
      `alg ${JSON.stringify(alg)}`,
      () => unsigned({ alg, typ: 'at+jwt' }, claims),
    ]),
    [
      'alg none with the signature left on',
      () => unsigned({ alg: 'none', typ: 'at+jwt' }, claims, token.split('.')[2]),
    ],
    ['no alg', () => unsigned({ typ: 'at+jwt' }, claims)],
    ['HS256 with the public key as PEM', () => hmac(publicPem('RS256'))],
    ['HS256 with the public key as PEM, of ES256', () => hmac(publicPem('ES256'))],
    ['HS256 with the public key as DER', () => hmac(publicDer('RS256'))],
    ['HS256 with the public key as JWK', () => hmac(JSON.stringify(published.keys[0]))],
    [
      'HS256 with the modulus',
      () => hmac(published.keys.find((one) => one.kty === 'RSA')?.n as string),
    ],
    ['HS256 with nothing', () => hmac(Buffer.alloc(32))],
    ["HS256 with the client's secret", () => hmac(client.clientSecret as string)],
    ['a subject changed', () => changed({ sub: 'u_admin' })],
    ['a scope added', () => changed({ scope: 'read write' })],
    ['an audience changed', () => changed({ aud: opaque })],
    ['an end put off', () => changed({ exp: now + 1e6 })],
    ['no signature', () => `${token.split('.').slice(0, 2).join('.')}.`],
    [
      'a signature of zeros',
      () => `${token.split('.').slice(0, 2).join('.')}.${Buffer.alloc(64).toString('base64url')}`,
    ],
    ['half a signature', () => token.slice(0, -40)],
    ['a signature with a byte more', () => `${token}AA`],
    [
      "another token's signature",
      () => `${token.split('.').slice(0, 2).join('.')}.${machineToken.split('.')[2]}`,
    ],
    ['a foreign key under our kid', () => byStranger({ kid: key('ES256').kid })],
    ['a foreign key without a kid', () => byStranger({})],
    [
      'a foreign key in a jwk header',
      async () => byStranger({ jwk: await exportJWK(stranger.publicKey) }),
    ],
    ['a foreign key behind jku', () => byStranger({ jku: foreignUrl, kid: 'evil' })],
    ['a foreign key behind x5u', () => byStranger({ x5u: foreignUrl, kid: 'evil' })],
    [
      'a foreign key in x5c',
      () =>
        byStranger({
          x5c: [stranger.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')],
        }),
    ],
    [
      'a foreign issuer, found by its URL',
      () => byStranger({ kid: 'evil' }, { iss: foreignUrl.replace('/jwks', '') }),
    ],
    [
      'a foreign RSA key',
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS256', kid: key('RS256').kid, typ: 'at+jwt' })
          .sign(strangerRsa.privateKey),
    ],
    ...[
      '../../../../dev/null',
      '/proc/self/environ',
      "' or 1=1 --",
      '"; select pg_sleep(10); --',
      '__proto__',
      'constructor',
      '',
      '\u0000',
      '%00',
      'x'.repeat(20_000),
      'http://169.254.169.254/',
    ].map((kid): [string, () => Promise<string>] => [
      `kid ${JSON.stringify(kid.slice(0, 30))}`,
      () => byStranger({ kid }),
    ]),
    ...[5, null, true, [], {}, ['evil']].map((kid): [string, () => string] => [
      `kid ${JSON.stringify(kid)}`,
      () => unsigned({ alg: 'ES256', typ: 'at+jwt', kid }, claims, token.split('.')[2]),
    ]),
    ['the kid of another algorithm', () => sign({}, { kid: key('RS256').kid })],
    [
      'PS256 with the key of RS256',
      async () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'PS256', kid: key('RS256').kid, typ: 'at+jwt' })
          .sign(await importJWK({ ...key('RS256'), alg: 'PS256' }, 'PS256')),
    ],
    [
      'RS512 with the key of RS256',
      async () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS512', kid: key('RS256').kid, typ: 'at+jwt' })
          .sign(await importJWK({ ...key('RS256'), alg: 'RS512' }, 'RS512')),
    ],
    [
      'a critical header that is not known',
      () =>
        unsigned(
          { alg: 'ES256', typ: 'at+jwt', crit: ['evil'], evil: 1 },
          claims,
          token.split('.')[2],
        ),
    ],
    [
      'an unencoded payload',
      () =>
        unsigned(
          { alg: 'ES256', typ: 'at+jwt', b64: false, crit: ['b64'] },
          claims,
          token.split('.')[2],
        ),
    ],
    ['an ID token', () => idToken],
    ['typ JWT', () => sign({}, { typ: 'JWT' })],
    ['no typ', () => sign({}, { typ: undefined })],
    [
      'typ logout+jwt',
      () =>
        sign(
          { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
          { typ: 'logout+jwt' },
        ),
    ],
    ['typ token-introspection+jwt', () => sign({}, { typ: 'token-introspection+jwt' })],
    ['expired', () => sign({ exp: now - 1, iat: now - 100 })],
    ['not yet', () => sign({ nbf: now + 600 })],
    ['no end', () => sign({ exp: undefined })],
    ['an end that is no number', () => sign({ exp: '9999999999' })],
    ['another issuer', () => sign({ iss: 'http://localhost:3001' })],
    ['our issuer with a slash', () => sign({ iss: `${issuer}/` })],
    ['no issuer', () => sign({ iss: undefined })],
    ['no jti', () => sign({ jti: undefined })],
    ['a jti that was never given', () => sign({ jti: 'never' })],
    ['a jti that is an object', () => sign({ jti: { toString: 'x' } })],
    ['no client', () => sign({ client_id: undefined })],
    ['a client that is not there', () => sign({ client_id: 'c_unknown', sub: 'c_unknown' })],
    ['no subject', () => sign({ sub: undefined })],
    [
      'encrypted to our public key',
      async () =>
        encrypt(
          { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: key('RS256').kid },
          await importJWK(published.keys.find((one) => one.kty === 'RSA') as JWK, 'RSA-OAEP-256'),
        ),
    ],
    ['encrypted directly', () => encrypt({ alg: 'dir', enc: 'A256GCM' }, Buffer.alloc(32))],
    [
      'encrypted with a password, a million rounds',
      () =>
        `${Buffer.from(JSON.stringify({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1_000_000, p2s: 'AAAAAAAAAAAAAAAA' })).toString('base64url')}.${'A'.repeat(32)}.${'A'.repeat(16)}.AAAA.${'A'.repeat(22)}`,
    ],
    [
      'compressed',
      () =>
        `${Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' })).toString('base64url')}..${'A'.repeat(16)}.${deflateRawSync(Buffer.alloc(10_000_000)).toString('base64url')}.${'A'.repeat(22)}`,
    ],
    [
      'an oversized JWE',
      () => encrypt({ alg: 'dir', enc: 'A256GCM' }, Buffer.alloc(32), Buffer.alloc(35_000)),
    ],
    ['an oversized JWT', () => sign({ filler: 'x'.repeat(35_000), jti: 'never' })],
    [
      'a header of great depth',
      () =>
        `${Buffer.from(`{"alg":"ES256","typ":"at+jwt","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`).toString('base64url')}.e30.AAAA`,
    ],
    ['a thousand dots', () => '.'.repeat(1_000)],
    ['three empty parts', () => '..'],
    [
      'JSON serialization',
      () =>
        JSON.stringify({
          payload: token.split('.')[1],
          protected: token.split('.')[0],
          signature: token.split('.')[2],
        }),
    ],
    ['space around it', () => ` ${token} `],
    ['four parts', () => `${token}.AAAA`],
    ['two parts', () => token.split('.').slice(0, 2).join('.')],
  ];

  test.each(forgeries)('%s: worth nothing', async (_, make) => {
    const forged = await make();
    for (const caller of [jwtApi, client, machine])
      expect(await introspect(one, caller, forged)).toEqual(inactive);
    // Where the same token is presented as something else.
    expect(
      (await userinfo(one, forged.replace(/[^\x21-\x7e]/g, ''))).status,
    ).toBeGreaterThanOrEqual(400);
    expect((await refresh(one, client, forged)).status).toBe(400);
    expect((await revoke(one, client, forged)).status).toBe(200);
    expect(hits).toBe(0);
  });

  test('7: another spelling of a path is no endpoint, for live tokens and forged ones', async () => {
    const forged = await byStranger({ kid: key('ES256').kid });
    for (const path of ['/introspect/', '/INTROSPECT', '/Introspect/', '/revoke/', '/REVOKE'])
      for (const presented of [token, forged])
        expect((await post(one, path, jwtApi, { token: presented })).status).toBe(404);
    expect(await isActive(one, jwtApi, token)).toBe(true);
  });

  test('none of that has revoked the token they were made from', async () => {
    for (const live of [token, machineToken]) expect(await isActive(two, jwtApi, live)).toBe(true);
  });

  test("a token that names another client or another person is that client's and person's only in the row", async () => {
    // Only the server could sign these: even so, the row says whose it is.
    const another = await issue(other);
    for (const change of [{ client_id: other.clientId }, { sub: another.accountId }]) {
      const { body } = await introspect(one, jwtApi, await sign(change));
      expect(
        body.active === false || (body.client_id === client.clientId && body.sub === claims.sub),
      ).toBe(true);
    }
  });

  test('a JWT access token opens no userinfo, and an ID token or an opaque one no API', async () => {
    expect((await userinfo(one, own)).status).toBe(200);
    for (const bearer of [token, machineToken, idToken])
      expect((await userinfo(one, bearer)).status).toBe(401);
    expect(await introspect(one, jwtApi, own)).toEqual(inactive);
  });
});

describe('userinfo', () => {
  test('is for tokens of its own alone: what is for an API, or a machine, is refused', async () => {
    const { accountId, own, forOpaque, forJwt, refresh: refreshToken, browser } = await issue();
    expect((await userinfo(one, own)).json).toMatchObject({
      sub: accountId,
      email: expect.any(String),
      email_verified: true,
    });
    const { code } = await browser.authorize(one, client);
    for (const token of [
      forOpaque,
      forJwt,
      refreshToken,
      code,
      await byMachine(opaque),
      await byMachine(jwt),
      'x',
      `vs_at_${'x'.repeat(43)}`,
    ]) {
      const answer = await userinfo(one, token);
      expect([401, 403]).toContain(answer.status);
      expect(answer.headers['www-authenticate']).toMatch(
        /^Bearer realm="http:\/\/localhost:3000", error="(invalid_token|insufficient_scope)"/,
      );
      expect(answer.text).not.toContain(accountId);
    }
    for (const headers of [
      {},
      { authorization: 'Bearer' },
      { authorization: `Basic ${own}` },
      { authorization: `Bearer ${own} ${own}` },
      { authorization: `DPoP ${own}` },
    ] as Record<string, string>[]) {
      expect([400, 401]).toContain((await send(one, '/userinfo', { headers })).status);
    }
  });

  test('gives no more than the token, whatever scope it is asked for', async () => {
    const { browser, accountId } = await person(client);
    const { access_token: token } = (
      await exchange(one, client, await browser.authorize(one, client, { scope: 'openid' }))
    ).body;
    expect((await userinfo(one, token)).json).toEqual({ sub: accountId });
    const headers = { authorization: `Bearer ${token}` };
    expect((await send(one, '/userinfo?scope=openid%20email', { headers })).status).toBe(403);
    expect((await send(one, '/userinfo?scope=email', { headers })).status).toBe(403);
  });
});

describe('revocation', () => {
  type Kind = 'own' | 'forOpaque' | 'forJwt' | 'refresh' | 'machine' | 'machineJwt';
  const kinds: Kind[] = ['own', 'forOpaque', 'forJwt', 'refresh', 'machine', 'machineJwt'];

  async function oneOfEach() {
    const tokens = await issue();
    return { ...tokens, machine: await byMachine(opaque), machineJwt: await byMachine(jwt) };
  }
  const ownerOf = (kind: Kind) => (kind.startsWith('machine') ? machine : client);

  test.each(kinds)(
    '%s: by another client, an API or nobody, nothing happens; by its own client it is dead on both processes',
    async (kind) => {
      const tokens = await oneOfEach();
      const owner = ownerOf(kind);
      const token = tokens[kind];
      for (const hint of ['', 'access_token', 'refresh_token']) {
        for (const caller of [
          other,
          spa,
          opaqueApi,
          jwtApi,
          kind.startsWith('machine') ? client : machine,
        ]) {
          expect(await post(one, '/revoke', caller, { token, token_type_hint: hint })).toEqual({
            status: 200,
            body: {},
          });
        }
      }
      expect(
        (await post(one, '/revoke', { ...owner, clientSecret: 'wrong' }, { token })).status,
      ).toBe(401);
      for (const server of [one, two])
        for (const each of kinds)
          expect({ each, active: await isActive(server, ownerOf(each), tokens[each]) }).toEqual({
            each,
            active: true,
          });
      expect(await revoke(one, owner, token)).toEqual({ status: 200, body: {} });
      for (const server of [two, one]) {
        expect(await introspect(server, owner, token)).toEqual(inactive);
        for (const api of [opaqueApi, jwtApi])
          expect(await introspect(server, api, token)).toEqual(inactive);
        expect((await userinfo(server, token)).status).toBe(401);
        expect((await refresh(server, client, token)).status).toBe(400);
      }
      // Again, it is as if it had never been.
      expect(await revoke(two, owner, token)).toEqual({ status: 200, body: {} });
    },
  );

  test("an access token's leaves the family: the refresh token, and the tokens beside it, live", async () => {
    for (const kind of ['own', 'forOpaque', 'forJwt'] as const) {
      const tokens = await issue();
      await revoke(one, client, tokens[kind]);
      await expectDead({ [kind]: tokens[kind] });
      await expectAlive({ ...tokens, [kind]: undefined });
      expect((await refresh(two, client, tokens.refresh)).status).toBe(200);
    }
  });

  test("a refresh token's ends the family: every access token of it, JWTs too", async () => {
    const tokens = await issue();
    await revoke(one, client, tokens.jwtRefresh);
    await expectDead(tokens);
    const families = await database.db.kysely
      .selectFrom('grants')
      .select(['revoked_at', 'revoked_reason'])
      .where('account_id', '=', tokens.accountId)
      .execute();
    expect(families).toEqual([{ revoked_at: expect.any(Date), revoked_reason: 'token_revoked' }]);
  });

  test("a machine's JWT leaves its others alone", async () => {
    const [first, second] = [await byMachine(jwt), await byMachine(jwt)];
    await revoke(one, machine, first);
    expect(await isActive(two, jwtApi, first)).toBe(false);
    expect(await isActive(two, jwtApi, second)).toBe(true);
  });

  test('what is no token is answered 200 and left alone', async () => {
    const { browser, idToken, own } = await issue();
    const authorization = await browser.authorize(one, client);
    const before = await countRows(database.db);
    for (const token of [
      authorization.code,
      idToken,
      browser.sessionUid,
      'x',
      `vs_at_${'x'.repeat(43)}`,
      `${own}x`,
    ]) {
      expect((await revoke(one, client, token)).status).toBe(200);
    }
    expect(await countRows(database.db)).toEqual(before);
    expect((await exchange(one, client, authorization)).status).toBe(200);
    expect((await userinfo(one, own)).status).toBe(200);
  });
});

describe('SECURITY 22, SECURITY 23: disabled and deleted', () => {
  const accounts = () =>
    new AccountService(database.db, new Passwords(), new Sealer([testMasterKey]), {
      requireSecondFactor: 'administrators',
      brandName: 'Test',
    });
  const clients = () => new ClientService(database.db, new ResourceServerService(database.db));
  const silently = async (server: string, browser: SignedInBrowser) =>
    answered(
      (
        await ask(server, authorizationFields(client, { prompt: 'none' }).fields, {
          browser: browser.tab(),
        })
      ).location,
    ).error;

  test('a disabled account: every token, refresh, session and code is dead at once, on every process, and stays so', async () => {
    const tokens = await issue();
    const bystander = await issue();
    const code = await tokens.browser.authorize(one, client);
    const waiting = await ask(one, authorizationFields(client, { prompt: 'login' }).fields, {
      browser: tokens.browser.tab(),
    });
    await expectAlive(tokens);
    await accounts().setDisabled(tokens.accountId, true, 'test');
    const everything = async () => {
      await expectDead(tokens);
      for (const server of [one, two]) {
        expect(await silently(server, tokens.browser)).toBe('login_required');
        expect((await exchange(server, client, code)).body.error).toBe('invalid_grant');
      }
    };
    await everything();
    // Another session of it, however it came about, gives nothing either.
    const late = await seed.signIn(tokens.accountId);
    const before = await countRows(database.db);
    for (const server of [one, two]) expect(await silently(server, late)).toBe('login_required');
    for (const server of [one, two])
      expect(
        (await ask(server, authorizationFields(client).fields, { browser: late.tab() })).location,
      ).toMatch(/^\/interaction\//);
    expect({ ...(await countRows(database.db)), interactions: 0 }).toEqual({
      ...before,
      interactions: 0,
    });
    expect(waiting.location).toMatch(/^\/interaction\//);
    await expectAlive(bystander);
    await accounts().setDisabled(tokens.accountId, false, 'test');
    await everything();
  });

  test('the row of the account alone is enough: nothing rests on what else was ended with it', async () => {
    const tokens = await issue();
    const bound = (
      await exchange(one, client, await tokens.browser.authorize(one, client, { scope: 'openid' }))
    ).body.access_token;
    const code = await tokens.browser.authorize(one, client);
    const disable = (at: string) =>
      sql`update accounts set disabled_at = ${sql.raw(at)} where id = ${tokens.accountId}`.execute(
        database.db.kysely,
      );
    await disable('now()');
    const before = await countRows(database.db);
    await expectDead({ ...tokens, own: bound });
    for (const server of [one, two]) {
      for (const token of [tokens.own, bound, tokens.refresh])
        expect(await introspect(server, client, token)).toEqual(inactive);
      expect((await exchange(server, client, code)).body.error).toBe('invalid_grant');
      expect(await silently(server, tokens.browser)).toBe('login_required');
    }
    expect(await countRows(database.db)).toEqual(before);
    await disable('null');
    await expectAlive(tokens);
  });

  test('a disabled client: its tokens are dead at once, itself within 2 s, and nothing of it comes back', async () => {
    const given = await person(client);
    const disabled = await seed.client({ apis });
    await seed.consent(given.accountId, disabled.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
    const tokens = await issue(disabled, given);
    const bystander = await issue(client, given);
    const code = await given.browser.authorize(one, disabled);
    await clients().setDisabled(disabled.clientId, true, 'test');
    await expectDead(tokens, disabled);
    for (const server of [one, two])
      expect((await exchange(server, disabled, code)).status).toBeGreaterThanOrEqual(400);
    for (const server of [one, two]) {
      await until(async () => (await introspect(server, disabled, 'x')).status === 401);
      for (const path of ['/token', '/introspect', '/revoke']) {
        expect(
          (
            await post(server, path, disabled, {
              token: tokens.own,
              grant_type: 'refresh_token',
              refresh_token: tokens.refresh,
            })
          ).body.error,
        ).toBe('invalid_client');
      }
      const answer = await ask(server, authorizationFields(disabled).fields, {
        browser: given.browser.tab(),
      });
      expect(answer).toMatchObject({ status: 400, location: undefined });
    }
    await expectAlive(bystander);
    await clients().setDisabled(disabled.clientId, false, 'test');
    for (const server of [one, two])
      await until(async () => (await introspect(server, disabled, 'x')).status === 200);
    await expectDead(tokens, disabled);
    for (const server of [one, two])
      expect((await exchange(server, disabled, code)).body.error).toBe('invalid_grant');
  });

  test("a disabled machine's tokens are dead at once", async () => {
    const robot = await seed.client({ type: 'machine', apis });
    const tokens = [
      [opaqueApi, await byMachine(opaque, robot)],
      [jwtApi, await byMachine(jwt, robot)],
    ] as const;
    for (const [api, token] of tokens) expect(await isActive(two, api, token)).toBe(true);
    await clients().setDisabled(robot.clientId, true, 'test');
    for (const server of [one, two])
      for (const [api, token] of tokens)
        expect(await introspect(server, api, token)).toEqual(inactive);
    for (const server of [one, two])
      await until(
        async () =>
          (
            await post(server, '/token', robot, {
              grant_type: 'client_credentials',
              resource: opaque,
            })
          ).status === 401,
      );
  });

  // Open: a machine has no family that ends with it. Wanted: a time at the client before which its tokens are worth nothing.
  test('nor do they come back when it is enabled again', async () => {
    const robot = await seed.client({ type: 'machine', apis });
    const token = await byMachine(jwt, robot);
    await clients().setDisabled(robot.clientId, true, 'test');
    await clients().setDisabled(robot.clientId, false, 'test');
    expect(await introspect(one, jwtApi, token)).toEqual(inactive);
  });

  test('the credentials of an API, disabled, ask no more', async () => {
    const api = await seed.api('https://fourth.example.com');
    expect((await introspect(one, api, 'x')).status).toBe(200);
    await clients().setDisabled(api.clientId, true, 'test');
    for (const server of [one, two])
      await until(async () => (await introspect(server, api, 'x')).status === 401);
  });

  test('tokens of a client that was deleted: inactive, and nowhere a 5xx', async () => {
    const given = await person(client);
    const deleted = await seed.client({ apis });
    const robot = await seed.client({ type: 'machine', apis });
    await seed.consent(given.accountId, deleted.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
    const tokens = await issue(deleted, given);
    const machines = [await byMachine(opaque, robot), await byMachine(jwt, robot)];
    const code = await given.browser.authorize(one, deleted);
    await expectAlive(tokens, deleted);
    await database.db.kysely
      .deleteFrom('clients')
      .where('id', 'in', [deleted.clientId, robot.clientId])
      .execute();
    for (const server of [one, two]) {
      for (const token of [
        tokens.own,
        tokens.forOpaque,
        tokens.forJwt,
        tokens.refresh,
        ...machines,
      ]) {
        for (const caller of [opaqueApi, jwtApi, client])
          expect(await introspect(server, caller, token)).toEqual(inactive);
        expect((await userinfo(server, token)).status).toBe(401);
      }
      // The client itself may still be in the cache, as long as nobody says that it has changed.
      for (const attempt of [
        refresh(server, deleted, tokens.refresh),
        exchange(server, deleted, code),
        introspect(server, deleted, tokens.own),
      ])
        expect((await attempt).status).toBeLessThan(500);
      expect(await introspect(server, deleted, tokens.own)).toMatchObject({
        status: expect.any(Number),
      });
      expect(
        (await ask(server, authorizationFields(deleted).fields, { browser: given.browser.tab() }))
          .status,
      ).toBeLessThan(500);
    }
    await sql`update config_versions set version = version + 1 where topic = 'clients'`.execute(
      database.db.kysely,
    );
    for (const server of [one, two])
      await until(async () => (await introspect(server, deleted, 'x')).status === 401);
  });

  test('tokens of an account that was deleted: inactive, and nowhere a 5xx', async () => {
    const tokens = await issue();
    const code = await tokens.browser.authorize(one, client);
    await database.db.kysely.deleteFrom('accounts').where('id', '=', tokens.accountId).execute();
    await expectDead(tokens);
    for (const server of [one, two]) {
      expect((await exchange(server, client, code)).body.error).toBe('invalid_grant');
      expect(await silently(server, tokens.browser)).toBe('login_required');
    }
  });

  test('tokens for an API that was deleted: nowhere a 5xx, and no new ones', async () => {
    const identifier = 'https://fifth.example.com';
    const api = await seed.api(identifier, 'jwt');
    const robot = await seed.client({ type: 'machine', apis: [{ identifier, scopes: ['read'] }] });
    let token = '';
    await until(async () => {
      token = (await byMachine(identifier, robot)) ?? '';
      return token !== '';
    });
    expect(await isActive(one, api, token)).toBe(true);
    await sql`delete from resource_servers where identifier = ${identifier}`.execute(
      database.db.kysely,
    );
    await sql`update config_versions set version = version + 1`.execute(database.db.kysely);
    for (const server of [one, two]) {
      await until(
        async () =>
          (
            await post(server, '/token', robot, {
              grant_type: 'client_credentials',
              resource: identifier,
            })
          ).body.error === 'invalid_target',
      );
      expect((await introspect(server, robot, token)).status).toBe(200);
      expect((await introspect(server, api, token)).status).toBeLessThan(500);
    }
  });

  test('a session that was ended: every cookie and session-bound token of it is dead', async () => {
    const { browser } = await person(client);
    const bound = (
      await exchange(one, client, await browser.authorize(one, client, { scope: 'openid' }))
    ).body.access_token;
    const code = await browser.authorize(one, client, { scope: 'openid' });
    expect((await userinfo(two, bound)).status).toBe(200);
    await sql`update sessions set ended_at = now() where uid = ${browser.sessionUid}`.execute(
      database.db.kysely,
    );
    for (const server of [one, two]) {
      expect((await userinfo(server, bound)).status).toBe(401);
      expect(await introspect(server, client, bound)).toEqual(inactive);
      expect((await exchange(server, client, code)).body.error).toBe('invalid_grant');
      expect(await silently(server, browser)).toBe('login_required');
    }
  });
});

describe('what is issued', () => {
  test('RFC 9068: the claims of a JWT access token, of a person and of a machine', async () => {
    const { accountId, forJwt } = await issue();
    const keys = createLocalJWKSet((await send(two, '/jwks')).json as unknown as JSONWebKeySet);
    for (const [token, clientId, sub] of [
      [forJwt, client.clientId, accountId],
      [await byMachine(jwt), machine.clientId, machine.clientId],
    ] as const) {
      const { payload, protectedHeader } = await jwtVerify(token, keys, {
        issuer,
        audience: jwt,
        typ: 'at+jwt',
        algorithms: ['ES256'],
      });
      expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: expect.any(String) });
      expect(payload).toEqual({
        iss: issuer,
        aud: jwt,
        sub,
        client_id: clientId,
        scope: 'read',
        jti: expect.stringMatching(/^[\w-]{20,}$/),
        iat: expect.any(Number),
        exp: (payload.iat as number) + 3_600,
        // Section 2.2.1: how and when the person signed in.
        ...(sub === accountId
          ? { acr: 'urn:vouchsafe:acr:1fa', auth_time: expect.any(Number) }
          : {}),
      });
    }
  });

  test('an ID token is RS256 unless told, for its client alone, and holds nothing of the profile', async () => {
    const { browser, accountId } = await person(client);
    const { body } = await exchange(
      one,
      client,
      await browser.authorize(one, client, { nonce: 'the-nonce', scope: 'openid email profile' }),
    );
    const keys = createLocalJWKSet((await send(two, '/jwks')).json as unknown as JSONWebKeySet);
    const { payload, protectedHeader } = await jwtVerify(body.id_token as string, keys, {
      issuer,
      audience: client.clientId,
      algorithms: ['RS256'],
    });
    expect(protectedHeader).toMatchObject({ alg: 'RS256', kid: expect.any(String) });
    expect(payload).toMatchObject({
      sub: accountId,
      nonce: 'the-nonce',
      acr: 'urn:vouchsafe:acr:1fa',
      amr: ['pwd'],
      auth_time: expect.any(Number),
      aud: client.clientId,
    });
    for (const claim of ['email', 'name', 'scope', 'client_id', 'locale'])
      expect(payload).not.toHaveProperty(claim);
  });

  test('every token has bits enough, and a prefix by which a leak is found', async () => {
    const { own, refresh: refreshToken, browser } = await issue();
    const { code } = await browser.authorize(one, client);
    for (const [token, prefix] of [
      [own, 'vs_at_'],
      [refreshToken, 'vs_rt_'],
      [code, 'vs_ac_'],
      [await byMachine(opaque), 'vs_mt_'],
    ] as const) {
      // 128 bits are the least (RFC 6749, section 10.10); 43 letters of base64url are 256.
      expect(token).toMatch(new RegExp(`^${prefix}[\\w-]{43}$`));
    }
  });
});

describe('what is published', () => {
  test('the JWKS: kid, alg, use, a time to cache, and nothing private', async () => {
    const { json, headers, status } = await send(one, '/jwks', {
      headers: { origin: 'https://app.example.com' },
    });
    expect(status).toBe(200);
    expect(headers['cache-control']).toMatch(/^public, max-age=\d+$/);
    expect(headers['content-type']).toMatch(/^application\/(jwk-set\+)?json/);
    const { keys } = json as unknown as JSONWebKeySet;
    expect(new Set(keys.map((key) => key.alg))).toEqual(
      new Set(['RS256', 'ES256', 'PS256', 'EdDSA']),
    );
    expect(new Set(keys.map((key) => key.kid)).size).toBe(keys.length);
    for (const key of keys) {
      expect(key).toMatchObject({
        kid: expect.any(String),
        alg: expect.any(String),
        use: 'sig',
        kty: expect.any(String),
      });
      expect(
        Object.keys(key).filter((name) =>
          ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'].includes(name),
        ),
      ).toEqual([]);
    }
    expect((await send(two, '/jwks')).json).toEqual(json);
  });

  const wellKnown = [
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server',
  ];

  test('the issuer is the configured one, byte for byte, in every token and answer', async () => {
    const { browser, forJwt, forOpaque, idToken } = await issue();
    const issuers = [forJwt, idToken].map((token) => decodeJwt(token).iss);
    issuers.push((await introspect(one, opaqueApi, forOpaque)).body.iss as string);
    issuers.push(
      answered((await ask(one, authorizationFields(client).fields, { browser })).location)
        .iss as string,
    );
    issuers.push((await send(one, wellKnown[0] as string)).json.issuer as string);
    expect(new Set(issuers)).toEqual(new Set([issuer]));
  });

  test('compatibility 2: an issuer with a path serves all three forms, its endpoints lie below it, and it works', async () => {
    const id = 'https://id.example.com/a/tenant';
    const server = await startServerProcess(database, id);
    try {
      const forms = [
        '/a/tenant/.well-known/openid-configuration',
        '/a/tenant/.well-known/oauth-authorization-server',
        '/.well-known/oauth-authorization-server/a/tenant',
        '/.well-known/openid-configuration/a/tenant',
      ];
      const documents = await Promise.all(
        forms.map(async (path) => (await send(server.url, path)).json),
      );
      for (const document of documents) expect(document).toEqual(documents[0]);
      const [document] = documents as [Record<string, unknown>];
      expect(document.issuer).toBe(id);
      for (const [name, url] of Object.entries(document))
        if (/_endpoint$|_uri$/.test(name)) expect((url as string).startsWith(`${id}/`)).toBe(true);
      for (const path of [
        '/.well-known/openid-configuration',
        '/.well-known/oauth-authorization-server',
        '/.well-known/openid-configuration/a',
        '/.well-known/openid-configuration/a/tenant/x',
        '/jwks',
        '/token',
        '/a/jwks',
        '/a/tenantx/jwks',
        '/A/tenant/jwks',
      ]) {
        expect({ path, status: (await send(server.url, path)).status }).toEqual({
          path,
          status: 404,
        });
      }
      const token = (
        await post(server.url, '/a/tenant/token', machine, {
          grant_type: 'client_credentials',
          resource: jwt,
          scope: 'read',
        })
      ).body.access_token;
      expect(
        (await post(server.url, '/a/tenant/introspect', jwtApi, { token })).body,
      ).toMatchObject({ active: true, iss: id });
      // Another issuer on the same database does not take it.
      expect(await introspect(one, jwtApi, token)).toEqual(inactive);
    } finally {
      await server.stop();
    }
  });

  test('CORS is open for what is public, and for a client from its own origins', async () => {
    for (const path of [...wellKnown, '/jwks']) {
      const { headers } = await send(one, path, {
        headers: { origin: 'https://anywhere.example' },
      });
      expect(['*', 'https://anywhere.example']).toContain(headers['access-control-allow-origin']);
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    }
    const { own } = await issue(spa);
    const bearer = { authorization: `Bearer ${own}` };
    const { origin } = new URL(redirectUri);
    expect(
      (await send(one, '/userinfo', { headers: { ...bearer, origin } })).headers[
        'access-control-allow-origin'
      ],
    ).toBe(origin);
    const foreign = await send(one, '/userinfo', {
      headers: { ...bearer, origin: 'https://evil.example' },
    });
    expect(foreign.headers['access-control-allow-origin']).toBeUndefined();
    expect(foreign.json).not.toHaveProperty('sub');
    for (const path of ['/introspect', '/revoke']) {
      const answer = await send(one, path, {
        method: 'POST',
        headers: { ...basic(client), origin: 'https://evil.example' },
        body: form({ token: own }),
      });
      expect(answer).toMatchObject({
        status: 400,
        headers: { 'content-type': 'application/json; charset=utf-8' },
      });
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
    expect((await userinfo(one, own)).status).toBe(200);
    expect(query({})).toBe('');
  });
});
