import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RefusalCounts } from '../../src/audit/refusals.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertion, type ClientKey, jwksOf, newKey } from '../support/proofs.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { startServer, type TestServer } from '../support/server.ts';
import {
  type Answer,
  authorizationFields,
  basic,
  countRows,
  form,
  query,
  send,
  type Sent,
} from '../support/wire.ts';

/** 23: what anybody may ask, how often, and what it leaves behind. */

const api = 'https://api.example.com';
const limits = [
  'token=4/6',
  'introspect=4/6',
  'revoke=4/6',
  'par=4/6',
  'authorize=4',
  'register=4',
  'revocations=4',
  'device=4',
  'device_authorization=4',
];

let database: TestDatabase;
let server: TestServer;
let seed: Seed;
let machine: Credentials;
let other: Credentials;
let spa: Credentials;
let signing: Credentials;
let apiClient: Credentials;
let key: ClientKey;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  apiClient = await seed.api(api);
  const apis = [{ identifier: api, scopes: ['read'] }];
  machine = await seed.client({ type: 'machine', apis });
  other = await seed.client({ type: 'machine', apis });
  spa = await seed.client({ type: 'spa' });
  key = await newKey();
  signing = await seed.client({
    type: 'machine',
    apis,
    authMethod: 'private_key_jwt',
    jwks: jwksOf(key),
  });
  server = await startServer(database, {
    TRUST_PROXY: '1',
    CLIENT_REGISTRATION: 'open',
    REQUEST_LIMITS: limits.join(','),
  });
});

afterAll(async () => {
  await server.close();
  await database.drop();
});

let network = 0;
/** An address that nobody has come from yet, in a network of its own. */
const fresh = () => `10.7.${++network}.1`;

function ask(path: string, address: string, sent: Sent = {}): Promise<Answer> {
  return send(server.issuer, path, {
    ...sent,
    headers: { 'x-forwarded-for': address, ...sent.headers },
  });
}

const post = (path: string, address: string, fields: Record<string, string>, headers = {}) =>
  ask(path, address, { method: 'POST', headers, body: form(fields) });

/** A request that brings nothing which only its sender has, for each limited endpoint. */
const unproven: [endpoint: string, request: (address: string) => Promise<Answer>][] = [
  [
    'token',
    (at) =>
      post('/token', at, {
        grant_type: 'refresh_token',
        refresh_token: 'x',
        client_id: spa.clientId,
      }),
  ],
  [
    'introspect',
    (at) => post('/introspect', at, { token: 'x' }, basic({ ...machine, clientSecret: 'wrong' })),
  ],
  ['revoke', (at) => post('/revoke', at, { token: 'x', client_id: spa.clientId })],
  ['par', (at) => post('/par', at, { client_id: 'nobody' })],
  [
    'authorize',
    (at) =>
      ask(`/authorize?${query(authorizationFields(spa).fields)}`, at, {
        headers: { accept: 'text/html' },
      }),
  ],
  [
    'register',
    (at) =>
      ask('/register', at, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      }),
  ],
  ['revocations', (at) => ask('/revocations', at)],
  ['device', (at) => ask('/device', at, { headers: { accept: 'text/html' } })],
  ['device_authorization', (at) => post('/device_authorization', at, { client_id: 'nobody' })],
];

