import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { ClientKeySets } from '../../src/oidc/client-authentication/key-sets.ts';
import { Outbound } from '../../src/outbound/outbound.service.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type KeyServer, openKeyServer } from '../support/key-server.ts';
import { Seed } from '../support/protocol.ts';
import { assertion, type ClientKey, newKey, send, sign } from '../support/proofs.ts';
import { asking, requestClaims } from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Clients that publish their keys (`jwks_uri`): SECURITY 9, as far as it is about them. */

const issuer = 'http://localhost:3000';
const api = 'https://api.example.com';
let database: TestDatabase;
let seed: Seed;
let opened: ServerProcess;
let strict: ServerProcess;
let host: KeyServer;
let name: string;
let serial = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db, ['127.0.0.1']);
  await seed.api(api);
  host = await openKeyServer();
  [opened, strict] = await Promise.all([
    startServerProcess(database, issuer, { OUTBOUND_ALLOW: '127.0.0.1' }),
    startServerProcess(database, issuer),
  ]);
});

/** Each test has an address of its own: what is known of one is known of it alone. */
beforeEach(() => {
  name = `keys-${serial++}`;
});

afterAll(async () => {
  await Promise.all([opened.stop(), strict.stop(), host.close()]);
  await database.drop();
});

const published = (...keys: (readonly [ClientKey, string])[]) => ({
  keys: keys.map(([{ publicJwk }, kid]) => ({ ...publicJwk, kid })),
});

async function machine(): Promise<string> {
  const { clientId } = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
    authMethod: 'private_key_jwt',
    jwksUri: host.uri(name),
  });
  return clientId;
}

/** What a token request that is signed with the key is answered with. */
async function take(key: ClientKey, clientId: string, kid?: string, server = opened) {
  const header = kid === undefined ? {} : { kid };
  const { status, body } = await send(server.url, '/token', {
    grant_type: 'client_credentials',
    resource: api,
    ...(await assertion(key, clientId, issuer, {}, header)),
  });
  return status === 200 ? 'token' : `${status} ${body.error}`;
}
const refused = '401 invalid_client';

test('keys are fetched once, and again as soon as something is signed with another', async () => {
  const [first, second] = [await newKey(), await newKey('PS256')];
  host.answer = published([first, 'one']);
  const clientId = await machine();
  expect(await take(first, clientId, 'one')).toBe('token');
  expect(await take(first, clientId, 'one')).toBe('token');
  expect(await take(first, clientId)).toBe('token');
  expect(host.asked(name)).toBe(1);
  host.answer = published([second, 'two']);
  expect(await take(second, clientId, 'two')).toBe('token');
  expect(host.asked(name)).toBe(2);
  // What is not published any more is no key of the client's any more.
  expect(await take(first, clientId, 'one')).toBe(refused);
});

test('what is signed with no key of the client makes no request each, however it is named', async () => {
  const [right, wrong] = [await newKey(), await newKey()];
  host.answer = published([right, 'one']);
  const clientId = await machine();
  const kids = ['one', 'two', undefined, '../../etc/passwd', 'x'.repeat(500)];
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => take(wrong, clientId, kids[index % kids.length])),
  );
  for (const kid of kids) answers.push(await take(wrong, clientId, kid));
  expect(answers).toEqual(answers.map(() => refused));
  expect(host.asked(name)).toBeLessThanOrEqual(3);
  expect(await take(right, clientId, 'one')).toBe('token');
  expect(host.asked(name)).toBeLessThanOrEqual(3);
});

test('a key that the assertion itself names is nothing to us', async () => {
  const [right, wrong] = [await newKey(), await newKey()];
  host.answer = published([right, 'one']);
  const clientId = await machine();
  for (const header of [
    { jku: host.uri('stolen') },
    { jwk: wrong.publicJwk },
    { x5u: host.uri('stolen') },
  ]) {
    const { status } = await send(opened.url, '/token', {
      grant_type: 'client_credentials',
      resource: api,
      ...(await assertion(wrong, clientId, issuer, {}, { kid: 'one', ...header })),
    });
    expect(status).toBe(401);
  }
  expect(host.asked('stolen')).toBe(0);
});

