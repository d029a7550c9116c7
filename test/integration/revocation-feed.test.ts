import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import { ClientService } from '../../src/client/client.service.ts';
import { ConsentService } from '../../src/consent/consent.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { Cursors } from '../../src/revocation/cursors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Feed, jtiHash } from '../support/feed.ts';
import { createPeople } from '../support/people.ts';
import { until } from '../support/process.ts';
import {
  type Authorization,
  type Credentials,
  exchange,
  isActive,
  post,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/** What APIs that verify signatures hear of: the feed of one process, of what was done on the other. */

const api = 'https://jwt.example.com';
const apis = [{ identifier: api, scopes: ['read'] }];

let database: TestDatabase;
let seed: Seed;
const servers: ServerProcess[] = [];
let one: string;
let two: string;
let apiClient: Credentials;
let client: Credentials;

async function startServer(): Promise<ServerProcess> {
  const server = await startServerProcess(database, 'http://localhost:3000');
  servers.push(server);
  return server;
}

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  apiClient = await seed.api(api, 'jwt');
  client = await seed.client({ apis });
  [one, two] = (await Promise.all([startServer(), startServer()])).map(({ url }) => url) as [
    string,
    string,
  ];
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

interface Issued {
  readonly accountId: string;
  readonly browser: SignedInBrowser;
  readonly code: Authorization;
  readonly jwt: string;
  readonly refreshToken: string;
}

/** A person's JWT for the API. */
async function issue({
  by = client,
  scope = 'openid offline_access read',
}: {
  by?: Credentials;
  scope?: string;
} = {}): Promise<Issued> {
  const accountId = await seed.account();
  await seed.consent(accountId, by.clientId, { [api]: ['read'] });
  const browser = await seed.signIn(accountId);
  const code = await browser.authorize(one, by, { scope, resource: api });
  const { body } = await exchange(one, by, code);
  return { accountId, browser, code, jwt: body.access_token, refreshToken: body.refresh_token };
}

async function machineJwt(by: Credentials): Promise<string> {
  const { body } = await post(one, '/token', by, {
    grant_type: 'client_credentials',
    resource: api,
  });
  return body.access_token;
}

const clients = () => new ClientService(database.db, new ResourceServerService(database.db));

const run = (text: string, ...values: unknown[]) => database.db.pool.query(text, values);

/** An API refuses them within two seconds, at whichever process it asks, and the other one at once. */
async function expectRefused(...jwts: string[]): Promise<void> {
  for (const server of [one, two]) {
    const feed = new Feed(server);
    await until(async () => {
      await feed.poll();
      return jwts.every((jwt) => feed.refuses(jwt));
    });
  }
  for (const jwt of jwts) expect(await isActive(two, apiClient, jwt)).toBe(false);
}

/** The same by an API that has followed the feed since before it was revoked. */
async function following(): Promise<Feed> {
  const feed = new Feed(two);
  await feed.poll();
  return feed;
}

async function expectTaken(...jwts: string[]): Promise<void> {
  const feed = new Feed(one);
  await feed.poll();
  for (const jwt of jwts) {
    expect(feed.refuses(jwt)).toBe(false);
    expect(await isActive(two, apiClient, jwt)).toBe(true);
  }
}

describe('what it says', () => {
  test('nothing of tokens that live; where it is stands in the discovery document', async () => {
    const { jwt } = await issue();
    await expectTaken(jwt);
    const discovery = (await (
      await fetch(`${one}/.well-known/openid-configuration`)
    ).json()) as Record<string, unknown>;
    expect(discovery.revocations_endpoint).toBe('http://localhost:3000/revocations');
  });

  test('it is for everybody, kept by nobody, and signed as what it is', async () => {
    const response = await fetch(`${two}/revocations`, {
      headers: { origin: 'https://spa.example' },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/secevent+jwt');
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const [header, claims] = (await response.text())
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object);
    expect(header).toEqual({ alg: 'ES256', kid: expect.any(String), typ: 'secevent+jwt' });
    expect(claims).toEqual({
      iss: 'http://localhost:3000',
      iat: expect.any(Number),
      jti: expect.any(String),
      events: {
        'urn:vouchsafe:event:revocations': {
          cursor: expect.any(String),
          tokens: expect.any(Object),
          clients: expect.any(Object),
          permissions: expect.any(Object),
        },
      },
    });
  });

  test('it is no access token, and no ID token either', async () => {
    const event = await (await fetch(`${one}/revocations`)).text();
    expect(await isActive(one, apiClient, event)).toBe(false);
    const { status } = await fetch(`${one}/userinfo`, {
      headers: { authorization: `Bearer ${event}` },
    });
    expect(status).toBe(401);
  });
});

describe('an API refuses a JWT within two seconds of', () => {
  test('its own revocation, by the hash of its jti until it ends by itself; its family lives on', async () => {
    const { jwt, refreshToken } = await issue();
    const robot = await seed.client({ type: 'machine', apis });
    const machine = await machineJwt(robot);
    const others = [(await refresh(one, client, refreshToken)).body.access_token];
    others.push(await machineJwt(robot));
    const feed = await following();
    expect((await revoke(one, client, jwt)).status).toBe(200);
    expect((await revoke(one, robot, machine)).status).toBe(200);
    await expectRefused(jwt, machine);
    await feed.poll();
    for (const token of [jwt, machine])
      expect(feed.tokens.get(jtiHash(token))).toBe((decodeJwt(token) as { exp: number }).exp);
    await expectTaken(...others);
  });

  test("another client's try to revoke it: never", async () => {
    const { jwt } = await issue();
    await revoke(two, await seed.client(), jwt);
    await expectTaken(jwt);
  });

  test('the revocation of its refresh token, used or not', async () => {
    const [first, second] = [await issue(), await issue()];
    const later = (await refresh(one, client, second.refreshToken)).body.access_token;
    await revoke(one, client, first.refreshToken);
    await revoke(two, client, second.refreshToken);
    await expectRefused(first.jwt, second.jwt, later);
  });

  test('a replay of the refresh token, or of the code', async () => {
    const first = await issue();
    const next = (await refresh(one, client, first.refreshToken)).body;
    const second = await issue();
    await run(
      `update tokens set consumed_at = now() - interval '1 hour' where consumed_at is not null`,
    );
    await refresh(two, client, first.refreshToken);
    await exchange(two, client, second.code);
    await expectRefused(first.jwt, next.access_token, second.jwt);
  });

  test('the end of the consent', async () => {
    const { accountId, jwt } = await issue();
    const stays = await issue();
    await new ConsentService(database.db).remove(accountId, client.clientId);
    await expectRefused(jwt);
    await expectTaken(stays.jwt);
  });

  test('the end of the account, whatever else was ended with it', async () => {
    const [first, second] = [await issue(), await issue()];
    await run('update accounts set disabled_at = now() where id = $1', second.accountId);
    await createPeople(database.db).accounts.setDisabled(first.accountId, true, 'test');
    await expectRefused(first.jwt, second.jwt);
  });

  test('the end of its session, where it is bound to it, also in a family that stays', async () => {
    const bound = await issue({ scope: 'openid read' });
    const kept = await issue();
    // The same family gives one more, without offline_access.
    const code = await kept.browser.authorize(one, client, { scope: 'openid read', resource: api });
    const alsoBound = (await exchange(two, client, code)).body.access_token;
    await expectTaken(bound.jwt, alsoBound);
    for (const { browser } of [bound, kept])
      await run('update sessions set ended_at = now() where uid = $1', browser.sessionUid);
    await expectRefused(bound.jwt, alsoBound);
    await expectTaken(kept.jwt);
  });

  test('the time of its session, or of its family, being over', async () => {
    const bound = await issue({ scope: 'openid read' });
    const offline = await issue();
    await run('update sessions set expires_at = now() where uid = $1', bound.browser.sessionUid);
    await run('update grants set expires_at = now() where account_id = $1', offline.accountId);
    await expectRefused(bound.jwt, offline.jwt);
  });

  test('the end of its client, which is told in one word for all of them', async () => {
    const [app, robot] = [
      await seed.client({ apis }),
      await seed.client({ type: 'machine', apis }),
    ];
    const jwts = [
      (await issue({ by: app })).jwt,
      (await issue({ by: app })).jwt,
      await machineJwt(robot),
    ];
    for (const { clientId } of [app, robot]) await seed.disableClient(clientId);
    await expectRefused(...jwts);
    const feed = await following();
    for (const jwt of jwts) expect(feed.names(jwt)).toBe(false);
    // Enabled again it stays so.
    for (const { clientId } of [app, robot]) await clients().setDisabled(clientId, false, 'test');
    await expectRefused(...jwts);
  });

  test('the end of its client, though a process that had not heard of it made it later', async () => {
    const robot = await seed.client({ type: 'machine', apis });
    const jwt = await machineJwt(robot);
    await run(
      `update clients set disabled_at = now() - interval '5 seconds', tokens_since = now() - interval '5 seconds' where id = $1`,
      robot.clientId,
    );
    await expectRefused(jwt);
    await clients().setDisabled(robot.clientId, false, 'test');
    await expectRefused(jwt);
  });

  test("the end of its client's tokens; those that come later are taken", async () => {
    const [app, robot] = [
      await seed.client({ apis }),
      await seed.client({ type: 'machine', apis }),
    ];
    const jwts = [(await issue({ by: app })).jwt, await machineJwt(robot)];
    for (const { clientId } of [app, robot]) await clients().revokeTokens(clientId, 'test');
    await expectRefused(...jwts);
    const later = await seed.client({ type: 'machine', apis });
    await run(
      `update clients set tokens_since = now() - interval '1 hour' where id = $1`,
      later.clientId,
    );
    await expectTaken(await machineJwt(later));
  });
});

describe('where it goes on', () => {
  const rowsOf = (count: number, at: string) =>
    run(
      `insert into revoked_tokens (id_hash, revoked_at, expires_at)
       select sha256(convert_to($1 || n, 'UTF8')), ${at}, now() + interval '1 hour' from generate_series(1, ${count}) n`,
      randomBytes(8).toString('hex'),
    );

  test('a cursor of one process leads on at the other, and tells little twice', async () => {
    await rowsOf(50, `now() - interval '5 minutes'`);
    const fresh = await startServer();
    const all = await new Feed(fresh.url).read();
    expect(Object.keys(all.tokens).length).toBeGreaterThanOrEqual(50);
    const { jwt } = await issue();
    await revoke(one, client, jwt);
    for (const server of [two, fresh.url]) {
      const feed = new Feed(server);
      feed.cursor = all.cursor;
      await until(async () => {
        await feed.poll();
        return feed.names(jwt);
      });
    }
    // What ended five minutes ago was told then.
    const next = await new Feed(fresh.url).read(all.cursor);
    expect(Object.keys(next.tokens)).not.toEqual(expect.arrayContaining(Object.keys(all.tokens)));
  });

  test('what took its time to be committed is told, though its time is long past', async () => {
    const { accountId, jwt } = await issue();
    const slow = await database.db.pool.connect();
    await slow.query('begin');
    await slow.query(
      `update grants set revoked_at = now() - interval '40 seconds', revoked_reason = 'test' where account_id = $1`,
      [accountId],
    );
    const feed = await following();
    expect(feed.refuses(jwt)).toBe(false);
    await slow.query('commit');
    slow.release();
    await until(async () => {
      await feed.poll();
      return feed.names(jwt);
    });
  });

  test('more than a page is told page by page, by whichever process, and nothing is left out', async () => {
    await rowsOf(11_000, `now() - interval '2 hours'`);
    const fresh = await startServer();
    const other = await startServer();
    const feed = new Feed(fresh.url);
    const seen: number[] = [];
    let turn = 0;
    for (let more = true; more; turn++) {
      const page = await feed.read(feed.cursor, turn % 2 === 0 ? fresh.url : other.url);
      const hashes = Object.keys(page.tokens);
      seen.push(hashes.length + Object.keys(page.clients).length);
      for (const hash of hashes) feed.tokens.set(hash, 0);
      feed.cursor = page.cursor;
      more = page.more === true;
    }
    expect(Math.max(...seen)).toBe(5_000);
    const { rows } = await run(`select id_hash from revoked_tokens where expires_at > now()`);
    for (const { id_hash: hash } of rows as { id_hash: Buffer }[])
      expect(feed.tokens.has(hash.toString('base64url'))).toBe(true);
    // What is new may be more than a page too.
    const reader = new Feed(other.url);
    await reader.poll();
    await rowsOf(6_000, 'now()');
    await until(async () => (await reader.poll()) === 2);
    const { rows: now } = await run(`select count(*) as count from revoked_tokens`);
    expect(reader.tokens.size).toBeGreaterThanOrEqual(now[0].count);
  });

  test('whoever comes with anything else is told everything', async () => {
    const { jwt } = await issue();
    await revoke(one, client, jwt);
    await run(
      `update revoked_tokens set revoked_at = now() - interval '5 minutes' where id_hash = $1`,
      Buffer.from(jtiHash(jwt), 'base64url'),
    );
    const { url } = await startServer();
    const isTold = async (cursor: string) => {
      const feed = new Feed(url);
      feed.cursor = cursor;
      await feed.poll();
      return feed.names(jwt);
    };
    const cursors = new Cursors(new Sealer([testMasterKey]).deriveEach('revocation cursors'));
    const hour = 3_600_000;
    const future = cursors.format({ at: Date.now() + hour });
    const past = cursors.format({ at: Date.now() - hour });
    const slow = cursors.format({ at: Date.now() - hour, page: { since: 0, after: 'token:~' } });
    const forged = Buffer.from(JSON.stringify([Date.now()])).toString('base64url');
    const odd = [
      '',
      'x',
      '%00',
      'W10',
      'bnVsbA',
      'WyJ4Il0',
      future,
      past,
      slow,
      forged,
      'y'.repeat(8_000),
    ];
    for (const cursor of odd) {
      expect({ cursor, all: await isTold(cursor) }).toEqual({ cursor, all: true });
    }
    expect(await isTold(cursors.format({ at: Date.now() }))).toBe(false);
    expect((await fetch(`${url}/revocations?since=x&since=y`)).status).toBe(200);
  });
});

describe('a process that starts', () => {
  test('tells what ended long ago and still matters, and nothing that does not', async () => {
    const [early, bound, idle, over, machine, person] = [
      await issue(),
      await issue({ scope: 'openid read' }),
      await issue({ scope: 'openid read' }),
      await issue(),
      await issue(),
      await issue(),
    ];
    await run(
      `update grants set revoked_at = now() - interval '23 hours', revoked_reason = 'test' where account_id = $1`,
      early.accountId,
    );
    await run(
      `update sessions set ended_at = now() - interval '1 hour' where uid = $1`,
      bound.browser.sessionUid,
    );
    await run(
      `update sessions set expires_at = now() - interval '1 hour' where uid = $1`,
      idle.browser.sessionUid,
    );
    await revoke(one, client, over.jwt);
    const end = (table: string, ago: string, { jwt }: Issued) =>
      run(
        `update ${table} set expires_at = now() - $2::interval where id_hash = $1`,
        Buffer.from(jtiHash(jwt), 'base64url'),
        ago,
      );
    await end('revoked_tokens', '61 seconds', over);
    // SECURITY 22: over by our clock; to an API whose clock is behind, or that takes it for a little longer, it is not.
    await revoke(one, client, machine.jwt);
    await end('revoked_tokens', '50 seconds', machine);
    await run(
      `update grants set revoked_at = now() - interval '1 hour', revoked_reason = 'test' where account_id = $1`,
      person.accountId,
    );
    await end('tokens', '50 seconds', person);
    const gone = await seed.signIn(early.accountId);
    await run(
      `update sessions set ended_at = now() - interval '1 hour' where uid = $1`,
      gone.sessionUid,
    );
    await createCleaning(database.db).run(new AbortController().signal);
    const sessions = [bound, idle].map(({ browser }) => browser.sessionUid);
    const { rows } = await run('select uid from sessions where uid = any($1)', [
      ...sessions,
      gone.sessionUid,
    ]);
    expect(rows.map(({ uid }: { uid: string }) => uid).sort()).toEqual(sessions.sort());
    const feed = new Feed((await startServer()).url);
    await feed.poll();
    expect([early, bound, idle, over, machine, person].map(({ jwt }) => feed.names(jwt))).toEqual([
      true,
      true,
      true,
      false,
      true,
      true,
    ]);
  });

  test('a hundred that ask at once cost no more than one', async () => {
    const server = await startServer();
    const ask = () => fetch(`${server.url}/revocations`);
    await ask();
    await server.arm();
    const began = performance.now();
    await Promise.all(Array.from({ length: 100 }, ask));
    const seconds = Math.ceil((performance.now() - began) / 1_000);
    // In each second the feed is read twice at most, and the watch over the configuration asks once.
    expect(await server.statements()).toBeLessThanOrEqual(1 + 3 * seconds);
  });
});