describe('23: from one address', () => {
  test.each(unproven)(
    '%s: so many a minute, then 429 with the seconds to wait',
    async (_, request) => {
      const address = fresh();
      for (let times = 0; times < 4; times++) expect((await request(address)).status).not.toBe(429);
      const refused = await request(address);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect((await request(fresh())).status).not.toBe(429);
    },
  );

  test.each([
    ['/par', 'application/x-www-form-urlencoded'],
    ['/register', 'application/json'],
  ])('%s: also by requests whose body has not arrived', async (path, type) => {
    const address = fresh();
    const { port } = new URL(server.issuer);
    const slow = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = connect(Number(port), '127.0.0.1');
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: localhost:${port}\r\nX-Forwarded-For: ${address}\r\nContent-Type: ${type}\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n`,
        );
        expect(String((await once(socket, 'data'))[0])).toContain('100 Continue');
        return socket;
      }),
    );
    const asked = { method: 'POST', body: '{}', headers: { 'content-type': type } };
    expect((await ask(path, address, asked)).status).toBe(429);
    for (const socket of slow) socket.destroy();
  });

  test('programs are answered in their own form, also in a browser of another origin', async () => {
    const address = fresh();
    const [, request] = unproven[0] as (typeof unproven)[number];
    for (let times = 0; times < 4; times++) await request(address);
    const refused = await post('/token', address, {}, { origin: 'https://app.example.com' });
    expect(refused).toMatchObject({ status: 429, json: { error: 'temporarily_unavailable' } });
    expect(refused.headers['access-control-allow-origin']).toBe('https://app.example.com');
    expect(refused.headers['access-control-expose-headers']).toMatch(/Retry-After/i);
    const page = await ask('/device', address, { headers: { accept: 'text/html' } });
    expect(page.status).not.toBe(429);
  });

  test('all addresses of a /64 count as one, and no other spelling of an address counts apart', async () => {
    for (let times = 0; times < 4; times++)
      expect((await post('/token', `2001:db8:9:9::${times + 1}`, {})).status).not.toBe(429);
    // Another spelling of the path leads nowhere.
    for (const path of ['/TOKEN', '/Token', '/token/'])
      expect((await post(path, '2001:db8:9:9::7', {})).status).toBe(404);
    expect((await post('/token', '2001:DB8:9:9:0:0:0:FFFF', {})).status).toBe(429);
  });

  test('what proves something does not count', async () => {
    const address = fresh();
    const fields = { grant_type: 'client_credentials', resource: api };
    for (let times = 0; times < 5; times++) {
      const { status, json } = await post('/token', address, fields, basic(other));
      expect(status).toBe(200);
      const token = json.access_token as string;
      expect((await post('/introspect', address, { token }, basic(apiClient))).status).toBe(200);
    }
    for (let times = 0; times < 4; times++)
      expect((await post('/token', address, {})).status).toBe(401);
    expect((await post('/token', address, {})).status).toBe(429);
  });
});

describe('23: of one client that has authenticated', () => {
  const asked = async (by: () => Promise<Answer>) => {
    const statuses = [];
    for (let times = 0; times < 8; times++) statuses.push((await by()).status);
    return statuses;
  };
  const allowed = [200, 200, 200, 200, 200, 200, 429, 429];
  const fields = { grant_type: 'client_credentials', resource: api };

  test('on the fast path, whatever address it comes from', async () => {
    expect(await asked(() => post('/token', fresh(), fields, basic(machine)))).toEqual(allowed);
    // Nobody uses up the limit of somebody else.
    const guesses = await asked(() =>
      post('/token', fresh(), fields, basic({ ...signing, clientSecret: 'x' })),
    );
    expect(new Set(guesses)).toEqual(new Set([401]));
  });

  test('at the engine, with an assertion; a refused one leaves no token', async () => {
    const one = async () =>
      post('/token', fresh(), {
        ...fields,
        ...(await assertion(key, signing.clientId, server.issuer)),
      });
    const before = Number((await countRows(database.db)).tokens);
    expect(await asked(one)).toEqual(allowed);
    expect(Number((await countRows(database.db)).tokens)).toBe(before + 6);
  });
});

test('23: a sign-out without a session writes nothing, and goes where it leads', async () => {
  const bye = 'https://app.example.com/bye';
  const client = await seed.client({ postLogoutRedirectUris: [bye] });
  const before = await countRows(database.db);
  const to = async (fields: Record<string, string>, headers = {}) => {
    const answer = await ask(`/logout?${query(fields)}`, fresh(), {
      headers: { accept: 'text/html', ...headers },
    });
    expect([answer.status, answer.cookies]).toEqual([303, []]);
    return answer.location;
  };
  expect(await to({})).toBe(`${server.issuer}/logout/success`);
  expect(await to({}, { cookie: 'vs_session=unknown; vs_session.sig=x' })).toBe(
    `${server.issuer}/logout/success`,
  );
  expect(
    await to({ client_id: client.clientId, post_logout_redirect_uri: bye, state: 'a b' }),
  ).toBe(`${bye}?state=a+b`);
  expect(await to({ post_logout_redirect_uri: 'https://evil.example/' })).toBe(
    `${server.issuer}/logout/success`,
  );
  expect(await countRows(database.db)).toEqual(before);
});

test('23: requests without valid credentials: one row per address, reason and minute, with its count', async () => {
  // Counts are written once a minute, and when a process ends.
  await server.close();
  await database.db.kysely.deleteFrom('audit_events').execute();
  await database.db.kysely.deleteFrom('audit_people').execute();
  server = await startServer(database, {
    TRUST_PROXY: '1',
    CLIENT_REGISTRATION: 'open',
    REQUEST_LIMITS: 'token=20',
  });
  const rows = async () =>
    (
      await database.db.pool.query(
        `select e.type, e.reason, e.client_id, (e.data->>'count')::int as count, p.address
         from audit_events e left join audit_people p on p.event_id = e.id
         where e.outcome = 'refused' order by p.address, e.type, e.reason, count`,
      )
    ).rows as Record<string, unknown>[];
  const [flood, wrong, many] = [fresh(), fresh(), fresh()];
  const unknown = { clientId: 'nobody', clientSecret: 'x' };
  for (let times = 0; times < 15; times++)
    expect((await post('/revoke', flood, { token: 'x' }, basic(unknown))).status).toBe(401);
  expect(await rows()).toEqual([]);
  for (let times = 0; times < 5; times++)
    await post('/revoke', wrong, { token: 'x' }, basic({ ...machine, clientSecret: 'x' }));
  // A client that there is: the first is written with its request.
  expect(await rows()).toMatchObject([
    { client_id: machine.clientId, count: null, address: wrong },
  ]);
  for (let times = 0; times < 30; times++)
    await post('/token', many, {
      client_id: spa.clientId,
      grant_type: 'refresh_token',
      refresh_token: 'x',
    });
  const before = (await rows()).length;
  await server.close();
  const written = await rows();
  expect(written).toHaveLength(before + 4);
  expect(written).toEqual(
    expect.arrayContaining([
      {
        type: 'client.authentication',
        reason: 'invalid_client',
        client_id: null,
        count: 15,
        address: flood,
      },
      {
        type: 'client.authentication',
        reason: 'invalid_client',
        client_id: machine.clientId,
        count: 4,
        address: wrong,
      },
      {
        type: 'token.refused',
        reason: 'invalid_grant',
        client_id: spa.clientId,
        count: 19,
        address: many,
      },
      {
        type: 'request.refused',
        reason: 'too_many_requests',
        client_id: null,
        count: 10,
        address: many,
      },
    ]),
  );
  server = await startServer(database, { TRUST_PROXY: '1' });
});

test('23: refusals that are counted keep nothing of their requests, however much those send', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const counts = new RefusalCounts(database.db);
  await database.db.kysely.deleteFrom('audit_events').execute();
  await database.db.kysely.deleteFrom('audit_people').execute();
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed / 2 ** 20;
  };
  const before = heap();
  for (let index = 0; index < 2_000; index++)
    counts.take({
      type: 'client.authentication',
      outcome: 'refused',
      reason: 'invalid_client',
      address: `10.9.${index >> 8}.${index & 255}`,
      userAgent: Buffer.alloc(15_000, 97 + (index % 20)).toString('latin1'),
      requestId: `request ${index}`,
    });
  // 29 MiB of User-Agents.
  expect(heap() - before).toBeLessThan(15);
  await counts.flush();
  const { rows } = await database.db.pool.query(
    `select count(*)::int as events, count(e.request_id)::int as requests, count(p.address)::int as people,
      count(p.user_agent)::int as agents, sum((e.data->>'count')::int)::int as refusals
     from audit_events e join audit_people p on p.event_id = e.id`,
  );
  expect(rows).toEqual([{ events: 2_000, requests: 0, people: 2_000, agents: 0, refusals: 2_000 }]);
});
