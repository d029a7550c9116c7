import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Koa from 'koa';
import type { AppError } from '../../src/errors.ts';
import { readBody, readForm, refuseCrossSite } from '../../src/http/form.ts';
import { Listener } from '../../src/http/listener.ts';
import { identifyRequest, type RequestState } from '../../src/http/request.ts';
import { type Answer, send, type Sent } from '../support/wire.ts';

/** What the pipeline makes of a request, where the whole server does not show it: over HTTP, on every address of loopback. */

const listeners: Listener[] = [];
const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

/** Listens on IPv4 and IPv6 with one middleware, and tells what came of it. */
async function serve(
  ...middleware: Koa.Middleware[]
): Promise<{ v4: string; v6: string | undefined; mapped: string }> {
  const app = new Koa();
  app.proxy = true;
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      const { code, status } = error as AppError;
      ctx.status = status;
      ctx.body = { code };
    }
  });
  for (const one of middleware) app.use(one);
  const handler = app.callback();
  const listen = async (host: string) => {
    const listener = new Listener();
    listeners.push(listener);
    return listener.listen(0, host, handler);
  };
  const v4 = await listen('127.0.0.1');
  // Through the socket for both families, IPv4 comes mapped into IPv6.
  const both = hasIpv6 ? await listen('::') : v4;
  return {
    v4: `http://127.0.0.1:${v4}`,
    v6: hasIpv6 ? `http://[::1]:${both}` : undefined,
    mapped: `http://127.0.0.1:${both}`,
  };
}

afterAll(() => Promise.all(listeners.map((one) => one.close(0))));

