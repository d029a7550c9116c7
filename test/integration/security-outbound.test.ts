import { globSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { assertion, newKey } from '../support/proofs.ts';
import { redirectUri, Seed, type SignedInBrowser } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { ask, authorizationFields, cookiesOf, countRows, form, send } from '../support/wire.ts';

/**
 * SECURITY 9 and "Outbound": whoever names an address, by whatever field, the server calls nobody inside. The guard itself is
 * tried in outbound.test.ts, redirects and names that answer twice among it; here, that every way out leads through it.
 */

const issuer = 'http://localhost:3000';
let database: TestDatabase;
let server: ServerProcess;
let seed: Seed;
let browser: SignedInBrowser;
let listeners: Server[];
let port: number;
let connections = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  const first = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  first.listen(0, '127.0.0.1');
  await once(first, 'listening');
  port = (first.address() as AddressInfo).port;
  listeners = [first];
  server = await startServerProcess(database, issuer, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '1000',
    LOG_LEVEL: 'error',
  });
  browser = await seed.signIn(await seed.account());
});

afterAll(async () => {
  await server.stop();
  for (const listener of listeners) listener.close();
  await database.drop();
});

/** All of them lead to this machine, or to what answers for machines like it. */
const inside = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '127.0.0.1.',
  '0.0.0.0',
  '0',
  '[::1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::]',
  '[fe80::1]',
  '[fd00:ec2::254]',
  '169.254.169.254',
  '10.0.0.1',
  '192.168.0.1',
  '100.100.100.200',
];
/** Names of this machine: what is behind a name shows only when it is looked up. */
const names = ['localhost', 'LOCALHOST', 'localhost.', 'evil.localhost'];

const urlsOf = (hosts: readonly string[]) => hosts.map((host) => `https://${host}:${port}/x`);

/** Each field by which a registration names what the server will call. */
const fields: readonly [name: string, more: Record<string, unknown>][] = [
  ['jwks_uri', {}],
  ['sector_identifier_uri', { subject_type: 'pairwise' }],
  ['backchannel_logout_uri', {}],
];

describe('SECURITY 9: what a registration names', () => {
  test.each(fields)('%s: no inside address, however it is written', async (field, more) => {
    const { rows: before } = await sql`select id from clients`.execute(database.db.kysely);
    for (const uri of urlsOf(inside)) {
      for (const changed of [uri, uri.replace('https:', 'http:')]) {
        const { status, json } = await send(server.url, '/register', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ redirect_uris: [redirectUri], ...more, [field]: changed }),
        });
        expect({ changed, status }).toEqual({ changed, status: 400 });
        expect(json.error).toMatch(/^invalid_client_metadata$/);
      }
    }
    const { rows: after } = await sql`select id from clients`.execute(database.db.kysely);
    expect(after).toEqual(before);
    expect(connections).toBe(0);
  });

  test('sector_identifier_uri: nor a name that leads inside', async () => {
    for (const uri of urlsOf(names)) {
      const { status, text } = await send(server.url, '/register', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          redirect_uris: [redirectUri],
          subject_type: 'pairwise',
          sector_identifier_uri: uri,
        }),
      });
      expect({ uri, status }).toEqual({ uri, status: 400 });
      // Whether anything answers there is nobody's to learn.
      expect(text).not.toMatch(/ECONNREFUSED|127\.0\.0\.1|ENOTFOUND/);
    }
    expect(connections).toBe(0);
  });

  test('by an operator: neither jwks_uri, nor logout, nor the ping', async () => {
    for (const uri of urlsOf(inside)) {
      for (const said of [
        { jwksUri: uri, authMethod: 'private_key_jwt' as const },
        { backchannelLogoutUri: uri },
        {
          grantTypes: ['urn:openid:params:grant-type:ciba' as const],
          redirectUris: [],
          cibaDelivery: 'ping' as const,
          cibaNotificationEndpoint: uri,
        },
      ])
        await expect(seed.client(said)).rejects.toMatchObject({ code: 'invalid_client' });
    }
  });
});

