import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Database } from '../../src/db/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  basicOf,
  type GatewayApi,
  gatewayApi,
  type Reached,
  startUpstream,
  type Upstream,
} from '../support/gateway.ts';
import { type Ask, envoy, traefik } from '../support/other-gateways.ts';
import { freePort, MainProcess, until } from '../support/process.ts';
import { type Credentials, exchange, post, revoke, Seed } from '../support/protocol.ts';
import { startServer } from '../support/server.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { type Answer, send } from '../support/wire.ts';

/** What the endpoint answers, however it is asked; a real nginx asks it in gateway-nginx.test.ts. */

const issuer = 'http://localhost:3000';
const opaque = 'https://invoices.example.com';
const jwt = 'https://ledgers.example.com';

let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let other: ServerProcess;
let api: GatewayApi;
let jwtApi: GatewayApi;
let upstream: Upstream;
let app: Credentials;
let machine: Credentials;
let accountId: string;
let token: string;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  const rules = [
    { methods: ['GET'], path: '/health', public: true },
    { path: '/admin/**', scopes: ['write'], roles: ['billing', 'finance'] },
    { methods: ['GET'], path: '/invoices/:id', scopes: ['read'] },
    { methods: ['GET', 'POST'], path: '/me' },
  ];
  api = await gatewayApi(seed, opaque, rules);
  jwtApi = await gatewayApi(seed, jwt, rules, 'jwt');
  const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read', 'write'] }));
  app = await seed.client({ apis });
  machine = await seed.client({ type: 'machine', apis });
  accountId = await seed.account();
  await setRoles(['billing']);
  await seed.consent(accountId, app.clientId, {
    [opaque]: ['read', 'write'],
    [jwt]: ['read', 'write'],
  });
  [server, other, upstream] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
    startUpstream(),
  ]);
  token = await person();
});

afterAll(async () => {
  await Promise.all([server.stop(), other.stop(), upstream.close()]);
  await database.drop();
});

beforeEach(() => {
  upstream.reached.length = 0;
});

const setRoles = (roles: string[]) =>
  database.db.kysely.updateTable('accounts').set({ roles }).where('id', '=', accountId).execute();

/** The access token of a person. */
async function person(resource = opaque, scope = 'read write'): Promise<string> {
  const browser = await seed.signIn(accountId);
  const authorization = await browser.authorize(server.url, app, {
    scope: `openid ${scope}`,
    resource,
  });
  return (await exchange(server.url, app, authorization)).body.access_token;
}

async function robot(resource = opaque, client = machine): Promise<string> {
  const { body } = await post(server.url, '/token', client, {
    grant_type: 'client_credentials',
    resource,
    scope: 'read',
  });
  return body.access_token;
}

interface Asked {
  readonly way?: 'nginx' | 'traefik' | 'envoy';
  readonly of?: GatewayApi;
  readonly method?: string;
  readonly headers?: Record<string, string | string[]> | undefined;
  readonly at?: string;
}

/** The question about a GET of `path`, as nginx asks it. */
function ask(
  path: string,
  bearer?: string,
  { of = api, headers = {}, at = server.url }: Asked = {},
) {
  return send(at, `/gateway/${of.id}/nginx`, {
    headers: {
      'x-gateway-authorization': of.basic,
      'x-original-method': 'GET',
      'x-original-uri': path,
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...headers,
    },
  });
}