describe('a host that', () => {
  let key: ClientKey;
  const open: ServerResponse[] = [];

  beforeAll(async () => {
    key = await newKey();
  });
  afterEach(() => {
    for (const response of open.splice(0)) response.destroy();
  });

  const right = () => published([key, 'one']);
  const padded = (length: number) => JSON.stringify({ ...right(), padding: 'x'.repeat(length) });

  test.each<[string, () => KeyServer['answer']]>([
    ['is away', () => (response) => void response.destroy()],
    ['fails', () => (response) => void response.writeHead(500).end(JSON.stringify(right()))],
    [
      'redirects',
      () => (response) =>
        void response
          .writeHead(302, { location: host.uri('elsewhere') })
          .end(JSON.stringify(right())),
    ],
    ['answers too much', () => (response) => void response.end(padded(129 * 1024))],
    ['answers without end', () => (response) => pour(response)],
    ['answers too slowly', () => (response) => void open.push(response.writeHead(200))],
    ['answers no JSON', () => (response) => void response.end('<html>')],
    ['answers no JWK Set', () => ({ keys: 'none' })],
    ['answers an empty JWK Set', () => ({ keys: [] })],
    ['answers secrets', () => ({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'one' }] })],
    [
      'answers private keys',
      () => ({ keys: [{ ...key.publicJwk, kid: 'one', d: key.publicJwk.x }] }),
    ],
    ['answers keys that are none', () => ({ keys: [{ ...key.publicJwk, x: 'x', kid: 'one' }] })],
  ])('%s is asked a few times at the most, whoever asks for it how often', async (_, answer) => {
    const clientId = await machine();
    host.answer = answer();
    const answers = await Promise.all(Array.from({ length: 10 }, () => take(key, clientId, 'one')));
    // By now it is known: nobody waits for it any more.
    for (let i = 0; i < 10; i++) answers.push(await take(key, clientId, 'one'));
    expect(answers).toEqual(answers.map(() => refused));
    expect(host.asked(name)).toBeGreaterThan(0);
    expect(host.asked(name)).toBeLessThanOrEqual(3);
    expect(host.asked('elsewhere')).toBe(0);
  });

  /** Until the connection is closed. */
  function pour(response: ServerResponse): void {
    open.push(response);
    const more = () => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
    };
    response.on('drain', more).on('error', () => undefined);
    more();
  }

  test('has keys of other kinds among them is taken at the rest', async () => {
    const clientId = await machine();
    host.answer = {
      keys: [
        { kty: 'AKP', alg: 'ML-DSA-44', pub: 'x' },
        { kty: 'EC', crv: 'P-256K', x: 'x', y: 'y' },
        ...right().keys,
      ],
    };
    expect(await take(key, clientId, 'one')).toBe('token');
  });
});

test('SECURITY 9: an inside host is not asked, unless the operator has listed it', async () => {
  const key = await newKey();
  host.answer = published([key, 'one']);
  const clientId = await machine();
  expect(await take(key, clientId, 'one', strict)).toBe(refused);
  expect(host.asked(name)).toBe(0);
  expect(await take(key, clientId, 'one', opened)).toBe('token');
});

test('SECURITY 9: a name that leads inside at its second answer is not followed there', async () => {
  let connections = 0;
  const inside = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
  const { port } = inside.address() as AddressInfo;
  const answers: LookupAddress[][] = [
    [
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ],
    [{ address: '127.0.0.1', family: 4 }],
  ];
  const sets = new ClientKeySets(
    new Outbound({
      allow: new OutboundAllow(),
      lookup: (_name, _options, callback) => callback(null, answers.shift() ?? []),
    }),
  );
  const uri = `https://keys.example.com:${port}/keys`;
  await sets.ask(uri);
  await sets.ask(uri);
  expect([sets.find(uri), connections]).toEqual([undefined, 0]);
  inside.close();
});

