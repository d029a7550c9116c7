import { createHash, randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  AuthorizationError,
  createResourceServer,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { Revocations } from '../../resource-server/revocations.ts';
import { FakeIssuer, fakeKey } from '../support/fake-issuer.ts';
import { now } from '../support/proofs.ts';
import { until } from '../support/process.ts';

/** JWTs that were revoked: what an API learns by the issuer's feed, and what it does when it learns nothing. */

const audience = 'https://api.example.com';
const feedPath = '/revocations';

let issuer: FakeIssuer;
let reported: string[];
const created: ResourceServer[] = [];

beforeEach(async () => {
  issuer = await FakeIssuer.start();
  issuer.feed(() => ({}));
  reported = [];
});

afterEach(async () => {
  for (const api of created.splice(0)) api.close();
  await issuer.down();
});

function create(
  revocationFeed: ResourceServerOptions['revocationFeed'] = {},
  options: Partial<ResourceServerOptions> = {},
): ResourceServer {
  const api = createResourceServer({
    issuer: issuer.issuer,
    audience,
    clientId: 'api',
    clientSecret: 'secret',
    timeout: 0.5,
    revocationFeed: revocationFeed === false ? false : { pollInterval: 0.05, ...revocationFeed },
    onError: ({ message }) => reported.push(message),
    ...options,
  });
  created.push(api);
  return api;
}

/** What becomes of a call with the token: 200, or the status of the refusal. */
async function statusOf(api: ResourceServer, token: string): Promise<number> {
  const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } });
  try {
    await api.authenticate(request);
    return 200;
  } catch (error) {
    if (!(error instanceof AuthorizationError)) throw error;
    return error.status;
  }
}

const hashOf = (jti: string) => createHash('sha256').update(jti).digest('base64url');

test('a token that was revoked is refused at the next poll, and no other', async () => {
  const api = create();
  const [dead, live] = [randomUUID(), randomUUID()];
  const [deadToken, liveToken] = [
    await issuer.token(audience, { jti: dead }),
    await issuer.token(audience, { jti: live }),
  ];
  expect(await statusOf(api, deadToken)).toBe(200);
  issuer.feed(() => ({ tokens: { [hashOf(dead)]: now() + 600 } }));
  await until(async () => (await statusOf(api, deadToken)) === 401);
  expect(await statusOf(api, liveToken)).toBe(200);
  // What was said once stays said.
  issuer.feed(() => ({}));
  const polled = issuer.count(feedPath);
  await until(() => issuer.count(feedPath) > polled + 2);
  expect(await statusOf(api, deadToken)).toBe(401);
  expect(issuer.count('/introspect')).toBe(0);
});

test('the first call waits for the feed', async () => {
  const jti = randomUUID();
  issuer.feed(() => ({ tokens: { [hashOf(jti)]: now() + 600 } }));
  expect(await statusOf(create(), await issuer.token(audience, { jti }))).toBe(401);
  expect(issuer.count(feedPath)).toBe(1);
});

test('all tokens of a client up to a time are dead, and those after it live', async () => {
  const before = now() - 60;
  issuer.feed(() => ({ clients: { quillet: before + 0.5, exact: before } }));
  const api = create();
  const at = (iat: number, client_id = 'quillet') => issuer.token(audience, { iat, client_id });
  expect(await statusOf(api, await at(before - 100))).toBe(401);
  expect(await statusOf(api, await at(before))).toBe(401);
  expect(await statusOf(api, await at(before + 1))).toBe(200);
  expect(await statusOf(api, await at(before, 'other'))).toBe(200);
  expect(await statusOf(api, await at(before, 'exact'))).toBe(401);
  expect(await statusOf(api, await at(before + 1, 'exact'))).toBe(200);
});

test('it goes on by the cursor, page by page where there is more', async () => {
  const jtis = [randomUUID(), randomUUID(), randomUUID()];
  issuer.feed((since) => {
    const page = Number(since ?? 0);
    const jti = jtis[page];
    return {
      cursor: String(Math.min(page + 1, 3)),
      more: page < 2,
      tokens: jti === undefined ? {} : { [hashOf(jti)]: now() + 600 },
    };
  });
  const api = create();
  for (const jti of jtis)
    expect(await statusOf(api, await issuer.token(audience, { jti }))).toBe(401);
  await until(() => issuer.count(feedPath) > 4);
  const since = issuer.asked
    .filter(({ path }) => path === feedPath)
    .map(({ query }) => query.get('since'));
  expect(since.slice(0, 5)).toEqual([null, '1', '2', '3', '3']);
});