const identityOf = ({ headers }: Pick<Answer, 'headers'>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-auth-')));

const nobody = {
  'x-auth-subject': '',
  'x-auth-client': '',
  'x-auth-scopes': '',
  'x-auth-roles': '',
  'x-auth-acr': '',
};

describe('who asks', () => {
  const refused = async (headers: Asked['headers'], of = api) => {
    const answer = await ask('/health', token, { of, headers });
    expect(answer.status).toBe(407);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    expect(identityOf(answer)).toEqual({});
    return answer.text;
  };

  test('SECURITY: nobody but the API itself, and all others are told the same', async () => {
    const { clientId, clientSecret = '' } = api.credentials;
    const headerOf = (basic: string | string[]) => ({ 'x-gateway-authorization': basic });
    const texts = [
      await refused(headerOf(jwtApi.basic)),
      await refused(headerOf(basicOf(machine))),
      await refused(headerOf(basicOf(app))),
      await refused(headerOf(basicOf({ clientId, clientSecret: `${clientSecret}x` }))),
      await refused(headerOf(basicOf({ clientId, clientSecret: '' }))),
      await refused(headerOf(basicOf({ clientId: 'r_nobody', clientSecret }))),
      await refused(headerOf('Basic')),
      await refused(headerOf(`Bearer ${clientSecret}`)),
      await refused(headerOf([api.basic, api.basic])),
      await refused(headerOf('')),
      await refused({ 'x-gateway-authorization': 'x'.repeat(5_000), authorization: api.basic }),
      await refused({}, { ...api, id: 'api_nobody', basic: api.basic }),
      await refused({}, { ...jwtApi, basic: api.basic }),
    ];
    expect(new Set(texts).size).toBe(1);
  });

  test('a refusal stands in the audit, with nothing of what was sent', async () => {
    const rows = () =>
      database.db.kysely
        .selectFrom('audit_events')
        .select(['client_id', 'outcome', 'reason', 'data'])
        .where('reason', '=', 'gateway_refused')
        .execute();
    const { clientId } = api.credentials;
    await refused({ 'x-gateway-authorization': basicOf({ clientId, clientSecret: 'hunter2' }) });
    await refused({
      'x-gateway-authorization': basicOf({ clientId: 'hunter2', clientSecret: 'x' }),
    });
    // The first one of a minute from one address; of clients that nobody knows there is only a count.
    const added = await rows();
    expect(added).toContainEqual({
      client_id: clientId,
      outcome: 'refused',
      reason: 'gateway_refused',
      data: null,
    });
    expect(JSON.stringify(added)).not.toContain('hunter2');
  });

  test('an API that is new is known within two seconds; disabled credentials are no credentials', async () => {
    const fresh = await gatewayApi(seed, 'https://fresh.example.com', [
      { methods: ['GET'], path: '/health', public: true },
    ]);
    const status = async () => (await ask('/health', undefined, { of: fresh })).status;
    await until(async () => (await status()) === 200);
    expect(await status()).toBe(200);
    await seed.disableClient(fresh.credentials.clientId);
    await until(async () => (await status()) === 407);
  });
});

describe('what is answered', () => {
  test('200 names the person, and every identity header stands there', async () => {
    const answer = await ask('/me', token);
    expect(answer.status).toBe(200);
    expect(answer.text).toBe('');
    expect(identityOf(answer)).toEqual({
      'x-auth-subject': accountId,
      'x-auth-client': app.clientId,
      'x-auth-scopes': 'read write',
      'x-auth-roles': 'billing',
      'x-auth-acr': 'urn:vouchsafe:acr:1fa',
    });
    expect(identityOf(await ask('/me', await robot()))).toEqual({
      ...nobody,
      'x-auth-client': machine.clientId,
      'x-auth-scopes': 'read',
    });
    expect(identityOf(await ask('/health', token))).toEqual(nobody);
  });

  test('a browser gets no page, and what gateways hand on holds nothing that is for our own host', async () => {
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate' };
    for (const answer of [
      await ask('/me', undefined, { headers }),
      await ask('/nowhere', token, { headers }),
      await ask('/me', token, { headers: { ...headers, 'x-gateway-authorization': 'Basic x' } }),
    ]) {
      expect(answer.headers['content-type']).toMatch(/^application\/json/);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers).not.toHaveProperty('strict-transport-security');
      expect(answer.headers).not.toHaveProperty('set-cookie');
      expect(Object.keys(answer.json)).toEqual(['error', 'error_description']);
    }
  });

  test('below the path of an https issuer it is the same', async () => {
    const tenant = await startServerProcess(database, 'https://id.example.com/tenant');
    try {
      const at = (path: string, headers: Record<string, string> = {}) =>
        send(tenant.url, path, {
          headers: {
            'x-gateway-authorization': api.basic,
            'x-original-method': 'GET',
            'x-original-uri': '/me',
            authorization: `Bearer ${token}`,
            ...headers,
          },
        });
      const answer = await at(`/tenant/gateway/${api.id}/nginx`);
      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty('strict-transport-security');
      expect((await at(`/tenant/gateway/${api.id}/envoy/me`)).status).toBe(200);
      expect((await at(`/tenant/gateway/${api.id}/envoy/a%5C..%2fb`)).status).toBe(403);
      // No client sends a fragment: no gateway lets such a target through either.
      expect((await at(`/tenant/gateway/${api.id}/envoy/a%5C..%2fb#c`)).status).toBe(400);
      expect((await at(`/gateway/${api.id}/nginx`)).status).toBe(404);
    } finally {
      await tenant.stop();
    }
  });

  test('there is nothing else below /gateway', async () => {
    const headers = { 'x-gateway-authorization': api.basic, authorization: `Bearer ${token}` };
    for (const path of [
      '/gateway',
      `/gateway/${api.id}`,
      `/gateway/${api.id}/`,
      `/gateway/${api.id}/caddy`,
      `/gateway/${api.id}/nginx/me`,
      `/gateway/${api.id}/envoyme`,
      `/gateway/${api.id}%2fnginx`,
      `/gateway//${api.id}/nginx`,
    ])
      expect((await send(server.url, path, { headers })).status).toBe(404);
  });

  test('a gateway that says nothing, or says it twice, is refused', async () => {
    for (const headers of [
      { 'x-original-uri': ['/me', '/health'] },
      { 'x-original-method': ['GET', 'GET'] },
      { 'x-original-uri': '' },
      { 'x-original-method': '' },
      { 'x-original-method': 'get' },
      { 'x-original-uri': 'https://invoices.example.com/me' },
      { 'x-original-uri': '*' },
      { 'x-original-uri': `/me/${'x'.repeat(5_000)}` },
    ])
      expect((await ask('/me', token, { headers })).status).toBe(403);
    expect(
      (await ask('/me', token, { headers: { authorization: ['Bearer a', `Bearer ${token}`] } }))
        .status,
    ).toBe(401);
  });

  test('a method in small letters is none, even where any method passes', async () => {
    const by = (method: string) =>
      ask('/admin/x', token, { headers: { 'x-original-method': method } });
    expect((await by('DELETE')).status).toBe(200);
    expect((await by('delete')).status).toBe(403);
    expect((await by('Delete')).status).toBe(403);
  });

  test('what another gateway would say counts for nothing', async () => {
    const said = {
      'x-original-method': 'GET',
      'x-original-uri': '/health',
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': '/health',
    };
    const at = (way: string, path = '', headers = {}) =>
      send(server.url, `/gateway/${api.id}/${way}${path}`, {
        headers: { ...said, 'x-gateway-authorization': api.basic, ...headers },
      });
    expect((await at('nginx', '', { 'x-original-uri': '/me' })).status).toBe(401);
    expect((await at('traefik', '', { 'x-forwarded-uri': '/me' })).status).toBe(401);
    expect((await at('envoy', '/me')).status).toBe(401);
    expect((await at('envoy')).status).toBe(403);
  });
});

