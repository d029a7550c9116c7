import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Client } from '../../src/client/client.ts';
import type { SelfRegistered } from '../../src/client/self-registered.service.ts';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type DocumentHost, documentsWith, startDocumentHost } from '../support/document-host.ts';
import { until } from '../support/process.ts';
import { exchange, isActive, post, refresh, revoke } from '../support/protocol.ts';
import { ask, enterPassword } from '../support/relying-party.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { send } from '../support/wire.ts';

/** Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-02). */

const api = 'https://ledger.example.com';
let database: TestDatabase;
let server: TestServer;
let host: DocumentHost;
let apiCredentials: Awaited<ReturnType<TestServer['createApi']>>;
let paths = 0;

beforeAll(async () => {
  [database, host] = await Promise.all([createTestDatabase(), startDocumentHost()]);
  server = await startServer(database, {
    CLIENT_REGISTRATION: 'open',
    OUTBOUND_ALLOW: 'localhost',
    TRUST_PROXY: '1',
  });
  apiCredentials = await server.createApi(api);
  await server.services.resourceServers.update(api, { openScopes: ['invoices:read'] }, 'test');
});

beforeEach(async () => {
  host.requests.length = 0;
  await sql`delete from rate_limits`.execute(database.db.kysely);
});

afterAll(async () => {
  await server.close();
  await host.stop();
  await database.drop();
});

const loopback = 'http://127.0.0.1:33418/callback';

/** A document at an address of its own; `undefined` takes a member away. */
function publish(
  more: Record<string, unknown> = {},
  headers: Record<string, string> = { 'cache-control': 'max-age=3600' },
): { url: string; path: string } {
  const path = `/app-${++paths}.json`;
  const url = `${host.origin}${path}`;
  host.answer(
    path,
    {
      client_id: url,
      client_name: 'Scribe',
      application_type: 'web',
      redirect_uris: [`${host.origin}/callback`],
      token_endpoint_auth_method: 'none',
      ...more,
    },
    headers,
  );
  return { url, path };
}

const clientOf = (url: string) => ({ clientId: url, clientSecret: undefined });
const open = (
  url: string,
  extra: Record<string, string | undefined> = {},
  browser = new Browser(),
) => {
  const asked = ask(server, clientOf(url), { redirect_uri: `${host.origin}/callback`, ...extra });
  return { asked, browser, page: browser.get(asked.url) };
};

const rows = async (url: string) =>
  database.db.kysely.selectFrom('clients').selectAll().where('id', '=', url).execute();

/** A person signs in to the client, and allows all that it asks for. */
async function signIn(url: string, extra: Record<string, string> = {}, answer = 'allow') {
  const redirect = extra.redirect_uri ?? `${host.origin}/callback`;
  const { asked, browser, page } = open(url, { scope: 'openid offline_access', ...extra });
  const account = await server.createAccount();
  const consent = await enterPassword(browser, await page, account);
  const back = await browser.submit(consent, {}, answer);
  const code = back.params.get('code');
  const tokens =
    code === null
      ? undefined
      : await exchange(
          server.issuer,
          clientOf(url),
          { code, verifier: asked.verifier },
          { redirect_uri: redirect },
        );
  return { account, browser, consent, back, tokens };
}

const isRefused = (page: Page) => page.status === 400 && !page.external;

test('a client with a document signs people in, and gets what APIs open', async () => {
  const { url, path } = publish();
  const { consent, tokens } = await signIn(url, {
    scope: 'openid invoices:read invoices:write offline_access',
    resource: api,
  });
  expect(consent.text).toContain(`${new URL(host.origin).host} says that this is Scribe`);
  expect(tokens?.body.scope).toBe('invoices:read');
  const told = await post(server.issuer, '/introspect', apiCredentials, {
    token: tokens?.body.access_token as string,
  });
  expect(told.body).toMatchObject({ active: true, client_id: url, aud: api });
  const renewed = await refresh(server.issuer, clientOf(url), tokens?.body.refresh_token as string);
  expect(renewed.status).toBe(200);
  expect((await revoke(server.issuer, clientOf(url), renewed.body.refresh_token)).status).toBe(200);
  expect(await isActive(server.issuer, apiCredentials, renewed.body.access_token)).toBe(false);
  // One fetch for all of it.
  expect(host.requests).toEqual([path]);
});

