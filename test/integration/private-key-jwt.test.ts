import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import * as openid from 'openid-client';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { exchange, isActive, post, redirectUri, Seed } from '../support/protocol.ts';
import {
  type Answer,
  assertion,
  type ClientKey,
  jwksOf,
  newKey,
  now,
  send,
} from '../support/proofs.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Clients that sign what they authenticate with (RFC 7523, section 2.2), over two processes. */

const issuer = 'http://localhost:3000';
const api = 'https://api.example.com';
const otherApi = 'https://keys.example.com';
let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
let key: ClientKey;
let machineId: string;
let otherApiId: string;
let apiClient: { clientId: string; clientSecret: string | undefined };

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  apiClient = await seed.api(api);
  otherApiId = (await seed.api(otherApi)).clientId;
  key = await newKey();
  machineId = await machine({ jwks: jwksOf(key) });
  [one, two] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
  ]);
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

async function machine(input: Parameters<Seed['client']>[0]): Promise<string> {
  const { clientId, clientSecret } = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
    authMethod: 'private_key_jwt',
    ...input,
  });
  expect(clientSecret).toBeUndefined();
  return clientId;
}

const forApi = { grant_type: 'client_credentials', resource: api };
const take = async (form: Record<string, string>, server = one): Promise<Answer> =>
  send(server.url, '/token', { ...forApi, ...form });

async function replays(): Promise<number> {
  const { count } = await database.db.kysely
    .selectFrom('replays')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

const tokens = async () =>
  (await database.db.kysely.selectFrom('tokens').select('kind').execute()).length;

const audited = async (reason: string) =>
  (
    await database.db.kysely
      .selectFrom('audit_events')
      .select(['client_id', 'outcome'])
      .where('type', '=', 'client.authentication')
      .where('reason', '=', reason)
      .execute()
  ).length;

describe('private_key_jwt', () => {
  test.each(['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'])('with %s', async (alg) => {
    const mine = await newKey(alg);
    const id = await machine({ jwks: jwksOf(mine) });
    const { status, body } = await take(await assertion(mine, id, issuer));
    expect({ status, error: body.error }).toEqual({ status: 200 });
    expect(await isActive(one.url, apiClient, body.access_token)).toBe(true);
  });

  test('at the token, introspection and revocation endpoints', async () => {
    const { body } = await take(await assertion(key, machineId, issuer));
    const token = body.access_token;
    const introspect = async () =>
      (await send(one.url, '/introspect', { token, ...(await assertion(key, machineId, issuer)) }))
        .body;
    expect(await introspect()).toMatchObject({ active: true, client_id: machineId, aud: api });
    const revoked = await send(two.url, '/revoke', {
      token,
      ...(await assertion(key, machineId, issuer)),
    });
    expect(revoked.status).toBe(200);
    expect(await introspect()).toEqual({ active: false });
  });

  test("an API's own credentials may be a key", async () => {
    const clientId = otherApiId;
    await seed.updateClient(clientId, { authMethod: 'private_key_jwt', jwks: jwksOf(key) });
    const id = await machine({
      jwks: jwksOf(key),
      apis: [{ identifier: otherApi, scopes: ['read'] }],
    });
    const { body } = await take({ ...(await assertion(key, id, issuer)), resource: otherApi });
    const told = await send(one.url, '/introspect', {
      token: body.access_token,
      ...(await assertion(key, clientId, issuer)),
    });
    expect(told.body).toMatchObject({ active: true, client_id: id });
    // The secret that it had before opens nothing any more.
    const rows = await database.db.kysely
      .selectFrom('client_secrets')
      .select('id')
      .where('client_id', '=', clientId)
      .execute();
    expect(rows).toEqual([]);
  });

  test('openid-client, with it and nothing else', async () => {
    const config = await openid.discovery(
      new URL(issuer),
      machineId,
      undefined,
      openid.PrivateKeyJwt(key.privateKey),
      {
        execute: [openid.allowInsecureRequests],
        [openid.customFetch]: (url, options) =>
          fetch(url.replace(issuer, one.url), options as RequestInit),
      },
    );
    const granted = await openid.clientCredentialsGrant(config, { resource: api });
    expect((await openid.tokenIntrospection(config, granted.access_token)).active).toBe(true);
    await openid.tokenRevocation(config, granted.access_token);
    expect((await openid.tokenIntrospection(config, granted.access_token)).active).toBe(false);
  });

  test('the metadata says so', async () => {
    const metadata = (await (
      await fetch(new URL('/.well-known/openid-configuration', one.url))
    ).json()) as Record<string, unknown>;
    const algs = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'];
    for (const endpoint of ['token', 'introspection', 'revocation']) {
      expect(metadata[`${endpoint}_endpoint_auth_methods_supported`]).toContain('private_key_jwt');
      expect(metadata[`${endpoint}_endpoint_auth_signing_alg_values_supported`]).toEqual(algs);
    }
    // There is nobody to tell this server of a certificate.
    expect(JSON.stringify(metadata)).not.toMatch(/tls_client|mtls/);
  });
});

describe('an assertion works once', () => {
  test('the other process refuses it too, and so do the other endpoints', async () => {
    const before = await audited('assertion_replayed');
    const form = await assertion(key, machineId, issuer);
    expect((await take(form)).status).toBe(200);
    const issued = await tokens();
    for (const server of [one, two]) {
      for (const [path, fields] of [
        ['/token', forApi],
        ['/introspect', { token: 'x' }],
        ['/revoke', { token: 'x' }],
      ] as const) {
        const { status, body } = await send(server.url, path, { ...fields, ...form });
        expect({ path, status, error: body.error }).toEqual({
          path,
          status: 401,
          error: 'invalid_client',
        });
      }
    }
    expect(await tokens()).toBe(issued);
    // One row for each process and minute, and a count; a minute may end meanwhile.
    expect([before + 2, before + 3, before + 4]).toContain(await audited('assertion_replayed'));
  });

  test('of 50 at once over two processes exactly one', async () => {
    const form = await assertion(key, machineId, issuer);
    const [rows, issued] = [await replays(), await tokens()];
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => take(form, index % 2 === 0 ? one : two)),
    );
    const statuses = answers.map(({ status }) => status).sort((a, b) => a - b);
    expect(statuses).toEqual([200, ...Array.from({ length: 49 }, () => 401)]);
    expect(await replays()).toBe(rows + 1);
    expect(await tokens()).toBe(issued + 1);
  });

  test('it is used up even where the request fails', async () => {
    const form = await assertion(key, machineId, issuer);
    const unknown = await take({ ...form, resource: 'https://unknown.example.com' });
    expect(unknown.body.error).toBe('invalid_target');
    expect((await take(form)).body.error).toBe('invalid_client');
  });

  test("another client's id of the same name is its own", async () => {
    const id = await machine({ jwks: jwksOf(key) });
    const jti = 'one';
    expect((await take(await assertion(key, machineId, issuer, { jti }))).status).toBe(200);
    expect((await take(await assertion(key, id, issuer, { jti }))).status).toBe(200);
  });

  test('a repeated code with a replayed assertion ends nothing', async () => {
    const { clientId } = await seed.client({ authMethod: 'private_key_jwt', jwks: jwksOf(key) });
    const accountId = await seed.account();
    await seed.consent(accountId, clientId);
    const browser = await seed.signIn(accountId);
    const client = { clientId, clientSecret: undefined };
    const { code, verifier } = await browser.authorize(one.url, client);
    const form = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
      ...(await assertion(key, clientId, issuer)),
    };
    const first = await send(one.url, '/token', form);
    expect(first.status).toBe(200);
    expect((await send(two.url, '/token', form)).body.error).toBe('invalid_client');
    const token = first.body.access_token;
    const told = await send(one.url, '/introspect', {
      token,
      ...(await assertion(key, clientId, issuer)),
    });
    expect(told.body.active).toBe(true);
  });

  test('what has expired is cleaned away, and what has not stays', async () => {
    await take(await assertion(key, machineId, issuer));
    await sql`update replays set expires_at = now() - interval '1 hour'`.execute(
      database.db.kysely,
    );
    await take(await assertion(key, machineId, issuer));
    await createCleaning(database.db).run(new AbortController().signal);
    expect(await replays()).toBe(1);
  });
});

