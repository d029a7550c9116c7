import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Credentials, redirectUri, Seed, type SignedInBrowser } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import {
  type Answer,
  authorizationFields,
  cookiesOf,
  query,
  send,
  type Sent,
} from '../support/wire.ts';

/**
 * No URL, cookie or address is ever made of a header that a client sent (SECURITY.md, table 14): each answer to a spoofed
 * request is, but for its id, the answer to an honest one.
 */

const plainIssuer = 'http://localhost:3000';
const httpsIssuer = 'https://id.example.com/tenant';

let database: TestDatabase;
let seed: Seed;
let plain: ServerProcess;
let https: ServerProcess;
let behindProxies: ServerProcess;
let client: Credentials;
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  [plain, https, behindProxies] = await Promise.all([
    startServerProcess(database, plainIssuer),
    startServerProcess(database, httpsIssuer),
    startServerProcess(database, plainIssuer, { TRUST_PROXY: '2' }),
  ]);
  client = await seed.client();
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await Promise.all([plain, https, behindProxies].map((server) => server.stop()));
  await database.drop();
});

const evil = 'evil.example';

/** A spoofed request: other headers, or a request line that names a whole URL. */
const spoofs: [name: string, headers: Record<string, string>, target?: string][] = [
  ['Host', { host: evil }],
  ['Host with a port', { host: `${evil}:444` }],
  ['Host with the right name and another port', { host: 'localhost:9' }],
  ['X-Forwarded-Host', { 'x-forwarded-host': evil }],
  ['a list in X-Forwarded-Host', { 'x-forwarded-host': `${evil}, localhost:3000` }],
  ['Forwarded', { forwarded: `for=192.0.2.1;host=${evil};proto=gopher` }],
  ['X-Forwarded-Proto', { 'x-forwarded-proto': 'gopher' }],
  ['X-Forwarded-Proto http', { 'x-forwarded-proto': 'http' }],
  ['X-Forwarded-Proto https', { 'x-forwarded-proto': 'https' }],
  [
    'X-Forwarded-Port, -Prefix, -Server',
    {
      'x-forwarded-port': '444',
      'x-forwarded-prefix': `/${evil}`,
      'x-forwarded-server': evil,
      'x-forwarded-ssl': 'on',
    },
  ],
  [
    'X-Original-URL and X-Rewrite-URL',
    {
      'x-original-url': `/${evil}`,
      'x-rewrite-url': `/${evil}`,
      'x-http-method-override': 'DELETE',
    },
  ],
  ['X-Host', { 'x-host': evil, 'x-original-host': evil, 'front-end-https': 'on' }],
  ['Origin and Referer', { referer: `https://${evil}/` }],
  ['a whole URL in the request line', {}, `http://${evil}`],
  ['a whole https URL in the request line', {}, `https://${evil}:444`],
  [
    'everything at once',
    {
      host: evil,
      'x-forwarded-host': evil,
      'x-forwarded-proto': 'gopher',
      forwarded: `host=${evil}`,
      'x-forwarded-for': '192.0.2.1',
    },
    `http://user@${evil}`,
  ],
];

const servers = () => [
  { server: plain, issuer: plainIssuer, prefix: '' },
  { server: https, issuer: httpsIssuer, prefix: '/tenant' },
];

const varying = new Set([
  'x-request-id',
  'x-fapi-interaction-id',
  'date',
  'content-length',
  'location',
]);

/** The answer without what differs from one honest answer to the next. */
const withoutIds = ({ status, text, location, cookies, headers }: Answer) => {
  const plainly = (value: string) =>
    value
      .replace(/<svg[\s\S]*?<\/svg>/g, 'SVG')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, 'ID')
      .replace(/\d\d? [A-Z][a-z]+ \d{4}, \d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.]+Z|expires=[^;]+/g, 'TIME')
      .replace(
        /vs_ac_[\w-]+|(?<=vs_begun_)[\w-]+|(?<=name="xsrf" value=")\w+|(?<=interaction\/|authorize\/)[\w-]+|(?<==)[\w-]{20,}/g,
        'RANDOM',
      );
  return {
    status,
    headers: Object.entries(headers).filter(([name]) => !varying.has(name)),
    location: plainly(location ?? ''),
    text: plainly(text),
    cookies: cookies.map(plainly),
  };
};

