import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { sql } from 'kysely';
import { Sealer } from '../../src/lib/seal.ts';
import { KEY_LEAD, LONGEST_TOKEN } from '../../src/keys/keys.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ageKeys, CachingVerifier, fetchJwks, kidOf, runKeyClock } from '../support/keys.ts';
import { until } from '../support/process.ts';
import { type Credentials, exchange, isActive, post, refresh, Seed } from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/**
 * Keys rotate under load, over two processes, while APIs verify with keys that they have kept. Time is moved by making
 * the rows older; the clocks of the verifiers, which is all that they have of time, go with them.
 */

const issuer = 'http://localhost:3000';
const algs = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const apiOf = (alg: string) => `https://${alg.toLowerCase()}.example.com`;
/** Seconds for which a token of the APIs lives; the longest that can be set for the one with ES256. */
const lifeOf = (alg: string) => (alg === 'ES256' ? 86_400 : 3_600);

const realNow = Date.now;
let shift = 0;
const now = () => realNow() + shift;

let database: TestDatabase;
let keys: KeyService;
let servers: ServerProcess[] = [];
let machine: Credentials;
let client: Credentials;
let introspector: Credentials;

beforeAll(async () => {
  // What jose keeps keys by.
  Date.now = now;
  database = await createTestDatabase();
  keys = new KeyService(database.db, new Sealer([testMasterKey]));
  const seed = new Seed(database.db);
  for (const alg of algs) {
    const credentials = await seed.api(apiOf(alg), 'jwt');
    if (alg === 'ES256') introspector = credentials;
    await database.db.kysely
      .updateTable('resource_servers')
      .set({ signing_alg: alg, access_token_ttl: lifeOf(alg) })
      .where('identifier', '=', apiOf(alg))
      .execute();
  }
  const apis = algs.map((alg) => ({ identifier: apiOf(alg), scopes: ['read'] }));
  machine = await seed.client({ type: 'machine', apis });
  client = await seed.client();
  servers = await Promise.all([1, 2].map(() => startServerProcess(database, issuer)));
});

