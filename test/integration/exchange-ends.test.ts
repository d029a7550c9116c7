import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { ClientService } from '../../src/client/client.service.ts';
import { endFamilies } from '../../src/grant/grant.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { signOut } from '../../src/session/session.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  allow,
  exchangeGrant,
  exchangeToken,
  introspect,
  machineToken,
  type PersonTokens,
  personTokens,
} from '../support/exchange.ts';
import { Feed } from '../support/feed.ts';
import { createPeople } from '../support/people.ts';
import { until } from '../support/process.ts';
import { type Credentials, isActive, revoke, Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** What was exchanged ends with what it was made from: at once by introspection, and in the feed. */

const orders = 'https://orders.example.com';
const stock = 'https://stock.example.com';
const ledger = 'https://ledger.example.com';
const apis = [orders, stock, ledger].map((identifier) => ({ identifier, scopes: ['read'] }));

let database: TestDatabase;
let seed: Seed;
let servers: ServerProcess[];
let one: string;
let two: string;
let stockApi: Credentials;
let ledgerApi: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(orders);
  stockApi = await seed.api(stock);
  ledgerApi = await seed.api(ledger, 'jwt');
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, 'http://localhost:3000')),
  );
  [one, two] = servers.map(({ url }) => url) as [string, string];
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

const clients = () => new ClientService(database.db, new ResourceServerService(database.db));

/** A client that may exchange tokens for any of the APIs into tokens for the other ones. */
async function exchanger(): Promise<Credentials> {
  const client = await seed.client({ type: 'machine', apis, ...exchangeGrant });
  for (const [source, target] of [
    [orders, stock],
    [orders, ledger],
    [stock, ledger],
    [ledger, stock],
  ] as const)
    await allow(database, { clientId: client.clientId, source, target, scopes: ['read'] });
  return client;
}

interface Chain {
  readonly app: Credentials;
  readonly first: Credentials;
  readonly second: Credentials;
  readonly person: PersonTokens;
  /** Made from the person's, opaque and JWT, by the first; each of those into the other kind by the second. */
  readonly made: readonly [opaque: string, jwt: string, jwtOfOpaque: string, opaqueOfJwt: string];
}

async function chain(offline = true): Promise<Chain> {
  const [app, first, second] = await Promise.all([seed.client({ apis }), exchanger(), exchanger()]);
  const person = await personTokens(one, seed, app, { api: orders, offline });
  const take = async (client: Credentials, token: string, target: string) => {
    const { status, body } = await exchangeToken(one, client, token, target);
    expect({ status, error: body.error_description }).toEqual({ status: 200 });
    return body.access_token;
  };
  const opaque = await take(first, person.accessToken, stock);
  const jwt = await take(first, person.accessToken, ledger);
  const made = [
    opaque,
    jwt,
    await take(second, opaque, ledger),
    await take(second, jwt, stock),
  ] as const;
  await expectLive(...made);
  return { app, first, second, person, made };
}

const apiOf = (token: string) => (token.includes('.') ? ledgerApi : stockApi);

async function expectLive(...tokens: string[]): Promise<void> {
  for (const token of tokens) expect(await isActive(two, apiOf(token), token)).toBe(true);
}

/** Dead at once for who asks, within two seconds for who follows the feed, and exchanged no more. */
async function expectDead(feed: Feed, by: Credentials, ...tokens: string[]): Promise<void> {
  for (const token of tokens) {
    expect(await isActive(two, apiOf(token), token)).toBe(false);
    const target = token.includes('.') ? stock : ledger;
    expect((await exchangeToken(one, by, token, target)).status).not.toBe(200);
  }
  await until(async () => {
    await feed.poll();
    return tokens.filter((token) => token.includes('.')).every((jwt) => feed.refuses(jwt));
  });
}

async function following(): Promise<Feed> {
  const feed = new Feed(two);
  await feed.poll();
  return feed;
}

