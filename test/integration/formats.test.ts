import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  compactDecrypt,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  importJWK,
  type JWK,
  jwtVerify,
} from 'jose';
import { sql } from 'kysely';
import { ClientService } from '../../src/client/client.service.ts';
import { type NewClient, newClientSchema } from '../../src/client/client.ts';
import { signingAlgs } from '../../src/resource-server/resource-server.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  post,
  redirectUri,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { basic } from '../support/wire.ts';
import { until } from '../support/process.ts';

/** What tokens look like, API by API and client by client. Numbers of rows are COMPATIBILITY.md's. */

const issuer = 'http://localhost:3000';
const plain = 'https://plain.example.com';
const old = 'https://old.example.com';
const byAlg = (alg: string) => `https://${alg.toLowerCase()}.example.com`;
const identifiers = [plain, old, ...signingAlgs.map(byAlg)];
const apis = identifiers.map((identifier) => ({ identifier, scopes: ['read', 'write'] }));

let database: TestDatabase;
let one: ServerProcess;
let two: ServerProcess;
let seed: Seed;
let browser: SignedInBrowser;
let accountId: string;
let machine: Credentials;
const callers = new Map<string, Credentials>();

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  callers.set(plain, await seed.api(plain));
  callers.set(old, await seed.api(old, 'jwt', undefined, { tokenTyp: 'JWT' }));
  for (const alg of signingAlgs)
    callers.set(byAlg(alg), await seed.api(byAlg(alg), 'jwt', undefined, { signingAlg: alg }));
  machine = await seed.client({ type: 'machine', apis });
  accountId = await seed.account();
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

const discovery = async () =>
  (await (await fetch(new URL('/.well-known/openid-configuration', one.url))).json()) as Record<
    string,
    string[]
  >;

const keys = () => createRemoteJWKSet(new URL('/jwks', one.url));

async function machineToken(resource: string, client = machine): Promise<string> {
  const { status, body } = await post(one.url, '/token', client, {
    grant_type: 'client_credentials',
    resource,
    scope: 'read',
  });
  expect({ status, error: body.error }).toEqual({ status: 200, error: undefined });
  return body.access_token;
}

/** For an API that was registered on another process: this one learns of it within two seconds. */
async function machineTokenSoon(resource: string, client: Credentials): Promise<string> {
  const form = { grant_type: 'client_credentials', resource };
  await until(async () => (await post(one.url, '/token', client, form)).status === 200);
  return machineToken(resource, client);
}

/** A client of the person's, who has consented to all of it. */
async function personal(input: Partial<NewClient> = {}): Promise<Credentials> {
  const client = await seed.client({ apis, ...input });
  const all = Object.fromEntries(identifiers.map((identifier) => [identifier, ['read', 'write']]));
  await seed.consent(accountId, client.clientId, all);
  return client;
}

async function tokensOf(client: Credentials, extra: Record<string, string> = {}) {
  const { status, body } = await exchange(
    one.url,
    client,
    await browser.authorize(one.url, client, extra),
  );
  expect({ status, error: body.error }).toEqual({ status: 200, error: undefined });
  return body as typeof body & { id_token: string; expires_in: number };
}

const introspect = (caller: Credentials | undefined, token: string) =>
  post(two.url, '/introspect', caller as Credentials, { token });

