import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { ClientService } from '../../src/client/client.service.ts';
import { ConsentService } from '../../src/consent/consent.service.ts';
import { revokeFamily } from '../../src/grant/grant.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Feed } from '../support/feed.ts';
import { createPeople, type People } from '../support/people.ts';
import { until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  isActive,
  refresh,
  revoke,
  Seed,
  type TokenAnswer,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Refresh tokens that two hold, or one presents twice, by what is set for the client. Times are aged by SQL. */

const api = 'https://jwt.example.com';
const apis = [{ identifier: api, scopes: ['read'] }];
const scope = 'openid offline_access read';

let database: TestDatabase;
let seed: Seed;
let people: People;
let servers: ServerProcess[];
let one: string;
let two: string;
let apiClient: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  people = createPeople(database.db);
  apiClient = await seed.api(api, 'jwt');
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, 'http://localhost:3000')),
  );
  [one, two] = servers.map((server) => server.url) as [string, string];
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

const clients = () => new ClientService(database.db, new ResourceServerService(database.db));
const run = (text: string, ...values: unknown[]) => database.db.pool.query(text, values);
const either = (index: number) => (index % 2 === 0 ? one : two);
const times = <T>(count: number, work: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

interface Started {
  readonly client: Credentials;
  readonly accountId: string;
  readonly sessionUid: string;
  readonly body: TokenAnswer['body'];
}

/** A family, with a JWT and a refresh token. */
async function start(client: Credentials): Promise<Started> {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId, { [api]: ['read'] });
  const browser = await seed.signIn(accountId);
  const code = await browser.authorize(one, client, { scope, resource: api });
  const { body } = await exchange(one, client, code);
  return { client, accountId, sessionUid: browser.sessionUid, body };
}

const clientWith = (settings: NewClient['settings'] = {}) => seed.client({ apis, settings });

/** Every refresh token of the account that was used was used so many seconds earlier. */
const age = (accountId: string, seconds: number) =>
  run(
    `update tokens set consumed_at = consumed_at - make_interval(secs => $2)
     where account_id = $1 and kind = 'refresh' and consumed_at is not null`,
    accountId,
    seconds,
  );

async function familyOf(accountId: string): Promise<{ id: string; reason: string | null }> {
  const { rows } = await run(
    'select id, revoked_reason as reason from grants where account_id = $1',
    accountId,
  );
  expect(rows).toHaveLength(1);
  return rows[0] as { id: string; reason: string | null };
}

/** The refresh tokens of the account that could still be used. */
async function unused(accountId: string): Promise<number> {
  const { rows } = await run(
    `select count(*) as count from tokens where account_id = $1 and kind = 'refresh' and consumed_at is null`,
    accountId,
  );
  return (rows[0] as { count: number }).count;
}

/** Neither of the answers holds anything that is worth something, on either process, to whomever. */
async function expectDead(client: Credentials, ...bodies: TokenAnswer['body'][]): Promise<void> {
  for (const { access_token: access, refresh_token: token } of bodies) {
    for (const server of [two, one]) {
      expect(await isActive(server, apiClient, access)).toBe(false);
      expect((await refresh(server, client, token)).status).toBeGreaterThanOrEqual(400);
    }
  }
}

/** Nor is one of the JWTs taken by an API that verifies signatures. */
async function expectInFeed(jwts: readonly string[]): Promise<void> {
  const feed = new Feed(two);
  await until(async () => {
    await feed.poll();
    return jwts.every((jwt) => feed.refuses(jwt));
  });
}

const statuses = (answers: readonly TokenAnswer[]) =>
  Object.fromEntries(
    [...new Set(answers.map(({ status }) => status))].map((status) => [
      status,
      answers.filter((answer) => answer.status === status).length,
    ]),
  );