describe('SECURITY 12: a revoked token still exchanges: all that was made ends with', () => {
  test('the family of the first, by its refresh token', async () => {
    const { app, second, person, made } = await chain();
    const feed = await following();
    await revoke(one, app, person.refreshToken);
    await expectDead(feed, second, ...made);
    expect((await exchangeToken(one, second, person.accessToken, stock)).status).toBe(400);
  });

  test('the first token alone', async () => {
    const { app, first, second, person, made } = await chain();
    const feed = await following();
    await revoke(one, app, person.accessToken);
    await expectDead(feed, second, ...made);
    expect((await exchangeToken(one, first, person.accessToken, stock)).status).toBe(400);
  });

  test('one in the middle alone, and with it no other', async () => {
    const { first, second, made } = await chain();
    const [opaque, jwt, jwtOfOpaque, opaqueOfJwt] = made;
    const feed = await following();
    await revoke(one, first, opaque);
    await expectDead(feed, second, opaque, jwtOfOpaque);
    await expectLive(jwt, opaqueOfJwt);
    await revoke(one, first, jwt);
    await expectDead(feed, second, jwt, opaqueOfJwt);
  });

  test('the session, where the first ends with one', async () => {
    const { second, person, made } = await chain(false);
    const feed = await following();
    await database.db.transaction((db) => signOut(db, person.sessionUid));
    await expectDead(feed, second, ...made);
  });

  test('SECURITY 23: the account', async () => {
    const { second, person, made } = await chain();
    const feed = await following();
    await createPeople(database.db).accounts.setDisabled(person.accountId, true, 'test');
    await expectDead(feed, second, ...made);
    expect((await exchangeToken(two, second, person.accessToken, stock)).status).toBe(400);
  });

  test('the client of the first, and what is enabled again does not live again', async () => {
    const { app, second, made } = await chain();
    const feed = await following();
    await clients().setDisabled(app.clientId, true, 'test');
    await expectDead(feed, second, ...made);
    await clients().setDisabled(app.clientId, false, 'test');
    await expectDead(feed, second, ...made);
  });

  test('a client that exchanged, its tokens alone, and what others made from them', async () => {
    const { first, second, person, made } = await chain();
    const feed = await following();
    await clients().revokeTokens(first.clientId, 'test');
    await expectDead(feed, second, ...made);
    const again = await exchangeToken(one, second, person.accessToken, stock);
    expect(again.status).toBe(200);
    const last = await following();
    await clients().setDisabled(second.clientId, true, 'test');
    expect(await isActive(two, stockApi, again.body.access_token)).toBe(false);
    await last.poll();
  });

  test("what was revoked by an operator's command", async () => {
    const { second, person, made } = await chain();
    const feed = await following();
    const { kysely } = database.db;
    const { grant_id: id } = await kysely
      .selectFrom('tokens')
      .select('grant_id')
      .where('account_id', '=', person.accountId)
      .where('generation', '=', 2)
      .executeTakeFirstOrThrow();
    await endFamilies(kysely, { id: id as string }, 'revoked_by_operator');
    await expectDead(feed, second, ...made);
  });

  test("a machine's JWT, which leaves no row itself", async () => {
    const [robot, mover, second] = [
      await seed.client({ type: 'machine', apis }),
      await exchanger(),
      await exchanger(),
    ];
    const subject = await machineToken(one, robot, ledger);
    const { body } = await exchangeToken(one, mover, subject, stock);
    const { body: jwt } = await exchangeToken(one, second, body.access_token, ledger);
    await expectLive(body.access_token, jwt.access_token);
    const feed = await following();
    await revoke(one, robot, subject);
    await expectDead(feed, second, body.access_token, jwt.access_token);
    expect((await exchangeToken(one, mover, subject, stock)).status).toBe(400);
  });
});

test('the feed does not tell of opaque tokens', async () => {
  const { app, person } = await chain();
  const feed = await following();
  const before = feed.tokens.size;
  await revoke(one, app, person.accessToken);
  await until(async () => {
    await feed.poll();
    return feed.tokens.size > before;
  });
  const listed = await database.db.kysely
    .selectFrom('revoked_tokens')
    .select(['id_hash', 'opaque'])
    .where('opaque', '=', true)
    .execute();
  expect(listed.length).toBeGreaterThan(0);
  for (const { id_hash: hash } of listed)
    expect(feed.tokens.has(hash.toString('base64url'))).toBe(false);
});

test('SECURITY 2: revocation races exchange 100 times, and nothing lives afterwards', async () => {
  const [app, mover, second] = await Promise.all([seed.client({ apis }), exchanger(), exchanger()]);
  const robot = await seed.client({ type: 'machine', apis });
  const statuses = new Map<number, number>();
  for (let round = 0; round < 100; round++) {
    const person = await personTokens(one, seed, app, { api: orders });
    const subject = round % 4 === 3 ? await machineToken(one, robot, ledger) : person.accessToken;
    const [from, to] = round % 2 === 0 ? [one, two] : [two, one];
    // By the refresh token, the access token, the account, and a machine's own token in turn.
    const end = [
      () => revoke(from, app, person.refreshToken),
      () => revoke(from, app, person.accessToken),
      () => createPeople(database.db).accounts.setDisabled(person.accountId, true, 'test'),
      () => revoke(from, robot, subject),
    ][round % 4] as () => Promise<unknown>;
    const take = async (target: string) => {
      const { status, body } = await exchangeToken(to, mover, subject, target);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      return status === 200 ? body.access_token : undefined;
    };
    const targets = subject.includes('.') ? [stock, stock] : [stock, ledger];
    const [, ...taken] = await Promise.all([end(), ...targets.map(take)]);
    for (const token of taken)
      if (token !== undefined) {
        expect(await introspect(one, apiOf(token), token)).toEqual({ active: false });
        const next = await exchangeToken(two, second, token, token.includes('.') ? stock : ledger);
        expect(next.status).toBe(400);
      }
  }
  // Never a 5xx.
  expect(new Set(statuses.keys())).toEqual(new Set([200, 400]));
});

test('rows go with what they are of', async () => {
  const { person, made } = await chain();
  const { kysely } = database.db;
  const sources = await kysely
    .selectFrom('token_sources')
    .innerJoin('tokens', 'tokens.id_hash', 'token_sources.id_hash')
    .select(['token_sources.expires_at as ends', 'tokens.expires_at as end'])
    .where('tokens.account_id', '=', person.accountId)
    .execute();
  // One for each of the first two, two for each of the others.
  expect(sources).toHaveLength(6);
  for (const { ends, end } of sources) expect(ends).toEqual(end);
  for (const jwt of made.filter((token) => token.includes('.')))
    expect(decodeJwt(jwt).exp).toBeLessThanOrEqual(
      Math.floor(sources[0]?.end.getTime() ?? 0) / 1000,
    );
});
