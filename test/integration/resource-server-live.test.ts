import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  AuthorizationError,
  createResourceServer,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { certificateHeader, certificateToken, dpopToken } from '../support/bound-tokens.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { newKey, proof } from '../support/proofs.ts';
import {
  type Credentials,
  exchange,
  post,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { selfSigned } from '../support/certificates.ts';
import {
  type Door,
  openDoor,
  type ServerProcess,
  startServerProcess,
} from '../support/server-process.ts';

/** `vouchsafe/resource-server` against the server itself: it asks one process, and things are revoked on the other. */

const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const plainTyp = 'https://plain.example.com';
const apis = [opaque, jwt, plainTyp].map((identifier) => ({ identifier, scopes: ['read'] }));

let database: TestDatabase;
let seed: Seed;
let door: Door;
let issuer: string;
let servers: ServerProcess[];
let one: string;
let two: string;
let client: Credentials;
let machine: Credentials;
const credentials: Record<string, Credentials> = {};
const created: ResourceServer[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  door = await openDoor();
  issuer = `http://localhost:${door.port}`;
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, issuer, certificateHeader)),
  );
  [one, two] = servers.map(({ url }) => url) as [string, string];
  await door.leadTo(servers[0] as ServerProcess);
  credentials[opaque] = await seed.api(opaque);
  credentials[jwt] = await seed.api(jwt, 'jwt');
  credentials[plainTyp] = await seed.api(plainTyp, 'jwt', ['read'], {
    tokenTyp: 'JWT',
    signingAlg: 'RS256',
  });
  [client, machine] = await Promise.all([
    seed.client({ apis }),
    seed.client({ type: 'machine', apis }),
  ]);
});

afterEach(() => {
  for (const api of created.splice(0)) api.close();
});