afterAll(async () => {
  Date.now = realNow;
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

interface Issued {
  readonly token: string;
  readonly what: string;
  /** By the verifiers' clocks. */
  readonly born: number;
  /** Seconds. */
  readonly life: number;
}

interface Verifier {
  readonly name: string;
  verify(token: string): Promise<unknown>;
}

/** Issues and verifies all the time, and remembers what failed. */
class Load {
  readonly failures: string[] = [];
  readonly kept: Issued[] = [];
  readonly #verifiers: Verifier[] = [];
  readonly #loops: Promise<void>[] = [];
  readonly rounds = new Map<ServerProcess, number>();
  #stopped = false;
  #moment = '';

  async start(): Promise<void> {
    const seed = new Seed(database.db);
    for (const server of servers) {
      this.rounds.set(server, 0);
      const accountId = await seed.account();
      await seed.consent(accountId, client.clientId);
      const browser = await seed.signIn(accountId);
      const { body } = await exchange(
        server.url,
        client,
        await browser.authorize(server.url, client),
      );
      this.#loops.push(this.#loop(server, body.refresh_token));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  /**
   * From here on, also verifiers that have just fetched the keys; waits for rounds of both servers that began after it,
   * and looks at every token that still lives.
   */
  async moment(name: string): Promise<void> {
    this.#moment = name;
    const added = servers.flatMap((server, index) => verifiersOn(server, index, name));
    await Promise.all(added.map((one) => this.#check(one, this.kept.at(-1))));
    this.#verifiers.push(...added);
    const before = new Map(this.rounds);
    await until(() => servers.every((one) => this.#count(one) >= (before.get(one) ?? 0) + 2));
    for (const issued of this.kept) await this.#checkAll(issued);
  }

  /** The tokens that are looked at again and again, and live still. */
  alive(): string[] {
    return this.kept.filter(isAlive).map(({ token }) => token);
  }

  #count(server: ServerProcess): number {
    return this.rounds.get(server) ?? 0;
  }

  async #loop(server: ServerProcess, first: string): Promise<void> {
    let refreshToken = first;
    let last = '';
    while (!this.#stopped) {
      const moment = this.#moment;
      const issued: Issued[] = [];
      for (const alg of algs) {
        const born = now();
        const form = { grant_type: 'client_credentials', resource: apiOf(alg) };
        const { status, body } = await post(server.url, '/token', machine, form);
        if (status === 200)
          issued.push({
            token: body.access_token,
            what: `${alg} access token`,
            born,
            life: lifeOf(alg),
          });
        else this.#fail(`${alg} token request: ${status}`);
      }
      const born = now();
      const { status, body } = await refresh(server.url, client, refreshToken);
      if (status === 200) {
        refreshToken = body.refresh_token;
        issued.push({ token: body.id_token as string, what: 'ID token', born, life: 3_600 });
      } else this.#fail(`refresh: ${status}`);
      for (const one of issued) await this.#checkAll(one);
      if (moment !== last) this.kept.push(...issued);
      last = moment;
      this.rounds.set(server, this.#count(server) + 1);
    }
  }

  async #checkAll(issued: Issued): Promise<void> {
    await Promise.all(this.#verifiers.map((one) => this.#check(one, issued)));
  }

  async #check(verifier: Verifier, issued: Issued | undefined): Promise<void> {
    if (issued === undefined || !isAlive(issued)) return;
    await verifier
      .verify(issued.token)
      .catch((error: Error) => this.#fail(`${verifier.name}, ${issued.what}: ${error.message}`));
  }

  #fail(what: string): void {
    this.failures.push(`${this.#moment}: ${what}`);
  }
}

const isAlive = ({ born, life }: Issued) => now() - born < life * 1000;

function verifiersOn({ url }: ServerProcess, index: number, since: string): Verifier[] {
  const name = (kind: string) => `${kind} on ${index} since ${since}`;
  const fetchKeys = () => fetchJwks(url);
  const remote = createRemoteJWKSet(new URL('/jwks', url));
  const byCacheControl = new CachingVerifier(fetchKeys, now);
  const forTwentyMinutes = new CachingVerifier(fetchKeys, now, 1_200);
  return [
    { name: name('as Cache-Control says'), verify: (token) => byCacheControl.verify(token) },
    { name: name('for twenty minutes'), verify: (token) => forTwentyMinutes.verify(token) },
    {
      name: name('jose'),
      verify: (token) => jwtVerify(token, remote, { currentDate: new Date(0) }),
    },
  ];
}

const signing = async () =>
  (await keys.list()).filter(({ alg, state }) => alg !== 'cookie' && state === 'current');

/** Both servers publish what the database says, and sign with what it says. */
async function settled(): Promise<void> {
  const listed = (await keys.list()).filter(({ alg }) => alg !== 'cookie');
  const published = listed.filter(({ state }) => state !== 'removed').map(({ kid }) => kid);
  const current = listed.filter(({ state }) => state === 'current');
  await until(async () => {
    for (const { url } of servers) {
      const kids = (await fetchJwks(url)).jwks.keys.map(({ kid }) => kid as string);
      if (kids.toSorted().join() !== published.toSorted().join()) return false;
      for (const { alg, kid } of current) {
        const form = { grant_type: 'client_credentials', resource: apiOf(alg) };
        const { body } = await post(url, '/token', machine, form);
        if (kidOf(body.access_token) !== kid) return false;
      }
    }
    return true;
  });
}

/** Seconds after the rotation, in words. */
async function walk(load: Load, times: readonly (readonly [string, number])[]): Promise<void> {
  let passed = 0;
  for (const [name, seconds] of times) {
    shift += (seconds - passed) * 1000;
    await ageKeys(database.db, seconds - passed);
    passed = seconds;
    await settled();
    await load.moment(name);
  }
}

test('COMPATIBILITY 6: no verification fails at any moment: before, when the next key is published, signs, and the one before it is gone', async () => {
  const load = new Load();
  await load.start();
  try {
    await load.moment('before');
    const first = await signing();
    await keys.rotate('test');
    await settled();
    await load.moment('published');
    await walk(load, [
      ['what was fetched before it is about to expire', 299],
      ['it has expired', 310],
      ['what is kept for twenty minutes has expired', 1_210],
      ['five minutes before it signs', KEY_LEAD - 298],
      ['before it signs', KEY_LEAD - 20],
      ['it signs', KEY_LEAD + 1],
      ['who has fetched before asks again', KEY_LEAD + 290],
      ['an hour later', KEY_LEAD + 3_590],
    ]);
    // One key of each algorithm signs, and it is another one.
    const second = await signing();
    expect(second.map(({ alg }) => alg).sort()).toEqual(algs.toSorted());
    for (const { kid } of first) expect(second.map((one) => one.kid)).not.toContain(kid);

    await runKeyClock(database.db);
    const { rows } = await sql<{
      kid: string;
    }>`select kid from signing_keys where erased_at is not null`.execute(database.db.kysely);
    expect(rows.map(({ kid }) => kid).sort()).toEqual(first.map(({ kid }) => kid).sort());
    const token = load.kept.findLast(
      (one) => one.what.startsWith('ES256') && first.some(({ kid }) => kid === kidOf(one.token)),
    )?.token as string;
    for (const { url } of servers) expect(await isActive(url, introspector, token)).toBe(true);

    const end = [
      'the last long token of the first keys is about to end',
      86_400 - 3_590 - 120,
    ] as const;
    await walk(load, [end]);
    expect(load.alive().filter((one) => first.some(({ kid }) => kid === kidOf(one)))).not.toEqual(
      [],
    );
    await walk(load, [['the first keys are gone', LONGEST_TOKEN - 86_400 + 130]]);
    for (const { url } of servers) {
      const kids = (await fetchJwks(url)).jwks.keys.map(({ kid }) => kid);
      for (const { kid } of first) expect(kids).not.toContain(kid);
      expect(await isActive(url, introspector, token)).toBe(false);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    for (const server of servers) expect(load.rounds.get(server)).toBeGreaterThan(20);
  } finally {
    await load.stop();
  }
}, 120_000);

test('the same load sees a key that signs too soon', async () => {
  const load = new Load();
  await load.start();
  try {
    await load.moment('before');
    await keys.rotate('test');
    await ageKeys(database.db, KEY_LEAD - 60);
    await settled();
    await load.moment('published, and to sign in a minute');
    await walk(load, [['it signs, and who has fetched before does not know', 70]]);
    await load.stop();
    const failed = load.failures.filter((one) => one.includes('since before'));
    expect(failed.filter((one) => one.includes('as Cache-Control says'))).not.toEqual([]);
    expect(failed.filter((one) => one.includes('for twenty minutes'))).not.toEqual([]);
    // It asks again for what it does not know.
    expect(failed.filter((one) => one.includes('jose'))).toEqual([]);
  } finally {
    await load.stop();
  }
});
