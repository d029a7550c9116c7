import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { calculateJwkThumbprint, type JWK } from 'jose';
import Koa from 'koa';
import { sql } from 'kysely';
import { ClientService } from '../../src/client/client.service.ts';
import { loadConfig } from '../../src/config.ts';
import type { Database } from '../../src/db/database.ts';
import type { AppError } from '../../src/errors.ts';
import { Sealer } from '../../src/lib/seal.ts';
import type { CookieSignatures } from '../../src/lib/cookie-signatures.ts';
import { Engine } from '../../src/oidc/engine.ts';
import { KEY_LEAD, KEY_SILENCE } from '../../src/keys/keys.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ageKeys, fetchJwks } from '../support/keys.ts';
import { until } from '../support/process.ts';
import { testMasterKey } from '../support/server-process.ts';

/** One process whose clock is ours, and whose database goes away: what it publishes, and whether it signs. */

let database: TestDatabase;
let own: Database;
let away = false;
let refused = 0;
let keys: KeyService;
let engine: Engine;
let options: ConstructorParameters<typeof Engine>[0];
let clock = 0;
let server: Server;
let url: string;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

beforeEach(async () => {
  const sealer = new Sealer([testMasterKey]);
  own = database.connect({
    observer: () => {
      if (!away) return undefined;
      refused++;
      throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
    },
  });
  await sql`truncate signing_keys, cookie_keys`.execute(database.db.kysely);
  keys = new KeyService(database.db, sealer);
  await keys.ensure();
  const resourceServers = new ResourceServerService(own);
  const page = async () => undefined;
  options = {
    config: loadConfig({}),
    clients: new ClientService(own, resourceServers),
    resourceServers,
    sealer,
    pages: { error: page, signOut: page, signedOut: page },
    clientDocuments: { enabled: false, whyNot: () => undefined },
    // What it has besides is asked by requests that are not made here.
  } as unknown as ConstructorParameters<typeof Engine>[0];
  engine = new Engine(options, new KeyService(own, sealer), { clock: () => clock });
  await engine.load();
  const app = new Koa();
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      ctx.status = (error as AppError).status;
    }
  });
  app.use(engine.keepFresh());
  app.use((ctx, next) => (ctx.path === '/signs' ? (ctx.body = signing()) : next()));
  app.use(engine.middleware());
  server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  away = false;
  engine.stop();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** What a request that signs would sign with: the only keys that the process would use. */
function signing(): string[] {
  const { keys } = engine.provider as unknown as { keys: CookieSignatures };
  return [keys.sign('a cookie')];
}

const status = async (path: string) => (await fetch(new URL(path, url))).status;
const seconds = (count: number) => {
  clock += count * 1_000;
};
const kids = async () => (await fetchJwks(url)).jwks.keys.map(({ kid }) => kid);

test('what is published is public, whole, and the same for the same keys', async () => {
  const { jwks, maxAge } = await fetchJwks(url);
  expect(maxAge).toBe(300);
  expect(jwks.keys.map(({ alg }) => alg)).toEqual(['RS256', 'ES256', 'PS256', 'EdDSA']);
  const thumbprints = await Promise.all(jwks.keys.map((key) => calculateJwkThumbprint(key as JWK)));
  expect(new Set(thumbprints).size).toBe(4);
  const { provider } = engine;
  await engine.load();
  expect(engine.provider).toBe(provider);
});

test('each key takes its turn on time, also without the database', async () => {
  await keys.rotate('test', ['RS256', 'cookie']);
  await engine.load();
  const [before] = signing();
  const order = await kids();
  expect(order).toHaveLength(5);
  away = true;
  // What it has not heard of is not what it was to do.
  for (let passed = 0; passed < KEY_LEAD; passed += 10) seconds(10);
  const [after] = signing();
  expect(after).not.toBe(before);
  const now = await kids();
  expect(now).not.toEqual(order);
  expect(new Set(now)).toEqual(new Set(order));
});

test('a process that has not heard of the keys for a minute signs nothing, and tells nobody to keep what it publishes', async () => {
  away = true;
  seconds(KEY_SILENCE - 1);
  expect(engine.isReady).toBe(true);
  expect(await status('/signs')).toBe(200);
  seconds(2);
  expect(engine.isReady).toBe(false);
  expect(await status('/signs')).toBe(503);
  for (const path of ['/jwks', '/.well-known/openid-configuration'])
    expect(await status(path)).toBe(200);
  const silent = await fetch(new URL('/jwks', url));
  expect(silent.headers.get('cache-control')).toBe('no-cache');

  // Meanwhile the keys went their way; the first request that signs hears of it before it does.
  const before = await kids();
  for (const { kid, alg } of await keys.list())
    if (alg !== 'cookie') await keys.remove(kid, 'test', { now: true });
  expect(await kids()).toEqual(before);
  away = false;
  expect(await status('/signs')).toBe(200);
  expect(engine.isReady).toBe(true);
  const after = await kids();
  for (const kid of before) expect(after).not.toContain(kid);
  expect((await fetchJwks(url)).maxAge).toBe(300);
});

test('a process that was silent is ready again by itself when the database is back', async () => {
  const service = new KeyService(own, new Sealer([testMasterKey]));
  const other = new Engine(options, service, { clock: () => clock, refreshMs: 10 });
  try {
    await other.load();
    away = true;
    seconds(KEY_SILENCE + 1);
    // It goes on asking, each reading two questions.
    const before = refused;
    await until(() => refused > before + 4);
    expect(other.isReady).toBe(false);
    away = false;
    await until(() => other.isReady);
  } finally {
    other.stop();
  }
});

test('a reading that fails changes nothing; one that was asked for while another was under way is made', async () => {
  const before = await kids();
  away = true;
  await expect(engine.load()).rejects.toThrow('away');
  expect(await kids()).toEqual(before);
  away = false;
  const first = engine.load();
  await keys.rotate('test', ['ES256']);
  await Promise.all([first, engine.load()]);
  expect(await kids()).toHaveLength(5);
  await ageKeys(database.db, KEY_LEAD);
  await engine.load();
  expect((await kids())[1]).not.toBe(before[1]);
});
