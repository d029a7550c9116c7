import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  documented,
  type GatewayApi,
  gatewayApi,
  type Nginx,
  type Reached,
  replaceOnce,
  startNginx,
  startUpstream,
  type Upstream,
} from '../support/gateway.ts';
import { freePort, until } from '../support/process.ts';
import { type Credentials, exchange, post, revoke, Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { type Answer, send } from '../support/wire.ts';

/** The configuration of docs/gateways.md in a real nginx, before an API that shows what reached it. */

const identifier = 'https://invoices.example.com';
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let other: ServerProcess;
let api: GatewayApi;
let upstream: Upstream;
let nginx: Nginx;
let app: Credentials;
let machine: Credentials;
let accountId: string;
/** Of a person who has the role `billing`. */
let token: string;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  api = await gatewayApi(seed, identifier, [
    { methods: ['GET'], path: '/health', public: true },
    { path: '/admin/**', scopes: ['write'], roles: ['billing'] },
    { methods: ['GET'], path: '/invoices/:id', scopes: ['read'] },
    { methods: ['POST', 'DELETE'], path: '/invoices/**', scopes: ['read', 'write'] },
    { methods: ['GET'], path: '/me' },
    { methods: ['GET'], path: '/files/**', scopes: ['read'] },
  ]);
  const apis = [{ identifier, scopes: ['read', 'write'] }];
  app = await seed.client({ apis });
  machine = await seed.client({ type: 'machine', apis });
  accountId = await seed.account();
  await database.db.kysely
    .updateTable('accounts')
    .set({ roles: ['billing', 'support'] })
    .where('id', '=', accountId)
    .execute();
  await seed.consent(accountId, app.clientId, { [identifier]: ['read', 'write'] });
  [server, other, upstream] = await Promise.all([
    startServerProcess(database, 'http://localhost:3000'),
    startServerProcess(database, 'http://localhost:3000'),
    startUpstream(),
  ]);
  nginx = await startNginx({ api, server: server.url, upstream });
  token = (await person('read write')).access_token;
});

afterAll(async () => {
  await nginx.stop();
  await Promise.all([server.stop(), other.stop(), upstream.close()]);
  await database.drop();
});

beforeEach(() => {
  upstream.reached.length = 0;
});

async function person(scope: string) {
  const browser = await seed.signIn(accountId);
  const authorization = await browser.authorize(server.url, app, {
    scope: `openid ${scope}`,
    resource: identifier,
  });
  return (await exchange(server.url, app, authorization)).body;
}

const withToken = (text: string) => ({ authorization: `Bearer ${text}` });

/** What reached the API; the request must have passed. */
function passed(answer: Answer): Reached {
  expect(answer.status).toBe(200);
  return answer.json as unknown as Reached;
}

/** Also of those that would be taken for it where headers become variables. */
const identityOf = (headers: Reached['headers']) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => /^x[-_]auth[-_]/.test(name)));

function refused(answer: Answer, status: number): void {
  expect(answer.status).toBe(status);
  expect(upstream.reached).toEqual([]);
}

describe('COMPATIBILITY 20: who passes', () => {
  test('a person, with the identity in headers', async () => {
    const { method, url, headers } = passed(
      await send(nginx.url, '/invoices/7?x=1', { headers: withToken(token) }),
    );
    expect({ method, url }).toEqual({ method: 'GET', url: '/invoices/7?x=1' });
    expect(identityOf(headers)).toEqual({
      'x-auth-subject': accountId,
      'x-auth-client': app.clientId,
      'x-auth-scopes': 'read write',
      'x-auth-roles': 'billing support',
      'x-auth-acr': 'urn:vouchsafe:acr:1fa',
    });
    expect(headers).not.toHaveProperty('x-gateway-authorization');
  });

  test('a machine, which is nobody', async () => {
    const { body } = await post(server.url, '/token', machine, {
      grant_type: 'client_credentials',
      resource: identifier,
      scope: 'read',
    });
    const { headers } = passed(
      await send(nginx.url, '/invoices/7', {
        headers: {
          ...withToken(body.access_token),
          'x-auth-subject': accountId,
          'x-auth-roles': 'billing',
        },
      }),
    );
    expect(identityOf(headers)).toEqual({
      'x-auth-client': machine.clientId,
      'x-auth-scopes': 'read',
    });
  });

  test('everybody, where the rule says so, and nobody is named there', async () => {
    for (const headers of [{}, withToken(token), withToken('nonsense')]) {
      const reached = passed(await send(nginx.url, '/health', { headers }));
      expect(identityOf(reached.headers)).toEqual({});
    }
  });

  test.each([
    ['GET', '/invoices/7', 200],
    ['HEAD', '/invoices/7', 200],
    ['POST', '/invoices', 200],
    ['POST', '/invoices/7/lines', 200],
    ['DELETE', '/invoices/7', 200],
    ['PATCH', '/admin', 200],
    ['GET', '/me/', 200],
    ['PUT', '/invoices/7', 403],
    ['PATCH', '/invoices/7', 403],
    ['OPTIONS', '/invoices/7', 403],
    ['GET', '/invoices/7/lines', 403],
    ['POST', '/health', 403],
    ['POST', '/me', 403],
    ['GET', '/', 403],
    ['GET', '/nowhere', 403],
  ])('%s %s: %i', async (method, path, status) => {
    const answer = await send(nginx.url, path, { method, headers: withToken(token) });
    expect(answer.status).toBe(status);
    expect(upstream.reached).toEqual(
      status === 200 ? [expect.objectContaining({ method, url: path })] : [],
    );
  });

  test('a body goes to the API alone', async () => {
    const answer = await send(nginx.url, '/invoices', {
      method: 'POST',
      headers: { ...withToken(token), 'content-type': 'text/plain' },
      body: 'x'.repeat(100_000),
    });
    expect(passed(answer).headers['content-length']).toBe('100000');
  });
});