describe('FAPI: assertions', () => {
  let fapiId: string;
  let fapiKey: ClientKey;

  beforeAll(async () => {
    fapiKey = await newKey('PS256');
    fapiId = await machine({
      jwks: jwksOf(fapiKey),
      bound: 'dpop',
      settings: { profile: 'fapi2' },
    });
  });

  /** Past the client's authentication the proof is missing: that is another error. */
  const authenticates = async (form: Record<string, string>, id: string) => {
    const { body } = await take(form);
    if (id === fapiId) expect(['invalid_client', 'invalid_grant']).toContain(body.error);
    return body.error !== 'invalid_client';
  };

  test('the audience is the issuer, as a string', async () => {
    const ask = async (aud: unknown) =>
      authenticates(
        await assertion(fapiKey, fapiId, issuer, { aud: aud as string | string[] }),
        fapiId,
      );
    expect(await ask(issuer)).toBe(true);
    expect(await ask([issuer])).toBe(false);
    expect(await ask(`${issuer}/token`)).toBe(false);
    expect(await ask([issuer, `${issuer}/token`])).toBe(false);
    expect(await ask(`${issuer}/`)).toBe(false);
  });

  test('other clients may name the token endpoint, and nobody else besides', async () => {
    const ask = async (aud: string | string[]) =>
      authenticates(await assertion(key, machineId, issuer, { aud }), machineId);
    expect(await ask(`${issuer}/token`)).toBe(true);
    expect(await ask([issuer, `${issuer}/token`])).toBe(true);
    expect(await ask([issuer, 'https://other.example.com'])).toBe(false);
    expect(await ask('https://other.example.com')).toBe(false);
    expect(await ask([])).toBe(false);
  });

  test('an iat or nbf 10 s ahead is accepted, 60 s refused', async () => {
    for (const [k, id] of [
      [fapiKey, fapiId],
      [key, machineId],
    ] as const) {
      const ask = async (other: Record<string, number>) =>
        authenticates(await assertion(k, id, issuer, other), id);
      expect(await ask({ iat: now() + 10 })).toBe(true);
      expect(await ask({ nbf: now() + 10 })).toBe(true);
      expect(await ask({ iat: now() + 60 })).toBe(false);
      expect(await ask({ nbf: now() + 60 })).toBe(false);
    }
  });

  test('PS256, ES256 and EdDSA alone', async () => {
    const { privateKey } = fapiKey;
    expect(privateKey.algorithm.name).toBe('RSA-PSS');
    const rsa = await newKey('RS256');
    await expect(
      machine({
        jwks: jwksOf(rsa),
        authSigningAlg: 'RS256',
        bound: 'dpop',
        settings: { profile: 'fapi2' },
      }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
    // The same RSA key does for both algorithms; the profile takes one of them.
    const id = await machine({
      jwks: jwksOf(rsa),
      bound: 'dpop',
      settings: { profile: 'fapi2' },
    });
    const { body } = await take(await assertion(rsa, id, issuer));
    expect(body.error).toBe('invalid_client');
  });

  test('a client is registered whole or not at all', async () => {
    const whole = {
      type: 'machine' as const,
      apis: [{ identifier: api, scopes: ['read'] }],
      authMethod: 'private_key_jwt' as const,
      jwks: jwksOf(fapiKey),
      bound: 'dpop' as const,
      settings: { profile: 'fapi2' as const },
    };
    for (const wrong of [
      { authMethod: undefined },
      { authMethod: 'client_secret_post' as const },
      { bound: undefined },
      { bound: 'none' as const },
      { jwks: undefined },
      { settings: { profile: 'fapi2' as const, refreshRotation: 'rotate' as const } },
      { idTokenSigningAlg: 'RS256' as const },
    ])
      await expect(seed.client({ ...whole, ...wrong })).rejects.toMatchObject({
        code: 'invalid_client',
      });
    const { clientId } = await seed.client(whole);
    const row = await database.db.kysely
      .selectFrom('clients')
      .select(['settings', 'metadata'])
      .where('id', '=', clientId)
      .executeTakeFirstOrThrow();
    expect(row.settings).toEqual({ profile: 'fapi2', refreshRotation: 'keep' });
    expect(row.metadata).toMatchObject({
      id_token_signed_response_alg: 'ES256',
      dpop_bound_access_tokens: true,
    });
  });
});

test('a client may change how it authenticates, and the old way ends with that', async () => {
  const { clientId, clientSecret } = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
  });
  const bySecret = () => post(one.url, '/token', { clientId, clientSecret }, forApi);
  expect((await bySecret()).status).toBe(200);
  await expect(
    seed.updateClient(clientId, { authMethod: 'private_key_jwt' }),
  ).rejects.toMatchObject({ code: 'invalid_client' });
  await seed.updateClient(clientId, { authMethod: 'private_key_jwt', jwks: jwksOf(key) });
  const server = await startServerProcess(database, issuer);
  try {
    const old = await post(server.url, '/token', { clientId, clientSecret }, forApi);
    expect({ status: old.status, error: old.body.error }).toEqual({
      status: 401,
      error: 'invalid_client',
    });
    expect((await take(await assertion(key, clientId, issuer), server)).status).toBe(200);
  } finally {
    await server.stop();
  }
});

