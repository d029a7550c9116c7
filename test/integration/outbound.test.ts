import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isSpecialUse } from '../../src/outbound/special-use.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { Outbound } from '../../src/outbound/outbound.service.ts';

/** SECURITY.md, "Outbound" and table 9: no request of ours reaches an inside address. */

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let port: number;
const requests: { url: string; headers: IncomingMessage['headers']; body: string }[] = [];
let connections = 0;
let answer: Answer = (_request, response) => response.end('inside');

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { url = '', headers } = request;
      requests.push({ url, headers, body: Buffer.concat(chunks).toString() });
      answer(request, response);
    });
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

/** Answers with these addresses in turn, one list for each time that the name is looked up; the last one stays. */
function resolver(...lists: string[][]) {
  let asked = 0;
  const lookup: NonNullable<ConstructorParameters<typeof Outbound>[0]['lookup']> = (
    _hostname,
    _options,
    callback,
  ) => {
    const addresses = lists[Math.min(asked++, lists.length - 1)] as string[];
    callback(
      null,
      addresses.map(
        (address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }),
      ),
    );
  };
  return { lookup, asked: () => asked };
}

const codeOf = (error: unknown) => (error as { code?: unknown }).code;

/** Gives with what it failed; nothing has arrived at the server inside. */
async function refusal(outbound: Outbound, url: string): Promise<unknown> {
  const before = requests.length;
  const error = await outbound.fetch(url).then(
    (response) => `answered ${response.status}`,
    (error: unknown) => codeOf(error) ?? error,
  );
  expect(requests).toHaveLength(before);
  return error;
}

const guarded = new Outbound({ allow: new OutboundAllow() });
const opened = new Outbound({ allow: new OutboundAllow(['127.0.0.1']) });
const openedUrl = (path = '/') => `http://127.0.0.1:${port}${path}`;

const inside = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.127.255.254',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.0.1',
  '192.175.48.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:8.8.8.8',
  '::ffff:0:7f00:1',
  '64:ff9b::7f00:1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::a00:1',
  '100::1',
  '2001::1',
  '2001:0:7f00:1::',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2002:a00:1::1',
  '2620:4f:8000::1',
  '3fff::1',
  '3fff:fff:ffff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%lo',
  'fec0::1',
  'ff02::1',
  '2001:db8::1%eth0',
];
const outside = [
  '1.1.1.1',
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.1',
  '169.253.255.255',
  '172.15.255.255',
  '172.32.0.0',
  '192.0.1.1',
  '192.167.255.255',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2001:200::1',
  '2001:4860:4860::8888',
  '2606:4700::1111',
  '2a00:1450:4001::1',
  '3ffe::1',
];

describe('what an inside address is', () => {
  test.each(inside)('%s is one', (address) => expect(isSpecialUse(address)).toBe(true));
  test.each(outside)('%s is none', (address) => expect(isSpecialUse(address)).toBe(false));
  test.each(['', 'localhost', '1', '127.1', '0x7f000001', '2130706433', '::g', '[::1]'])(
    '%j, which is no address, is never called',
    (address) => expect(isSpecialUse(address)).toBe(true),
  );
});

describe('SECURITY 9: a URL that leads inside by itself', () => {
  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://127.0.0.1./',
    'https://①②⑦.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fe80::1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00:ec2::254]/latest/meta-data/',
    'https://0/',
    'https://10.0.0.1/',
    'https://100.100.100.200/',
    // Looked up by the system, as the name that it is.
    'https://localhost/',
    'https://LOCALHOST/',
  ])('%s is not called', async (text) => {
    const url = new URL(text);
    url.port = String(port);
    const before = connections;
    expect(await refusal(guarded, url.href)).toBe('outbound_refused');
    expect(connections).toBe(before);
  });

  test.each([
    'http://example.com/',
    'http://8.8.8.8/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'data:application/json,[]',
    'unix:/var/run/docker.sock',
    'https://user@example.com/',
    'https://user:secret@example.com/',
  ])('%s is no plain https URL, and not called', async (url) => {
    expect(await refusal(guarded, url)).toBe('outbound_refused');
  });
});

