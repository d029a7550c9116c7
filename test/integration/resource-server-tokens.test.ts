import { createHmac, randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { base64url } from 'jose';
import {
  AuthorizationError,
  createResourceServer,
  type Requirements,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { FakeIssuer, type FakeKey, fakeKey } from '../support/fake-issuer.ts';
import { now } from '../support/proofs.ts';

/** What an API takes, and what it answers: against an issuer that may be anything. Numbers are SECURITY.md's. */

const audience = 'https://api.example.com';
const keys: Record<string, FakeKey> = {};

let issuer: FakeIssuer;
let api: ResourceServer;
let reported: string[];

beforeEach(async () => {
  for (const alg of ['ES256', 'RS256', 'PS256', 'EdDSA']) keys[alg] ??= await fakeKey(alg);
  issuer = await FakeIssuer.start(...Object.values(keys));
  issuer.feed(() => ({}));
  reported = [];
  api = create();
});

afterEach(async () => {
  api.close();
  await issuer.down();
});

function create(options: Partial<ResourceServerOptions> = {}): ResourceServer {
  return createResourceServer({
    issuer: issuer.issuer,
    audience,
    clientId: 'api',
    clientSecret: 'the secret: a+b%',
    timeout: 0.5,
    onError: ({ message }) => reported.push(message),
    ...options,
  });
}

const request = (headers: Record<string, string> = {}, url = `${audience}/invoices`) =>
  new Request(url, { headers });
const bearing = (token: string) => request({ authorization: `Bearer ${token}` });

/** The refusal, whole. */
async function refusalOf(answer: Promise<unknown>): Promise<AuthorizationError> {
  const error = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AuthorizationError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

async function refused(token: string, server = api): Promise<void> {
  const { status, code, challenges } = await refusalOf(server.authenticate(bearing(token)));
  expect([status, code]).toEqual([401, 'invalid_token']);
  expect(challenges).toEqual([expect.stringMatching(/^Bearer error="invalid_token", /)]);
}

const take = (token: string, required?: Requirements) => api.authenticate(bearing(token), required);

describe('JWTs', () => {
  test('a token of the issuer tells who calls', async () => {
    const claims = { acr: 'urn:vouchsafe:acr:2fa', auth_time: now() - 60, exp: now() + 60 };
    const auth = await take(await issuer.token(audience, claims));
    expect(auth).toMatchObject({
      kind: 'jwt',
      sub: 'u_ann',
      clientId: 'quillet',
      isClient: false,
      acr: 'urn:vouchsafe:acr:2fa',
      authTime: new Date(claims.auth_time * 1_000),
      expiresAt: new Date(claims.exp * 1_000),
      binding: undefined,
    });
    expect([...auth.scopes]).toEqual(['read', 'write']);
    expect(auth.claims['iss']).toBe(issuer.issuer);
    expect(issuer.count('/introspect')).toBe(0);
  });

  test('SECURITY 11: a client that acts for itself is told apart from a person', async () => {
    const auth = await take(await issuer.token(audience, { sub: 'quillet' }));
    expect([auth.sub, auth.isClient]).toEqual(['quillet', true]);
  });

  test.each(['ES256', 'RS256', 'PS256', 'EdDSA'])('%s is taken', async (alg) => {
    const token = await issuer.token(audience, {}, { key: keys[alg] as FakeKey });
    expect((await take(token)).sub).toBe('u_ann');
  });

  test.each<[string, Record<string, unknown>]>([
    ['another audience', { aud: 'https://other.example.com' }],
    ['an audience that begins alike', { aud: `${audience}.evil.example` }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['no issuer', { iss: undefined }],
    ['past', { exp: now() - 10 }],
    ['without an end', { exp: undefined }],
    ['not yet good', { nbf: now() + 60 }],
    ['of the future', { iat: now() + 60 }],
    ['no client', { client_id: undefined }],
    ['a client that is no string', { client_id: 7 }],
    ['no subject', { sub: undefined }],
    ['no id', { jti: undefined }],
    ['no time of issue', { iat: undefined }],
    ['a scope that is no string', { scope: ['read'] }],
    ['bound to what nobody knows', { cnf: { kid: 'x' } }],
    ['bound to nonsense', { cnf: 'x' }],
    ['an ID token with the right type', { nonce: 'n' }],
    ['a logout token with the right type', { events: {} }],
  ])('refused: %s', async (_name, claims) => {
    await refused(await issuer.token(audience, claims));
  });

  test('several audiences are taken, if this API is one of them', async () => {
    const aud = ['https://other.example.com', audience];
    expect((await take(await issuer.token(audience, { aud }))).sub).toBe('u_ann');
  });

  test('clocks may differ by the tolerance, and not by more', async () => {
    expect((await take(await issuer.token(audience, { exp: now() - 2 }))).sub).toBe('u_ann');
    await refused(await issuer.token(audience, { exp: now() - 2 }), create({ clockTolerance: 0 }));
  });

  test('a token that was good ends in its time', async () => {
    const token = await issuer.token(audience, { exp: now() + 3 });
    expect((await take(token)).sub).toBe('u_ann');
    expect((await after(7, () => take(token))).sub).toBe('u_ann');
    expect((await refusalOf(after(9, () => take(token)))).message).toBe('the token has ended');
  });

  test('SECURITY JWT: an ID token is no access token; typ JWT is taken only where that is said', async () => {
    const typed = (typ?: string) => issuer.token(audience, {}, { header: { typ } });
    const lax = create({ acceptTypJwt: true });
    for (const typ of [undefined, 'JWT', 'logout+jwt', 'secevent+jwt', 'dpop+jwt']) {
      await refused(await typed(typ));
      if (typ !== 'JWT') await refused(await typed(typ), lax);
    }
    expect((await lax.authenticate(bearing(await typed('JWT')))).sub).toBe('u_ann');
    for (const typ of ['application/at+jwt', 'AT+JWT'])
      expect((await take(await typed(typ))).sub).toBe('u_ann');
    // An ID token of an app names the app as its audience, and has no client id.
    await refused(
      await issuer.token('quillet', { client_id: undefined }, { header: { typ: 'JWT' } }),
      lax,
    );
    lax.close();
  });

  test('SECURITY 28: no algorithm but those that are allowed', async () => {
    const [, payload = ''] = (await issuer.token(audience)).split('.');
    const header = (alg: string, kid?: string) =>
      base64url.encode(JSON.stringify({ alg, typ: 'at+jwt', kid }));
    await refused(`${header('none')}.${payload}.`);
    await refused(`${header('None')}.${payload}.AA`);
    // The public key as the secret of an HMAC, in each form that one may take it in.
    for (const secret of [JSON.stringify(keys['RS256']?.jwk), keys['RS256']?.jwk.n ?? '']) {
      const signed = `${header('HS256', keys['RS256']?.kid)}.${payload}`;
      const mac = createHmac('sha256', secret).update(signed).digest('base64url');
      await refused(`${signed}.${mac}`);
    }
    await refused(await issuer.token(audience), create({ algorithms: ['RS256'] }));
    expect(() => create({ algorithms: ['HS256'] })).toThrow('no asymmetric signing algorithm');
    expect(() => create({ algorithms: ['none'] })).toThrow('no asymmetric signing algorithm');
  });

  test('SECURITY JWT: a broken signature, or one by a key of nobody', async () => {
    const token = await issuer.token(audience);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const flipped = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1);
    await refused(`${head}.${payload}.${flipped}`);
    await refused(`${head}.${base64url.encode(JSON.stringify({ sub: 'u_bob' }))}.${signature}`);
    const stranger = await fakeKey('ES256', keys['ES256']?.kid);
    await refused(await issuer.token(audience, {}, { key: stranger }));
  });

  test('SECURITY JWT: nothing that a header names is followed', async () => {
    const stranger = await fakeKey('ES256', 'strange');
    const evil = await FakeIssuer.start(stranger);
    try {
      const named = { jku: `${evil.issuer}/jwks`, x5u: `${evil.issuer}/jwks`, jwk: stranger.jwk };
      await refused(await issuer.token(audience, {}, { key: stranger, header: named }));
      await refused(await issuer.token(audience, {}, { header: { crit: ['b64'], b64: true } }));
      expect(evil.asked).toEqual([]);
    } finally {
      await evil.down();
    }
  });

  test('hostile key ids are harmless', async () => {
    for (const kid of [
      "'; drop table keys",
      '../../etc/passwd',
      '__proto__',
      'x'.repeat(4_000),
      7,
    ]) {
      await refused(await issuer.token(audience, {}, { header: { kid } }));
    }
    // However many are named: the keys are read once, and not again so soon.
    expect(issuer.count('/jwks')).toBe(1);
  });

  test('a token that is encrypted for somebody, or too long, goes nowhere', async () => {
    await refused(['a', 'b', 'c', 'd', 'e'].join('.'));
    await refused('x'.repeat(20_000));
    expect(issuer.asked.filter(({ path }) => path === '/jwks')).toEqual([]);
  });
});

describe('the keys of the issuer', () => {
  test('are kept as long as the issuer says, and while it is away', async () => {
    issuer.jwksHeaders = { 'cache-control': 'public, max-age=3600' };
    for (let calls = 0; calls < 5; calls++) await take(await issuer.token(audience));
    expect(issuer.count('/jwks')).toBe(1);
    await issuer.down();
    expect((await take(await issuer.token(audience))).sub).toBe('u_ann');
  });

  test('past their time they are read again; while that can’t be, they serve on, for a day', async () => {
    let hangs = false;
    const maybeHang: typeof fetch = (...args) => (hangs ? new Promise(() => {}) : fetch(...args));
    const server = create({ revocationFeed: false, fetch: maybeHang });
    const token = await issuer.token(audience);
    const call = () => server.authenticate(bearing(token)).then(({ sub }) => sub);
    await call();
    await after(400, call);
    expect(issuer.count('/jwks')).toBe(2);
    const next = await fakeKey();
    issuer.keys = [next];
    const signed = await issuer.token(audience, {}, { key: next });
    expect((await after(420, () => server.authenticate(bearing(signed)))).sub).toBe('u_ann');
    // A key that is gone takes its tokens along.
    expect((await refusalOf(after(4_000, call))).code).toBe('invalid_token');
    expect(issuer.count('/.well-known/oauth-authorization-server')).toBe(2);
    const old = create({ revocationFeed: false });
    await old.authenticate(bearing(signed));
    issuer.routes['/jwks'] = () => 'hang';
    const serves = async (seconds: number) =>
      expect((await after(seconds, () => server.authenticate(bearing(signed)))).sub).toBe('u_ann');
    await serves(8_000);
    await serves(80_000);
    const refusal = await refusalOf(after(100_000, () => old.authenticate(bearing(signed))));
    expect(refusal.status).toBe(503);
    // By now nobody waits for an answer, which never comes.
    hangs = true;
    await serves(81_000);
  });

  test('a call that can’t be judged is refused as such, and goes on when the issuer is back', async () => {
    const token = await issuer.token(audience);
    await issuer.down();
    const { status, code, challenges, headers } = await refusalOf(take(token));
    expect([status, code, challenges]).toEqual([503, 'temporarily_unavailable', []]);
    expect(headers['Retry-After']).toBe('5');
    expect(reported.join()).toContain('does not answer');
    await issuer.up();
    await expect(untilTaken(token)).resolves.toBe('u_ann');
  });

  test('an issuer that hangs, answers nonsense, or without end', async () => {
    const token = await issuer.token(audience);
    issuer.routes['/elsewhere'] = () => ({ body: issuer.metadata() });
    const routes = { ...issuer.routes };
    for (const [path, route] of [
      ['/.well-known/oauth-authorization-server', () => 'hang' as const],
      ['/.well-known/oauth-authorization-server', () => ({ body: 'no JSON' })],
      ['/.well-known/oauth-authorization-server', () => ({ body: [] })],
      ['/.well-known/oauth-authorization-server', () => ({ status: 500 })],
      [
        '/.well-known/oauth-authorization-server',
        () => ({ status: 302, headers: { location: '/elsewhere' } }),
      ],
      ['/jwks', () => 'hang' as const],
      ['/jwks', () => ({ body: { keys: 'none' } })],
      [
        '/jwks',
        () => ({ body: { keys: issuer.keys.map(({ jwk }) => jwk), pad: 'x'.repeat(300_000) } }),
      ],
      ['/jwks', () => ({ status: 404 })],
    ] as const) {
      Object.assign(issuer.routes, routes, { [path]: route });
      const server = create();
      expect((await refusalOf(server.authenticate(bearing(token)))).status).toBe(503);
      server.close();
    }
  });

  test('the metadata of another issuer is none', async () => {
    const token = await issuer.token(audience);
    issuer.routes['/.well-known/oauth-authorization-server'] = () => ({
      body: { ...issuer.metadata(), issuer: 'https://evil.example' },
    });
    expect((await refusalOf(take(token))).status).toBe(503);
    expect(reported.join()).toContain('another issuer');
    expect(issuer.count('/jwks')).toBe(0);
  });

  test('metadata of OpenID Connect alone is found too', async () => {
    const metadata = issuer.routes['/.well-known/oauth-authorization-server'];
    delete issuer.routes['/.well-known/oauth-authorization-server'];
    Object.assign(issuer.routes, { '/.well-known/openid-configuration': metadata });
    expect((await take(await issuer.token(audience))).sub).toBe('u_ann');
  });
});

/** As if so many seconds had passed for our own clocks; those of the tokens go on as they are. */
async function after<Value>(seconds: number, work: () => Promise<Value>): Promise<Value> {
  const real = Date.now;
  Date.now = () => real() + seconds * 1_000;
  try {
    return await work();
  } finally {
    Date.now = real;
  }
}

async function untilTaken(token: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      return (await take(token)).sub;
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe('opaque tokens', () => {
  const answer = (extra: Record<string, unknown> = {}) => ({
    active: true,
    iss: issuer.issuer,
    aud: audience,
    sub: 'u_ann',
    client_id: 'quillet',
    token_type: 'Bearer',
    scope: 'read',
    iat: now(),
    exp: now() + 600,
    ...extra,
  });

  /** A token of which the issuer tells so. */
  function known(extra: Record<string, unknown> = {}): string {
    const token = randomUUID();
    issuer.introspected.set(
      token,
      JSON.parse(JSON.stringify(answer(extra))) as Record<string, unknown>,
    );
    return token;
  }

  test('the issuer is asked, with URL-encoded credentials, and its answer kept for a moment', async () => {
    const token = known({ acr: 'urn:vouchsafe:acr:1fa', auth_time: now() });
    const auths = await Promise.all(Array.from({ length: 20 }, () => take(token)));
    await take(token);
    expect(auths[0]).toMatchObject({
      kind: 'opaque',
      sub: 'u_ann',
      clientId: 'quillet',
      isClient: false,
    });
    expect(issuer.count('/introspect')).toBe(1);
    const [asked] = issuer.asked.filter(({ path }) => path === '/introspect');
    expect(Object.fromEntries(asked?.form ?? [])).toEqual({
      token,
      token_type_hint: 'access_token',
    });
    const [, pair = ''] = asked?.authorization?.split(' ') ?? [];
    expect(Buffer.from(pair, 'base64').toString()).toBe('api:the+secret%3A+a%2Bb%25');
  });

  test('what one call does with its answer reaches no other', async () => {
    const token = known({ permissions: ['a'] });
    const first = await take(token);
    (first.scopes as Set<string>).add('admin');
    (first.claims['permissions'] as string[]).push('b');
    first.expiresAt.setFullYear(2100);
    const second = await take(token);
    expect([...second.scopes]).toEqual(['read']);
    expect(second.claims['permissions']).toEqual(['a']);
    expect(second.expiresAt.getFullYear()).toBeLessThan(2100);
  });

  test('with a cache of no time the issuer is asked about every call', async () => {
    const server = create({ introspection: { cacheTtl: 0 } });
    const token = known();
    await server.authenticate(bearing(token));
    issuer.introspected.delete(token);
    await refused(token, server);
    expect(issuer.count('/introspect')).toBe(2);
  });

  test('the cache has a size, and what is not good stays in it too', async () => {
    const server = create({ introspection: { cacheSize: 2 } });
    const [one, two] = [known(), 'nobody'];
    await server.authenticate(bearing(one));
    await refused(two, server);
    await refused(two, server);
    await server.authenticate(bearing(one));
    expect(issuer.count('/introspect')).toBe(2);
    // Those that are made up drive out none that is live.
    for (const made of ['up', 'by', 'somebody']) await refused(made, server);
    await server.authenticate(bearing(one));
    expect(issuer.count('/introspect')).toBe(5);
    for (const other of [known(), known()]) await server.authenticate(bearing(other));
    await server.authenticate(bearing(one));
    expect(issuer.count('/introspect')).toBe(8);
  });

  test.each<[string, Record<string, unknown>]>([
    ['not active', { active: false }],
    ['active by another word', { active: 'true' }],
    ['SECURITY 10: for another API', { aud: 'https://other.example.com' }],
    ['for nobody', { aud: undefined }],
    ['of another issuer', { iss: 'https://evil.example' }],
    ['past', { exp: now() - 1 }],
    ['without an end', { exp: undefined }],
    ['not yet good', { nbf: now() + 60 }],
    ['a refresh token', { token_type: undefined }],
    ['no client', { client_id: undefined }],
    ['bound to what nobody knows', { cnf: { kid: 'x' } }],
  ])('refused: %s', async (_name, extra) => {
    await refused(known(extra));
  });

  test('the token of a client itself may have no subject', async () => {
    const auth = await take(known({ sub: undefined }));
    expect([auth.sub, auth.isClient]).toEqual(['quillet', true]);
  });

  test('no call goes on that nobody can tell of', async () => {
    const token = known();
    await take(token);
    for (const route of [
      () => ({ status: 401, body: { error: 'invalid_client' } }),
      () => ({ status: 500, body: {} }),
      () => ({ status: 429, body: {} }),
      () => ({ body: 'active' }),
      () => 'hang' as const,
    ]) {
      issuer.routes['/introspect'] = route;
      const { status } = await refusalOf(create().authenticate(bearing(token)));
      expect(status).toBe(503);
    }
    await issuer.down();
    expect((await refusalOf(create().authenticate(bearing(token)))).status).toBe(503);
    expect(reported.join()).toContain('does not know clientId and clientSecret');
    expect(reported.join()).not.toContain(token);
    expect(reported.join()).not.toContain('the secret');
  });

  test('without credentials they are refused; by credentials, JWTs may be asked about too', async () => {
    await refused(known(), create({ clientId: undefined, clientSecret: undefined }));
    const token = await issuer.token(audience);
    const asking = create({ jwt: 'introspect' });
    await refused(token, asking);
    issuer.introspected.set(token, answer());
    const server = create({ jwt: 'introspect' });
    expect((await server.authenticate(bearing(token))).kind).toBe('opaque');
    expect(issuer.count('/jwks')).toBe(0);
  });
});

describe('what a call needs, and the challenges', () => {
  test('no token: a challenge that tells nothing more', async () => {
    const named = create({ realm: 'Ledger' });
    for (const headers of [{}, { authorization: 'Basic YTpi' }, { authorization: '' }]) {
      const error = await refusalOf(named.authenticate(request(headers)));
      expect([error.status, error.code, error.challenges]).toEqual([
        401,
        'missing_token',
        ['Bearer realm="Ledger"'],
      ]);
    }
    expect((await refusalOf(api.authenticate(request()))).challenges).toEqual(['Bearer']);
    expect(issuer.asked).toEqual([]);
  });

  test.each<[string, Request]>([
    ['SECURITY 10: a token in the query', request({}, `${audience}/invoices?access_token=x`)],
    [
      'SECURITY 10: a token in the query beside one in the header',
      request({ authorization: 'Bearer x' }, `${audience}/?a=b&access%5Ftoken=x`),
    ],
    ['two tokens in one field', request({ authorization: 'Bearer x, Bearer y' })],
    ['no token after the scheme', request({ authorization: 'Bearer' })],
    ['characters that no token has', request({ authorization: 'Bearer a"b' })],
  ])('a request that can’t be meant: %s', async (_name, malformed) => {
    const error = await refusalOf(api.authenticate(malformed));
    expect([error.status, error.code]).toEqual([400, 'invalid_request']);
    expect(error.challenges).toEqual([expect.stringMatching(/^Bearer error="invalid_request", /)]);
    expect(issuer.asked).toEqual([]);
  });

  test('all scopes are needed', async () => {
    const token = await issuer.token(audience, { scope: 'read write:all' });
    expect((await take(token, { scopes: 'read' })).sub).toBe('u_ann');
    expect((await take(token, { scopes: ['read', 'write:all'] })).sub).toBe('u_ann');
    for (const scopes of ['write', 'read write', ['read', 'write'], 'READ']) {
      const error = await refusalOf(take(token, { scopes }));
      expect([error.status, error.code]).toEqual([403, 'insufficient_scope']);
      expect(error.challenges).toEqual([
        `Bearer error="insufficient_scope", error_description="the token does not allow this", scope="${[scopes].flat().join(' ')}"`,
      ]);
    }
  });

  test('step-up: how and when the person was authenticated', async () => {
    const token = await issuer.token(audience, { acr: 'one', auth_time: now() - 100, scope: '' });
    expect((await take(token, { acr: ['two', 'one'], maxAge: 200 })).sub).toBe('u_ann');
    const stronger = await refusalOf(take(token, { acr: ['two', 'three'], scopes: 'read' }));
    expect([stronger.status, stronger.code]).toEqual([401, 'insufficient_user_authentication']);
    expect(stronger.challenges).toEqual([
      'Bearer error="insufficient_user_authentication", error_description="the person must sign in with stronger proof", acr_values="two three"',
    ]);
    const newer = await refusalOf(take(token, { maxAge: 60 }));
    expect(newer.challenges).toEqual([
      'Bearer error="insufficient_user_authentication", error_description="the person must sign in again", max_age="60"',
    ]);
    // Who is not known to have signed in at all has not done it well, or lately.
    const bare = await issuer.token(audience);
    expect((await refusalOf(take(bare, { maxAge: 60 }))).status).toBe(401);
    expect((await refusalOf(take(bare, { acr: 'one' }))).status).toBe(401);
  });

  test('nothing ends a header early', async () => {
    const quoted = create({ realm: 'a"\r\nSet-Cookie: x=y\\' });
    const { challenges } = await refusalOf(quoted.authenticate(request()));
    expect(challenges).toEqual(['Bearer realm="a\'??Set-Cookie: x=y?"']);
  });

  test('a requirement that is none is a mistake, not one that everybody meets', () => {
    for (const requirements of [
      { scope: 'read' } as Requirements,
      { scopes: [] },
      { scopes: '' },
      { scopes: 'a"b' },
      { maxAge: -1 },
      { maxAge: Number.NaN },
      { binding: 'tls' } as unknown as Requirements,
    ])
      expect(() => api.koa(requirements)).toThrow(TypeError);
  });

  test('options that can’t be meant are refused', () => {
    for (const options of [
      { issuer: 'http://login.example.com' },
      { issuer: 'login.example.com' },
      { issuer: 'https://login.example.com?x' },
      { audience: '' },
      { clientSecret: undefined },
      { clientId: undefined, clientSecret: undefined, jwt: 'introspect' },
      { jwt: 'no' },
      { clockTolerance: -1 },
      { clockTolerance: 31 },
      { introspection: { cacheTtl: Number.NaN } },
      { dpop: { nonceSecret: 'short' } },
      { audience: 'urn:api', dpop: {} },
      { publicUrl: 'urn:api' },
      { revocationFeed: { whenStale: 'ignore' } },
      { dPoP: { required: true } },
      { dpop: { require: true } },
      { metadata: { scope: [] } },
    ])
      expect(() => create(options as Partial<ResourceServerOptions>)).toThrow(TypeError);
    expect(() => create({ issuer: 'http://login.example.com', allowHttp: true })).not.toThrow();
  });
});