test('a key that is taken away signs no more, on any process', async () => {
  const [old, next] = [await newKey(), await newKey()];
  const id = await machine({ jwks: jwksOf(old) });
  const works = async (k: ClientKey, server: ServerProcess) =>
    (await take(await assertion(k, id, issuer), server)).status === 200;
  for (const server of [one, two]) expect(await works(old, server)).toBe(true);
  await seed.updateClient(id, { jwks: jwksOf(old, next) });
  for (const server of [one, two]) {
    await until(() => works(next, server));
    expect(await works(old, server)).toBe(true);
  }
  await seed.updateClient(id, { jwks: jwksOf(next) });
  for (const server of [one, two]) {
    await until(async () => !(await works(old, server)));
    expect(await works(next, server)).toBe(true);
  }
});

test('a public client does not authenticate', async () => {
  await expect(
    seed.client({ type: 'spa', authMethod: 'private_key_jwt', jwks: jwksOf(key) }),
  ).rejects.toMatchObject({ code: 'invalid_client' });
  const { clientId } = await seed.client({ type: 'spa' });
  const code = { code: 'vs_ac_x', verifier: 'x'.repeat(43) };
  const { body } = await exchange(
    one.url,
    { clientId, clientSecret: undefined },
    code,
    await assertion(key, clientId, issuer),
  );
  expect(body.error).toBe('invalid_client');
});