test('a cursor that is lost: all is read anew, and nothing is forgotten meanwhile', async () => {
  const jti = randomUUID();
  const tokens = { [hashOf(jti)]: now() + 600 };
  issuer.feed((since) => ({ cursor: 'a', tokens: since === null ? tokens : {} }));
  const api = create();
  const token = await issuer.token(audience, { jti });
  expect(await statusOf(api, token)).toBe(401);
  const feed = issuer.routes[feedPath] as NonNullable<(typeof issuer.routes)[string]>;
  issuer.routes[feedPath] = (asked) =>
    asked.query.has('since') ? { status: 410, body: {} } : { status: 503, body: {} };
  const polled = issuer.count(feedPath);
  await until(() => issuer.count(feedPath) > polled + 1);
  expect(await statusOf(api, token)).toBe(401);
  issuer.routes[feedPath] = feed;
  const start = issuer.asked.length;
  await until(() => issuer.asked.slice(start).some(({ query }) => query.get('since') === 'a'));
  expect(issuer.asked.slice(start)[0]?.query.get('since')).toBeNull();
  expect(await statusOf(api, token)).toBe(401);
});

test('what the issuer did not sign just now as its feed is none, and no JWT goes on', async () => {
  const stranger = await fakeKey('ES256', issuer.keys[0]?.kid);
  const token = await issuer.token(audience);
  const page = (
    claims: Record<string, unknown> = {},
    by?: Parameters<FakeIssuer['feedPage']>[2],
    event = {},
  ) => issuer.feedPage(event, claims, by);
  const bodies: Record<string, string | Promise<string>> = {
    'no JWS': 'e30',
    'of another key': page({}, { key: stranger }),
    'of another issuer': page({ iss: 'https://evil.example' }),
    'of another type': page({}, { typ: 'at+jwt' }),
    'an access token': token,
    'of yesterday': page({ iat: now() - 86_400 }),
    'of the future': page({ iat: now() + 60 }),
    'without a time': page({ iat: undefined }),
    'without an id': page({ jti: undefined }),
    'another event': page({ events: { 'urn:other': {} } }),
    'no event': page({ events: undefined }),
    'no cursor': page({}, {}, { cursor: 7 }),
    'no times': page({}, {}, { tokens: { a: 'b' } }),
    'no list': page({}, {}, { clients: ['a'] }),
  };
  for (const [name, body] of Object.entries(bodies)) {
    const served = await body;
    issuer.routes[feedPath] = () => ({ body: served });
    expect([name, await statusOf(create(), token)]).toEqual([name, 503]);
  }
  issuer.routes[feedPath] = async () => ({ body: `${await page()}\n` });
  expect(await statusOf(create(), token)).toBe(200);
});

test('a page that somebody has kept is good for as long as it says, and not from when it was read', async () => {
  const api = create({ pollInterval: 60 });
  const token = await issuer.token(audience);
  const kept = await issuer.feedPage({}, { iat: now() - 25 });
  issuer.routes[feedPath] = () => ({ body: kept });
  expect(await statusOf(api, token)).toBe(200);
  const { now: clock } = Date;
  try {
    Date.now = () => clock() + 15_000;
    expect(await statusOf(api, token)).toBe(503);
  } finally {
    Date.now = clock;
  }
});

test('a feed that does not end, or does not go on, is none', async () => {
  const token = await issuer.token(audience);
  issuer.feed(() => ({ cursor: 'same', more: true }));
  expect(await statusOf(create(), token)).toBe(503);
  expect(reported.join()).toContain('does not go on');
  expect(issuer.count(feedPath)).toBe(2);
});

test('an issuer without the feed: no JWT goes on, unless that is said', async () => {
  const token = await issuer.token(audience);
  issuer.routes['/.well-known/oauth-authorization-server'] = () => ({
    body: { ...issuer.metadata(), revocations_endpoint: undefined },
  });
  expect(await statusOf(create(), token)).toBe(503);
  expect(reported.join()).toContain('names no revocations_endpoint');
  expect(await statusOf(create(false), token)).toBe(200);
  expect(issuer.count(feedPath)).toBe(0);
});

test('while it is away, what was heard last is good for a while; then JWTs are refused as told', async () => {
  const jti = randomUUID();
  issuer.feed(() => ({ tokens: { [hashOf(jti)]: now() + 600 } }));
  const [revoked, token] = [
    await issuer.token(audience, { jti }),
    await issuer.token(audience, { exp: now() + 600 }),
  ];
  const patient = create();
  const refusing = create({ maxAge: 1 });
  const accepting = create({ maxAge: 1, whenStale: 'accept' });
  const asking = create({ maxAge: 1, whenStale: 'introspect' });
  const all = [patient, refusing, accepting, asking];
  for (const api of all)
    expect([await statusOf(api, revoked), await statusOf(api, token)]).toEqual([401, 200]);
  const feed = issuer.routes[feedPath];
  issuer.routes[feedPath] = () => ({ status: 500 });
  await until(async () => (await statusOf(refusing, token)) === 503);
  await until(async () => (await statusOf(asking, token)) === 401);
  expect(issuer.count('/introspect')).toBe(1);
  for (const api of [patient, accepting]) {
    expect([await statusOf(api, revoked), await statusOf(api, token)]).toEqual([401, 200]);
  }
  expect(reported.join()).toContain('/revocations answers 500');
  Object.assign(issuer.routes, { [feedPath]: feed });
  await until(async () => (await statusOf(refusing, token)) === 200);
  expect(await statusOf(refusing, revoked)).toBe(401);
});