afterAll(async () => {
  await door.close();
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

function protect(audience: string, options: Partial<ResourceServerOptions> = {}): ResourceServer {
  const { clientId, clientSecret } = credentials[audience] as Credentials;
  const api = createResourceServer({ issuer, audience, clientId, clientSecret, ...options });
  created.push(api);
  return api;
}

const bearing = (token: string) =>
  new Request('http://internal/', { headers: { authorization: `Bearer ${token}` } });

/** What becomes of a call with the token. */
async function codeOf(api: ResourceServer, token: string, required = {}): Promise<string> {
  try {
    await api.authenticate(bearing(token), required);
    return 'taken';
  } catch (error) {
    if (!(error instanceof AuthorizationError)) throw error;
    return error.code;
  }
}

interface Issued {
  readonly accountId: string;
  readonly browser: SignedInBrowser;
  readonly token: string;
  readonly refreshToken: string;
  readonly idToken: string;
}

/** A person's token for the API. */
async function issue(resource: string, by = client): Promise<Issued> {
  const accountId = await seed.account();
  await seed.consent(accountId, by.clientId, { [resource]: ['read'] });
  const browser = await seed.signIn(accountId, undefined, issuer);
  const scope = 'openid offline_access read';
  const code = await browser.authorize(one, by, { scope, resource });
  const { body } = await exchange(one, by, code);
  return {
    accountId,
    browser,
    token: body.access_token,
    refreshToken: body.refresh_token,
    idToken: body['id_token'] as string,
  };
}

async function machineToken(resource: string, by = machine): Promise<string> {
  const fields = { grant_type: 'client_credentials', resource, scope: 'read' };
  return (await post(one, '/token', by, fields)).body.access_token;
}

describe.each([
  ['opaque', opaque],
  ['jwt', jwt],
] as const)('%s tokens', (kind, audience) => {
  test('a person’s and a machine’s are taken, and tell who calls', async () => {
    const api = protect(audience);
    const { token, accountId } = await issue(audience);
    const person = await api.authenticate(bearing(token), { scopes: 'read' });
    expect(person).toMatchObject({
      kind,
      sub: accountId,
      clientId: client.clientId,
      isClient: false,
      acr: 'urn:vouchsafe:acr:1fa',
      binding: undefined,
    });
    expect([...person.scopes]).toEqual(['read']);
    expect(Math.abs((person.authTime?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(person.expiresAt.getTime()).toBeGreaterThan(Date.now());
    const own = await api.authenticate(bearing(await machineToken(audience)), { scopes: 'read' });
    expect([own.sub, own.isClient]).toEqual([machine.clientId, true]);
    expect(await codeOf(api, token, { scopes: 'write' })).toBe('insufficient_scope');
    expect(await codeOf(api, token, { acr: 'urn:vouchsafe:acr:2fa' })).toBe(
      'insufficient_user_authentication',
    );
    expect(await codeOf(api, token, { acr: 'urn:vouchsafe:acr:1fa', maxAge: 600 })).toBe('taken');
    expect(await codeOf(api, await machineToken(audience), { maxAge: 600 })).toBe(
      'insufficient_user_authentication',
    );
  });

  test('SECURITY 10, 28: what is not an access token for this API is none', async () => {
    const api = protect(audience);
    const other = audience === jwt ? opaque : jwt;
    const { refreshToken, idToken, token } = await issue(audience);
    for (const wrong of [
      (await issue(other)).token,
      await machineToken(other),
      refreshToken,
      idToken,
      `${token}x`,
      randomBytes(32).toString('base64url'),
    ]) {
      expect(await codeOf(api, wrong)).toBe('invalid_token');
    }
    expect(await codeOf(api, token)).toBe('taken');
  });

  test('what was revoked on the other process is refused here', async () => {
    const api = protect(audience, { introspection: { cacheTtl: 1 } });
    const [issued, left] = [await issue(audience), await issue(audience)];
    const own = await machineToken(audience);
    for (const token of [issued.token, left.token, own])
      expect(await codeOf(api, token)).toBe('taken');
    await revoke(two, client, issued.token);
    await revoke(two, machine, own);
    await until(async () => (await codeOf(api, issued.token)) === 'invalid_token');
    await until(async () => (await codeOf(api, own)) === 'invalid_token');
    expect(await codeOf(api, left.token)).toBe('taken');
    // With the refresh token goes all that came of it.
    await revoke(two, client, left.refreshToken);
    await until(async () => (await codeOf(api, left.token)) === 'invalid_token');
    // One that begins only now hears of it before its first answer.
    expect(await codeOf(protect(audience), left.token)).toBe('invalid_token');
  });

  test('a client that is disabled takes its tokens along', async () => {
    const api = protect(audience, { introspection: { cacheTtl: 1 } });
    const own = await seed.client({ type: 'machine', apis });
    const app = await seed.client({ apis });
    const tokens = [await machineToken(audience, own), (await issue(audience, app)).token];
    for (const token of tokens) expect(await codeOf(api, token)).toBe('taken');
    for (const { clientId } of [own, app]) await seed.disableClient(clientId);
    for (const token of tokens)
      await until(async () => (await codeOf(api, token)) === 'invalid_token');
    expect(await codeOf(api, await machineToken(audience))).toBe('taken');
  });
});

describe.each([opaque, jwt])('tokens for %s that are bound to a key', (audience) => {
  const wanted = { resource: audience, scope: 'read' };

  test('by DPoP: they are taken from who proves to hold it, and from nobody else', async () => {
    const api = protect(audience);
    const key = await newKey();
    const token = await dpopToken(issuer, machine, wanted, key);
    const call = async (by = key) =>
      new Request('http://internal/invoices', {
        headers: {
          authorization: `DPoP ${token}`,
          dpop: await proof(by, { htu: `${audience}/invoices`, htm: 'GET', token }),
        },
      });
    const auth = await api.authenticate(await call(), { binding: 'dpop', scopes: 'read' });
    expect([auth.binding, auth.sub]).toEqual(['dpop', machine.clientId]);
    const replayed = await call();
    await api.authenticate(replayed);
    for (const [request, code] of [
      [replayed, 'invalid_dpop_proof'],
      [await call(await newKey()), 'invalid_token'],
      [bearing(token), 'invalid_token'],
    ] as const)
      await expect(api.authenticate(request)).rejects.toMatchObject({ status: 401, code });
    expect(await codeOf(api, await machineToken(audience), { binding: 'dpop' })).toBe(
      'invalid_token',
    );
  });

  test('by mTLS: they are taken with the certificate, and with no other', async () => {
    const client = await seed.client({ type: 'machine', bound: 'mtls', apis });
    const [mine, other] = [selfSigned('mine').cert, selfSigned('other').cert];
    const token = await certificateToken(issuer, client, wanted, mine);
    const by = (certificate: string | undefined) =>
      protect(audience, { clientCertificate: () => certificate });
    expect((await by(mine).authenticate(bearing(token), { binding: 'mtls' })).binding).toBe('mtls');
    for (const api of [by(other), by(undefined), protect(audience)])
      expect(await codeOf(api, token)).toBe('invalid_token');
    expect(await codeOf(by(mine), await machineToken(audience), { binding: 'mtls' })).toBe(
      'invalid_token',
    );
  });
});

test('without a cache what is revoked is refused at once', async () => {
  const api = protect(opaque, { introspection: { cacheTtl: 0 } });
  const { token } = await issue(opaque);
  expect(await codeOf(api, token)).toBe('taken');
  await revoke(two, client, token);
  expect(await codeOf(api, token)).toBe('invalid_token');
});

test('JWTs can be asked about instead', async () => {
  const api = protect(jwt, { jwt: 'introspect', introspection: { cacheTtl: 0 } });
  const { token } = await issue(jwt);
  expect(await codeOf(api, token)).toBe('taken');
  await revoke(two, client, token);
  expect(await codeOf(api, token)).toBe('invalid_token');
});

test('COMPATIBILITY 15: an API of typ JWT, signed with RS256', async () => {
  const { token } = await issue(plainTyp);
  expect(await codeOf(protect(plainTyp), token)).toBe('invalid_token');
  expect(await codeOf(protect(plainTyp, { acceptTypJwt: true }), token)).toBe('taken');
  expect(
    await codeOf(protect(plainTyp, { acceptTypJwt: true, algorithms: ['ES256'] }), token),
  ).toBe('invalid_token');
});

test('a rotated refresh token’s older access token lives on until it ends or is revoked', async () => {
  const api = protect(jwt);
  const { token, refreshToken } = await issue(jwt);
  const renewed = (await refresh(two, client, refreshToken)).body.access_token;
  expect([await codeOf(api, token), await codeOf(api, renewed)]).toEqual(['taken', 'taken']);
});

test('wrong credentials of the API let nobody through, and are told of', async () => {
  const reported: string[] = [];
  const api = protect(opaque, {
    clientSecret: 'wrong',
    onError: ({ message }) => reported.push(message),
  });
  expect(await codeOf(api, (await issue(opaque)).token)).toBe('temporarily_unavailable');
  expect(reported.join()).toContain('clientId and clientSecret');
});
