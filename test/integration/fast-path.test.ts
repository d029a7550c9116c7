import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Pair, startPair } from '../support/fast-path.ts';
import { type Credentials, post, Seed } from '../support/protocol.ts';
import { basic, form, send } from '../support/wire.ts';

/** What a fast path has to do besides the right answer: all that the pipeline does around the engine. */

const issuer = 'http://localhost:3000';
const api = 'https://api.example.com';

let database: TestDatabase;
let pair: Pair;
let reader: Credentials;
let machine: Credentials;
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  reader = await seed.api(api);
  machine = await seed.client({ type: 'machine', apis: [{ identifier: api, scopes: ['read'] }] });
  pair = await startPair(database, issuer, { write: (line) => lines.push(line) });
});

afterAll(async () => {
  await pair.close();
  await database.drop();
});

const tokenForm = { grant_type: 'client_credentials', resource: api, scope: 'read' };

test('the log has one line of it, which is that of the engine, and the id in it is the one in the answer', async () => {
  const { body } = await post(pair.url, '/token', machine, tokenForm);
  const { access_token: token } = body;
  for (const [path, caller, fields] of [
    ['/introspect', reader, { token }],
    ['/token', machine, tokenForm],
  ] as const) {
    const told: unknown[] = [];
    for (const server of [pair.url, pair.engineUrl]) {
      lines.length = 0;
      const answer = await send(server, path, {
        method: 'POST',
        headers: basic(caller),
        body: form(fields),
      });
      expect(answer.status).toBe(200);
      const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(logged).toHaveLength(1);
      const { requestId, ms, time, ...line } = logged[0] ?? {};
      expect(requestId).toBe(answer.headers['x-request-id']);
      expect([typeof ms, typeof time]).toEqual(['number', 'string']);
      told.push(line, Object.keys(logged[0] ?? {}));
    }
    expect(told.slice(0, 2)).toEqual(told.slice(2));
    expect(told[0]).toEqual({ level: 30, method: 'POST', path, status: 200, msg: 'request' });
  }
  expect(lines.join('')).not.toContain(token);
});

test('an issuer with a path and TLS before it: the fast paths lie below it, and say what it says', async () => {
  const below = await startPair(database, 'https://id.example.com/auth');
  try {
    const authorization = ['Authorization', basic(reader).authorization as string];
    const type = ['Content-Type', 'application/x-www-form-urlencoded'];
    for (const path of ['/auth/introspect', '/introspect', '/auth/auth/introspect']) {
      const [fastPath, engine] = await below.ask({
        path,
        body: 'token=unknown',
        headers: [...type, ...authorization],
      });
      expect({ ...fastPath, byFastPath: false }).toEqual(engine);
      expect([path, fastPath.byFastPath]).toEqual([path, path === '/auth/introspect']);
      expect(fastPath.headers['strict-transport-security']).toBeDefined();
    }
  } finally {
    await below.close();
  }
});

/** A request by hand, as far as its head and half of its body. */
async function half(server: string): Promise<{ socket: Socket; rest: string }> {
  const body = 'token=unknown';
  const socket = connect(Number(new URL(server).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    [
      'POST /introspect HTTP/1.1',
      'Host: localhost',
      `Authorization: ${basic(reader).authorization as string}`,
      'Content-Type: application/x-www-form-urlencoded',
      `Content-Length: ${body.length}`,
      '',
      body.slice(0, 5),
    ].join('\r\n'),
  );
  return { socket, rest: body.slice(5) };
}

async function answerOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.includes('}')) break;
  }
  return text;
}

test('a body in pieces is one body, and one that breaks off hurts nobody', async () => {
  const whole = await half(pair.url);
  const broken = await half(pair.url);
  broken.socket.destroy();
  whole.socket.write(whole.rest);
  expect(await answerOf(whole.socket)).toMatch(
    /^HTTP\/1\.1 200 OK\r\nX-Content[^]*{"active":false}$/,
  );
  const { body } = await post(pair.url, '/introspect', reader, { token: 'unknown' });
  expect(body).toEqual({ active: false });
});

test('what is under way at the end is answered, and its connection ends with it', async () => {
  const { socket, rest } = await half(pair.url);
  await post(pair.url, '/introspect', reader, { token: 'unknown' });
  const closed = pair.closeFastPaths();
  socket.write(rest);
  const answer = await answerOf(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(answer).toMatch(/connection: close/i);
  await closed;
});
