import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fork } from 'node:child_process';
import { createHmac, createPublicKey, createVerify, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createLocalJWKSet, decodeProtectedHeader, type JWK, jwtVerify } from 'jose';
import { sql } from 'kysely';
import { Sealer } from '../../src/lib/seal.ts';
import { COOKIE_LIFE, KEY_LEAD, LONGEST_TOKEN } from '../../src/keys/keys.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ageKeys, fetchJwks, kidOf, runKeyClock } from '../support/keys.ts';
import { until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  Seed,
  SignedInBrowser,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/** Keys come and go while two servers run on them. */

const issuer = 'http://localhost:3000';
const resource = 'https://api.example.com';
const DAY = 86_400;
let database: TestDatabase;
let keys: KeyService;
let one: ServerProcess;
let two: ServerProcess;
let seed: Seed;
let api: Credentials;
let machine: Credentials;
let client: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  keys = new KeyService(database.db, new Sealer([testMasterKey]));
  seed = new Seed(database.db);
  api = await seed.api(resource, 'jwt');
  const apis = [{ identifier: resource, scopes: ['read'] }];
  machine = await seed.client({ type: 'machine', apis });
  client = await seed.client();
  const env = { KEY_ROTATION_DAYS: '40', LOG_LEVEL: 'fatal' };
  [one, two] = await Promise.all([
    startServerProcess(database, issuer, env),
    startServerProcess(database, issuer, env),
  ]);
});

afterAll(async () => {
  await Promise.all([one, two].map((server) => server?.stop()));
  await database.drop();
});

const both = () => [one, two];
const issue = async ({ url }: ServerProcess) =>
  post(url, '/token', machine, { grant_type: 'client_credentials', resource });
const accessToken = async (server: ServerProcess) => (await issue(server)).body.access_token;
const signIn = async (): Promise<SignedInBrowser> => {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  return seed.signIn(accountId);
};
const idToken = async ({ url }: ServerProcess) => {
  const browser = await signIn();
  const { body } = await exchange(url, client, await browser.authorize(url, client));
  return body.id_token as string;
};
const publishedOn = async ({ url }: ServerProcess) =>
  (await fetchJwks(url)).jwks.keys.map(({ kid }) => kid as string);
const listed = async (alg: string) => (await keys.list()).filter((key) => key.alg === alg);
const current = async (alg: string) =>
  (await listed(alg)).find(({ state }) => state === 'current')?.kid as string;

/** Both servers publish what the database says, and sign with what it says. */
async function settled(): Promise<void> {
  const there = (await keys.list()).filter(
    (key) => key.alg !== 'cookie' && key.state !== 'removed',
  );
  const kids = there.map(({ kid }) => kid).toSorted();
  const signing = await current('ES256');
  await until(async () => {
    for (const server of both()) {
      if ((await publishedOn(server)).toSorted().join() !== kids.join()) return false;
      const { status, body } = await issue(server);
      if (status !== 200 || kidOf(body.access_token) !== signing) return false;
    }
    return true;
  });
}

async function age(seconds: number): Promise<void> {
  await ageKeys(database.db, seconds);
  await settled();
}