describe('which tokens', () => {
  test('SECURITY 10: those for this API alone, opaque or JWT, of people and of machines', async () => {
    const tokens: [string, GatewayApi, string][] = [
      ['a person', api, token],
      ['a machine', api, await robot()],
      ['a person with a JWT', jwtApi, await person(jwt)],
      ['a machine with a JWT', jwtApi, await robot(jwt)],
    ];
    for (const [whose, of, text] of tokens)
      for (const asked of [api, jwtApi]) {
        const { status } = await ask('/me', text, { of: asked });
        expect({ whose, status }).toEqual({ whose, status: asked === of ? 200 : 401 });
      }
  });

  test.each([
    ['an opaque one of a person', () => person()],
    ['an opaque one of a machine', () => robot()],
    ['a JWT of a person', () => person(jwt)],
    ['a JWT of a machine', () => robot(jwt)],
  ])(
    'SECURITY 12: %s that was revoked on another process is refused at the next question',
    async (_what, make) => {
      const text = await make();
      const of = text.startsWith('vs_') ? api : jwtApi;
      const client = (await ask('/me', text, { of })).headers['x-auth-client'];
      expect(client).toBeDefined();
      await revoke(other.url, client === app.clientId ? app : machine, text);
      const answer = await ask('/me', text, { of });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe(
        `Bearer realm="${of.identifier}", error="invalid_token", error_description="The token is expired, revoked, or not for this API."`,
      );
    },
  );

  test('SECURITY 22, 23: nor one of a session, an account or a client that ended', async () => {
    const text = await person();
    const set = (disabled_at: Date | null) =>
      database.db.kysely
        .updateTable('accounts')
        .set({ disabled_at })
        .where('id', '=', accountId)
        .execute();
    await set(new Date());
    expect((await ask('/me', text)).status).toBe(401);
    await set(null);
    expect((await ask('/me', text)).status).toBe(200);
    const apis = [{ identifier: opaque, scopes: ['read'] }];
    const shortLived = await seed.client({ type: 'machine', apis });
    const its = await robot(opaque, shortLived);
    expect((await ask('/me', its)).status).toBe(200);
    await seed.disableClient(shortLived.clientId);
    expect((await ask('/me', its)).status).toBe(401);
    await sql`update tokens set expires_at = now() - interval '1 second' where client_id = ${app.clientId} and kind = 'access'`.execute(
      database.db.kysely,
    );
    expect((await ask('/me', text)).status).toBe(401);
    token = await person();
  });

  test.each([
    ['jkt', 'DPoP'],
    ['x5t#S256', 'mTLS'],
  ])(
    'one that is bound to a key (%s) is refused, as a bearer token and with its proof',
    async (member) => {
      const text = await person();
      const audited = () =>
        database.db.kysely
          .selectFrom('audit_events')
          .select(['account_id', 'client_id', 'reason'])
          .where(sql<boolean>`data->>'endpoint' = 'gateway'`)
          .execute();
      const before = (await audited()).length;
      await sql`update tokens set payload = payload || jsonb_build_object(${member}::text, 'thumbprint')
      where client_id = ${app.clientId} and kind = 'access'`.execute(database.db.kysely);
      for (const authorization of [`Bearer ${text}`, `DPoP ${text}`]) {
        const answer = await ask('/me', undefined, { headers: { authorization, dpop: 'a.b.c' } });
        expect(answer.status).toBe(401);
        expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
        expect(answer.json.error_description).toMatch(/bound to a key/);
      }
      // The one that came without its proof was taken from its client.
      expect((await audited()).slice(before)).toEqual([
        { account_id: accountId, client_id: app.clientId, reason: 'invalid_token' },
      ]);
      token = await person();
      const answer = await ask('/me', undefined, { headers: { authorization: `DPoP ${token}` } });
      expect(answer.status).toBe(401);
    },
  );

  test('scopes are needed all, of the roles one', async () => {
    const narrow = await person(opaque, 'read');
    expect((await ask('/admin', narrow)).json.error).toBe('insufficient_scope');
    for (const [roles, status] of [
      [['billing'], 200],
      [['support', 'finance'], 200],
      [['support'], 403],
      [[], 403],
      [['billing']],
    ] as [string[], number?][]) {
      await setRoles(roles);
      const answer = await ask('/admin/x', token);
      if (status !== undefined) expect(answer.status).toBe(status);
    }
  });
});