describe('SECURITY 1, SECURITY 31: one refresh token, fifty times at once', () => {
  test('with the grace of the client: one successor for all, which works; after it the family dies', async () => {
    const client = await clientWith({ refreshGrace: 30 });
    const { accountId, body } = await start(client);
    const answers = await times(50, (index) => refresh(either(index), client, body.refresh_token));
    expect(statuses(answers)).toEqual({ 200: 50 });
    expect(new Set(answers.map((answer) => answer.body.refresh_token)).size).toBe(1);
    expect(await unused(accountId)).toBe(1);
    const [next] = answers as [TokenAnswer];
    // Half a minute is not over yet, and then it is.
    await age(accountId, 20);
    expect((await refresh(two, client, body.refresh_token)).body.refresh_token).toBe(
      next.body.refresh_token,
    );
    await age(accountId, 20);
    expect((await refresh(one, client, body.refresh_token)).body.error).toBe('invalid_grant');
    await expectDead(client, body, next.body);
    await expectInFeed([body, next.body].map(({ access_token: jwt }) => jwt));
    expect((await familyOf(accountId)).reason).toBe('refresh_token_replayed');
  });

  test('11: once the successor was used, a repetition is a replay, however early', async () => {
    const client = await clientWith();
    const { accountId, body } = await start(client);
    const next = await refresh(one, client, body.refresh_token);
    const later = await refresh(two, client, next.body.refresh_token);
    expect([next.status, later.status]).toEqual([200, 200]);
    expect((await refresh(one, client, body.refresh_token)).body.error).toBe('invalid_grant');
    await expectDead(client, body, next.body, later.body);
    await expectInFeed([body, next.body, later.body].map(({ access_token: jwt }) => jwt));
    expect((await familyOf(accountId)).reason).toBe('refresh_token_replayed');
  });

  test('11: a repetition that races the use of the successor leaves one line of tokens', async () => {
    for (let round = 0; round < 10; round++) {
      const client = await clientWith();
      const { accountId, body } = await start(client);
      const { body: next } = await refresh(one, client, body.refresh_token);
      const answers = await Promise.all([
        refresh(one, client, next.refresh_token),
        ...Array.from({ length: 4 }, (_, index) =>
          refresh(either(index), client, body.refresh_token),
        ),
      ]);
      for (const answer of answers.filter(({ status }) => status !== 200))
        expect(answer.body.error).toBe('invalid_grant');
      // Whoever repeated in time holds the successor that was used, and nothing that goes on.
      const given = new Set(answers.slice(1).flatMap((answer) => answer.body.refresh_token ?? []));
      expect([...given].every((token) => token === next.refresh_token)).toBe(true);
      expect(await unused(accountId)).toBeLessThanOrEqual(1);
    }
  });

  test.each([
    ['a confidential client', {}, undefined, 119, 200],
    ['a confidential client', {}, undefined, 121, 400],
    ['a public client, whose access tokens live an hour', { type: 'spa' }, undefined, 119, 200],
    ['a public client, whose access tokens live five minutes', { type: 'spa' }, 300, 28, 200],
    ['a public client, whose access tokens live five minutes', { type: 'spa' }, 300, 31, 400],
  ] as const)(
    '11: %s (%j, %s) repeats after %s seconds: %s',
    async (_, kind, ttl, later, status) => {
      const client = await seed.client({
        apis,
        ...kind,
        settings: ttl === undefined ? {} : { accessTokenTtl: ttl },
      });
      const { accountId, body } = await start(client);
      const next = await refresh(one, client, body.refresh_token);
      await age(accountId, later);
      const again = await refresh(two, client, body.refresh_token);
      expect(again.status).toBe(status);
      if (status === 200) expect(again.body.refresh_token).toBe(next.body.refresh_token);
      else await expectDead(client, body, next.body);
    },
  );

  test('without a grace: one gets a successor, the others invalid_grant and nothing else', async () => {
    const client = await clientWith({ refreshGrace: 0 });
    for (let round = 0; round < 5; round++) {
      const { accountId, body } = await start(client);
      const answers = await times(50, (index) =>
        refresh(either(index), client, body.refresh_token),
      );
      expect(statuses(answers)).toEqual({ 200: 1, 400: 49 });
      for (const answer of answers.filter(({ status }) => status === 400))
        expect(answer.body).toEqual({
          error: 'invalid_grant',
          error_description: expect.any(String),
        });
      expect(await unused(accountId)).toBeLessThanOrEqual(1);
      // Whichever it was: presented again it is a replay.
      expect((await refresh(one, client, body.refresh_token)).body.error).toBe('invalid_grant');
      const [won] = answers.filter(({ status }) => status === 200) as [TokenAnswer];
      await expectDead(client, body, won.body);
    }
  });

  test('without a grace, one after the other: the second one is a replay', async () => {
    const client = await clientWith({ refreshGrace: 0 });
    const { accountId, body } = await start(client);
    const next = await refresh(one, client, body.refresh_token);
    expect(next.status).toBe(200);
    expect((await refresh(two, client, body.refresh_token)).body.error).toBe('invalid_grant');
    await expectDead(client, body, next.body);
    expect((await familyOf(accountId)).reason).toBe('refresh_token_replayed');
  });

  test('kept: every answer has the same one, which goes on', async () => {
    const client = await clientWith({ refreshRotation: 'keep' });
    const { accountId, body } = await start(client);
    const answers = await times(50, (index) => refresh(either(index), client, body.refresh_token));
    expect(statuses(answers)).toEqual({ 200: 50 });
    for (const answer of answers) expect(answer.body.refresh_token).toBe(body.refresh_token);
    expect(await unused(accountId)).toBe(1);
    await revoke(one, client, body.refresh_token);
    await expectDead(client, body, ...answers.slice(0, 5).map((answer) => answer.body));
  });

  test('a family that has come to its end: none gets anything, and no 5xx', async () => {
    const client = await clientWith({ familyTtl: 600 });
    const { accountId, body } = await start(client);
    await run('update grants set expires_at = now() where account_id = $1', accountId);
    const answers = await times(20, (index) => refresh(either(index), client, body.refresh_token));
    expect(statuses(answers)).toEqual({ 400: 20 });
    await expectDead(client, body);
    const { rows } = await run(
      `select count(*) as count from tokens where account_id = $1 and kind = 'jwt'`,
      accountId,
    );
    expect(rows).toEqual([{ count: 1 }]);
  });
});