/** Requests whose answers hold URLs: documents, redirects, cookies, pages, challenges. */
function requests(prefix: string): [path: string, sent: Sent][] {
  const html = { accept: 'text/html' };
  const { fields } = authorizationFields(client, { code_challenge: 'c'.repeat(43) });
  const signedIn = prefix === '' ? cookiesOf(browser) : {};
  return [
    [`${prefix}/.well-known/openid-configuration`, {}],
    [`${prefix}/.well-known/oauth-authorization-server`, {}],
    [`/.well-known/oauth-authorization-server${prefix}`, {}],
    [`${prefix}/jwks`, {}],
    [`${prefix}/authorize?${query(fields)}`, { headers: { ...html, ...signedIn } }],
    [`${prefix}/authorize?${query(fields)}`, { headers: html }],
    [
      `${prefix}/authorize?${query({ ...fields, redirect_uri: 'https://unknown.example/' })}`,
      { headers: html },
    ],
    [`${prefix}/authorize?${query({ ...fields, scope: '"' })}`, { headers: html }],
    [`${prefix}/logout`, { headers: { ...html, ...signedIn } }],
    [`${prefix}/logout`, { headers: html }],
    [`${prefix}/logout/success`, { headers: html }],
    [`${prefix}/account`, { headers: html }],
    [`${prefix}/nowhere`, { headers: html }],
    [`${prefix}/nowhere`, {}],
    [`${prefix}/userinfo`, {}],
    [`${prefix}/userinfo`, { headers: { authorization: 'Bearer x' } }],
    [
      `${prefix}/introspect`,
      {
        method: 'POST',
        headers: { authorization: 'Basic eDp4' },
        body: new URLSearchParams({ token: 'x' }),
      },
    ],
  ];
}

test.each(spoofs)('%s changes nothing', async (_, headers, target = '') => {
  for (const { server, issuer, prefix } of servers()) {
    for (const [path, sent] of requests(prefix)) {
      const honest = withoutIds(
        await send(server.url, path, {
          ...sent,
          headers: { host: new URL(issuer).host, ...sent.headers },
        }),
      );
      const spoofed = withoutIds(
        await send(server.url, target + path, {
          ...sent,
          headers: { host: new URL(issuer).host, ...sent.headers, ...headers },
        }),
      );
      expect({ path, ...spoofed }).toEqual({ path, ...honest });
      expect(JSON.stringify(spoofed)).not.toMatch(/evil|gopher|:444/);
    }
  }
});

test('the honest answers are what they should be', async () => {
  for (const { server, issuer, prefix } of servers()) {
    const document = (await send(server.url, `${prefix}/.well-known/openid-configuration`)).json;
    const urls = Object.entries(document).filter(([name]) =>
      /(_endpoint|_uri)$|^issuer$/.test(name),
    );
    expect(urls.length).toBeGreaterThan(7);
    for (const [, url] of urls)
      expect([issuer, `${issuer}/`]).toContain(
        (url as string).slice(0, issuer.length + (url === issuer ? 0 : 1)),
      );
    const challenged = await send(server.url, `${prefix}/userinfo`, { headers: { host: evil } });
    expect(challenged.headers['www-authenticate']).toContain(`realm="${issuer}"`);
  }
});