describe('what a client says of itself counts for nothing', () => {
  const claims = {
    'x-auth-subject': 'u_admin',
    'x-auth-client': 'c_admin',
    'x-auth-scopes': 'everything',
    'x-auth-roles': 'admin',
    'x-auth-acr': 'urn:vouchsafe:acr:2fa',
    X_Auth_Roles: 'admin',
  };

  test('identity headers are overwritten, whatever their spelling', async () => {
    const { headers } = passed(
      await send(nginx.url, '/me', {
        headers: { ...withToken(token), ...claims, 'X-AUTH-ROLES': ['admin', 'root'] },
      }),
    );
    expect(identityOf(headers)).toEqual({
      'x-auth-subject': accountId,
      'x-auth-client': app.clientId,
      'x-auth-scopes': 'read write',
      'x-auth-roles': 'billing support',
      'x-auth-acr': 'urn:vouchsafe:acr:1fa',
    });
  });

  test('they are dropped where nobody is asked', async () => {
    const { headers } = passed(await send(nginx.url, '/health', { headers: claims }));
    expect(identityOf(headers)).toEqual({});
  });

  test('what gateways say is not taken from clients', async () => {
    const others = {
      'x-original-method': 'GET',
      'x-original-uri': '/health',
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': '/health',
      'x-gateway-authorization': 'Basic eDp5',
    };
    refused(await send(nginx.url, '/admin/users', { headers: others }), 401);
    const narrow = (await person('read')).access_token;
    refused(
      await send(nginx.url, '/admin/users', { headers: { ...withToken(narrow), ...others } }),
      403,
    );
  });

  test('what would change method or path behind the gateway is dropped', async () => {
    const { headers } = passed(
      await send(nginx.url, '/me', {
        headers: {
          ...withToken(token),
          'x-http-method-override': 'DELETE',
          'x-original-url': '/admin',
          'x-rewrite-url': '/admin',
        },
      }),
    );
    expect(Object.keys(headers)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/override|-url$/)]),
    );
  });

  test('the question itself is not for clients', async () => {
    refused(await send(nginx.url, '/_vouchsafe', { headers: withToken(token) }), 404);
  });
});