describe('what it costs', () => {
  let measured: ServerProcess;
  beforeAll(async () => {
    // Started after the rows are there, it has no change to learn of while it is measured.
    measured = await startServerProcess(database, issuer);
    for (const one of [api, jwtApi]) await ask('/me', token, { of: one, at: measured.url });
  });
  afterAll(() => measured.stop());

  test.each([
    ['a token', '/me', () => token, 1, 200],
    ['an unknown token', '/me', () => `vs_at_${'x'.repeat(43)}`, 1, 401],
    ['not a token of ours', '/me', () => 'nonsense', 0, 401],
    ['no token', '/me', () => undefined, 0, 401],
    ['a public rule', '/health', () => token, 0, 200],
    ['no rule', '/nowhere', () => token, 0, 403],
  ])('%s (%s)', async (_what, path, bearer, waits, status) => {
    await measured.arm();
    expect((await ask(path, bearer(), { at: measured.url })).status).toBe(status);
    expect(await measured.waits()).toBe(waits);
  });

  test.each(['a person', 'a machine'])('a JWT of %s: 1', async (whose) => {
    const text = await (whose === 'a person' ? person(jwt) : robot(jwt));
    await measured.arm();
    expect((await ask('/me', text, { of: jwtApi, at: measured.url })).status).toBe(200);
    expect(await measured.waits()).toBe(1);
  });
});