describe('identifyRequest', () => {
  let direct: Awaited<ReturnType<typeof serve>>;
  let behindOne: Awaited<ReturnType<typeof serve>>;
  let behindTwo: Awaited<ReturnType<typeof serve>>;

  beforeAll(async () => {
    const echo: Koa.Middleware = (ctx) => {
      ctx.body = {
        state: ctx.state,
        ip: ctx.ip,
        ips: ctx.ips,
        href: ctx.href,
        origin: ctx.origin,
        host: ctx.host,
        secure: ctx.secure,
        path: ctx.path,
        query: ctx.querystring,
      };
    };
    const at = (trustProxy: number) =>
      serve(identifyRequest({ issuer: 'https://id.example.com', trustProxy }), echo);
    [direct, behindOne, behindTwo] = await Promise.all([at(0), at(1), at(2)]);
  });

  const seen = async (url: string, headers: Record<string, string> = {}, path = '/x?y=1') =>
    (await send(url, path, { headers })).json as {
      state: RequestState;
      ip: string;
      ips: string[];
      href: string;
      host: string;
      secure: boolean;
      path: string;
      query: string;
    };

  test('IPv4 that came through an IPv6 socket is IPv4', async () => {
    for (const url of [direct.v4, direct.mapped])
      expect((await seen(url)).state.address).toBe('127.0.0.1');
    const v6 = direct.v6 === undefined ? '::1' : (await seen(direct.v6)).state.address;
    expect(v6).toBe('::1');
  });

  test.each<[string, Record<string, string>, [direct: string, one: string, two: string]]>([
    ['nothing said', {}, ['127.0.0.1', '127.0.0.1', '127.0.0.1']],
    ['one entry', { 'x-forwarded-for': '192.0.2.1' }, ['127.0.0.1', '192.0.2.1', '127.0.0.1']],
    ['two', { 'x-forwarded-for': '192.0.2.1, 192.0.2.2' }, ['127.0.0.1', '192.0.2.2', '192.0.2.1']],
    [
      'three, the first of them anybody’s',
      { 'x-forwarded-for': '192.0.2.9, 192.0.2.1, 192.0.2.2' },
      ['127.0.0.1', '192.0.2.2', '192.0.2.1'],
    ],
    [
      'IPv6',
      { 'x-forwarded-for': '2001:db8::1, 2001:db8::2' },
      ['127.0.0.1', '2001:db8::2', '2001:db8::1'],
    ],
    [
      'IPv4 mapped',
      { 'x-forwarded-for': '::ffff:192.0.2.1' },
      ['127.0.0.1', '192.0.2.1', '127.0.0.1'],
    ],
    [
      'a port along with it',
      { 'x-forwarded-for': '192.0.2.1:4711, [2001:db8::2]:4711' },
      ['127.0.0.1', '2001:db8::2', '192.0.2.1'],
    ],
    [
      'empty entries',
      { 'x-forwarded-for': ',, 192.0.2.1 , ,' },
      ['127.0.0.1', '192.0.2.1', '127.0.0.1'],
    ],
    [
      'other names for it',
      { 'x-real-ip': '192.0.2.1', 'x-client-ip': '192.0.2.1', forwarded: 'for=192.0.2.1' },
      ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
    ],
  ])('the address: %s', async (_, headers, expected) => {
    const addresses = await Promise.all(
      [direct, behindOne, behindTwo].map(async ({ v4 }) => (await seen(v4, headers)).state.address),
    );
    expect(addresses).toEqual(expected);
    // What Koa itself tells is the same.
    for (const [index, { v4 }] of [direct, behindOne, behindTwo].entries()) {
      const { ip, ips } = await seen(v4, headers);
      expect([ip, ...ips]).toEqual([expected[index], expected[index]]);
    }
  });

  test.each<[string, Record<string, string>, string]>([
    ['an honest request', { host: 'id.example.com' }, '/x?y=1'],
    ['a foreign Host', { host: 'evil.example' }, '/x?y=1'],
    ['a foreign X-Forwarded-Host', { 'x-forwarded-host': 'evil.example' }, '/x?y=1'],
    ['another protocol', { 'x-forwarded-proto': 'http' }, '/x?y=1'],
    ['Forwarded', { forwarded: 'host=evil.example;proto=http' }, '/x?y=1'],
    ['a whole URL', {}, 'http://evil.example/x?y=1'],
    ['a whole URL with a user', {}, 'https://user:pass@evil.example:444/x?y=1'],
    ['a whole URL of another scheme', {}, 'ftp://evil.example/x?y=1'],
  ])('where it went to: %s', async (_, headers, path) => {
    for (const { v4 } of [direct, behindOne, behindTwo]) {
      expect(await seen(v4, headers, path)).toMatchObject({
        href: 'https://id.example.com/x?y=1',
        host: 'id.example.com',
        secure: true,
        path: '/x',
        query: 'y=1',
      });
    }
  });

  test.each<[string, Record<string, string>, boolean]>([
    ['an address of here', {}, true],
    ['localhost', { host: 'localhost:3000' }, true],
    ['a name below localhost', { host: 'app.localhost' }, true],
    ['IPv6', { host: '[::1]:3000' }, true],
    ['another address of loopback', { host: '127.8.8.8' }, true],
    ['a foreign name', { host: 'evil.example' }, false],
    ['a foreign name that begins like ours', { host: 'localhost.evil.example' }, false],
    ['a foreign name that ends like ours', { host: 'evillocalhost' }, false],
    ['a foreign name that looks like an address', { host: '127.0.0.1.evil.example' }, false],
    ['another address', { host: '192.0.2.1' }, false],
    ['0.0.0.0', { host: '0.0.0.0' }, false],
    ['passed on', { 'x-forwarded-for': '127.0.0.1' }, false],
    ['passed on, by Via', { via: '1.1 x' }, false],
    ['passed on, with nothing in it', { forwarded: '' }, false],
  ])('made on this machine: %s', async (_, headers, expected) => {
    for (const url of [direct.v4, direct.mapped])
      expect((await seen(url, headers)).state.local).toBe(expected);
  });

  test('each request has an id of its own, which no header names', async () => {
    const ids = await Promise.all(
      [{}, {}, { 'x-request-id': 'planted' }].map(
        async (headers) =>
          (await seen(direct.v4, headers as Record<string, string>)).state.requestId,
      ),
    );
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('bodies', () => {
  const LIMIT = 64 * 1024;
  let raw: string;
  let fields: string;
  const post = (url: string, body: string, sent: Sent = {}): Promise<Answer> =>
    send(url, '/', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...sent.headers },
      body,
      chunked: sent.chunked ?? false,
    });

  beforeAll(async () => {
    ({ v4: raw } = await serve(async (ctx) => {
      ctx.body = { length: (await readBody(ctx)).length };
    }));
    ({ v4: fields } = await serve(async (ctx) => {
      ctx.body = { fields: [...(await readForm(ctx))] };
    }));
  });

  test('64 KiB are read, and a byte more is not: with its length told, and without', async () => {
    for (const chunked of [false, true]) {
      expect((await post(raw, 'x'.repeat(LIMIT), { chunked })).json).toEqual({ length: LIMIT });
      for (const size of [LIMIT + 1, 5 * LIMIT, 1_000_000])
        expect(await post(raw, 'x'.repeat(size), { chunked })).toMatchObject({
          status: 413,
          json: { code: 'body_too_large' },
        });
    }
    // Bytes are counted, not letters.
    expect((await post(raw, '€'.repeat(LIMIT / 2))).status).toBe(413);
  });

  test('a form has 500 fields at most, each as often as it came', async () => {
    expect((await post(fields, 'a=1&a=2&b=%26')).json).toEqual({
      fields: [
        ['a', '1'],
        ['a', '2'],
        ['b', '&'],
      ],
    });
    expect(
      (await post(fields, Array.from({ length: 500 }, (_, index) => `f${index}=1`).join('&')))
        .status,
    ).toBe(200);
    for (const count of [501, 10_000])
      expect(await post(fields, 'a=&'.repeat(count))).toMatchObject({
        status: 400,
        json: { code: 'bad_request' },
      });
  });

  test.each([
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded-x',
    '',
  ])('what is no form is refused: %s', async (type) => {
    expect(
      await send(fields, '/', {
        method: 'POST',
        headers: type === '' ? {} : { 'content-type': type },
        body: '{"a":1}',
      }),
    ).toMatchObject({ status: 400, json: { code: 'bad_request' } });
  });

  test('names of the prototype are names like others', async () => {
    expect((await post(fields, '__proto__=1&constructor=2')).json).toEqual({
      fields: [
        ['__proto__', '1'],
        ['constructor', '2'],
      ],
    });
  });
});

describe('refuseCrossSite', () => {
  let url: string;
  beforeAll(async () => {
    ({ v4: url } = await serve(refuseCrossSite('https://id.example.com/tenant'), (ctx) => {
      ctx.body = 'taken';
    }));
  });
  const from = async (headers: Record<string, string>, method = 'POST') =>
    (await send(url, '/', { method, headers })).status;

  test.each<[string, Record<string, string>, number]>([
    ['our own page', { 'sec-fetch-site': 'same-origin', origin: 'https://id.example.com' }, 200],
    ['the person, without a page', { 'sec-fetch-site': 'none' }, 200],
    ['an old browser on our page', { origin: 'https://id.example.com' }, 200],
    ['no browser', {}, 200],
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, 403],
    [
      'another site, the origin forged',
      { 'sec-fetch-site': 'cross-site', origin: 'https://id.example.com' },
      403,
    ],
    [
      'a sibling of ours',
      { 'sec-fetch-site': 'same-site', origin: 'https://evil.example.com' },
      403,
    ],
    ['an old browser on another site', { origin: 'https://evil.example' }, 403],
    ['an old browser on a sibling', { origin: 'https://id.example.com.evil.example' }, 403],
    ['an old browser, by plain http', { origin: 'http://id.example.com' }, 403],
    ['an old browser, on another port', { origin: 'https://id.example.com:444' }, 403],
    ['a page without an origin', { origin: 'null' }, 403],
    ['a word that is not known', { 'sec-fetch-site': 'evil' }, 403],
  ])('a post of %s', async (_, headers, status) => {
    expect(await from(headers)).toBe(status);
    expect(await from(headers, 'GET')).toBe(200);
  });
});
