import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Listener } from '../../src/http/listener.ts';
import { createLogger } from '../../src/lib/log.ts';
import { selfSigned } from '../support/certificates.ts';
import { createTestDatabase } from '../support/database.ts';
import { startServer } from '../support/server.ts';
import { send } from '../support/wire.ts';

/** Clients that keep a connection and send next to nothing by it (Slowloris), with and without TLS of our own. */

const bounds = { handshakeMs: 100, headMs: 100, requestMs: 200, checkMs: 20 };
const lines: string[] = [];
const logger = createLogger('info', { write: (line: string) => lines.push(line) });
let folder: string;
let ports: Record<'http' | 'https', number>;
let listeners: Listener[];

/** Reads the whole body before it answers. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    for await (const _ of request);
    response.end('done');
  } catch {
    // The client is gone, or too slow.
  }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-slow-'));
  const { cert, key } = selfSigned();
  const [certFile, keyFile] = ['cert', 'key'].map((name) => join(folder, name)) as [string, string];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const tls = { certFile, keyFile, onProblem: () => undefined };
  listeners = [new Listener({ logger, bounds }), new Listener({ logger, bounds, tls })];
  const [http = 0, https = 0] = await Promise.all(
    listeners.map((listener) => listener.listen(0, '127.0.0.1', answer)),
  );
  ports = { http, https };
});

afterAll(async () => {
  await Promise.all(listeners.map((listener) => listener.close(0)));
  rmSync(folder, { recursive: true });
});

async function open(scheme: 'http' | 'https'): Promise<Socket> {
  const port = ports[scheme];
  if (scheme === 'http') return connect(port, '127.0.0.1');
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket;
}

/** Sends the text and then nothing more; gives what the server says until it closes the connection. */
async function sendAndWait(socket: Socket, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  if (text !== '') socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString();
}

describe.each(['http', 'https'] as const)('33: slow requests by %s', (scheme) => {
  test('a head that never ends is answered with 408, and the connection closed', async () => {
    lines.length = 0;
    const told = await sendAndWait(await open(scheme), 'GET / HTTP/1.1\r\nHost: x\r\n');
    expect(told).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({
      status: 408,
      requestId: /x-request-id: (\S+)/i.exec(told)?.[1],
    });
  });

  test.each([
    ['of a known length', 'Content-Length: 100\r\n\r\nhalf'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('a body %s that never ends: the same', async (_, rest) => {
    const told = await sendAndWait(await open(scheme), `POST / HTTP/1.1\r\nHost: x\r\n${rest}`);
    expect(told).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
  });

  test('the second request of a connection is bounded like the first', async () => {
    const socket = await open(scheme);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(await sendAndWait(socket, 'GET / HTTP/1.1\r\nHo')).toMatch(/HTTP\/1\.1 408 /);
  });

  test('a connection by which nothing comes is closed without a word', async () => {
    lines.length = 0;
    expect(await sendAndWait(await open(scheme), '')).toBe('');
    expect(lines).toEqual([]);
  });
});

test.each([
  ['nothing', ''],
  ['half a record', '\x16\x03\x01\x02\x00\x01'],
])('33: a TLS handshake of which %s comes is ended', async (_, text) => {
  expect(await sendAndWait(connect(ports.https, '127.0.0.1'), text)).not.toMatch(/HTTP/);
});

test('20, 33: bodies that are on their way lock nobody out', async () => {
  const database = await createTestDatabase();
  const server = await startServer(database, { MAX_REQUESTS: '10' });
  const { hostname, port } = new URL(server.issuer);
  const slow = await Promise.all(
    Array.from({ length: 3 }, () => ['/token', '/revoke', '/authorize', '/device'])
      .flat()
      .map(async (path) => {
        const socket = connect(Number(port), hostname).on('error', () => undefined);
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\n`,
        );
        // By then the server has begun with it.
        await once(socket, 'data');
        return socket;
      }),
  );
  try {
    expect((await send(server.issuer, '/authorize')).status).toBe(400);
    expect((await send(server.issuer, '/account')).status).toBe(303);
  } finally {
    for (const socket of slow) socket.destroy();
    await server.close();
    await database.drop();
  }
});