describe.each([
  ['Traefik', traefik],
  ['Envoy', envoy],
])('COMPATIBILITY 20: %s, as it is documented', (name, gateway) => {
  let through: Ask;
  beforeAll(async () => {
    const at = `http://127.0.0.1:${upstream.port}`;
    through = await gateway({ api, server: server.url, upstream: at });
  });
  const withToken = () => ({ authorization: `Bearer ${token}` });
  const spoofed = {
    'X-Auth-Subject': 'u_admin',
    'X-Auth-Client': 'c_admin',
    'X-Auth-Scopes': 'all',
    'X-Auth-Roles': ['admin', 'root'],
    'X-Auth-Acr': 'urn:vouchsafe:acr:2fa',
    'X-Gateway-Authorization': 'Basic eDp5',
    'X-Original-Method': 'GET',
    'X-Original-URI': '/health',
    'X-Forwarded-Method': 'GET',
    'X-Forwarded-Uri': '/health',
  };

  test('who may pass reaches the API, with the identity that was proven and no other', async () => {
    const answer = await through('/invoices/7?x=/../y', {
      headers: { ...spoofed, ...withToken() },
    });
    expect(answer.status).toBe(200);
    const { url, headers } = answer.json as unknown as Reached;
    expect(url).toBe('/invoices/7?x=/../y');
    expect(identityOf({ headers })).toEqual({
      'x-auth-subject': accountId,
      'x-auth-client': app.clientId,
      'x-auth-scopes': 'read write',
      'x-auth-roles': 'billing',
      'x-auth-acr': 'urn:vouchsafe:acr:1fa',
    });
    expect(JSON.stringify(headers)).not.toContain(api.basic);
  });

  test('nobody is named where nobody was asked', async () => {
    const answer = await through('/health', { headers: spoofed });
    expect(answer.status).toBe(200);
    expect(identityOf(answer.json as unknown as Reached)).toEqual(nobody);
  });

  test('the method that is judged is the one that was sent', async () => {
    for (const [method, path, status] of [
      ['POST', '/me', 200],
      ['HEAD', '/me', 200],
      ['DELETE', '/me', 403],
      ['POST', '/health', 403],
      ['PATCH', '/admin', 200],
      ['OPTIONS', '/invoices/7', 403],
    ] as const) {
      upstream.reached.length = 0;
      const answer = await through(path, { method, headers: { ...spoofed, ...withToken() } });
      expect({ method, status: answer.status }).toEqual({ method, status });
      expect(upstream.reached).toEqual(
        status === 200 ? [expect.objectContaining({ method, url: path })] : [],
      );
    }
  });

  test('refusals come with their challenge', async () => {
    const none = await through('/invoices/7', { headers: spoofed });
    expect(none.status).toBe(401);
    expect(none.headers['www-authenticate']).toBe(`Bearer realm="${opaque}", scope="read"`);
    const narrow = await person(opaque, 'read');
    const lacking = await through('/admin', { headers: { authorization: `Bearer ${narrow}` } });
    expect(lacking.status).toBe(403);
    expect(lacking.headers['www-authenticate']).toBe(
      `Bearer realm="${opaque}", error="insufficient_scope", scope="write"`,
    );
    expect(lacking.json.error).toBe('insufficient_scope');
    const twice = { authorization: [`Bearer ${token}`, 'Bearer x'] };
    expect((await through('/me', { headers: twice })).status).toBe(401);
    expect(upstream.reached).toEqual([]);
  });

  test.each([
    '/health/../admin',
    '/health/%2e%2e/admin',
    '/health/..%2fadmin',
    '/health/..%5cadmin',
    '/health/..;/admin',
    '/health%2f..%2f..%2fintrospect',
    '/../../../introspect',
    '/../nginx',
    '//admin',
    '/%2561dmin',
    '/ADMIN',
    '/admin.',
    '/admin%00',
  ])('SECURITY: %s does not pass', async (path) => {
    const narrow = await person(opaque, 'read');
    const answer = await through(path, { headers: { authorization: `Bearer ${narrow}` } });
    expect(answer.status).toBe(403);
    expect(upstream.reached).toEqual([]);
  });

  test('credentials that are wrong become no 401 of the client', async () => {
    const wrong = await gateway({
      api: { ...api, basic: jwtApi.basic },
      server: server.url,
      upstream: `http://127.0.0.1:${upstream.port}`,
    });
    expect((await wrong('/me', { headers: withToken() })).status).toBe(407);
    expect(upstream.reached).toEqual([]);
    expect(name).toMatch(/Traefik|Envoy/);
  });
});

