import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parseAuthorization, parseBasic } from '../../resource-server/authorization-header.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort, until } from '../support/process.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { type Answer, basic, countRows, form, send, type Sent } from '../support/wire.ts';

/** The form of requests: paths, methods, headers and bodies that no endpoint takes, and clients that hang up. */

const api = 'https://api.example.com';
const tokenForm = { grant_type: 'client_credentials', resource: api, scope: 'read' };
const formType = 'application/x-www-form-urlencoded';

let database: TestDatabase;
let server: TestServer;
let machine: Credentials;
let reader: Credentials;
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(
    database,
    { CLIENT_REGISTRATION: 'open' },
    { write: (line) => lines.push(line) },
  );
  const seed = new Seed(database.db);
  reader = await seed.api(api);
  machine = await seed.client({ type: 'machine', apis: [{ identifier: api, scopes: ['read'] }] });
});

beforeEach(() => {
  lines.length = 0;
});

afterAll(async () => {
  await server.close();
  await database.drop();
});

const logged = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const ask = (path: string, sent: Sent = {}) => send(server.issuer, path, sent);
const post = (path: string, headers: Sent['headers'], fields: Record<string, string>) =>
  ask(path, { method: 'POST', headers: headers ?? {}, body: form(fields) });

/** Sends the text as it is, and gives everything that comes back until the connection ends. */
async function raw(text: string | Buffer): Promise<string> {
  const socket = connect(Number(new URL(server.issuer).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // The server may close the connection while we still write.
  socket.on('error', () => undefined);
  socket.write(text);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString();
}

const clientPaths = ['/token', '/introspect', '/revoke', '/par', '/device_authorization', '/ciba'];

describe('6: client credentials', () => {
  const challenged = (answer: Answer) => ({
    status: answer.status,
    error: answer.json.error,
    challenge: answer.headers['www-authenticate']?.startsWith('Basic realm="'),
  });
  const refused = { status: 401, error: 'invalid_client', challenge: true };

  test.each(clientPaths)('%s without any: 401 with a challenge, and no row', async (path) => {
    const before = await countRows(database.db);
    for (const fields of [{}, tokenForm, { token: 'x' }, { client_id: '' }, { client_secret: 'x' }])
      expect(challenged(await post(path, {}, fields as Record<string, string>))).toEqual(refused);
    expect(challenged(await ask(path, { method: 'POST' }))).toEqual(refused);
    // Those of a public client, where a secret is needed.
    const { clientId } = machine;
    expect(challenged(await post(path, {}, { client_id: clientId, ...tokenForm }))).toEqual(
      refused,
    );
    expect(await countRows(database.db)).toEqual(before);
  });

  const encoded = (text: string) => Buffer.from(text).toString('base64');
  const unreadable = [
    'Basic',
    'Basic ',
    'Basic  ',
    'Basic !',
    'Basic a',
    'Basic YQ=',
    `Basic ${encoded('no colon')}`,
    `Basic ${encoded(':secret')}`,
    `Basic ${encoded('id:')}`,
    `Basic ${encoded('id:%')}`,
    `Basic ${encoded('id:%e4')}`,
    `Basic ${encoded('id:\n')}`,
    `Basic ${encoded('id:secret')} ${encoded('id:secret')}`,
    `Basic\t${encoded('id:secret')}`,
    `Basic,${encoded('id:secret')}`,
    'Bearer x',
    'DPoP x',
    'Digest username="x"',
    '"',
    '=',
    '',
  ];

  test.each(clientPaths)('%s with a header that holds none: the same', async (path) => {
    for (const authorization of unreadable) {
      for (const fields of [tokenForm, { ...tokenForm, client_id: machine.clientId }]) {
        const answer = await post(path, { authorization }, fields);
        expect({ authorization, ...challenged(answer) }).toEqual({ authorization, ...refused });
      }
    }
  });

  test('one or more spaces follow the scheme, on the fast path and in the engine', async () => {
    const [, value = ''] = /^Basic (.*)$/.exec(basic(machine).authorization ?? '') ?? [];
    for (const scheme of ['Basic ', 'Basic  ', 'basic      ', 'BASIC ']) {
      const headers = { authorization: `${scheme}${value}` };
      expect((await post('/token', headers, tokenForm)).status).toBe(200);
      // A parameter that the fast path does not know.
      expect((await post('/token', headers, { ...tokenForm, more: 'x' })).status).toBe(200);
      // Unpadded Base64 reads the same.
      const bare = { authorization: `${scheme}${value.replace(/=+$/, '')}` };
      expect((await post('/token', bare, tokenForm)).status).toBe(200);
    }
    expect((await post('/introspect', basic(reader), { token: 'x' })).json).toEqual({
      active: false,
    });
    for (const scheme of ['Bearer  x', 'bearer    x', 'BEARER  x']) {
      const answer = await ask('/userinfo', { headers: { authorization: scheme } });
      expect({ scheme, ...answer.json }).toMatchObject({ scheme, error: 'invalid_token' });
    }
  });

  test('the wrong secret leaves a challenge wherever it was sent', async () => {
    const { clientId } = machine;
    const wrong = { client_id: clientId, client_secret: 'vs_cs_wrong' };
    expect(challenged(await post('/token', {}, { ...tokenForm, ...wrong }))).toEqual(refused);
    const inHeader = basic({ clientId, clientSecret: 'vs_cs_wrong' });
    expect(challenged(await post('/token', inHeader, tokenForm))).toEqual(refused);
  });

  test('the parser takes what RFC 9110 and RFC 6749 call credentials', () => {
    expect(parseAuthorization('Basic  a b')).toEqual({ scheme: 'basic', value: 'a b' });
    expect(parseAuthorization('Bearer')).toEqual({ scheme: 'bearer', value: '' });
    for (const bad of ['', ' ', 'a"b c', 'Basic\tx', ' Basic x', 'Bäsic x'])
      expect(parseAuthorization(bad)).toBeUndefined();
    for (const [id, secret] of [
      ['a', 'b'],
      ['https://app.example.com/client', 'a:b:c'],
      ['a+b c', '%&='],
    ] as const) {
      const text = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`;
      expect(parseBasic(encoded(text))).toEqual({ clientId: id, clientSecret: secret });
    }
  });
});

describe('7: what no endpoint takes', () => {
  /** Every path with the methods that it answers. */
  const endpoints: [path: string, allow: string][] = [
    ...clientPaths.map((path): [string, string] => [
      path,
      path === '/ciba' ? 'POST' : 'POST, OPTIONS',
    ]),
    ['/userinfo', 'GET, HEAD, POST, OPTIONS'],
    ['/jwks', 'GET, HEAD, OPTIONS'],
    ['/.well-known/openid-configuration', 'GET, HEAD, OPTIONS'],
    ['/.well-known/oauth-authorization-server', 'GET, HEAD, OPTIONS'],
    ['/.well-known/oauth-protected-resource', 'GET, HEAD, OPTIONS'],
    ['/.well-known/oauth-protected-resource/api/v1', 'GET, HEAD, OPTIONS'],
    ['/resource-metadata', 'GET, HEAD, OPTIONS'],
    ['/revocations', 'GET, HEAD, OPTIONS'],
    ['/register', 'POST, OPTIONS'],
    ['/register/c_some', 'GET, HEAD, PUT, DELETE, OPTIONS'],
    ['/authorize', 'GET, HEAD, POST'],
    ['/authorize/some', 'GET, HEAD'],
    ['/logout', 'GET, HEAD, POST'],
    ['/logout/confirm', 'POST'],
    ['/logout/success', 'GET, HEAD'],
    ['/device', 'GET, HEAD, POST'],
    ['/device/some', 'GET, HEAD'],
    ['/asked/some', 'GET, HEAD'],
    ['/setup/some', 'GET, HEAD, POST'],
    ['/verify-email/some', 'GET, HEAD, POST'],
    ['/interaction/some', 'GET, HEAD'],
    ['/interaction/some/sign-in', 'GET, HEAD, POST'],
    ['/interaction/some/consent', 'GET, HEAD, POST'],
    ['/interaction/some/verify/resend', 'POST'],
    ['/account', 'GET, HEAD'],
    ['/account/sign-out', 'POST'],
    ['/account/apps/c_some/remove', 'POST'],
    ['/assets/some.css', 'GET, HEAD'],
    ['/dev/mail', 'GET, HEAD'],
    ['/', 'GET, HEAD'],
    ['/livez', 'GET, HEAD'],
    ['/readyz', 'GET, HEAD'],
  ];

  test.each(endpoints)('%s answers only %s', async (path, allow) => {
    const allowed = allow.split(', ');
    for (const method of [
      'GET',
      'POST',
      'PUT',
      'PATCH',
      'DELETE',
      'OPTIONS',
      'TRACE',
      'PROPFIND',
    ]) {
      const answer = await ask(path, { method });
      const { status, headers } = answer;
      if (!allowed.includes(method)) {
        expect({ method, status, allow: headers.allow }).toEqual({ method, status: 405, allow });
        if (!/^\/(livez|readyz)/.test(path))
          expect(answer.json.error ?? answer.json.type).toMatch(/./);
      } else if (method === 'OPTIONS')
        expect({ method, status, allow: headers.allow }).toEqual({ method, status: 204, allow });
      else expect({ method, allow: headers.allow }).toEqual({ method, allow: undefined });
    }
  });

  test('the endpoints in the metadata are among them', async () => {
    const metadata = (await ask('/.well-known/openid-configuration')).json;
    const urls = Object.entries(metadata)
      .filter(([name]) => /_(endpoint|uri)$/.test(name))
      .map(([, url]) => String(url).slice(server.issuer.length));
    expect(urls.length).toBeGreaterThan(10);
    for (const path of urls) expect(endpoints.map(([known]) => known)).toContain(path);
  });

  test('a page for browsers, OAuth for programs', async () => {
    const page = await ask('/authorize/some', {
      method: 'DELETE',
      headers: { accept: 'text/html' },
    });
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect((await ask('/token')).json).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringContaining('POST'),
    });
    // Scripts can read why.
    const { headers } = await ask('/token', { headers: { origin: 'https://spa.example.com' } });
    expect(headers['access-control-allow-origin']).toBe('https://spa.example.com');
  });

  const spellings = (path: string) => [
    `${path}/`,
    `${path}//`,
    `/${path}`,
    `/.${path}`,
    path.toUpperCase(),
    path.slice(0, -1) + path.slice(-1).toUpperCase(),
    `${path.slice(0, 1)}%${path.charCodeAt(1).toString(16)}${path.slice(2)}`,
    `${path}%20`,
    `${path};x=1`,
    `${path}.`,
    `${path}%00`,
    `/${path.replace('/', '%2F')}`,
    `/${path.replace('/', '\\')}`,
  ];

  test.each([
    '/token',
    '/introspect',
    '/userinfo',
    '/authorize',
    '/jwks',
    '/.well-known/openid-configuration',
    '/logout',
    '/register',
    '/revocations',
    '/account',
    '/device',
    '/account/sign-out',
    '/interaction/abc/sign-in',
  ])('%s has one spelling', async (path) => {
    for (const spelled of spellings(path)) {
      for (const method of ['GET', 'POST']) {
        const { status } = await ask(spelled, {
          method,
          headers: { ...basic(reader), 'content-type': formType },
        });
        expect({ spelled, method, status }).toEqual({ spelled, method, status: 404 });
      }
    }
  });

  test('so has each segment that names something', async () => {
    for (const path of ['/register/c%5fsome', '/setup/%61bc', '/authorize/a%62c', '/device/%61'])
      expect((await ask(path)).status).toBe(404);
  });

  test.each([...clientPaths, '/userinfo', '/authorize', '/logout', '/logout/confirm', '/device'])(
    'a body for %s that is no form: 415, and says so',
    async (path) => {
      const body = 'grant_type=client_credentials';
      const sent = (headers: Record<string, string>, payload: string | Buffer = body) =>
        ask(path, {
          method: 'POST',
          headers: { ...basic(machine), ...headers },
          body: payload as string,
        });
      const cases: [Record<string, string>, RegExp][] = [
        [{}, /no Content-Type/],
        [{ 'content-type': 'application/json' }, /must be application\/x-www-form-urlencoded/],
        [{ 'content-type': 'multipart/form-data; boundary=x' }, /must be application/],
        [{ 'content-type': 'text/plain' }, /must be application/],
        [{ 'content-type': 'x' }, /must be application/],
        [{ 'content-type': `${formType}; charset=iso-8859-1` }, /UTF-8/],
        [{ 'content-type': formType, 'content-encoding': 'gzip' }, /compressed/],
        [{ 'content-type': formType, 'content-encoding': 'br, identity' }, /compressed/],
      ];
      for (const [headers, says] of cases) {
        const { status, json } = await sent(headers);
        expect({ headers, status }).toEqual({ headers, status: 415 });
        expect(json.error_description ?? json.title).toMatch(says);
      }
      const zipped = await sent(
        { 'content-type': formType, 'content-encoding': 'gzip' },
        gzipSync(body).toString('latin1'),
      );
      expect(zipped).toMatchObject({ status: 415, headers: { 'accept-encoding': 'identity' } });
      // Chunked, its length is not known.
      const chunked = await ask(path, { method: 'POST', body, chunked: true });
      expect(chunked.status).toBe(415);
    },
  );

  test('what only looks unusual is taken', async () => {
    for (const type of [
      formType,
      `${formType}; charset=utf-8`,
      `${formType};charset="UTF-8"`,
      'Application/X-WWW-Form-Urlencoded',
    ]) {
      const headers = { ...basic(machine), 'content-type': type, 'content-encoding': 'identity' };
      const answer = await ask('/token', {
        method: 'POST',
        headers,
        body: form(tokenForm).toString(),
      });
      expect({ type, status: answer.status }).toEqual({ type, status: 200 });
    }
  });

  test.each([...clientPaths, '/userinfo', '/authorize', '/logout', '/logout/confirm', '/register'])(
    'a body of more than 64 KiB for %s: 413, and says so',
    async (path) => {
      const isJson = path === '/register';
      const text = isJson
        ? JSON.stringify({ client_name: 'x'.repeat(70_000) })
        : form({ ...tokenForm, more: 'x'.repeat(70_000) }).toString();
      const headers = {
        ...(isJson ? {} : basic(machine)),
        'content-type': isJson ? 'application/json' : formType,
      };
      for (const chunked of [false, true]) {
        const answer = await ask(path, { method: 'POST', headers, body: text, chunked });
        expect(answer.status).toBe(413);
        expect(answer.json.error_description ?? answer.json.title).toMatch(/65536 bytes/);
      }
    },
  );

  test('a body of just less is read', async () => {
    const answer = await post('/introspect', basic(reader), { token: 'x'.repeat(65_000) });
    expect(answer).toMatchObject({ status: 200, json: { active: false } });
  });

  test('headers of more than 16 KiB: 431, with the id that is in the log', async () => {
    for (const path of ['/token', '/account', '/nowhere']) {
      lines.length = 0;
      const answer = await raw(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nCookie: ${'x'.repeat(20_000)}\r\n\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
      const requestId = /x-request-id: (\S+)/i.exec(answer)?.[1];
      expect(requestId).toMatch(/^[\w-]{36}$/);
      expect(logged()).toEqual([expect.objectContaining({ requestId, status: 431 })]);
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
        request_id: requestId,
      });
    }
  });

  test('what is not HTTP: 400, with the id that is in the log, which says nothing of what was sent', async () => {
    const answer = await raw('GET /setup/secret HTTP/9\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(logged()).toEqual([
      expect.objectContaining({ status: 400, requestId: /x-request-id: (\S+)/i.exec(answer)?.[1] }),
    ]);
    expect(lines.join()).not.toContain('secret');
  });

  describe('targets that are no path', () => {
    test.each(
      [
        'http://[::1',
        'http://[::1/',
        'http://x:99999/',
        'http:/token',
        '/#',
        '/token#',
        '//a@[::1#',
        '//a@b#',
        '/token?x#y',
        '//a@[::1\xa0',
      ].map((target) => [target]),
    )('%s: 400, with the id that is in the log', async (target) => {
      for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']) {
        lines.length = 0;
        const answer = await raw(
          Buffer.from(
            `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
            'latin1',
          ),
        );
        expect(answer).toMatch(/^HTTP\/1\.1 400 /);
        expect(logged()).toEqual([
          expect.objectContaining({
            level: 30,
            status: 400,
            requestId: /x-request-id: (\S+)/i.exec(answer)?.[1],
          }),
        ]);
      }
    });

    test('a whole URL is a path to it, as it was sent', async () => {
      const status = async (target: string) => {
        const answer = await raw(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        return Number(answer.split(' ')[1]);
      };
      expect(await status('http://evil.example/jwks')).toBe(200);
      expect(await status('http://evil.example/livez')).toBe(200);
      expect(await status('http://evil.example/x/../jwks')).toBe(404);
      expect(await status('http://evil.example?x')).toBe(303);
    });
  });

  test('two Authorization headers are refused, whatever they say', async () => {
    const good = basic(machine).authorization as string;
    const before = await countRows(database.db);
    for (const path of [...clientPaths, '/userinfo', '/register', '/authorize', '/account']) {
      for (const pair of [
        [good, good],
        [good, 'Bearer x'],
        ['Bearer x', good],
        ['', good],
      ]) {
        const isGet = path === '/authorize' || path === '/account';
        const answer = await ask(path, {
          method: isGet ? 'GET' : 'POST',
          headers: { authorization: pair },
          ...(isGet || path === '/register' ? {} : { body: form(tokenForm) }),
        });
        expect({ path, status: answer.status }).toEqual({ path, status: 400 });
        expect(answer.json.error_description ?? answer.json.title).toMatch(
          /more than one Authorization/,
        );
      }
    }
    expect(await countRows(database.db)).toEqual(before);
  });

  describe('scripts of other origins', () => {
    const origin = 'https://spa.example.com';
    const metadata = {
      redirect_uris: ['https://spa.example.com/callback'],
      token_endpoint_auth_method: 'none',
    };

    test('may register a client, and manage it', async () => {
      const preflight = (path: string, method: string) =>
        ask(path, {
          method: 'OPTIONS',
          headers: {
            origin,
            'access-control-request-method': method,
            'access-control-request-headers': 'authorization,content-type',
          },
        });
      expect(await preflight('/register', 'POST')).toMatchObject({
        status: 204,
        headers: {
          'access-control-allow-origin': origin,
          'access-control-allow-methods': 'POST',
          'access-control-allow-headers': 'authorization,content-type',
        },
      });
      const registered = await ask('/register', {
        method: 'POST',
        headers: { origin, 'content-type': 'application/json' },
        body: JSON.stringify(metadata),
      });
      const readable = { 'access-control-allow-origin': origin };
      expect(registered).toMatchObject({ status: 201, headers: readable });
      const { client_id: id, registration_access_token: token } = registered.json;
      const path = `/register/${String(id)}`;
      expect(await preflight(path, 'PUT')).toMatchObject({
        status: 204,
        headers: { ...readable, 'access-control-allow-methods': 'GET,PUT,DELETE' },
      });
      const headers = {
        origin,
        authorization: `Bearer  ${String(token)}`,
        'content-type': 'application/json',
      };
      const body = JSON.stringify({ ...metadata, client_id: id });
      expect(await ask(path, { headers })).toMatchObject({ status: 200, headers: readable });
      expect(await ask(path, { method: 'PUT', headers, body })).toMatchObject({
        status: 200,
        headers: readable,
      });
      expect(await ask(path, { method: 'DELETE', headers })).toMatchObject({
        status: 204,
        headers: readable,
      });
    });

    test('may read what was wrong, and what is challenged', async () => {
      for (const [path, sent, status] of [
        [
          '/register',
          { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } },
          400,
        ],
        [
          '/register',
          { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } },
          415,
        ],
        ['/register', {}, 405],
        ['/register/c_some', {}, 401],
        ['/token', { method: 'POST' }, 401],
        ['/token', { method: 'POST', body: form({ more: 'x'.repeat(70_000) }) }, 413],
      ] as [string, Sent, number][]) {
        const answer = await ask(path, { ...sent, headers: { ...sent.headers, origin } });
        expect({ path, status: answer.status }).toEqual({ path, status });
        expect(answer.headers['access-control-allow-origin']).toBe(origin);
        expect(answer.headers['access-control-expose-headers']).toMatch(/WWW-Authenticate/);
      }
    });

    test('with a path in the issuer, may read the metadata of APIs wherever it is', async () => {
      const port = await freePort();
      const at = `http://localhost:${port}`;
      const other = await createTestDatabase();
      const mounted = await startServer(other, { PORT: String(port), ISSUER: `${at}/id` });
      try {
        const own = `${at}/id/notes`;
        for (const identifier of [own, 'https://notes.example.com/v1']) {
          await mounted.createApi(identifier, { 'notes:read': 'your notes' });
          const { resourceServers } = mounted.services;
          await resourceServers.update(identifier, { openScopes: ['notes:read'] }, 'test');
        }
        const wellKnown = '/.well-known/oauth-protected-resource';
        await until(async () => (await send(at, `${wellKnown}/id/notes`)).status === 200);
        const named = '/id/resource-metadata?resource=';
        for (const [path, status] of [
          [`${wellKnown}/id/notes`, 200],
          [`${named}${encodeURIComponent(own)}`, 200],
          [`${named}${encodeURIComponent('https://notes.example.com/v1')}`, 200],
          [wellKnown, 404],
          [`${wellKnown}/id`, 404],
          [`${wellKnown}/other`, 404],
          [`${named}x`, 404],
        ] as const) {
          const preflight = await send(at, path, {
            method: 'OPTIONS',
            headers: {
              origin,
              'access-control-request-method': 'GET',
              'access-control-request-headers': 'mcp-protocol-version',
            },
          });
          expect({ path, ...preflight }).toMatchObject({
            path,
            status: 204,
            headers: {
              'access-control-allow-origin': origin,
              'access-control-allow-methods': 'GET',
              'access-control-allow-headers': 'mcp-protocol-version',
            },
          });
          const answer = await send(at, path, { headers: { origin } });
          expect({ path, status: answer.status }).toEqual({ path, status });
          // A script may also read that there is none.
          expect(answer.headers['access-control-allow-origin']).toMatch(/^(\*|https:.*)$/);
          if (status === 200) expect(answer.json.authorization_servers).toEqual([`${at}/id`]);
          const plain = await send(at, path, { method: 'OPTIONS' });
          const allow = 'GET, HEAD, OPTIONS';
          expect({ path, status: plain.status, allow: plain.headers.allow }).toEqual({
            path,
            status: 204,
            allow,
          });
          const posted = await send(at, path, { method: 'POST' });
          expect({ path, status: posted.status, allow: posted.headers.allow }).toEqual({
            path,
            status: 405,
            allow,
          });
        }
        // What only begins like it is nothing.
        for (const path of [`${wellKnown}s`, `/other${wellKnown}`, '/resource-metadata']) {
          const headers = { origin, 'access-control-request-method': 'GET' };
          const preflight = await send(at, path, { method: 'OPTIONS', headers });
          expect({ path, status: preflight.status }).toEqual({ path, status: 404 });
        }
      } finally {
        await mounted.close();
        await other.drop();
      }
    });

    test.each(['/authorize', '/logout', '/account', '/ciba', '/device', '/interaction/some'])(
      'may not call %s',
      async (path) => {
        const headers = { origin, 'access-control-request-method': 'GET' };
        const preflight = await ask(path, { method: 'OPTIONS', headers });
        expect(preflight.status).toBe(405);
        const answer = await ask(path, { headers: { origin } });
        for (const { headers: sent } of [preflight, answer])
          expect(Object.keys(sent).filter((name) => name.startsWith('access-control'))).toEqual([]);
      },
    );
  });
});

describe('33: what the log says', () => {
  const secret = 'PmQ3vN0r-8hXkY_secret-of-a-link-2Wc7LdT5sAb';

  test.each([
    `/setup/${secret}`,
    `/SETUP/${secret}`,
    `//setup//${secret}`,
    `/setup/${secret}/`,
    `/%73etup/${secret}`,
    `/%2573etup/${secret}`,
    `/setup%2f${secret}`,
    `/setup%2F${secret}`,
    `/./setup/${secret}`,
    `/x/setup/${secret}`,
    `/setup\\${secret}`,
    `/setup;x/${secret}`,
    `/setup/${Buffer.from(secret).toString('hex').replace(/../g, '%$&')}`,
    `/verify-email/${secret}`,
    `/VERIFY-email//${secret}`,
    `/asked/${secret}`,
    `/Asked/${secret}`,
    `/interaction/${secret}/sign-in`,
    `/device/${secret}`,
    `/authorize/${secret}`,
    `/nothing/${secret}`,
    `/${secret}`,
    `http://evil.example/setup/${secret}`,
  ])('of %s is no secret', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE']) await ask(path, { method });
    expect(logged()).toHaveLength(3);
    for (const line of lines) {
      expect(line.replaceAll('%', '')).not.toMatch(/secret-of-a-link/i);
      expect(line).not.toContain(secret.slice(5, 20));
      expect(line).not.toContain(secret.charCodeAt(0).toString(16) + '%');
    }
  });

  test('of other paths is the path', async () => {
    for (const path of [
      '/jwks',
      '/.well-known/openid-configuration',
      '/nowhere/at/all.php',
      '/wp-login.php',
    ])
      await ask(path);
    expect(logged().map(({ path }) => path)).toEqual([
      '/jwks',
      '/.well-known/openid-configuration',
      '/nowhere/at/all.php',
      '/wp-login.php',
    ]);
  });

  /** Sends the text, and closes the connection once the server has it. */
  async function hangUp(text: string): Promise<void> {
    const socket = connect(Number(new URL(server.issuer).port), '127.0.0.1');
    await once(socket, 'connect');
    await new Promise<void>((resolve) => socket.write(text, () => resolve()));
    socket.resetAndDestroy();
  }

  const head = (line: string, more: string) => `${line} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
  const half = `Content-Type: ${formType}\r\nContent-Length: 100\r\n`;

  test.each([
    ['a head that never ends', 'GET /jwks HTTP/1.1\r\nHost: x\r\nX: '],
    ['a page', head('GET /account', 'Accept: text/html\r\n')],
    ['a body on the fast path', `${head('POST /token', half)}grant_type=`],
    [
      'a body for the engine',
      `${head('POST /token', `${half}Origin: https://x.example\r\n`)}grant_type=`,
    ],
    [
      'a chunked body',
      `${head('POST /revoke', `Content-Type: ${formType}\r\nTransfer-Encoding: chunked\r\n`)}5\r\nto`,
    ],
    ['a body for a page', `${head('POST /device', half)}code=`],
    [
      'a body for a registration',
      `${head('POST /register', half.replace(formType, 'application/json'))}{`,
    ],
    ['an answer', `${head('GET /.well-known/openid-configuration', '').repeat(3)}`],
  ])('a client that hangs up in the middle of %s leaves no error', async (_, text) => {
    for (let times = 0; times < 5; times++) await hangUp(text);
    // What the server has begun by now has a line by then.
    await until(async () => (await ask('/livez')).status === 200);
    const rejected = logged().filter(
      ({ level, status, err }) =>
        Number(level) > 30 || (Number(status) >= 500 && status !== 499) || err !== undefined,
    );
    expect(rejected).toEqual([]);
    expect(lines.join()).not.toMatch(/stack|node:|\.ts:/);
  });
});