test('where an interaction comes back to is the issuer, also in its row', async () => {
  for (const { server, issuer, prefix } of servers()) {
    for (const [, headers, target = ''] of spoofs) {
      const { fields } = authorizationFields(client);
      const answer = await send(server.url, `${target}${prefix}/authorize?${query(fields)}`, {
        headers,
      });
      expect(answer.location).toMatch(new RegExp(`^${prefix}/interaction/[\\w-]+$`));
      const row = await database.db.kysely
        .selectFrom('interactions')
        .select('payload')
        .orderBy('created_at', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow();
      const { returnTo } = row.payload as unknown as { returnTo: string };
      expect(returnTo.startsWith(`${issuer}/authorize/`)).toBe(true);
    }
  }
});

describe('cookies', () => {
  const ask = (server: ServerProcess, prefix: string, headers: Record<string, string>) =>
    send(server.url, `${prefix}/authorize?${query(authorizationFields(client).fields)}`, {
      headers,
    });

  test('are Secure and prefixed where the issuer is https, whatever a header says of the protocol', async () => {
    for (const headers of [
      {},
      { 'x-forwarded-proto': 'http' },
      { forwarded: 'proto=http' },
    ] as Record<string, string>[]) {
      const { cookies } = await ask(https, '/tenant', headers);
      expect(cookies.length).toBeGreaterThan(0);
      for (const cookie of cookies)
        expect(cookie).toMatch(
          /^__(Secure|Host)-vs_[\w-]+(\.sig)?=[^;]+;(?=.*; secure)(?=.*; httponly)(?=.*; samesite=lax)/i,
        );
    }
  });

  test('are not Secure on loopback, whatever a header says of the protocol', async () => {
    for (const headers of [{}, { 'x-forwarded-proto': 'https' }] as Record<string, string>[]) {
      const { cookies } = await ask(plain, '', headers);
      expect(cookies.length).toBeGreaterThan(0);
      for (const cookie of cookies)
        expect(cookie).toMatch(
          /^vs_[\w-]+(\.sig)?=[^;]+;(?!.*secure)(?=.*; httponly)(?=.*; samesite=lax)/i,
        );
    }
  });
});

test('https answers ask to stay https, others do not', async () => {
  expect((await send(https.url, '/tenant/jwks')).headers['strict-transport-security']).toMatch(
    /^max-age=\d{8,}/,
  );
  expect(
    (await send(plain.url, '/jwks', { headers: { 'x-forwarded-proto': 'https' } })).headers[
      'strict-transport-security'
    ],
  ).toBeUndefined();
});

describe("the client's address, as the audit has it", () => {
  const forwarded: Record<string, string>[] = [
    { 'x-forwarded-for': '192.0.2.1' },
    { 'x-forwarded-for': '192.0.2.1, 198.51.100.2' },
    { 'x-forwarded-for': '192.0.2.1, 198.51.100.2, 203.0.113.3' },
    { 'x-forwarded-for': '::ffff:198.51.100.2, 203.0.113.3' },
    { 'x-forwarded-for': ' , ,198.51.100.2,, 203.0.113.3, ' },
    {
      'x-real-ip': '192.0.2.1',
      forwarded: 'for=192.0.2.1',
      'x-client-ip': '192.0.2.1',
      'true-client-ip': '192.0.2.1',
      'cf-connecting-ip': '192.0.2.1',
    },
    { 'x-forwarded-for': "127.0.0.1'; drop table accounts; --\t" },
    {},
  ];

  /** A sign-in that is refused is on record with where it came from. */
  async function recorded(
    server: ServerProcess,
    headers: Record<string, string>,
  ): Promise<string | null | undefined> {
    const stranger = new Browser();
    stranger.headers = headers;
    const page = await stranger.get(
      `${server.url}/authorize?${query(authorizationFields(client).fields)}`,
    );
    expect(page.title).toContain('Sign in');
    const refused = await stranger.submit(page, {
      email: `${Math.random()}@example.com`,
      password: 'not the password at all',
    });
    expect(refused.status).toBe(400);
    const rows = await database.db.kysely
      .selectFrom('audit_people')
      .select('address')
      .orderBy('at', 'desc')
      .limit(1)
      .execute();
    return rows[0]?.address;
  }

  test('is that of the connection while no proxy is trusted', async () => {
    for (const headers of forwarded)
      expect({ headers, address: await recorded(plain, headers) }).toEqual({
        headers,
        address: '127.0.0.1',
      });
  });

  test('is what the outermost of two trusted proxies wrote, never what stands before it', async () => {
    const expected = [
      '127.0.0.1',
      '192.0.2.1',
      '198.51.100.2',
      '198.51.100.2',
      '198.51.100.2',
      '127.0.0.1',
      '127.0.0.1',
      '127.0.0.1',
    ];
    for (const [index, headers] of forwarded.entries()) {
      expect({ headers, address: await recorded(behindProxies, headers) }).toEqual({
        headers,
        address: expected[index],
      });
    }
  });
});

describe('the page of mails, for this machine alone', () => {
  const mails = (headers: Record<string, string>, target = '') =>
    send(plain.url, `${target}/dev/mail`, { headers: { accept: 'text/html', ...headers } });

  test('is shown to who asks from here, by a name of here', async () => {
    for (const headers of [
      {},
      { host: 'localhost:3000' },
      { host: '127.0.0.1:3000' },
      { host: '[::1]:3000' },
      { host: 'app.localhost' },
    ] as Record<string, string>[]) {
      expect((await mails(headers)).status).toBe(200);
    }
  });

  test.each<[string, Record<string, string>]>([
    ['a foreign name that was turned to this machine', { host: evil }],
    ['a name that only looks like ours', { host: 'localhost.evil.example' }],
    ['an address that only looks like ours', { host: '127.0.0.1.evil.example' }],
    ['a request that was passed on', { 'x-forwarded-for': '127.0.0.1' }],
    ['a request that was passed on, said otherwise', { forwarded: 'for=127.0.0.1' }],
    ['a request that a proxy made', { via: '1.1 proxy' }],
  ])('is not there for %s', async (_, headers) => {
    expect((await mails(headers)).status).toBe(404);
  });
});

test('a redirect to an app is the only one that leaves', async () => {
  const answer = await send(plain.url, `/authorize?${query(authorizationFields(client).fields)}`, {
    headers: { ...cookiesOf(browser), host: evil },
  });
  expect(answer.location?.startsWith(`${redirectUri}?code=`)).toBe(true);
});
