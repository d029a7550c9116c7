import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { authorizationFields, basic, countRows, form, query, send } from '../support/wire.ts';

/** SECURITY 27: what nobody has to have proven anything for, and never ends. What is of one request stands in authorization.test.ts. */

const issuer = 'http://localhost:3000';
let database: TestDatabase;
let server: ServerProcess;
let web: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServerProcess(database, issuer, {
    TRUST_PROXY: '1',
    CLIENT_REGISTRATION: 'open',
  });
  web = await new Seed(database.db).client();
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const begin = (address: string) =>
  send(server.url, `/authorize?${query(authorizationFields(web).fields)}`, {
    headers: { accept: 'text/html', 'x-forwarded-for': address },
  });

/** Asks so often, a few at once; gives how often each status came. */
async function beginOften(times: number, addressOf: (index: number) => string) {
  const statuses = new Map<number, number>();
  let index = 0;
  const worker = async () => {
    while (index < times) {
      const { status } = await begin(addressOf(index++));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return Object.fromEntries(statuses);
}

const interactions = async () => Number((await countRows(database.db)).interactions);

describe('SECURITY 27: 10,000 interactions', () => {
  test('from one address, or one network of IPv6: as many are kept as a large office begins, and no more', async () => {
    expect(await beginOften(2_500, () => '203.0.113.7')).toEqual({ 303: 2_500 });
    expect(await interactions()).toBe(2_000);
    // Beyond, nothing is kept: the browser is sent back to where it came from, once.
    const sentBack = await begin('203.0.113.7');
    expect(sentBack).toMatchObject({ status: 303 });
    expect(sentBack.location).toMatch(/^http:\/\/localhost:3000\/authorize\?.*&vs_returned=1$/);
    expect(sentBack.cookies).toHaveLength(1);
    const again = new URL(sentBack.location as string);
    const refused = await send(server.url, again.pathname + again.search, {
      headers: { accept: 'text/html', 'x-forwarded-for': '203.0.113.7' },
    });
    expect(refused).toMatchObject({ status: 429, cookies: [], location: undefined });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.headers['content-type']).toBe('text/html; charset=utf-8');
    // Others go on, each network of IPv6 as one.
    expect((await begin('203.0.113.8')).status).toBe(303);
    const spread = (index: number) => `2001:db8:1:2::${index.toString(16)}`;
    expect(await beginOften(2_050, spread)).toEqual({ 303: 2_050 });
    expect((await begin('2001:db8:1:3::1')).status).toBe(303);
    expect(await interactions()).toBe(4_002);
  });

  test('23: requests that nobody continues keep no browser of the office from signing in', async () => {
    const before = await interactions();
    const sentBack = await begin('203.0.113.7');
    const [cookie = ''] = sentBack.cookies.map((line) => line.split(';', 1)[0]);
    const again = new URL(sentBack.location as string);
    const back = (address: string, sent: string) =>
      send(server.url, again.pathname + again.search, {
        headers: { accept: 'text/html', 'x-forwarded-for': address, cookie: sent },
      });
    const begun = await back('203.0.113.7', cookie);
    expect(begun.status).toBe(303);
    expect(begun.location).toMatch(/^\/interaction\/|\/interaction\//);
    expect(await interactions()).toBe(before + 1);
    // The cookie is of its own address, of ours, and good for one browser's tabs.
    for (const [address, sent] of [
      ['2001:db8:1:2::9', cookie],
      ['203.0.113.7', `${cookie}x`],
      ['203.0.113.7', 'vs_returned=made-up.AAAA'],
      ['203.0.113.7', 'vs_returned='],
    ] as const)
      expect((await back(address, sent)).status).toBe(429);
    const statuses = [];
    for (let tab = 1; tab <= 50; tab++) statuses.push((await back('203.0.113.7', cookie)).status);
    expect(statuses.filter((status) => status === 303)).toHaveLength(49);
    expect(statuses.at(-1)).toBe(429);
    expect(await interactions()).toBe(before + 50);
  });

  test('what begins none is not counted, and goes on', async () => {
    for (const extra of [
      { prompt: 'none' },
      { scope: '"' },
      { redirect_uri: 'https://evil.example/' },
    ]) {
      const path = `/authorize?${query(authorizationFields(web, extra).fields)}`;
      const headers = { accept: 'text/html', 'x-forwarded-for': '203.0.113.7' };
      expect((await send(server.url, path, { headers })).status).not.toBe(429);
    }
    expect(await interactions()).toBe(4_052);
  });
});

describe('SECURITY 27: endless and malformed input to the pages', () => {
  async function signInPage() {
    const begun = await begin('203.0.113.20');
    const cookie = begun.cookies.map((line) => line.split(';')[0]).join('; ');
    return { path: `${String(begun.location)}/sign-in`, cookie };
  }

  test('a password of 1 MB is refused before it is read', async () => {
    const { path, cookie } = await signInPage();
    for (const chunked of [false, true]) {
      const answer = await send(server.url, path, {
        method: 'POST',
        chunked,
        headers: { cookie, origin: issuer, accept: 'text/html' },
        body: form({ email: 'ann@example.com', password: 'x'.repeat(1_000_000) }),
      });
      expect(answer.status).toBe(413);
      expect(answer.text).not.toContain('xxxx');
    }
  });

  test('random locales lead to a page in a language that there is', async () => {
    const random = () => Math.random().toString(36).slice(2, 10);
    const lists = [
      ...Array.from({ length: 20 }, () => Array.from({ length: 50 }, random).join(' ')),
      'en-x-'.repeat(300),
      '../../en',
      'en%00',
      '__proto__ constructor toString',
      '<script>alert(1)</script>',
      '- -- *',
    ];
    for (const ui_locales of lists) {
      const path = `/authorize?${query(authorizationFields(web, { ui_locales }).fields)}`;
      const headers = { accept: 'text/html', 'x-forwarded-for': '203.0.113.21' };
      const begun = await send(server.url, path, { headers });
      expect(begun.status).toBe(303);
      const cookie = begun.cookies.map((line) => line.split(';')[0]).join('; ');
      const page = await send(server.url, String(begun.location), {
        headers: { ...headers, cookie, 'accept-language': ui_locales.replace(/[^\x20-\x7e]/g, '') },
      });
      expect(page.status).toBe(200);
      expect(page.text).toMatch(/<html lang="[a-z]{2}"/);
      expect(page.text).not.toContain('<script>alert');
    }
  });
});

describe('SECURITY 27: deep and endless JSON', () => {
  const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const member = `"redirect_uris":["https://app.example.com/callback"]`;
  const bodies: [name: string, body: string][] = [
    ['objects in objects', `{${member},"jwks":${deep(9)}}`],
    ['10,000 of them', `{${member},"x":${deep(10_000)}}`],
    ['lists in lists, not closed', '['.repeat(50_000)],
    ['10,000 members', `{${Array.from({ length: 10_000 }, (_, i) => `"m${i}":1`).join(',')}}`],
    [
      '10,000 redirect URIs',
      `{"redirect_uris":${JSON.stringify(Array.from({ length: 2_000 }, (_, i) => `https://a.example/${i}`))}}`,
    ],
    ['a name of 60,000 letters', `{${member},"client_name":"${'x'.repeat(60_000)}"}`],
    [
      '10,000 scopes',
      `{${member},"scope":"${Array.from({ length: 9_000 }, (_, i) => `s${i}`).join(' ')}"}`,
    ],
    ['1 MB', `{${member},"client_name":"${'x'.repeat(1_000_000)}"}`],
    ['no object', '[1]'],
  ];

  test.each(bodies)('at the registration endpoint: %s', async (_, body) => {
    const answer = await send(server.url, '/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.30' },
      body,
    });
    expect([400, 413]).toContain(answer.status);
    expect(answer.text.length).toBeLessThan(2_000);
    expect(answer.headers['content-type']).toMatch(/^application\/(problem\+)?json/);
    const clients = await database.db.kysely.selectFrom('clients').select('id').execute();
    expect(clients).toHaveLength(1);
  });

  test.each([
    ['claims', deep(1_000)],
    ['claims', `{"id_token":${deep(1_000)}}`],
    ['authorization_details', `[${deep(1_000)}]`],
    ['authorization_details', `[${'{"type":"x"},'.repeat(500)}{"type":"x"}]`],
    ['authorization_details', '['.repeat(5_000)],
  ])('in %s: an error of the app, and no page of ours broke', async (name, value) => {
    const path = `/authorize?${query(authorizationFields(web, { [name]: value }).fields)}`;
    const headers = { accept: 'text/html', 'x-forwarded-for': '203.0.113.31' };
    const { status, location } = await send(server.url, path, { headers });
    expect(status).toBe(303);
    expect(location).not.toContain('server_error');
    if (name !== 'claims') expect(location).toContain('error=invalid_authorization_details');
  });
});