test('while the database can not be reached, the answer is 503, and no page', async () => {
  const own = await createTestDatabase();
  const db = new Database({ connection: own.connection, poolSize: 2 });
  const home = await startServer({ ...own, db });
  try {
    const ownApi = await gatewayApi(new Seed(own.db), opaque, [{ path: '/me' }]);
    const at = { of: ownApi, at: home.issuer };
    expect((await ask('/me', undefined, at)).status).toBe(401);
    await db.close();
    const answer = await ask('/me', token, { ...at, headers: { accept: 'text/html' } });
    expect(answer.status).toBe(503);
    expect(answer.json.error).toBe('temporarily_unavailable');
    expect(identityOf(answer)).toEqual({});
  } finally {
    await home.close();
    await own.drop();
  }
});

test('neither log nor metrics hold what was asked about', async () => {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const main = await new MainProcess({
    PORT: String(port),
    METRICS_PORT: String(metricsPort),
    DATABASE_URL: database.url,
    MASTER_KEY: testMasterKey.toString('base64'),
    LOG_LEVEL: 'info',
  }).ready();
  try {
    const headers = { 'x-gateway-authorization': api.basic, authorization: `Bearer ${token}` };
    const at = `http://localhost:${port}`;
    await send(at, `/gateway/${api.id}/envoy/invoices/hunter2?q=hunter2`, { headers });
    await ask('/invoices/hunter2?q=hunter2', token, { at });
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toMatch(/route="\/gateway\/:api\/envoy",status="200"/);
    expect(metrics).toMatch(/route="\/gateway\/:api\/nginx",status="200"/);
    expect(metrics).not.toContain(api.id);
    await main.stop();
    expect(main.stderr).toContain(`"path":"/gateway/${api.id}/envoy"`);
    expect(`${main.stderr}${metrics}`).not.toMatch(/hunter2|vs_at_/);
  } finally {
    await main.stop();
  }
});