describe('COMPATIBILITY 15: JWT access tokens', () => {
  test.each(signingAlgs)('%s: as RFC 9068 says, verified by a key of the JWKS', async (alg) => {
    const token = await machineToken(byAlg(alg));
    const { payload, protectedHeader } = await jwtVerify(token, keys(), {
      issuer,
      audience: byAlg(alg),
      typ: 'at+jwt',
      algorithms: [alg],
    });
    expect(protectedHeader).toEqual({ alg, typ: 'at+jwt', kid: expect.any(String) });
    expect(payload).toMatchObject({
      client_id: machine.clientId,
      sub: machine.clientId,
      scope: 'read',
      jti: expect.any(String),
    });
    const { body } = await introspect(callers.get(byAlg(alg)), token);
    expect(body).toMatchObject({ active: true, scope: 'read', aud: byAlg(alg), iss: issuer });
  });

  test('typ JWT where the API asks for it, for decoders that refuse what they do not know', async () => {
    const token = await machineToken(old);
    expect(decodeProtectedHeader(token).typ).toBe('JWT');
    await jwtVerify(token, keys(), { issuer, audience: old });
    expect((await introspect(callers.get(old), token)).body.active).toBe(true);
  });

  test('an ID token stays one, whatever typ an API has', async () => {
    const client = await personal();
    const { id_token: idToken } = await tokensOf(client, { resource: old, scope: 'openid' });
    for (const caller of [callers.get(old), client])
      expect((await introspect(caller, idToken)).body).toEqual({ active: false });
  });

  test("a person's tells how and when the person signed in, as JWT and opaque, after a refresh too", async () => {
    const client = await personal();
    for (const resource of [byAlg('ES256'), plain]) {
      const first = await tokensOf(client, { resource, scope: 'openid offline_access read' });
      const again = await refresh(one.url, client, first.refresh_token);
      for (const token of [first.access_token, again.body.access_token]) {
        const { body } = await introspect(callers.get(resource), token);
        expect(body).toMatchObject({
          active: true,
          acr: 'urn:vouchsafe:acr:1fa',
          auth_time: expect.any(Number),
        });
        if (resource !== plain)
          expect((await jwtVerify(token, keys())).payload).toMatchObject({
            acr: body.acr,
            auth_time: body.auth_time,
          });
      }
    }
  });

  test("a machine's tells of no sign-in", async () => {
    for (const resource of [byAlg('ES256'), plain]) {
      const { body } = await introspect(callers.get(resource), await machineToken(resource));
      expect(body).not.toHaveProperty('acr');
      expect(body).not.toHaveProperty('auth_time');
    }
  });
});

describe('ID tokens', () => {
  test.each(signingAlgs)('%s for the client that asks for it', async (alg) => {
    const client = await personal({ idTokenSigningAlg: alg });
    const { id_token: idToken } = await tokensOf(client, { scope: 'openid' });
    const { protectedHeader } = await jwtVerify(idToken, keys(), {
      issuer,
      audience: client.clientId,
      algorithms: [alg],
    });
    expect(protectedHeader.alg).toBe(alg);
  });

  test('COMPATIBILITY 5: RS256 for who says nothing', async () => {
    const { id_token: idToken } = await tokensOf(await personal(), { scope: 'openid' });
    expect(decodeProtectedHeader(idToken).alg).toBe('RS256');
  });

  test('the metadata names the algorithms that there are keys for', async () => {
    const body = await discovery();
    expect(body.id_token_signing_alg_values_supported?.toSorted()).toEqual(signingAlgs.toSorted());
    expect(body.introspection_signing_alg_values_supported?.toSorted()).toEqual(
      signingAlgs.toSorted(),
    );
  });
});