describe('who does not pass', () => {
  test('no token, and the client is told what to bring', async () => {
    for (const headers of [{}, { authorization: 'Basic eDp5' }, { authorization: 'Bearer' }]) {
      const answer = await send(nginx.url, '/invoices/7', { headers });
      refused(answer, 401);
      expect(answer.headers['www-authenticate']).toBe(`Bearer realm="${identifier}", scope="read"`);
    }
    refused(await send(nginx.url, `/invoices/7?access_token=${token}`), 401);
  });

  test.each([
    ['nonsense', 'nonsense'],
    ['an unknown token', `vs_at_${'x'.repeat(43)}`],
    ['two words', 'a b'],
    ['a JWT of somebody else', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.'],
    ['a long one', 'x'.repeat(4_000)],
  ])('%s: 401, and that it is worth nothing', async (_what, text) => {
    const answer = await send(nginx.url, '/invoices/7', { headers: withToken(text) });
    refused(answer, 401);
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  test('two tokens at once', async () => {
    const answer = await send(nginx.url, '/me', {
      headers: { authorization: [`Bearer ${token}`, 'Bearer nonsense'] },
    });
    expect([400, 401]).toContain(answer.status);
    expect(upstream.reached).toEqual([]);
  });

  test('a refresh token, a code and an ID token are no access tokens', async () => {
    const { refresh_token: refreshToken, id_token: idToken } = await person('read');
    for (const text of [refreshToken, String(idToken)])
      refused(await send(nginx.url, '/me', { headers: withToken(text) }), 401);
  });

  test('SECURITY 10: a token that is for another API, or for none', async () => {
    const elsewhere = 'https://elsewhere.example.com';
    await seed.api(elsewhere);
    const apis = [{ identifier: elsewhere, scopes: ['read'] }];
    const robot = await seed.client({ type: 'machine', apis });
    const foreign = await post(server.url, '/token', robot, {
      grant_type: 'client_credentials',
      resource: elsewhere,
      scope: 'read',
    });
    refused(await send(nginx.url, '/me', { headers: withToken(foreign.body.access_token) }), 401);
    const browser = await seed.signIn(accountId);
    const own = await exchange(server.url, app, await browser.authorize(server.url, app));
    refused(await send(nginx.url, '/me', { headers: withToken(own.body.access_token) }), 401);
  });

  test('a scope is lacking: 403, and which it is', async () => {
    const narrow = (await person('read')).access_token;
    const answer = await send(nginx.url, '/invoices', {
      method: 'POST',
      headers: withToken(narrow),
    });
    refused(answer, 403);
    expect(answer.headers['www-authenticate']).toBe(
      `Bearer realm="${identifier}", error="insufficient_scope", scope="read write"`,
    );
  });

  test('a role is lacking: 403, and from the next request on it is there', async () => {
    const set = (roles: string[]) =>
      database.db.kysely
        .updateTable('accounts')
        .set({ roles })
        .where('id', '=', accountId)
        .execute();
    const ask = () => send(nginx.url, '/admin/users', { headers: withToken(token) });
    passed(await ask());
    upstream.reached.length = 0;
    await set(['support']);
    const answer = await ask();
    refused(answer, 403);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    await set(['billing', 'support']);
    passed(await ask());
  });
});

describe('a path means one thing, or nothing', () => {
  test.each([
    '/health/../admin',
    '/health/%2e%2e/admin',
    '/health/.%2E/admin',
    '/health/..%2fadmin',
    '/health%2f..%2fadmin',
    '/health/..\\admin',
    '/health/..%5cadmin',
    '/health/%252e%252e/admin',
    '/health/%c0%ae%c0%ae/admin',
    '/health/%uff0e%uff0e/admin',
    '/health/..;/admin',
    '/health;/../admin',
    '/files/../admin/users',
    '/files/./../admin',
    '//admin',
    '/files//../../admin',
    '/files/%EF%BC%8E%EF%BC%8E/admin',
    '/./admin',
    '/%61dmin',
    '/ADMIN',
    '/Admin/users',
    '/admin%20',
    '/admin.',
    '/admin%00',
    '/admin%0a',
    '/admin;x=1',
    '/%EF%BD%81dmin',
    '/admi%6e/',
  ])(
    'SECURITY: %s never reaches what /admin/** guards with a token that lacks its scope',
    async (path) => {
      const narrow = (await person('read')).access_token;
      const answer = await send(nginx.url, path, { headers: withToken(narrow) });
      // 400 is nginx's own.
      expect([400, 403]).toContain(answer.status);
      expect(upstream.reached).toEqual([]);
    },
  );

  test('SECURITY: nor does any of them reach the API where everything under another rule is public', async () => {
    await api.rules.add(
      identifier,
      { methods: [], path: '/**', scopes: [], roles: [], public: true, place: undefined },
      'test',
    );
    try {
      await until(async () => (await send(nginx.url, '/anything')).status === 200);
      for (const path of [
        '/x/../admin',
        '/x/%2e%2e/admin',
        '/x/..%2fadmin',
        '/x%2f..%2fadmin',
        '/x/..;/admin',
        '//admin',
        '/ADMIN',
        '/admin.',
        '/admin%20/users',
        '/%EF%BD%81dmin/users',
        '/%61dmin/users',
        '/admin//users',
        '/%2561dmin',
      ]) {
        upstream.reached.length = 0;
        const answer = await send(nginx.url, path);
        expect({ path, status: answer.status }).toEqual({
          path,
          status: path === '/%61dmin/users' ? 401 : 403,
        });
        expect(upstream.reached).toEqual([]);
      }
    } finally {
      const [last] = (await api.rules.list(identifier)).slice(-1);
      await api.rules.remove(last?.id as string, 'test');
    }
    await until(async () => (await send(nginx.url, '/anything')).status === 403);
  });

  test('the API gets the path that was judged, byte by byte', async () => {
    for (const path of [
      '/files/a%20b/c%C3%A4.txt?q=%2e%2e/%2f//;x',
      '/files/caf%C3%A9/',
      '/files/a+b/%40me',
      '/%66iles/x',
    ]) {
      const { url } = passed(await send(nginx.url, path, { headers: withToken(token) }));
      expect(url).toBe(path);
    }
  });
});

describe('what ends, ends at once', () => {
  test('a token that was revoked on another process', async () => {
    const { access_token: text } = await person('read');
    const ask = () => send(nginx.url, '/me', { headers: withToken(text) });
    passed(await ask());
    await revoke(other.url, app, text);
    upstream.reached.length = 0;
    refused(await ask(), 401);
  });

  test('an account that was disabled', async () => {
    const set = (disabled_at: Date | null) =>
      database.db.kysely
        .updateTable('accounts')
        .set({ disabled_at })
        .where('id', '=', accountId)
        .execute();
    const ask = () => send(nginx.url, '/me', { headers: withToken(token) });
    await set(new Date());
    refused(await ask(), 401);
    await set(null);
    passed(await ask());
  });
});

test('an operator who mistypes the credentials signs nobody out: 500, and not 401', async () => {
  const wrong = await startNginx(
    {
      api: { ...api, basic: api.basic.replace(/.{8}$/, 'AAAAAAA=') },
      server: server.url,
      upstream,
    },
    (text) => text,
  );
  try {
    refused(await send(wrong.url, '/me', { headers: withToken(token) }), 500);
    refused(await send(wrong.url, '/health'), 500);
  } finally {
    await wrong.stop();
  }
});

test('while the server can not be reached, nothing passes', async () => {
  const nowhere = await startNginx({ api, server: 'http://127.0.0.1:9', upstream });
  try {
    refused(await send(nowhere.url, '/me', { headers: withToken(token) }), 500);
    refused(await send(nowhere.url, '/health'), 500);
  } finally {
    await nowhere.stop();
  }
});

test('answers that nginx keeps for a second, as documented, are kept for one token, method and path', async () => {
  const [, , zone = '', cache = ''] = await documented('nginx');
  const caching = await startNginx({ api, server: server.url, upstream }, (text, folder) =>
    [
      replaceOnce(zone, '/dev/shm/vouchsafe', `${folder}/cache`),
      replaceOnce(text, 'internal;', `internal;\n${cache}`),
    ].join('\n'),
  );
  try {
    const { access_token: text } = await person('read');
    const ask = (path: string, headers = withToken(text), method = 'GET') =>
      send(caching.url, path, { method, headers });
    for (let times = 0; times < 3; times++) {
      expect(passed(await ask('/me')).headers['x-auth-subject']).toBe(accountId);
      expect((await ask('/admin')).status).toBe(403);
      expect((await ask('/me', withToken('nonsense'))).status).toBe(401);
      expect((await ask('/me', withToken(text), 'POST')).status).toBe(403);
    }
    await revoke(server.url, app, text);
    await until(async () => (await ask('/me')).status === 401);
  } finally {
    await caching.stop();
  }
});

test('SECURITY 10: nor are they kept for another API that the same nginx stands before', async () => {
  const [, , zone = '', cache = ''] = await documented('nginx');
  const next = await gatewayApi(seed, 'https://ledger.example.com', [{ path: '/**' }]);
  const port = await freePort();
  const caching = await startNginx({ api, server: server.url, upstream }, (text, folder) => {
    const site = replaceOnce(text, 'internal;', `internal;\n${cache}`);
    const nextSite = [
      [/^upstream.*?^}/gms, ''],
      [/listen [^;]*;/, `listen 127.0.0.1:${port};`],
      [/Basic [\w+/]+=*/, next.basic],
    ].reduce((all, [from, to]) => all.replace(from as RegExp, to as string), site);
    return [
      replaceOnce(zone, '/dev/shm/vouchsafe', `${folder}/cache`),
      site.replaceAll('api_ID', api.id),
      nextSite.replaceAll(api.id, next.id).replaceAll('api_ID', next.id),
    ].join('\n');
  });
  try {
    const ask = (url: string, path: string) => send(url, path, { headers: withToken(token) });
    const nextUrl = `http://127.0.0.1:${port}`;
    await until(async () => (await ask(nextUrl, '/known')).status === 401);
    for (let times = 0; times < 3; times++) {
      passed(await ask(caching.url, '/me'));
      expect((await ask(nextUrl, '/me')).status).toBe(401);
    }
  } finally {
    await caching.stop();
  }
});

test('the documented lines for TLS are right', async () => {
  const [, tls = ''] = await documented('nginx');
  const secure = await startNginx({ api, server: server.url, upstream }, (text) =>
    replaceOnce(text, 'internal;', `internal;\n${tls}`),
  );
  try {
    refused(await send(secure.url, '/me'), 401);
  } finally {
    await secure.stop();
  }
});