test('SECURITY 27: requests that are pushed for a public client: as many from one network, and no more', async () => {
  const seed = new Seed(database.db);
  const pushed = async () => Number((await countRows(database.db)).pushed_requests);
  const push = (by: Credentials, address: string, more: Record<string, string> = {}) =>
    send(server.url, '/par', {
      method: 'POST',
      headers: { 'x-forwarded-for': address, ...(by === web ? basic(by) : {}) },
      body: form({ ...authorizationFields(by).fields, ...more }),
    });
  const open = await seed.client({ type: 'spa' });
  const other = await seed.client({ type: 'spa' });
  const refused = { limited: 0, index: 0 };
  const worker = async () => {
    while (refused.index < 2_010) {
      const index = refused.index++;
      const by = index % 2 === 0 ? open : other;
      const { status } = await push(by, `2001:db8:7:7::${index.toString(16)}`);
      if (status === 429) refused.limited++;
      else expect(status).toBe(201);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect([await pushed(), refused.limited]).toEqual([2_000, 10]);
  const last = await push(open, '2001:db8:7:7::1');
  expect([last.status, last.json.error]).toEqual([429, 'temporarily_unavailable']);
  expect(Number(last.headers['retry-after'])).toBeGreaterThan(0);
  // Others go on, and so does a client from there that proves who it is.
  expect((await push(open, '2001:db8:7:8::1')).status).toBe(201);
  expect((await push(web, '2001:db8:7:7::1')).status).toBe(201);
});

test('23: the code of a device still works where nobody continues what was begun', async () => {
  const tv = await new Seed(database.db).client({ type: 'device', redirectUris: [] });
  const given = await send(server.url, '/device_authorization', {
    method: 'POST',
    body: form({ client_id: tv.clientId, scope: 'openid' }),
  });
  const enter = (address: string) =>
    send(server.url, '/device', {
      method: 'POST',
      headers: { accept: 'text/html', 'x-forwarded-for': address },
      body: form({ code: given.json.user_code as string }),
    });
  const before = await interactions();
  expect((await enter('203.0.113.7')).status).toBe(303);
  expect(await interactions()).toBe(before + 1);
});