describe('lifetimes', () => {
  test('as long as the API says, or the client where that is shorter', async () => {
    const hasty = await seed.client({ type: 'machine', apis, settings: { accessTokenTtl: 120 } });
    const slow = await seed.client({ type: 'machine', apis, settings: { accessTokenTtl: 86_400 } });
    const expiresIn = async (client: Credentials, resource: string) =>
      (
        await post(one.url, '/token', client, {
          grant_type: 'client_credentials',
          resource,
          scope: 'read',
        })
      ).body.expires_in;
    for (const resource of [plain, byAlg('ES256')]) {
      expect(await expiresIn(hasty, resource)).toBe(120);
      expect(await expiresIn(slow, resource)).toBe(3_600);
      const { exp, iat } = (
        await introspect(callers.get(resource), await machineToken(resource, hasty))
      ).body as { exp?: number; iat?: number };
      expect((exp as number) - (iat as number)).toBe(120);
    }
  });

  test('26: are settings, for codes, tokens, families and sessions alike', async () => {
    const set = await startServerProcess(database, issuer, {
      CODE_TTL: '30',
      ACCESS_TOKEN_TTL: '120',
      ID_TOKEN_TTL: '180',
      REFRESH_TOKEN_TTL: '1000',
      SESSION_IDLE_TTL: '400',
      SESSION_ABSOLUTE_TTL: '500',
    });
    const client = await personal();
    const own = await personal({ settings: { familyTtl: 600 } });
    const hasty = await personal({ settings: { accessTokenTtl: 90 } });
    const browser = await seed.signIn(accountId);
    const tokens = async (of: Credentials) => {
      const asked = await browser.authorize(set.url, of, { scope: 'openid offline_access' });
      const { body } = await exchange(set.url, of, asked);
      return body as typeof body & { id_token: string; expires_in: number };
    };
    const lives = async (of: Credentials) => {
      const { rows } = await sql<{ kind: string; seconds: number }>`
        select kind, round(extract(epoch from expires_at - issued_at))::int as seconds
          from tokens where client_id = ${of.clientId} and kind = 'code'
        union all select 'family', round(extract(epoch from expires_at - created_at))::int
          from grants where client_id = ${of.clientId}`.execute(database.db.kysely);
      return Object.fromEntries(rows.map(({ kind, seconds }) => [kind, seconds]));
    };
    try {
      const { expires_in: life, id_token: idToken } = await tokens(client);
      expect(life).toBe(120);
      const { exp = 0, iat = 0 } = decodeJwt(idToken);
      expect(exp - iat).toBe(180);
      const inTime = ({ code = 0, family = 0 }: Record<string, number>, most: number) =>
        // Whole seconds, counted before the rows are written.
        [code > 25 && code <= 30, family > most - 5 && family <= most];
      expect(inTime(await lives(client), 1_000)).toEqual([true, true]);
      await tokens(own);
      expect(inTime(await lives(own), 600)).toEqual([true, true]);
      expect((await tokens(hasty)).expires_in).toBe(90);
      const { rows } = await sql<{ left: number }>`
        select extract(epoch from expires_at - now())::float8 as left from sessions
          where uid = ${browser.sessionUid}`.execute(database.db.kysely);
      expect(rows[0]?.left).toBeGreaterThan(300);
      expect(rows[0]?.left).toBeLessThanOrEqual(400);
    } finally {
      await set.stop();
    }
  });

  test("a client's own, for tokens of userinfo as well", async () => {
    const client = await personal({ settings: { accessTokenTtl: 90 } });
    expect((await tokensOf(client, { scope: 'openid' })).expires_in).toBe(90);
    expect((await tokensOf(client, { resource: plain, scope: 'openid read' })).expires_in).toBe(90);
  });

  test('the end of a family is absolute: no refresh moves it, and no token of it lives longer', async () => {
    const client = await personal({ settings: { familyTtl: 600 } });
    const first = await tokensOf(client, { scope: 'openid offline_access' });
    const ends = async () =>
      (
        await database.db.kysely
          .selectFrom('grants')
          .select('expires_at')
          .where('client_id', '=', client.clientId)
          .executeTakeFirstOrThrow()
      ).expires_at.getTime();
    const end = await ends();
    expect(Math.abs(end - Date.now() - 600_000)).toBeLessThan(60_000);
    const second = await refresh(one.url, client, first.refresh_token);
    expect(second.status).toBe(200);
    expect(await ends()).toBe(end);
    const { exp } = (await introspect(client, second.body.refresh_token)).body as { exp?: number };
    expect(exp).toBe(Math.floor(end / 1000));
  });
});