describe('COMPATIBILITY 5', () => {
  /** As old clients do: RSA with SHA-256 and nothing else, the key by its kid or the first that is RSA. */
  function verifyAsOld(token: string, jwks: readonly JWK[]): boolean {
    const [header = '', payload = '', signature = ''] = token.split('.');
    const { kid, alg } = decodeProtectedHeader(token);
    expect(alg).toBe('RS256');
    const found = jwks.find((key) => key.kid === kid && key.kty === 'RSA' && key.use === 'sig');
    expect(jwks.find(({ kty }) => kty === 'RSA')).toEqual(found);
    return createVerify('RSA-SHA256')
      .update(`${header}.${payload}`)
      .verify(
        createPublicKey({ key: found as Record<string, unknown>, format: 'jwk' }),
        Buffer.from(signature, 'base64url'),
      );
  }

  test('ID tokens are RS256 unless told, as kube-apiserver and old Java clients assume', async () => {
    for (const server of both()) {
      const { keys: jwks } = (await fetchJwks(server.url)).jwks;
      expect(verifyAsOld(await idToken(server), jwks)).toBe(true);
      const discovery = await fetch(new URL('/.well-known/openid-configuration', server.url));
      expect(await discovery.json()).toMatchObject({
        id_token_signing_alg_values_supported: expect.arrayContaining(['RS256']),
      });
    }
  });

  test('access tokens are ES256 unless told', async () => {
    expect(decodeProtectedHeader(await accessToken(one))).toMatchObject({ alg: 'ES256' });
    await database.db.kysely
      .updateTable('resource_servers')
      .set({ signing_alg: 'RS256' })
      .execute();
    await sql`update config_versions set version = version + 1 where topic = 'resource_servers'`.execute(
      database.db.kysely,
    );
    await until(async () => decodeProtectedHeader(await accessToken(two)).alg === 'RS256');
    expect(verifyAsOld(await accessToken(two), (await fetchJwks(two.url)).jwks.keys)).toBe(true);
    await database.db.kysely
      .updateTable('resource_servers')
      .set({ signing_alg: 'ES256' })
      .execute();
    await sql`update config_versions set version = version + 1 where topic = 'resource_servers'`.execute(
      database.db.kysely,
    );
    await settled();
  });
});

test('COMPATIBILITY 6: each key has kid, alg and use, and the set says how long it may be kept', async () => {
  for (const { url } of both()) {
    const { jwks, maxAge } = await fetchJwks(url);
    expect(maxAge).toBe(300);
    for (const key of jwks.keys)
      expect(key).toMatchObject({ kid: expect.any(String), alg: expect.any(String), use: 'sig' });
    expect(JSON.stringify(jwks)).not.toMatch(/"(d|p|q|dp|dq|qi)":/);
  }
});

test('the schedule rotates what is old enough, erases and deletes, by whichever server it is', async () => {
  const before = await publishedOn(one);
  await age(40 * DAY - 60);
  await runKeyClock(database.db);
  expect(await publishedOn(one)).toEqual(before);
  await age(120);
  await runKeyClock(database.db);
  await settled();
  for (const server of both()) {
    expect(await publishedOn(server)).toHaveLength(8);
    expect((await publishedOn(server)).slice(0, 4)).toEqual(before);
  }
  await runKeyClock(database.db);
  const events = await database.db.kysely
    .selectFrom('audit_events')
    .select('actor')
    .where('type', '=', 'keys.rotated')
    .execute();
  expect(events).toEqual([{ actor: 'server' }]);
  await age(KEY_LEAD);
  await runKeyClock(database.db);
  const { rows } = await sql<{
    erased: number;
  }>`select count(erased_at)::int as erased from signing_keys`.execute(database.db.kysely);
  expect(rows).toEqual([{ erased: 4 }]);
  await age(LONGEST_TOKEN);
  for (const server of both()) expect(await publishedOn(server)).toHaveLength(4);
});

describe('an ID token says who signs out', () => {
  /** Whether the server believes the hint: its page to sign out then names the app. */
  const isTrusted = async ({ url }: ServerProcess, hint: string) => {
    const browser = await seed.signIn(await seed.account());
    const query = new URLSearchParams({ id_token_hint: hint, client_id: client.clientId });
    const page = await browser.get(url, `/logout?${query.toString()}`);
    return (await page.text()).includes('Quillet');
  };

  test('also when its key is published no more; not when the key was taken away', async () => {
    const hint = await idToken(one);
    const kid = kidOf(hint);
    for (const server of both()) expect(await isTrusted(server, hint)).toBe(true);
    await keys.rotate('test');
    await age(KEY_LEAD + LONGEST_TOKEN);
    for (const server of both()) {
      expect(await publishedOn(server)).not.toContain(kid);
      expect(await isTrusted(server, hint)).toBe(true);
    }
    await keys.remove(kid, 'test');
    for (const server of both()) await until(async () => !(await isTrusted(server, hint)));
  });
});