test('what is set for a client holds on the other process too, for tokens that were given before', async () => {
  const client = await clientWith({ refreshGrace: 5 });
  const { accountId, body } = await start(client);
  const next = (await refresh(two, client, body.refresh_token)).body;
  await age(accountId, 10);
  await clients().update(client.clientId, { refreshGrace: 60 }, 'test');
  // By what held before, each of these would be a replay, and end its family.
  const probe = async (server: string) => {
    const tried = await start(client);
    await refresh(server, client, tried.body.refresh_token);
    await age(tried.accountId, 10);
    return (await refresh(server, client, tried.body.refresh_token)).status === 200;
  };
  await until(async () => (await probe(one)) && (await probe(two)));
  for (const server of [one, two])
    expect((await refresh(server, client, body.refresh_token)).body.refresh_token).toBe(
      next.refresh_token,
    );
  await clients().update(client.clientId, { refreshRotation: 'keep' }, 'test');
  await until(async () => {
    const kept = (await start(client)).body.refresh_token;
    const answers = await times(2, (index) => refresh(either(index), client, kept));
    return answers.every((answer) => answer.body.refresh_token === kept);
  });
});

describe('SECURITY 2: a refresh overtakes what ends it', () => {
  const ways: [string, (started: Started) => Promise<unknown>][] = [
    ['its revocation', ({ client, body }) => revoke(two, client, body.refresh_token)],
    [
      'the end of its family',
      async ({ accountId }) => revokeFamily(database.db, (await familyOf(accountId)).id, 'test'),
    ],
    [
      'the end of the consent',
      ({ accountId, client }) => new ConsentService(database.db).remove(accountId, client.clientId),
    ],
    ['a sign-out everywhere', ({ accountId }) => people.accounts.signOut(accountId, 'test')],
    [
      'the end of the account',
      ({ accountId }) => people.accounts.setDisabled(accountId, true, 'test'),
    ],
    ['the end of the client', ({ client }) => seed.disableClient(client.clientId)],
    [
      "the end of the client's tokens",
      ({ client }) => clients().revokeTokens(client.clientId, 'test'),
    ],
  ];

  test.each(ways)(
    'raced with %s: nothing lives afterwards',
    async (_, end) => {
      const jwts: string[] = [];
      for (let round = 0; round < 15; round++) {
        const client = await clientWith();
        const started = await start(client);
        const { body } = started;
        const [answers] = await Promise.all([
          times(4, (index) => refresh(either(index), client, body.refresh_token)),
          end(started),
        ]);
        for (const { status } of answers) expect([200, 400, 401]).toContain(status);
        const given = answers.filter(({ status }) => status === 200).map((answer) => answer.body);
        await expectDead(client, body, ...given);
        jwts.push(body.access_token, ...given.map(({ access_token: access }) => access));
      }
      await expectInFeed(jwts);
    },
    60_000,
  );
});