describe('SECURITY 9: what became inside after it was registered', () => {
  test('jwks_uri is not asked, by address or by name', async () => {
    const key = await newKey();
    for (const uri of [...urlsOf(inside), ...urlsOf(names)]) {
      const { clientId } = await seed.client({ type: 'machine' });
      const metadata = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: uri };
      await sql`update clients set metadata = metadata || ${JSON.stringify(metadata)}::jsonb where id = ${clientId}`.execute(
        database.db.kysely,
      );
      const fields = await assertion(key, clientId, issuer);
      const answer = await send(server.url, '/token', {
        method: 'POST',
        body: form({ grant_type: 'client_credentials', ...fields }),
      });
      expect({ uri, isGiven: 'access_token' in answer.json }).toEqual({ uri, isGiven: false });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.text).not.toContain(`:${port}`);
    }
    expect(connections).toBe(0);
  });
});

describe('SECURITY 9: what a request names', () => {
  test('a client ID metadata document is fetched from nowhere inside', async () => {
    const before = await countRows(database.db);
    for (const clientId of [...urlsOf(inside), ...urlsOf(names)]) {
      const { fields } = authorizationFields({ clientId });
      const answer = await ask(server.url, fields, { browser });
      expect({ clientId, status: answer.status, location: answer.location }).toEqual({
        clientId,
        status: 400,
        location: undefined,
      });
    }
    expect(await countRows(database.db)).toEqual(before);
    expect(connections).toBe(0);
  });

  test('a request_uri, a registration or a key in a header are asked of nobody', async () => {
    const web = await seed.client();
    const uri = `https://127.0.0.1:${port}/x`;
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const jwt = `${part({ alg: 'ES256', jku: uri, x5u: uri, kid: uri })}.${part({ iss: web.clientId })}.x`;
    for (const extra of [
      { request_uri: uri },
      { request: jwt },
      { id_token_hint: jwt },
      { registration: JSON.stringify({ jwks_uri: uri, logo_uri: uri }) },
      { claims: JSON.stringify({ userinfo: { email: { value: uri } } }) },
      { web_message_uri: uri },
    ])
      expect(
        (await ask(server.url, authorizationFields(web, extra).fields, { browser })).status,
      ).toBeLessThan(500);
    expect(connections).toBe(0);
  });
});

describe('SECURITY 9, SECURITY 7: logos and links', () => {
  test('are neither fetched nor loaded by a page: it shows no foreign host but as text', async () => {
    const logo = 'https://logo.example.net/logo.png';
    const { json } = await send(server.url, '/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        redirect_uris: [redirectUri],
        token_endpoint_auth_method: 'none',
        logo_uri: logo,
        client_uri: 'https://app.example.com/',
        policy_uri: 'https://app.example.com/policy',
      }),
    });
    const { fields } = authorizationFields({ clientId: String(json.client_id) });
    for (const by of [undefined, browser]) {
      const begun = await ask(server.url, fields, { browser: by });
      const cookies = begun.cookies.map((line) => line.split(';')[0]).join('; ');
      const cookie = [cookiesOf(by).cookie, cookies].filter(Boolean).join('; ');
      const page = await send(server.url, String(begun.location), {
        headers: { accept: 'text/html', cookie },
      });
      expect(page.status).toBe(200);
      expect(page.text).not.toMatch(/<(img|iframe|object|embed|link|script)[^>]*https?:\/\//);
      expect(page.text).not.toContain('logo.example.net');
      expect(page.headers['content-security-policy']).toMatch(/default-src 'none'/);
      expect(page.headers['content-security-policy']).not.toContain('logo.example.net');
    }
  });
});

test('Outbound: nothing of the server calls out but by the one guarded way', () => {
  const callers = globSync('src/**/*.ts', {
    cwd: new URL('../..', import.meta.url).pathname,
  }).filter(
    (file) =>
      !file.startsWith('src/outbound/') &&
      /(?<![.\w])fetch\(|\bhttps?\.(request|get)\(|from '(undici|node:http2|node:dgram)'/.test(
        readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'),
      ),
  );
  expect(callers).toEqual([]);
});