test('a key that was taken away: its tokens are refused by every server, and its successor signs', async () => {
  const tokens = [await accessToken(one), await accessToken(two)];
  const kid = await current('ES256');
  for (const token of tokens) expect(kidOf(token)).toBe(kid);
  const { successor } = await keys.remove(kid, 'test', { now: true });
  for (const server of both()) await until(async () => !(await publishedOn(server)).includes(kid));
  for (const server of both()) {
    for (const token of tokens) expect(await isActive(server.url, api, token)).toBe(false);
    const fresh = await accessToken(server);
    expect(kidOf(fresh)).toBe(successor);
    await jwtVerify(fresh, createLocalJWKSet((await fetchJwks(two.url)).jwks));
  }
  await settled();
});

test('an algorithm that is new waits for its first key to be known: 503 until then, and nothing else is touched', async () => {
  await sql`delete from signing_keys where alg = 'ES256'`.execute(database.db.kysely);
  await keys.ensure();
  const added = (await listed('ES256'))[0];
  expect(added?.state).toBe('next');
  for (const server of both()) {
    await until(async () => (await publishedOn(server)).includes(added?.kid as string));
    const response = await fetch(new URL('/token', server.url), {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${machine.clientId}:${machine.clientSecret}`).toString('base64')}`,
      },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(kidOf(await idToken(server))).toBe(await current('RS256'));
  }
  await age(KEY_LEAD);
  expect(await current('ES256')).toBe(added?.kid);
});

test('SECURITY fault 8: a rotation that dies anywhere is whole or has not been; what was signed verifies', async () => {
  const tokens = await Promise.all([...both(), ...both()].map((server) => accessToken(server)));
  const before = await keys.list();
  let survived = 0;
  for (let at = 1; (await keys.list()).length === before.length; at++) {
    const child = fork(join(import.meta.dirname, '../support/rotate-child.ts'), [], {
      env: {
        ...process.env,
        VOUCHSAFE_TEST_CONNECTION: JSON.stringify(database.connection),
        KILL_AT: String(at),
      },
      execArgv: [],
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    if (code === 0) survived++;
    else expect(signal).toBe('SIGKILL');
    for (const server of both()) {
      const kids = await publishedOn(server);
      for (const token of tokens) expect(kids).toContain(kidOf(token));
      expect(await isActive(server.url, api, tokens[0] as string)).toBe(true);
    }
    expect(at).toBeLessThan(40);
  }
  // The one that was not undone is whole: each has its successor, which waits.
  expect(survived).toBe(0);
  const after = await keys.list();
  const count = (state: string, list = after) => list.filter((key) => key.state === state).length;
  expect(count('next')).toBe(2);
  for (const state of ['current', 'retiring', 'removed'])
    expect([state, count(state)]).toEqual([state, count(state, before)]);
  await age(KEY_LEAD);
  for (const token of tokens) {
    expect(await isActive(two.url, api, token)).toBe(true);
    expect(kidOf(token)).not.toBe(await current('ES256'));
  }
}, 120_000);

describe('cookie keys', () => {
  const cookieKeys = async () => (await keys.load()).cookieKeys;
  const signature = (name: string, value: string, key: string) =>
    createHmac('sha1', key).update(`${name}=${value}`).digest('base64url');
  const newBrowser = () => new SignedInBrowser('', new Map());

  /** The place of the key that signed a browser's cookie, in the order in which they sign. */
  async function signedBy(browser: SignedInBrowser, name: string): Promise<number> {
    const value = browser.cookies.get(name) as string;
    const sig = browser.cookies.get(`${name}.sig`);
    return (await cookieKeys()).findIndex((key) => signature(name, value, key) === sig);
  }

  /** A sign-in that begins at one server is shown by the other: its cookie was signed here and is taken there. */
  async function across(from: ServerProcess, to: ServerProcess): Promise<SignedInBrowser> {
    const browser = newBrowser();
    const { response } = await browser.ask(from.url, client);
    const path = new URL(response.headers.get('location') as string, issuer).pathname;
    expect(path).toMatch(/^\/interaction\//);
    const page = await browser.get(to.url, path);
    expect({ from: from.url, status: page.status }).toEqual({ from: from.url, status: 200 });
    return browser;
  }

  /** Both sign with the key that the database says. */
  const turned = () =>
    until(async () => {
      for (const server of both()) {
        const browser = await signIn();
        // A server signs a cookie again that another key than its first one has signed.
        await browser.authorize(server.url, client);
        if ((await signedBy(browser, 'vs_session_3000')) !== 0) return false;
      }
      return true;
    });

  test('they rotate, and nobody is signed out: what one server signs is taken by the other at every moment', async () => {
    const idle = await Promise.all(Array.from({ length: 4 }, signIn));
    const busy = await Promise.all([signIn(), signIn()]);
    let stopped = false;
    let rounds = 0;
    const isSignedIn = async (browser: SignedInBrowser, server: ServerProcess) => {
      await browser.authorize(server.url, client);
    };
    const load = async () => {
      for (; !stopped; rounds++) {
        for (const browser of busy) for (const server of both()) await isSignedIn(browser, server);
        await across(one, two);
        await across(two, one);
      }
    };
    const running = load();
    const round = async () => {
      const before = rounds;
      await Promise.race([running, until(() => rounds >= before + 2)]);
    };
    try {
      await round();
      const older = (await cookieKeys()).slice(1);
      const [first] = await cookieKeys();
      // What is published tells that a server has heard of both.
      await keys.rotate('test', ['cookie', 'EdDSA']);
      await settled();
      await round();
      expect((await cookieKeys())[0]).toBe(first);
      await ageKeys(database.db, KEY_LEAD - 60);
      await round();
      await ageKeys(database.db, 60);
      await round();
      await turned();
      expect((await cookieKeys()).slice(1)).toEqual([first, ...older]);
      // Who comes back is signed in, and has a cookie by the new key from then on.
      for (const server of both()) {
        const browser = idle.pop() as SignedInBrowser;
        expect(await signedBy(browser, 'vs_session_3000')).toBe(1);
        await isSignedIn(browser, server);
        expect(await signedBy(browser, 'vs_session_3000')).toBe(0);
      }
      // As long as a session may live, and not longer.
      await ageKeys(database.db, COOKIE_LIFE - 60);
      await round();
      await isSignedIn(idle.pop() as SignedInBrowser, two);
      await ageKeys(database.db, 61);
      await runKeyClock(database.db);
      // So long after it began to sign, the key has a successor, too.
      expect((await listed('cookie')).map(({ state }) => state)).toEqual(['next', 'current']);
      const late = idle.pop() as SignedInBrowser;
      await until(async () => {
        const { response } = await late.tab().ask(one.url, client);
        return response.headers.get('location')?.includes('/interaction/') === true;
      });
      await round();
    } finally {
      stopped = true;
    }
    await running;
    expect(rounds).toBeGreaterThan(8);
  });

  test('a signature by a key that is nobody’s is worth nothing, while keys change', async () => {
    // The rotation of the test before is under way.
    const { cookies } = await signIn();
    const id = cookies.get('vs_session_3000') as string;
    for (const key of ['', randomBytes(32).toString('base64url')]) {
      const planted = new Map([
        ['vs_session_3000', id],
        ['vs_session_3000.sig', key === '' ? '' : signature('vs_session_3000', id, key)],
      ]);
      const { response } = await new SignedInBrowser('', planted).ask(two.url, client);
      expect(response.headers.get('location')).toContain('/interaction/');
    }
  });
});