describe('COMPATIBILITY 14: resource', () => {
  test('gives aud; an unknown one, and one that is not open to the client, give invalid_target', async () => {
    const closed = 'https://closed.example.com';
    await seed.api(closed);
    const narrow = await seed.client({ type: 'machine', apis: apis.slice(0, 1) });
    const { body } = await introspect(callers.get(plain), await machineToken(plain, narrow));
    expect(body.aud).toBe(plain);
    for (const resource of [
      closed,
      'https://unknown.example.com',
      'not a uri',
      `${plain}#fragment`,
    ]) {
      const answer = await post(one.url, '/token', narrow, {
        grant_type: 'client_credentials',
        resource,
      });
      expect({ resource, ...answer }).toMatchObject({
        status: 400,
        body: { error: 'invalid_target' },
      });
    }
  });

  test('one with another slash at its end is another API', async () => {
    const slashed = `${plain}/`;
    const answer = await post(one.url, '/token', machine, {
      grant_type: 'client_credentials',
      resource: slashed,
    });
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_target' } });
  });

  test('a default API, by client, for those that never send it', async () => {
    const lazy = await seed.client({ type: 'machine', apis, settings: { defaultResource: plain } });
    const { status, body } = await post(one.url, '/token', lazy, {
      grant_type: 'client_credentials',
      scope: 'read',
    });
    expect(status).toBe(200);
    expect((await introspect(callers.get(plain), body.access_token)).body.aud).toBe(plain);
    // Who names another API still gets that one.
    const named = await machineToken(byAlg('ES256'), lazy);
    expect((await introspect(callers.get(byAlg('ES256')), named)).body.aud).toBe(byAlg('ES256'));
    // Who has no default is told what is missing.
    expect(
      (await post(one.url, '/token', machine, { grant_type: 'client_credentials', scope: 'read' }))
        .body,
    ).toMatchObject({ error: 'invalid_target' });
  });

  test('a default API for people: consent, code, refresh and audience go by it, and userinfo stays shut', async () => {
    const lazy = await personal({ settings: { defaultResource: plain } });
    const first = await tokensOf(lazy, { scope: 'openid offline_access read' });
    const again = await refresh(one.url, lazy, first.refresh_token);
    for (const token of [first.access_token, again.body.access_token]) {
      expect((await introspect(callers.get(plain), token)).body).toMatchObject({
        aud: plain,
        scope: 'read',
      });
      const userinfo = await fetch(new URL('/userinfo', one.url), {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(userinfo.status).toBe(403);
    }
  });

  test('a default API that is not among those the client may ask for is refused', async () => {
    await expect(
      seed.client({ type: 'machine', settings: { defaultResource: plain } }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
  });
});

describe('COMPATIBILITY 13: a refresh token', () => {
  test('is given without prompt=consent, where consent is stored', async () => {
    const first = await tokensOf(await personal(), { scope: 'openid offline_access' });
    expect(first.refresh_token).toEqual(expect.stringMatching(/^vs_rt_/));
  });

  test('is kept by a client that asks for it, and works again and again', async () => {
    const client = await personal({ settings: { refreshRotation: 'keep' } });
    const { refresh_token: token } = await tokensOf(client, { scope: 'openid offline_access' });
    for (let time = 0; time < 3; time++) {
      const { status, body } = await refresh(time % 2 === 0 ? one.url : two.url, client, token);
      expect({ status, token: body.refresh_token }).toEqual({ status: 200, token });
    }
  });

  test('is never kept by a public client: whoever found it could use it for ever', async () => {
    await expect(
      seed.client({ type: 'spa', settings: { refreshRotation: 'keep' } }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
  });
});

describe('RFC 9701: introspection answers as JWT', () => {
  const accept = 'application/token-introspection+jwt';
  const ask = (caller: Credentials, token: string, server = one) =>
    fetch(new URL('/introspect', server.url), {
      method: 'POST',
      headers: { accept, ...basic(caller) },
      body: new URLSearchParams({ token }),
    });

  test('signed, for the API that asks, with what the JSON answer says', async () => {
    const caller = callers.get(plain) as Credentials;
    for (const token of [await machineToken(plain), 'vs_mt_unknown']) {
      const response = await ask(caller, token);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch(`${accept}`);
      const { payload, protectedHeader } = await jwtVerify(await response.text(), keys(), {
        issuer,
        audience: caller.clientId,
        typ: 'token-introspection+jwt',
      });
      expect(protectedHeader.alg).toBe('RS256');
      expect(Math.abs((payload.iat as number) - Date.now() / 1000)).toBeLessThan(60);
      // RFC 9701, section 5: nothing that makes it look like a token of its own.
      for (const claim of ['sub', 'exp']) expect(payload).not.toHaveProperty(claim);
      expect(payload.token_introspection).toEqual((await introspect(caller, token)).body);
    }
  });

  test('signed with the algorithm that the caller asked for', async () => {
    const caller = await seed.api('https://signed.example.com');
    await services().clients.update(caller.clientId, { introspectionSigningAlg: 'EdDSA' }, 'test');
    const alg = async () => decodeProtectedHeader(await (await ask(caller, 'unknown')).text()).alg;
    await until(async () => (await alg()) === 'EdDSA');
    expect(await alg()).toBe('EdDSA');
  });

  test('signed and encrypted to the key of the caller, who then never gets it in the clear', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = { ...(publicKey.export({ format: 'jwk' }) as JWK), use: 'enc', kid: 'e' };
    const secret = 'https://secret.example.com';
    const caller = await seed.api(secret);
    await services().clients.update(
      caller.clientId,
      { introspectionEncryptionAlg: 'ECDH-ES', jwks: { keys: [jwk as Record<string, unknown>] } },
      'test',
    );
    const asking = await seed.client({
      type: 'machine',
      apis: [{ identifier: secret, scopes: ['read'] }],
    });
    const token = await machineTokenSoon(secret, asking);
    const key = await importJWK(privateKey.export({ format: 'jwk' }) as JWK, 'ECDH-ES');
    for (const server of [one, two]) {
      /** Undefined while the process has not heard of the key, or of the API. */
      const told = async () => {
        const text = await (await ask(caller, token, server)).text();
        if (text.split('.').length !== 5) return undefined;
        const { plaintext } = await compactDecrypt(text, key);
        const { payload } = await jwtVerify(new TextDecoder().decode(plaintext), keys(), {
          issuer,
          audience: caller.clientId,
        });
        return payload.token_introspection as Record<string, unknown>;
      };
      await until(async () => (await told())?.active === true);
      expect(await told()).toMatchObject({ active: true, aud: secret });
      expect((await post(server.url, '/introspect', caller, { token })).body).toMatchObject({
        error: 'invalid_request',
      });
    }
  });

  test('an encrypted answer needs a key, and a key that is private is refused', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await expect(
      seed.client({ type: 'machine', apis, introspectionEncryptionAlg: 'ECDH-ES' }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
    expect(
      newClientSchema.safeParse({
        name: 'x',
        type: 'machine',
        jwks: { keys: [privateKey.export({ format: 'jwk' })] },
      }).success,
    ).toBe(false);
  });
});

test('COMPATIBILITY 16: introspection with Basic tells Kong and APISIX what they read', async () => {
  const client = await personal();
  const { access_token: token } = await tokensOf(client, {
    resource: plain,
    scope: 'openid email read',
  });
  const { status, body } = await introspect(callers.get(plain), token);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    active: true,
    sub: accountId,
    client_id: client.clientId,
    scope: 'read',
    exp: expect.any(Number),
    iat: expect.any(Number),
    aud: plain,
    iss: issuer,
    token_type: 'Bearer',
  });
  expect(body).not.toHaveProperty('username');
  expect(await introspect(callers.get(plain), 'unknown')).toEqual({
    status: 200,
    body: { active: false },
  });
});

test('COMPATIBILITY 8: email_verified is a JSON boolean', async () => {
  const client = await personal();
  const tokens = await tokensOf(client, { scope: 'openid email' });
  const userinfo = await fetch(new URL('/userinfo', one.url), {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  });
  const told = (await userinfo.json()) as Record<string, unknown>;
  expect(told.email_verified).toBe(true);
  await database.db.kysely
    .updateTable('accounts')
    .set({ email_verified_at: null })
    .where('id', '=', accountId)
    .execute();
  const later = await fetch(new URL('/userinfo', two.url), {
    headers: { authorization: `Bearer ${tokens.access_token}` },
  });
  expect(((await later.json()) as Record<string, unknown>).email_verified).toBe(false);
  await database.db.kysely
    .updateTable('accounts')
    .set({ email_verified_at: new Date() })
    .where('id', '=', accountId)
    .execute();
});

test('COMPATIBILITY 1: the issuer of discovery is that of every token, byte for byte', async () => {
  const { issuer: discovered } = await discovery();
  expect(discovered).toBe(issuer);
  const client = await personal();
  const resource = byAlg('ES256');
  const tokens = await tokensOf(client, { resource, scope: 'openid read' });
  for (const token of [tokens.access_token, tokens.id_token])
    expect((await jwtVerify(token, keys())).payload.iss).toBe(discovered);
  expect((await introspect(callers.get(resource), tokens.access_token)).body.iss).toBe(discovered);
  const { response } = await browser.ask(one.url, client, { scope: 'openid' });
  const location = new URL(response.headers.get('location') as string);
  expect(location.href.startsWith(redirectUri)).toBe(true);
  expect(location.searchParams.get('iss')).toBe(discovered);
});

test('a change of an API or a client is seen on every process within two seconds, and tokens that are out stay', async () => {
  const identifier = 'https://changing.example.com';
  const caller = await seed.api(identifier, 'jwt');
  const client = await seed.client({ type: 'machine', apis: [{ identifier, scopes: ['read'] }] });
  const before = await machineTokenSoon(identifier, client);
  await services().servers.update(
    identifier,
    { tokenFormat: 'opaque', accessTokenTtl: 300 },
    'test',
  );
  for (const server of [one, two])
    await until(async () => {
      const { body } = await post(server.url, '/token', client, {
        grant_type: 'client_credentials',
        resource: identifier,
      });
      return body.access_token.startsWith('vs_mt_') && body.expires_in === 300;
    });
  expect((await introspect(caller, before)).body.active).toBe(true);
  const { count } = await database.db.kysely
    .selectFrom('audit_events')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('type', '=', 'resource_server.changed')
    .executeTakeFirstOrThrow();
  expect(count).toBeGreaterThan(0);
});

test('a JWT stays good when its API asks for another typ, and one that the API never asked for never is', async () => {
  const identifier = 'https://spring.example.com';
  const caller = await seed.api(identifier, 'jwt', undefined, { tokenTyp: 'JWT' });
  const client = await seed.client({ type: 'machine', apis: [{ identifier, scopes: ['read'] }] });
  const before = await machineTokenSoon(identifier, client);
  expect(decodeProtectedHeader(before).typ).toBe('JWT');
  await services().servers.update(identifier, { tokenTyp: 'at+jwt' }, 'test');
  await until(
    async () => decodeProtectedHeader(await machineToken(identifier, client)).typ === 'at+jwt',
  );
  for (const server of [one, two])
    await until(
      async () =>
        (await post(server.url, '/introspect', caller, { token: before })).body.active === true,
    );
  // It can still be revoked, and then is nowhere good.
  expect((await post(one.url, '/revoke', client, { token: before })).status).toBe(200);
  expect((await post(two.url, '/introspect', caller, { token: before })).body).toEqual({
    active: false,
  });
  const { plain_typ_until: plainUntil } = await database.db.kysely
    .selectFrom('resource_servers')
    .select('plain_typ_until')
    .where('identifier', '=', identifier)
    .executeTakeFirstOrThrow();
  expect((plainUntil as Date).getTime()).toBeGreaterThan(Date.now() + 86_400_000);
  expect(
    await database.db.kysely
      .selectFrom('resource_servers')
      .select('plain_typ_until')
      .where('identifier', '=', byAlg('ES256'))
      .executeTakeFirstOrThrow(),
  ).toEqual({ plain_typ_until: null });
});

/** As the command line has them: another process than the servers. */
function services() {
  const servers = new ResourceServerService(database.db);
  return { servers, clients: new ClientService(database.db, servers) };
}