test('one that never heard the feed lets nobody through by it, whatever it was told for later', async () => {
  issuer.routes[feedPath] = () => 'hang';
  const token = await issuer.token(audience);
  expect(await statusOf(create(), token)).toBe(503);
  expect(await statusOf(create({ whenStale: 'accept' }), token)).toBe(503);
});

test('it begins at the start where that is asked for, and ends with close', async () => {
  let asked = 0;
  const counting: typeof fetch = (...args) => {
    asked += 1;
    return fetch(...args);
  };
  const api = create({}, { fetch: counting });
  await api.start();
  expect(issuer.count(feedPath)).toBe(1);
  await until(() => issuer.count(feedPath) > 3);
  api.close();
  const askedAtClose = asked;
  const other = create();
  await other.start();
  const polled = issuer.count(feedPath);
  await until(() => issuer.count(feedPath) > polled + 5);
  expect(asked).toBe(askedAtClose);
  other.close();
  const away = create();
  await issuer.down();
  await expect(away.start()).rejects.toThrow();
});

test('closed while a poll is under way, it begins no other', async () => {
  let asked = 0;
  let release = () => {};
  let gate = Promise.resolve();
  const gated: typeof fetch = async (...args) => {
    asked += 1;
    await gate;
    return fetch(...args);
  };
  const api = create({}, { fetch: gated });
  await api.start();
  gate = new Promise((resolve) => (release = resolve));
  const before = asked;
  await until(() => asked > before);
  api.close();
  release();
  const other = create();
  await other.start();
  const polled = issuer.count(feedPath);
  await until(() => issuer.count(feedPath) > polled + 5);
  expect(asked).toBe(before + 1);
});

test('what matters no more is forgotten, and what is kept has a bound', () => {
  const revocations = new Revocations(2, 5);
  const [one, two, three] = ['one', 'two', 'three'].map(hashOf) as [string, string, string];
  const token = { clientId: 'c', isClient: false, scopes: new Set<string>(), claims: {} };
  const asked = (jti: string) => revocations.has({ jti, issuedAt: 100, token });
  revocations.add({ tokens: [[one, now() - 60]], clients: [], permissions: [] });
  revocations.add({ tokens: [[two, now() + 60]], clients: [['c', 50]], permissions: [] });
  // The third took the place of one that had ended by itself.
  expect([asked('one'), asked('two')]).toEqual([false, true]);
  // What is told in any order ends with the latest.
  const of = (issuedAt: number) => revocations.has({ jti: 'x', issuedAt, token });
  expect([of(50), of(51)]).toEqual([true, false]);
  revocations.add({ tokens: [], clients: [['c', 40]], permissions: [] });
  expect([of(50), of(51)]).toEqual([true, false]);
  const more = { tokens: [[three, now() + 60] as const], clients: [], permissions: [] };
  expect(() => revocations.add(more)).toThrow('revocationFeed.size');
});

test('31: a token that carries a permission which was taken away is revoked, and no other', () => {
  const revocations = new Revocations(10, 5);
  const of = (lines: string[]) => [hashOf(lines.join('\n')), 100] as const;
  revocations.add({
    tokens: [],
    clients: [],
    permissions: [
      of(['c', audience, 'scope', 'write']),
      of(['*', audience, 'scope', 'gone']),
      of(['c', audience, 'detail', 'payment']),
      of(['closed', audience, 'api', '']),
      of(['m', '', 'grant', 'machine']),
    ],
  });
  const asked = (clientId: string, scopes: string[], more: object = {}) =>
    revocations.has({
      jti: 'x',
      issuedAt: 100,
      token: { clientId, isClient: false, scopes: new Set(scopes), claims: { aud: audience } },
      ...more,
    });
  const claims = { aud: audience, authorization_details: [{ type: 'payment' }] };
  const scopes = new Set<string>();
  expect([
    asked('c', ['read', 'write']),
    asked('d', ['gone']),
    asked('c', [], { token: { clientId: 'c', isClient: false, scopes, claims } }),
    asked('closed', []),
    asked('m', [], { token: { clientId: 'm', isClient: true, scopes, claims: { aud: audience } } }),
  ]).toEqual([true, true, true, true, true]);
  expect([
    asked('c', ['read']),
    asked('d', ['write']),
    asked('c', ['write'], { issuedAt: 101 }),
    asked('m', ['read']),
    asked('c', ['write'], {
      token: {
        clientId: 'c',
        isClient: false,
        scopes: new Set(['write']),
        claims: { aud: 'other' },
      },
    }),
  ]).toEqual([false, false, false, false, false]);
});

test('more revocations than may be kept: no JWT goes on', async () => {
  const tokens = Object.fromEntries([1, 2, 3].map((one) => [hashOf(String(one)), now() + 60]));
  issuer.feed(() => ({ tokens }));
  expect(await statusOf(create({ size: 2 }), await issuer.token(audience))).toBe(503);
  expect(reported.join()).toContain('more than 2 revocations');
});