test('where they are is checked when a client is registered', async () => {
  const by = (jwksUri: string) =>
    seed.client({ type: 'machine', authMethod: 'private_key_jwt', jwksUri });
  for (const uri of [
    'keys',
    'ftp://keys.example.com/keys',
    'http://keys.example.com/keys',
    'https://10.0.0.1/keys',
    'https://[::1]/keys',
    'https://169.254.169.254/latest',
    'https://me:secret@keys.example.com/keys',
    'https://keys.example.com/keys#one',
    'https://keys.example.com/../keys',
    'HTTPS://keys.example.com/keys',
  ])
    await expect(by(uri)).rejects.toMatchObject({ code: 'invalid_client' });
  const key = await newKey();
  const jwks = published([key, 'one']);
  await expect(
    seed.client({ type: 'machine', jwksUri: host.uri(name), jwks }),
  ).rejects.toMatchObject({ code: 'invalid_client' });

  // The one that was said last is the one that counts.
  const clientId = await machine();
  await seed.updateClient(clientId, { jwks });
  expect(await take(key, clientId, 'one', strict)).toBe('token');
  expect(host.asked(name)).toBe(0);
  await expect(seed.updateClient(clientId, { jwksUri: 'https://10.0.0.1/keys' })).rejects.toThrow();
  await seed.updateClient(clientId, { jwksUri: host.uri(name) });
  await expect(seed.updateClient(clientId, { jwksUri: null })).rejects.toMatchObject({
    code: 'invalid_client',
  });
});

describe('by the clock', () => {
  let clock = 0;
  let asked = 0;
  let isAway = false;
  let answer: Record<string, unknown>;
  const uri = 'https://keys.example.com/keys';
  let sets: ClientKeySets;

  beforeEach(async () => {
    clock = 1_000_000;
    asked = 0;
    isAway = false;
    answer = published([await newKey(), 'one']);
    sets = new ClientKeySets(
      {
        fetch: async () => {
          asked++;
          if (isAway) throw new Error('away');
          return new Response(JSON.stringify(answer));
        },
      },
      () => clock,
    );
    await sets.ask(uri);
  });
  const minutes = (count: number) => (clock += count * 60_000);

  test('keys are current for five minutes, and good for an hour where their host is away', async () => {
    expect([sets.isCurrent(uri), sets.find(uri)?.length]).toEqual([true, 1]);
    minutes(5);
    expect([sets.isCurrent(uri), sets.find(uri)?.length]).toEqual([false, 1]);
    isAway = true;
    await sets.ask(uri);
    expect([sets.isCurrent(uri), sets.find(uri)?.length, asked]).toEqual([false, 1, 2]);
    minutes(55);
    expect(sets.find(uri)).toBeUndefined();
    isAway = false;
    await sets.ask(uri);
    expect([sets.isCurrent(uri), sets.find(uri)?.length]).toEqual([true, 1]);
  });

  test('a host that fails is let alone for half a minute, any host after three times in a minute', async () => {
    for (let i = 0; i < 10; i++) await sets.ask(uri);
    expect([asked, sets.mayAsk(uri)]).toEqual([3, false]);
    minutes(1);
    isAway = true;
    for (let i = 0; i < 10; i++) await sets.ask(uri);
    expect([asked, sets.mayAsk(uri)]).toEqual([4, false]);
    minutes(0.5);
    expect(sets.mayAsk(uri)).toBe(true);
    await sets.ask(uri);
    expect([asked, sets.mayAsk(uri)]).toEqual([5, false]);
  });

  test('who asks at the same moment waits for the same answer', async () => {
    minutes(5);
    await Promise.all(Array.from({ length: 20 }, () => sets.ask(uri)));
    expect(asked).toBe(2);
  });
});

test('requests that are signed are verified with them as well', async () => {
  const key = await newKey();
  host.answer = published([key, 'one']);
  const { clientId, clientSecret } = await seed.client({ jwksUri: host.uri(name) });
  const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64');
  const push = async (k: ClientKey) => {
    const { parameters } = asking(clientId);
    const request = await sign(k, requestClaims({ verifier: '', parameters }, issuer), {
      kid: 'one',
    });
    const form = { client_id: clientId, request };
    return (await send(opened.url, '/par', form, { authorization: `Basic ${basic}` })).status;
  };
  expect(await push(key)).toBe(201);
  expect(await push(await newKey())).toBe(400);
});