describe('a row', () => {
  test('is made when a person allows something, and by nothing that anybody can send', async () => {
    const { url } = publish();
    await open(url).page;
    await signIn(url, {}, 'deny');
    expect(await rows(url)).toEqual([]);
    await signIn(url);
    expect(await rows(url)).toMatchObject([
      {
        registered_by: 'document',
        name: 'Scribe',
        first_party: false,
        verified: false,
        settings: {},
        used_at: expect.any(Date),
      },
    ]);
  });

  test('goes a month after everybody has taken back what they allowed', async () => {
    const { url } = publish();
    const { account } = await signIn(url);
    await server.services.consents.remove(account.id, url);
    await sql`delete from grants where client_id = ${url}`.execute(database.db.kysely);
    await sql`update clients set used_at = now() - interval '31 days' where id = ${url}`.execute(
      database.db.kysely,
    );
    await createCleaning(database.db).run(new AbortController().signal);
    expect(await rows(url)).toEqual([]);
    expect((await signIn(url)).tokens?.status).toBe(200);
  });

  test('by it an operator keeps the client away: its tokens end, and the document brings nothing back', async () => {
    for (const way of ['setDisabled', 'delete'] as const) {
      const { url } = publish();
      const { tokens } = await signIn(url);
      await (way === 'delete'
        ? server.services.clients.delete(url, 'Scribe', 'test')
        : server.services.clients.setDisabled(url, true, 'test'));
      // The process that serves hears of it within two seconds.
      await until(async () => isRefused(await open(url).page));
      const { body } = await refresh(
        server.issuer,
        clientOf(url),
        tokens?.body.refresh_token as string,
      );
      expect(body.error).toBe('invalid_client');
    }
  });

  test('a person lets in a hundred such apps, and no more', async () => {
    const { url } = publish();
    const { account, browser } = await signIn(url);
    await sql`insert into clients (id, name, type, metadata, registered_by)
      select 'https://x.example/' || i, 'x', 'web', '{}', 'document' from generate_series(1, 99) i`.execute(
      database.db.kysely,
    );
    await sql`insert into consents (id, account_id, client_id, granted, rejected, version)
      select 'x' || i, ${account.id}, 'https://x.example/' || i, '{}', '{}', 1 from generate_series(1, 99) i`.execute(
      database.db.kysely,
    );
    const another = publish().url;
    const consent = await open(another, {}, browser).page;
    expect(consent.title).toContain('Let Scribe use your account?');
    expect((await browser.submit(consent, {}, 'allow')).status).toBe(429);
    expect(await rows(another)).toEqual([]);
  });
});

describe('consent', () => {
  test('SECURITY 25: is asked for each time where the app is on the device, and told whose word it is', async () => {
    const { url } = publish({
      application_type: undefined,
      redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
    });
    const { consent, browser, back } = await signIn(url, { redirect_uri: loopback });
    expect(back.url.startsWith(loopback)).toBe(true);
    expect(consent.text).toContain('It runs on this device.');
    expect(consent.text).toContain(`${new URL(host.origin).host} says that this is Scribe`);
    const again = await open(url, { redirect_uri: loopback }, browser).page;
    expect(again.title).toContain('Let Scribe use your account?');
    const silent = open(url, { redirect_uri: loopback, prompt: 'none' }, browser);
    expect((await silent.page).params.get('error')).toBe('consent_required');
  });
});

describe('what is no request of the app’s', () => {
  test('SECURITY 9: a gateway that is none calls nobody, whatever it says that it is', async () => {
    const { url } = publish();
    const { client } = await server.services.clients.show(apiCredentials.clientId);
    const basic = Buffer.from(`${encodeURIComponent(url)}:x`).toString('base64');
    const answer = await send(server.issuer, `/gateway/${client.resourceServerId}/nginx`, {
      headers: {
        'x-gateway-authorization': `Basic ${basic}`,
        'x-original-method': 'GET',
        'x-original-uri': '/',
      },
    });
    expect(answer.status).toBe(407);
    expect(host.requests).toEqual([]);
  });

  test('a person sees what they let in, and takes it back, though its document is gone', async () => {
    const { url, path } = publish();
    const { browser, account } = await signIn(url);
    const elsewhere = publish();
    host.answer(path, (_request, response) => void response.writeHead(404).end());
    const later = await startServer(database, {
      CLIENT_REGISTRATION: 'open',
      OUTBOUND_ALLOW: 'localhost',
    });
    try {
      host.requests.length = 0;
      const asked = await browser.get(`${later.issuer}/account`);
      const page = await enterPassword(browser, asked, account);
      expect(page.text).toContain('Scribe');
      expect(page.html).toContain(`/account/apps/${encodeURIComponent(url)}/remove`);
      // Nothing is said of an app that was never here, whoever made the link.
      const link = `${later.issuer}/account?removed=${encodeURIComponent(elsewhere.url)}`;
      expect((await browser.get(link)).text).toBe(page.text);
      expect(host.requests).toEqual([]);
    } finally {
      await later.close();
    }
  });
});