describe('SECURITY 9: a name that leads inside', () => {
  test.each(inside.filter((address) => !address.includes('%')))(
    'to %s is not called',
    async (address) => {
      const { lookup } = resolver([address]);
      const outbound = new Outbound({ allow: new OutboundAllow(), lookup });
      const before = connections;
      expect(await refusal(outbound, `https://evil.example:${port}/`)).toBe('outbound_refused');
      expect(connections).toBe(before);
    },
  );

  test('to outside and inside at once is not called', async () => {
    for (const addresses of [
      ['8.8.8.8', '127.0.0.1'],
      ['127.0.0.1', '8.8.8.8'],
      ['2606:4700::1111', '::1'],
      [],
    ]) {
      const { lookup } = resolver(addresses);
      const outbound = new Outbound({ allow: new OutboundAllow(), lookup });
      expect(await refusal(outbound, `https://evil.example:${port}/`)).toBe('outbound_refused');
    }
  });

  test('at the second time, after a good answer at the first one, is not called: rebinding', async () => {
    // 127.0.0.2 stands for an outside host here: it is listed, and nobody else is.
    const { lookup, asked } = resolver(['127.0.0.2'], ['127.0.0.1']);
    const outbound = new Outbound({ allow: new OutboundAllow(['127.0.0.2']), lookup });
    const error = await outbound.fetch(`https://evil.example:${port}/`).catch(codeOf);
    expect(error).toBe('ECONNREFUSED');
    expect(asked()).toBe(1);
    expect(await refusal(outbound, `https://evil.example:${port}/`)).toBe('outbound_refused');
    expect(asked()).toBe(2);
  });

  test('is looked up once a connection, and that answer is the one that is connected to', async () => {
    const names = new Outbound({
      allow: new OutboundAllow(['app.internal']),
      lookup: resolver(['127.0.0.1'], ['10.0.0.1']).lookup,
    });
    const response = await names.fetch(`http://app.internal:${port}/`);
    expect(await response.text()).toBe('inside');
  });
});

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('%i is an answer, and nobody goes there', async (status) => {
    answer = (_request, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${port}/secret` }).end();
    const before = requests.length;
    const response = await opened.fetch(openedUrl('/start'));
    await response.body?.cancel();
    expect(response.status).toBe(status);
    expect(requests.slice(before).map(({ url }) => url)).toEqual(['/start']);
  });
});

describe('what the operator has listed', () => {
  test('is called by name, address or network, over http too, and nothing beside it', async () => {
    answer = (_request, response) => response.end('inside');
    for (const entry of ['127.0.0.1', '127.0.0.0/8']) {
      const outbound = new Outbound({ allow: new OutboundAllow([entry]) });
      expect(await (await outbound.fetch(openedUrl())).text()).toBe('inside');
      // A name of somebody else's gets no http by it.
      expect(await refusal(outbound, `http://localhost:${port}/`)).toBe('outbound_refused');
    }
    const byName = new Outbound({
      allow: new OutboundAllow(['App.Internal']),
      lookup: resolver(['127.0.0.1']).lookup,
    });
    expect(await (await byName.fetch(`http://APP.internal.:${port}/`)).text()).toBe('inside');
    expect(await refusal(byName, `http://127.0.0.1:${port}/`)).toBe('outbound_refused');
    expect(await refusal(byName, `https://x.app.internal:${port}/`)).toBe('outbound_refused');
    expect(await refusal(byName, `https://app.internal.evil.example:${port}/`)).toBe(
      'outbound_refused',
    );
  });
});

describe('bounds', () => {
  test('nothing goes along that was not given', async () => {
    answer = (_request, response) => response.end('inside');
    await (
      await opened.fetch(openedUrl(), { method: 'POST', body: new URLSearchParams({ a: '1 2' }) })
    ).text();
    const { headers, body } = requests.at(-1) as (typeof requests)[number];
    expect(body).toBe('a=1+2');
    expect(headers).toEqual({
      host: `127.0.0.1:${port}`,
      connection: 'close',
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': '5',
    });
  });

  test('too long a body breaks off, with and without a length', async () => {
    for (const length of [true, false]) {
      answer = (_request, response) => {
        const body = Buffer.alloc(300 * 1024, 'a');
        response.writeHead(200, length ? { 'content-length': String(body.length) } : {}).end(body);
      };
      const response = await opened.fetch(openedUrl());
      expect(await response.text().catch(codeOf)).toBe('outbound_answer');
    }
  });

  test('a body without an end breaks off', async () => {
    let closed = false;
    answer = (_request, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384, 'a')));
      };
      response.on('drain', write).on('close', () => (closed = true));
      write();
    };
    const response = await opened.fetch(openedUrl());
    expect(await response.text().catch(codeOf)).toBe('outbound_answer');
    for (let i = 0; !closed && i < 500; i++) await new Promise((done) => setTimeout(done, 10));
    expect(closed).toBe(true);
  });

  test('a compressed body stays as it is', async () => {
    answer = (_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('not unpacked');
    expect(await (await opened.fetch(openedUrl())).text()).toBe('not unpacked');
  });

  test('headers without an end break off', async () => {
    answer = (_request, response) =>
      response.writeHead(200, { 'x-long': 'a'.repeat(20_000) }).end('inside');
    expect(await opened.fetch(openedUrl()).catch(codeOf)).toBe('HPE_HEADER_OVERFLOW');
  });

  test('an answer that does not come, or does not end, is waited for so long and no longer', async () => {
    const impatient = new Outbound({ allow: new OutboundAllow(['127.0.0.1']), timeoutMs: 1_000 });
    answer = () => undefined;
    expect(await impatient.fetch(openedUrl()).catch((error: Error) => error.name)).toBe(
      'AbortError',
    );
    answer = (_request, response) => void response.writeHead(200).write('the beginning');
    const response = await impatient.fetch(openedUrl());
    await expect(response.text()).rejects.toThrow();
  });

  test('an answer that changes the protocol is none, and is not waited for', async () => {
    const switching =
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
    for (const how of ['write', 'end'] as const) {
      answer = ({ socket }) => void socket[how](switching);
      expect(await opened.fetch(openedUrl()).catch(codeOf)).toBe('outbound_answer');
    }
  });

  test('who is told to stop stops: before the answer, and within it', async () => {
    answer = () => undefined;
    const waiting = opened.fetch(openedUrl(), { signal: AbortSignal.timeout(50) });
    expect(await waiting.catch((error: Error) => error.name)).toBe('AbortError');
    answer = (_request, response) => void response.writeHead(200).write('the beginning');
    const stop = new AbortController();
    const response = await opened.fetch(openedUrl(), { signal: stop.signal });
    stop.abort();
    await expect(response.text()).rejects.toThrow();
  });

  test('an answer without a body has none', async () => {
    answer = (_request, response) => response.writeHead(204).end();
    const response = await opened.fetch(openedUrl());
    expect([response.status, response.body]).toEqual([204, null]);
  });
});