describe('a document is refused', () => {
  const other = 'https://elsewhere.example.com';
  test.each<[string, Record<string, unknown>]>([
    ['that is of another address', { client_id: `${other}/app.json` }],
    ['that has no address', { client_id: undefined }],
    ['with a redirect to another host', { redirect_uris: [`${other}/callback`] }],
    ['with a redirect by a private scheme', { redirect_uris: ['cursor://app/callback'] }],
    ['with a redirect by script', { redirect_uris: ['javascript:alert(1)'] }],
    ['without a redirect', { redirect_uris: [] }],
    ['with a sign-out redirect to another host', { post_logout_redirect_uris: [`${other}/`] }],
    [
      'with keys on another host',
      { jwks_uri: `${other}/jwks`, token_endpoint_auth_method: 'private_key_jwt' },
    ],
    ['with back-channel logout on another host', { backchannel_logout_uri: `${other}/logout` }],
    ['with a home on another host', { client_uri: other }],
    ['with a script for a home', { client_uri: 'javascript:alert(1)' }],
    ['with a script for its terms', { tos_uri: 'JavaScript:alert(1)' }],
    ['with data for a logo', { logo_uri: 'data:image/svg+xml,x' }],
    ['with a secret', { client_secret: 'known to everybody' }],
    ['that authenticates by a secret', { token_endpoint_auth_method: 'client_secret_basic' }],
    ['that wants a secret in the form', { token_endpoint_auth_method: 'client_secret_post' }],
  ])('%s', async (_, more) => {
    const { url } = publish(more);
    const page = await open(url).page;
    expect([page.status, page.external]).toEqual([400, false]);
    expect(await rows(url)).toEqual([]);
  });

  test('SECURITY 30: what it may not say never takes effect', async () => {
    const { url } = publish({
      first_party: true,
      verified: true,
      profile: 'fapi2',
      access_token_ttl: 86_400,
      settings: { familyTtl: 31_536_000 },
      scope: 'openid invoices:write admin',
      grant_types: ['authorization_code', 'client_credentials', 'refresh_token'],
    });
    const { tokens } = await signIn(url, { scope: 'openid invoices:write', resource: api });
    expect(tokens?.body.scope ?? '').not.toContain('invoices:write');
    const [row] = await rows(url);
    expect(row).toMatchObject({ first_party: false, verified: false, settings: {} });
    expect(row?.metadata).toMatchObject({
      grant_types: ['authorization_code', 'refresh_token'],
      scope: 'openid',
    });
    expect(row?.metadata).not.toHaveProperty('profile');
  });

  test.each<[string, (path: string) => Parameters<DocumentHost['answer']>[1]]>([
    [
      'that redirects',
      (path) => (_request, response) =>
        void response.writeHead(302, { location: `${host.origin}${path}/there` }).end(),
    ],
    ['that is not there', () => (_request, response) => void response.writeHead(404).end()],
    [
      'that is no JSON by its type',
      () => (_request, response) =>
        void response.writeHead(200, { 'content-type': 'text/html' }).end('{}'),
    ],
    [
      'that is no JSON',
      () => (_request, response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end('{'),
    ],
    [
      'that is no object',
      () => (_request, response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end('[]'),
    ],
    [
      'that is too long',
      () => (_request, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(`{"x":"${'a'.repeat(20_000)}"}`),
    ],
  ])('%s', async (_, answer) => {
    const path = `/bad-${++paths}`;
    const url = host.answer(path, answer(path) as object);
    expect(isRefused(await open(url).page)).toBe(true);
    expect(host.requests).toEqual([path]);
  });

  test('whose address is no plain one, without that anybody is asked', async () => {
    const { path } = publish();
    for (const id of [
      `${host.origin}/`,
      host.origin,
      `${host.origin}${path}?x=1`,
      `${host.origin}${path}#x`,
      `${host.origin}/x/..${path}`,
      `${host.origin}/%2e%2e${path}`,
      `${host.origin.replace('https://', 'https://user@')}${path}`,
      `${host.origin.replace('localhost', 'LOCALHOST')}${path}`,
      `${host.origin.replace('https:', 'http:')}${path}`,
      `HTTPS${host.origin.slice(5)}${path}`,
      `${host.origin}${path} `,
    ])
      expect([id, isRefused(await open(id).page)]).toEqual([id, true]);
    expect(host.requests).toEqual([]);
  });

  test('and its publisher is told why', async () => {
    const { url } = publish({ redirect_uris: [`${other}/callback`] });
    expect((await open(url).page).text).toContain('neither on the host of the document');
  });
});

test('SECURITY 9: no document is fetched from inside, by address or by name', async () => {
  let asked = 0;
  const inside = createServer((_request, response) => {
    asked++;
    response.end('{}');
  });
  inside.on('connection', () => asked++);
  inside.listen(0, '127.0.0.1');
  await once(inside, 'listening');
  const { port } = inside.address() as AddressInfo;
  const guarded = await startServer(database, { CLIENT_REGISTRATION: 'open' });
  try {
    for (const name of ['127.0.0.1', '[::1]', 'localhost', '169.254.169.254', '[::ffff:127.0.0.1]'])
      expect(
        isRefused(
          await new Browser().get(ask(guarded, clientOf(`https://${name}:${port}/app.json`)).url),
        ),
      ).toBe(true);
    expect(asked).toBe(0);
  } finally {
    inside.close();
    await guarded.close();
  }
});

describe('caching', () => {
  test('a hundred requests at once are one fetch', async () => {
    const { url, path } = publish();
    const pages = await Promise.all(Array.from({ length: 100 }, () => open(url).page));
    expect(pages.every(({ status }) => status === 200)).toBe(true);
    expect(host.requests).toEqual([path]);
  });

  /** The same as the server has, with a clock of the test's. */
  function documents() {
    let now = 0;
    const seen: { last: SelfRegistered | undefined; updated: string[] } = {
      last: undefined,
      updated: [],
    };
    const service = documentsWith(server.services.resourceServers, {
      update: async (_stored, { name }) => void seen.updated.push(name),
      lastSeen: async () => seen.last,
      clock: () => now,
    });
    return {
      seen,
      pass: (seconds: number) => void (now += 1_000 * seconds),
      name: async (url: string, stored?: Client) =>
        (await service.find(url, async () => stored))?.name,
      find: (url: string) => service.find(url, async () => undefined),
      whyNot: (url: string) => service.whyNot(url),
    };
  }

  test.each([
    [{ 'cache-control': 'max-age=600' }, 600],
    [{ 'cache-control': 'public, max-age=600', age: '500' }, 100],
    [{ 'cache-control': 'max-age=1' }, 60],
    [{ 'cache-control': 'no-store' }, 60],
    [{ 'cache-control': 'max-age=999999999' }, 86_400],
    [{ expires: 'Thu, 01 Jan 1970 00:00:00 GMT' }, 60],
    [{}, 300],
  ])('as HTTP says, within bounds: %j for %i s', async (headers, seconds) => {
    const { url } = publish({}, headers as Record<string, string>);
    const cache = documents();
    const first = await cache.find(url);
    cache.pass(seconds - 1);
    // The very same client, so that nothing is built anew for each request.
    expect(await cache.find(url)).toBe(first);
    expect(host.requests).toHaveLength(1);
    cache.pass(2);
    expect((await cache.find(url))?.name).toBe('Scribe');
    expect(host.requests).toHaveLength(2);
  });

  test('a document that changes is another client, and its row is told', async () => {
    const { url, path } = publish();
    const cache = documents();
    const stored = {
      disabled: false,
      settings: {},
      allowed: new Map(),
      demanded: {},
    } as unknown as Client;
    expect(await cache.name(url, stored)).toBe('Scribe');
    host.answer(path, {
      client_id: url,
      client_name: 'Scribe 2',
      application_type: 'web',
      redirect_uris: [`${host.origin}/other`],
    });
    cache.pass(3_601);
    expect(await cache.name(url, stored)).toBe('Scribe 2');
    expect(cache.seen.updated).toEqual(['Scribe', 'Scribe 2']);
  });

  test('SECURITY 30: policy that an operator has set for it holds for whatever its document says', async () => {
    const { url } = publish();
    const cache = documents();
    const stored = (settings: object) =>
      ({ disabled: false, settings, allowed: new Map(), demanded: {} }) as unknown as Client;
    expect(await cache.name(url, stored({ pkce: 'optional' }))).toBeUndefined();
    expect(cache.whyNot(url)).toContain('PKCE');
    cache.pass(11);
    expect(await cache.name(url, stored({ profile: 'fapi2' }))).toBeUndefined();
    expect(cache.whyNot(url)).toContain('A public client');
    cache.pass(11);
    expect(await cache.name(url, stored({}))).toBe('Scribe');
  });

  test('while its host is away, what it said last serves for a day; what it takes back, not at all', async () => {
    const { url, path } = publish();
    const cache = documents();
    await cache.find(url);
    cache.pass(3_601);
    host.answer(path, (request) => void request.socket.destroy());
    expect(await cache.name(url)).toBe('Scribe');
    expect(await cache.name(url)).toBe('Scribe');
    // Its host was left alone since.
    expect(host.requests).toHaveLength(2);
    cache.pass(80_000);
    expect(await cache.name(url)).toBe('Scribe');
    cache.pass(3_000);
    expect(await cache.name(url)).toBeUndefined();
    const back = publish();
    await cache.find(back.url);
    cache.pass(3_601);
    host.answer(back.path, (_request, response) => void response.writeHead(404).end());
    expect(await cache.name(back.url)).toBeUndefined();
  });

  test('a process that was started meanwhile goes by the row, if the document was seen lately', async () => {
    const path = `/away-${++paths}`;
    const url = host.answer(path, (request) => void request.socket.destroy());
    const cache = documents();
    const stored = {
      disabled: false,
      settings: {},
      allowed: new Map(),
      demanded: {},
    } as unknown as Client;
    expect(await cache.name(url, stored)).toBeUndefined();
    cache.pass(11);
    const { metadata = {} } = (await cache.find(publish().url))?.said ?? {};
    cache.seen.last = { name: 'Scribe', type: 'web', metadata, settings: {} };
    expect(await cache.name(url, stored)).toBe('Scribe');
    expect(await cache.name(url)).toBeUndefined();
  });

  test('what failed is left alone for a moment, and is not kept', async () => {
    const path = `/late-${++paths}`;
    const url = `${host.origin}${path}`;
    host.answer(path, (_request, response) => void response.writeHead(500).end());
    await Promise.all(Array.from({ length: 20 }, () => open(url).page));
    expect(isRefused(await open(url).page)).toBe(true);
    expect(host.requests).toEqual([path]);
  });
});

test('quotas: of documents that nobody knows, an address has so many an hour', async () => {
  const statuses: number[] = [];
  const browser = new Browser();
  browser.headers = { 'x-forwarded-for': '203.0.113.9' };
  for (let at = 0; at < 34; at++)
    statuses.push((await open(publish().url, {}, browser).page).status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(30);
  expect(statuses.filter((status) => status === 400)).toHaveLength(4);
  expect(host.requests).toHaveLength(30);
  // Nobody else is held up.
  expect((await open(publish().url).page).status).toBe(200);
});

describe('whose documents count', () => {
  const withHosts = async (hosts: string, expected: boolean) => {
    const one = await startServer(database, {
      CLIENT_DOCUMENTS: hosts,
      OUTBOUND_ALLOW: 'localhost',
    });
    const { url } = publish();
    const asked = ask(one, clientOf(url), { redirect_uri: `${host.origin}/callback` });
    const page = await new Browser().get(asked.url);
    await one.close();
    expect([hosts, page.status]).toEqual([hosts, expected ? 200 : 400]);
  };

  test('is the operator’s to say', async () => {
    await withHosts('off', false);
    await withHosts('any', true);
    await withHosts('localhost', true);
    await withHosts('example.com', false);
    await withHosts('!localhost', false);
    await withHosts('any,!localhost', false);
    await withHosts('!example.com', true);
    expect(host.requests).toHaveLength(3);
  });
});
