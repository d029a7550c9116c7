import { Agent, request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { ClientChanges } from '../../src/client/client-settings.ts';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { InitialTokens } from '../../src/client-registration/initial-tokens.service.ts';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts';
import { jwksOf, newKey } from '../support/proofs.ts';
import { exchange, isActive, post, refresh } from '../support/protocol.ts';
import { ask, enterPassword } from '../support/relying-party.ts';
import {
  manage,
  plainApp,
  register,
  replaceCredential,
  type RegistrationAnswer,
} from '../support/self-registering.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** Dynamic client registration and its management: RFC 7591, RFC 7592, OpenID Connect Registration. */

const api = 'https://ledger.example.com';
const PER_ADDRESS = 6;
const IN_ALL = 9;

let database: TestDatabase;
let server: TestServer;
let off: TestServer;
let byToken: TestServer;
let apiCredentials: Awaited<ReturnType<TestServer['createApi']>>;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(database, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: String(PER_ADDRESS),
    CLIENT_REGISTRATION_IN_ALL: String(IN_ALL),
    REQUEST_LIMITS: 'off',
    TRUST_PROXY: '1',
  });
  off = await startServer(database);
  byToken = await startServer(database, { CLIENT_REGISTRATION: 'token', REQUEST_LIMITS: 'off' });
  apiCredentials = await server.createApi(api);
  await server.services.resourceServers.update(api, { openScopes: ['invoices:read'] }, 'test');
});

afterEach(async () => {
  // What a test has left counts for no quota of the next.
  await sql`delete from clients where registered_by is not null`.execute(database.db.kysely);
  await sql`delete from initial_access_tokens`.execute(database.db.kysely);
  await sql`delete from rate_limits`.execute(database.db.kysely);
});

afterAll(async () => {
  await Promise.all([server.close(), off.close(), byToken.close()]);
  await database.drop();
});

const rowOf = (id: string) =>
  database.db.kysely.selectFrom('clients').selectAll().where('id', '=', id).executeTakeFirst();

const count = async () =>
  (
    await database.db.kysely
      .selectFrom('clients')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('registered_by', 'is not', null)
      .executeTakeFirstOrThrow()
  ).count;

const credentialsOf = ({ body }: RegistrationAnswer) => ({
  clientId: body.client_id,
  clientSecret: body.client_secret,
});

/** A person signs in to the client, and allows all that it asks for. */
async function signIn(
  made: RegistrationAnswer,
  extra: Record<string, string> = { scope: 'openid email offline_access' },
) {
  const client = credentialsOf(made);
  const account = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client, extra);
  const consent = await enterPassword(browser, await browser.get(asked.url), account);
  const back = await browser.submit(consent, {}, 'allow');
  const code = back.params.get('code') as string;
  const tokens = await exchange(
    server.issuer,
    client,
    { code, verifier: asked.verifier },
    extra.redirect_uri === undefined ? {} : { redirect_uri: extra.redirect_uri },
  );
  return { account, browser, consent, back, tokens, client };
}

describe('registration', () => {
  test('gives an id, a secret and a token, of which only hashes are kept', async () => {
    const { status, headers, body } = await register(server.issuer);
    expect(status).toBe(201);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toMatchObject({
      client_name: 'Quillet',
      redirect_uris: ['https://app.example.com/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'web',
      token_endpoint_auth_method: 'client_secret_basic',
      client_secret_expires_at: 0,
      scope: 'openid profile email offline_access invoices:read',
      registration_client_uri: `${server.issuer}/register/${body.client_id}`,
    });
    expect(body.client_secret).toMatch(/^vs_cs_/);
    expect(body.registration_access_token).toMatch(/^vs_ra_/);
    const { rows } = await sql<{ text: string }>`
      select row_to_json(c)::text || coalesce(row_to_json(r)::text, '') || coalesce(row_to_json(s)::text, '') as text
      from clients c left join client_registrations r on r.client_id = c.id
      left join client_secrets s on s.client_id = c.id where c.id = ${body.client_id}`.execute(
      database.db.kysely,
    );
    expect(rows[0]?.text).toContain('"registered_by":"anybody"');
    for (const secret of [body.client_secret as string, body.registration_access_token])
      expect(rows[0]?.text).not.toContain(secret.slice(6));
  });

  test('discovery names the endpoint, and only where it is on', async () => {
    const metadata = async (issuer: string) =>
      (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as object;
    expect(await metadata(server.issuer)).toMatchObject({
      registration_endpoint: `${server.issuer}/register`,
      client_id_metadata_document_supported: true,
    });
    expect(await metadata(off.issuer)).not.toHaveProperty('registration_endpoint');
    expect(await metadata(off.issuer)).not.toHaveProperty('client_id_metadata_document_supported');
    expect((await fetch(`${off.issuer}/register`, { method: 'POST' })).status).toBe(404);
  });

  test('a client of it signs people in, after they were asked', async () => {
    const made = await register(server.issuer);
    const { consent, tokens } = await signIn(made, {
      scope: 'openid invoices:read invoices:write',
      resource: api,
    });
    expect(consent.text).toContain('This app registered itself and chose the name Quillet');
    expect(consent.text).toContain('app.example.com');
    expect(tokens.body.scope).toBe('invoices:read');
    const told = await post(server.issuer, '/introspect', apiCredentials, {
      token: tokens.body.access_token,
    });
    expect(told.body).toMatchObject({
      active: true,
      client_id: made.body.client_id,
      scope: 'invoices:read',
      aud: api,
    });
    expect((await rowOf(made.body.client_id))?.used_at).not.toBeNull();
  });

  test('SECURITY 25: consent is never skipped: prompt=none fails before a person has decided', async () => {
    const made = await register(server.issuer, { ...plainApp, token_endpoint_auth_method: 'none' });
    const account = await server.createAccount();
    const browser = new Browser();
    const first = ask(server, credentialsOf(made));
    await enterPassword(browser, await browser.get(first.url), account);
    const silent = await browser.get(ask(server, credentialsOf(made), { prompt: 'none' }).url);
    expect(silent.params.get('error')).toBe('consent_required');
  });

  test('what is wrong is told in the words of RFC 7591', async () => {
    const refused = async (body: unknown, error: string, status = 400) => {
      const answer = await register(server.issuer, body);
      expect([answer.body.error, answer.status]).toEqual([error, status]);
      expect(answer.body.error_description).toBeTruthy();
    };
    await refused('{', 'invalid_client_metadata');
    await refused('[]', 'invalid_client_metadata');
    await refused(`{"jwks":${'['.repeat(30_000)}`, 'invalid_client_metadata');
    await refused({}, 'invalid_redirect_uri');
    await refused({ redirect_uris: 'https://app.example.com' }, 'invalid_redirect_uri');
    await refused({ redirect_uris: [] }, 'invalid_redirect_uri');
    await refused({ redirect_uris: ['http://app.example.com/'] }, 'invalid_redirect_uri');
    await refused({ ...plainApp, client_name: 'a\u202eb' }, 'invalid_client_metadata');
    await refused({ ...plainApp, grant_types: ['implicit'] }, 'invalid_client_metadata');
    await refused({ ...plainApp, response_types: ['token'] }, 'invalid_client_metadata');
    await refused(
      { ...plainApp, token_endpoint_auth_method: 'client_secret_jwt' },
      'invalid_client_metadata',
    );
    await refused(
      { ...plainApp, token_endpoint_auth_method: 'private_key_jwt' },
      'invalid_client_metadata',
    );
    await refused({ ...plainApp, contacts: ['nobody'] }, 'invalid_client_metadata');
    await refused(
      { ...plainApp, client_uri: `https://app.example.com/${'a'.repeat(70_000)}` },
      'invalid_request',
      413,
    );
    expect(await count()).toBe(0);
    const { rows } = await sql<{ reason: string }>`
      select distinct reason from audit_events where type = 'client.registration' and outcome = 'refused'
      order by reason`.execute(database.db.kysely);
    expect(rows.map(({ reason }) => reason)).toEqual([
      'invalid_client_metadata',
      'invalid_redirect_uri',
    ]);
  });

  test('a client with a key of its own has no secret', async () => {
    const jwks = jwksOf(await newKey());
    const { body } = await register(server.issuer, {
      ...plainApp,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks,
    });
    expect(body.client_secret).toBeUndefined();
    expect(body).toMatchObject({ jwks, token_endpoint_auth_method: 'private_key_jwt' });
  });
});

describe('SECURITY 30: what a client may not say never takes effect', () => {
  const privileged = {
    client_id: 'c_chosen',
    client_secret: 'chosen-by-the-caller-and-long-enough',
    client_secret_expires_at: 4_102_444_800,
    client_id_issued_at: 1,
    registration_access_token: 'chosen',
    type: 'machine',
    first_party: true,
    firstParty: true,
    verified: true,
    developer: 'The bank',
    disabled: false,
    registered_by: null,
    used_at: '2020-01-01',
    settings: { refreshRotation: 'keep', defaultResource: api },
    profile: 'fapi2',
    dpop_nonce: 'required',
    access_token_ttl: 86_400,
    accessTokenTtl: 86_400,
    family_ttl: 31_536_000,
    refreshGrace: 60,
    default_resource: api,
    allowed: { [api]: ['invoices:write'] },
    apis: [{ identifier: api, scopes: ['invoices:write'] }],
    authorization_details_types: ['payment'],
    pkce: 'optional',
    sector: 'bank.example.com',
    identity_claims: ['email'],
    offline_access: 'always',
    software_statement: 'e30.e30.',
    constructor: { prototype: { verified: true } },
  };

  test.each(Object.entries(privileged))('%s', async (key, value) => {
    const { status, body } = await register(server.issuer, { ...plainApp, [key]: value });
    expect(status).toBe(201);
    expect(body.client_id).toMatch(/^c_[\w-]{22}$/);
    const row = await rowOf(body.client_id);
    expect(row).toMatchObject({
      type: 'web',
      settings: {},
      first_party: false,
      verified: false,
      developer: null,
      registered_by: 'anybody',
      used_at: null,
      resource_server_id: null,
    });
    expect(Object.keys(row?.metadata ?? {}).toSorted()).toEqual([
      'application_type',
      'grant_types',
      'post_logout_redirect_uris',
      'redirect_uris',
      'response_types',
      'scope',
      'token_endpoint_auth_method',
    ]);
    expect(body.client_secret).toMatch(/^vs_cs_/);
    expect(
      await database.db.kysely
        .selectFrom('client_scopes')
        .select('scope')
        .where('client_id', '=', body.client_id)
        .execute(),
    ).toEqual([]);
    const { client } = await server.services.clients.show(body.client_id);
    expect([...client.allowed].map(([id, scopes]) => [id, [...scopes]])).toEqual([
      [api, ['invoices:read']],
    ]);
  });

  test('characters that are none are in no member of it, at whatever depth', async () => {
    const { keys } = jwksOf(await newKey());
    for (const none of ['a\u0000b', 'a\ud800b'])
      for (const said of [
        { software_id: none },
        { software_version: none },
        { jwks: { keys: [{ ...keys[0], kid: none }] } },
        { jwks: { keys: [{ ...keys[0], [none]: 1 }] } },
      ]) {
        const { status, body } = await register(server.issuer, { ...plainApp, ...said });
        expect([said, status, body.error]).toEqual([said, 400, 'invalid_client_metadata']);
      }
  });

  test('`__proto__` in JSON is a key like others', async () => {
    const text = `{"__proto__":{"verified":true},"redirect_uris":["https://app.example.com/callback"]}`;
    const { body } = await register(server.issuer, text);
    expect(await rowOf(body.client_id)).toMatchObject({ verified: false });
  });

  test('grant types that nobody unknown may use, and scopes that nobody has opened', async () => {
    const { body } = await register(server.issuer, {
      ...plainApp,
      grant_types: [
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'implicit',
        'urn:ietf:params:oauth:grant-type:device_code',
        'urn:ietf:params:oauth:grant-type:token-exchange',
        'urn:ietf:params:oauth:grant-type:jwt-bearer',
        'urn:openid:params:grant-type:ciba',
      ],
      response_types: ['code', 'token', 'id_token'],
      scope: 'openid invoices:write invoices:read admin',
    });
    expect(body).toMatchObject({
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: 'openid invoices:read',
    });
    const { status } = await post(
      server.issuer,
      '/token',
      { clientId: body.client_id, clientSecret: body.client_secret },
      { grant_type: 'client_credentials', resource: api },
    );
    expect(status).toBe(400);
  });
});

describe('SECURITY 7: hostile addresses in any field', () => {
  const hostile = [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:alert(1)',
    'java\tscript:alert(1)',
    'javascript://app.example.com/%0aalert(1)',
    'data:text/html,x',
    'DATA:text/html;base64,PHNjcmlwdD4=',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example.com/1',
    'https://user@app.example.com/',
    'https://app.example.com/../x',
    'https://app.example.com/%2e%2e/x',
    'https://app.example.com/*',
    'https://app.example.com\\@evil.example.com/',
    'https://app.example.com/#fragment',
    'https:app.example.com',
    '//app.example.com/',
    'http://app.example.com/',
  ];
  const fields: readonly [string, (uri: string) => object][] = [
    ['redirect_uris', (uri) => ({ redirect_uris: [plainApp.redirect_uris[0], uri] })],
    ['post_logout_redirect_uris', (uri) => ({ post_logout_redirect_uris: [uri] })],
    ['logo_uri', (uri) => ({ logo_uri: uri })],
    ['client_uri', (uri) => ({ client_uri: uri })],
    ['policy_uri', (uri) => ({ policy_uri: uri })],
    ['tos_uri', (uri) => ({ tos_uri: uri })],
    ['backchannel_logout_uri', (uri) => ({ backchannel_logout_uri: uri })],
    ['jwks_uri', (uri) => ({ jwks_uri: uri })],
    ['sector_identifier_uri', (uri) => ({ sector_identifier_uri: uri, subject_type: 'pairwise' })],
  ];

  test.each(fields)('%s', async (_name, field) => {
    const made = await register(server.issuer);
    for (const uri of hostile) {
      // What the server itself calls, or leads to, is looked at by its own rules; none of these passes any.
      if (/\*|\.\.|%2e/.test(uri) && /backchannel|jwks|sector/.test(_name)) continue;
      for (const application_type of ['web', 'native'] as const) {
        const { status, body } = await register(server.issuer, {
          ...plainApp,
          application_type,
          ...field(uri),
        });
        expect([uri, status, body.error]).toEqual([
          uri,
          400,
          expect.stringMatching(/^invalid_(redirect_uri|client_metadata)$/),
        ]);
      }
      const changed = await manage(made, 'PUT', {
        ...plainApp,
        client_id: made.body.client_id,
        ...field(uri),
      });
      expect([uri, changed.status]).toEqual([uri, 400]);
    }
    expect(await count()).toBe(1);
  });

  test.each(['https://127.0.0.1/x', 'https://[::1]/x', 'https://169.254.169.254/x'])(
    'SECURITY 9: what the server would call leads nowhere inside: %s',
    async (uri) => {
      for (const field of ['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri']) {
        const extra = field.startsWith('sector') ? { subject_type: 'pairwise' } : {};
        const { status } = await register(server.issuer, { ...plainApp, ...extra, [field]: uri });
        expect([field, status]).toEqual([field, 400]);
      }
    },
  );
});

describe('COMPATIBILITY 18: apps on the device, without application_type', () => {
  test.each([
    'cursor://anysphere.cursor-mcp/oauth/callback',
    'com.example.app:/callback',
    'http://127.0.0.1:33418/callback',
    'http://localhost/callback',
    'http://[::1]:8080/callback',
  ])('%s', async (uri) => {
    const made = await register(server.issuer, {
      client_name: 'Cursor',
      redirect_uris: [uri],
      token_endpoint_auth_method: 'none',
    });
    expect([made.status, made.body.application_type]).toEqual([201, 'native']);
    const floating = uri.startsWith('http:')
      ? uri.replace(/(:\d+)?\/callback/, ':45123/callback')
      : uri;
    const { consent, back, tokens } = await signIn(made, {
      scope: 'openid email offline_access',
      redirect_uri: floating,
    });
    expect(consent.text).toContain('It runs on this device.');
    expect(consent.text).toContain('This app registered itself');
    expect(back.url.startsWith(floating)).toBe(true);
    expect(tokens.status).toBe(200);
  });

  test.each([
    'javascript://app/callback',
    'intent://app/callback',
    'ms-msdt://app/callback',
    'chrome-extension://app/callback',
    'web+app://app/callback',
    'file://app/callback',
    'mailto:somebody@example.com',
    'ssh://app/callback',
    'cursor:/callback',
    'cursor:///callback',
    'CURSOR://app/callback',
    'cursor://user@app/callback',
    'cursor://app/../callback',
    'cursor://app/callback#fragment',
    'ab://app/callback',
  ])('a scheme that is more than a way back to an app: %s', async (uri) => {
    const { status, body } = await register(server.issuer, { ...plainApp, redirect_uris: [uri] });
    expect([status, body.error]).toEqual([400, 'invalid_redirect_uri']);
  });

  test('on the web, ports are exact, and schemes are none', async () => {
    const { status } = await register(server.issuer, {
      redirect_uris: ['cursor://app/callback'],
      application_type: 'web',
    });
    expect(status).toBe(400);
  });
});

describe('management (RFC 7592)', () => {
  test('reads without the secret, and tells nobody else', async () => {
    const made = await register(server.issuer);
    const read = await manage(made, 'GET');
    expect(read.status).toBe(200);
    const { client_secret: _, client_secret_expires_at: __, ...rest } = made.body;
    expect(read.body).toEqual(rest);
    for (const token of ['vs_ra_other', undefined, made.body.client_secret]) {
      const answer = await fetch(made.body.registration_client_uri, {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      });
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        401,
        'Bearer error="invalid_token"',
      ]);
    }
  });

  test('a token that is tried on another client ends', async () => {
    const [mine, other] = [await register(server.issuer), await register(server.issuer)];
    const token = mine.body.registration_access_token;
    expect((await manage(other, 'DELETE', undefined, token)).status).toBe(401);
    expect((await manage(mine, 'GET')).status).toBe(401);
    expect((await manage(other, 'GET')).status).toBe(200);
  });

  test('replaces all that was said; what is not said again is gone', async () => {
    const made = await register(server.issuer, {
      ...plainApp,
      policy_uri: 'https://app.example.com/privacy',
    });
    const id = made.body.client_id;
    const changed = await manage(made, 'PUT', {
      client_id: id,
      client_secret: made.body.client_secret,
      client_name: 'Quillet 2',
      redirect_uris: ['https://app.example.com/new'],
      verified: true,
      access_token_ttl: 86_400,
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({ client_name: 'Quillet 2', client_id: id });
    expect(changed.body).not.toHaveProperty('policy_uri');
    expect(changed.body).not.toHaveProperty('client_secret');
    expect(await rowOf(id)).toMatchObject({ name: 'Quillet 2', verified: false, settings: {} });
    const old = await new Browser().get(ask(server, credentialsOf(made)).url);
    expect([old.status, old.external]).toEqual([400, false]);
    // Its secret goes on.
    const { body } = await post(server.issuer, '/token', credentialsOf(made), {
      grant_type: 'authorization_code',
      code: 'none',
      redirect_uri: 'https://app.example.com/new',
      code_verifier: 'v'.repeat(43),
    });
    expect(body.error).toBe('invalid_grant');
  });

  test('what must be as it is can’t be changed', async () => {
    const made = await register(server.issuer);
    const whole = { ...plainApp, client_id: made.body.client_id };
    const bad = [
      { ...whole, client_secret: 'another' },
      { ...whole, client_secret: 7 },
      { ...whole, client_id: 'c_other' },
      plainApp,
      { ...whole, registration_access_token: made.body.registration_access_token },
      { ...whole, registration_client_uri: made.body.registration_client_uri },
      { ...whole, client_secret_expires_at: 0 },
      { ...whole, client_id_issued_at: 0 },
    ];
    for (const body of bad)
      expect([(await manage(made, 'PUT', body)).status, body]).toEqual([400, body]);
    expect((await rowOf(made.body.client_id))?.updated_at).toEqual(
      (await rowOf(made.body.client_id))?.created_at,
    );
  });

  test('SECURITY 30: policy that the operator has set for it holds for what it says of itself from then on', async () => {
    const made = await register(server.issuer);
    const id = made.body.client_id;
    const whole = { ...plainApp, client_id: id };
    await server.services.clients.update(id, { pkce: 'optional' }, 'test');
    const open = await manage(made, 'PUT', { ...whole, token_endpoint_auth_method: 'none' });
    expect([open.status, open.body.error]).toEqual([400, 'invalid_client_metadata']);
    expect((await rowOf(id))?.metadata).toMatchObject({
      token_endpoint_auth_method: 'client_secret_basic',
    });
    expect((await manage(made, 'PUT', whole)).status).toBe(200);
    expect((await rowOf(id))?.settings).toEqual({ pkce: 'optional' });

    const sound = {
      ...plainApp,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: jwksOf(await newKey()),
      dpop_bound_access_tokens: true,
      require_pushed_authorization_requests: true,
      id_token_signed_response_alg: 'ES256',
    };
    const fapi = await register(server.issuer, sound);
    const fapiId = fapi.body.client_id;
    await server.services.clients.update(fapiId, { profile: 'fapi2' }, 'test');
    const before = (await rowOf(fapiId))?.metadata;
    const said = { ...sound, client_id: fapiId };
    for (const less of [
      { dpop_bound_access_tokens: false },
      { require_pushed_authorization_requests: false },
      { id_token_signed_response_alg: 'RS256' },
      { token_endpoint_auth_method: 'client_secret_basic', jwks: undefined },
    ]) {
      const { status, body } = await manage(fapi, 'PUT', { ...said, ...less });
      expect([less, status, body.error]).toEqual([less, 400, 'invalid_client_metadata']);
    }
    expect((await rowOf(fapiId))?.metadata).toEqual(before);
    expect((await manage(fapi, 'PUT', said)).status).toBe(200);
    expect((await rowOf(fapiId))?.metadata).toEqual(before);
  });

  test('a client that gives up its secret has none, and one that wants one gets it once', async () => {
    const made = await register(server.issuer);
    const whole = { ...plainApp, client_id: made.body.client_id };
    const without = await manage(made, 'PUT', { ...whole, token_endpoint_auth_method: 'none' });
    expect(without.body).not.toHaveProperty('client_secret');
    const { rows } = await database.db.pool.query(
      'select from client_secrets where client_id = $1',
      [made.body.client_id],
    );
    expect(rows).toEqual([]);
    const again = await manage(made, 'PUT', whole);
    expect(again.body.client_secret).toMatch(/^vs_cs_/);
    expect(again.body.client_secret).not.toBe(made.body.client_secret);
  });

  test('deletion ends every token in the same commit, and keeps the row for as long as one could live', async () => {
    const made = await register(server.issuer);
    const { tokens, client } = await signIn(made, {
      scope: 'openid invoices:read offline_access',
      resource: api,
    });
    expect(await isActive(server.issuer, apiCredentials, tokens.body.access_token)).toBe(true);
    expect((await manage(made, 'DELETE')).status).toBe(204);
    expect(await isActive(server.issuer, apiCredentials, tokens.body.access_token)).toBe(false);
    expect((await refresh(server.issuer, client, tokens.body.refresh_token)).body.error).toBe(
      'invalid_client',
    );
    expect((await manage(made, 'GET')).status).toBe(401);
    const page = await new Browser().get(ask(server, client).url);
    expect([page.status, page.external]).toEqual([400, false]);
    const row = await rowOf(client.clientId);
    expect(row?.deleted_at).not.toBeNull();
    expect(row?.tokens_since).not.toBeNull();
    const { rows } = await sql<{ revoked: boolean }>`
      select revoked_at is not null as revoked from grants where client_id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    expect(rows).toEqual([{ revoked: true }]);
    await expect(
      server.services.clients.setDisabled(client.clientId, false, 'test'),
    ).rejects.toThrow('There is no client');
    await clean();
    expect(await rowOf(client.clientId)).toBeDefined();
    // Its day is over, and that of its last token.
    await sql`update clients set deleted_at = now() - interval '26 hours' where id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await sql`update grants set revoked_at = now() - interval '1 hour' where client_id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await clean();
    expect(await rowOf(client.clientId)).toBeUndefined();
  });
});

const clean = () => createCleaning(database.db).run(new AbortController().signal);

describe('12: new credentials', () => {
  const works = async (made: RegistrationAnswer, clientSecret: string | undefined) => {
    const client = { clientId: made.body.client_id, clientSecret };
    const { body } = await refresh(server.issuer, client, 'vs_rt_none');
    return body.error === 'invalid_grant';
  };

  test('a client gets a second secret beside the first, and a third ends the first', async () => {
    const made = await register(server.issuer);
    const first = made.body.client_secret;
    const { status, body } = await replaceCredential(made, 'client_secret');
    expect([status, body.client_secret_expires_at]).toEqual([200, 0]);
    expect(body.client_secret).toMatch(/^vs_cs_/);
    expect([await works(made, first), await works(made, body.client_secret)]).toEqual([true, true]);
    const third = await replaceCredential(made, 'client_secret');
    expect([await works(made, first), await works(made, third.body.client_secret)]).toEqual([
      false,
      true,
    ]);
  });

  test('a public client has no secret to replace, and nobody else gets one', async () => {
    const open = await register(server.issuer, { ...plainApp, token_endpoint_auth_method: 'none' });
    const refused = await replaceCredential(open, 'client_secret');
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_request']);
    const made = await register(server.issuer);
    for (const name of ['client_secret', 'registration_access_token'] as const) {
      expect((await replaceCredential(made, name, 'vs_ra_none')).status).toBe(401);
    }
    const { rows } = await sql<{ count: number }>`
      select count(*)::int as count from client_secrets where client_id = ${made.body.client_id}`.execute(
      database.db.kysely,
    );
    expect(rows).toEqual([{ count: 1 }]);
  });

  test('a new management token takes over when it is first used', async () => {
    const made = await register(server.issuer);
    const old = made.body.registration_access_token;
    const lost = await replaceCredential(made, 'registration_access_token');
    expect(lost.status).toBe(200);
    // The answer may be lost: the old one still serves, and asks again.
    const next = (await replaceCredential(made, 'registration_access_token')).body
      .registration_access_token;
    expect((await manage(made, 'GET', undefined, lost.body.registration_access_token)).status).toBe(
      401,
    );
    expect((await manage(made, 'GET', undefined, old)).status).toBe(200);
    expect((await manage(made, 'GET', undefined, next)).status).toBe(200);
    expect((await manage(made, 'GET', undefined, old)).status).toBe(401);
    expect((await manage(made, 'GET', undefined, next)).status).toBe(200);
  });

  test('CLIENT_REGISTRATION_PKCE=optional lets confidential clients that registered themselves omit PKCE', async () => {
    const lenient = await startServer(database, {
      CLIENT_REGISTRATION: 'open',
      CLIENT_REGISTRATION_PKCE: 'optional',
    });
    const account = await server.createAccount();
    const outcomes: (string | null)[] = [];
    for (const method of ['client_secret_basic', 'none'])
      for (const at of [server, lenient]) {
        const made = await register(server.issuer, {
          ...plainApp,
          token_endpoint_auth_method: method,
        });
        const url = new URL(ask(at, credentialsOf(made), { scope: 'openid' }).url);
        url.searchParams.delete('code_challenge');
        url.searchParams.delete('code_challenge_method');
        const browser = new Browser();
        const answer = await browser.get(url.href);
        outcomes.push(
          answer.params.get('error') ??
            (
              await browser.submit(await enterPassword(browser, answer, account), {}, 'allow')
            ).params
              .get('code')
              ?.slice(0, 6) ??
            null,
        );
      }
    expect(outcomes).toEqual([
      'invalid_request',
      expect.any(String),
      'invalid_request',
      'invalid_request',
    ]);
    expect(outcomes[1]).toMatch(/^vs_/);
    await lenient.close();
  });
});

describe('initial access tokens', () => {
  const tokens = () => new InitialTokens(database.db, server.services.resourceServers);

  test('register as many clients as they say, and open what they say', async () => {
    const { token, id } = await tokens().create(
      {
        name: 'CI',
        uses: 2,
        days: 1,
        apis: [{ identifier: api, scopes: ['invoices:write'] }],
      },
      'test',
    );
    expect((await register(byToken.issuer)).status).toBe(401);
    expect((await register(byToken.issuer, plainApp, 'vs_ia_guess')).status).toBe(401);
    // What is wrong with a client costs no use.
    expect((await register(byToken.issuer, {}, token)).status).toBe(400);
    const made = await register(byToken.issuer, plainApp, token);
    expect(made.body.scope).toBe(
      'openid profile email offline_access invoices:read invoices:write',
    );
    expect(await rowOf(made.body.client_id)).toMatchObject({ registered_by: 'token' });
    const races = await Promise.all(
      Array.from({ length: 10 }, () => register(byToken.issuer, plainApp, token)),
    );
    expect(races.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(races.filter(({ status }) => status === 401)).toHaveLength(9);
    const row = await database.db.kysely
      .selectFrom('initial_access_tokens')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    expect(row.uses_left).toBe(0);
    expect(JSON.stringify(row)).not.toContain(token.slice(6));
  });

  test('one that is over, or was revoked, registers nothing', async () => {
    const input = { name: 'CI', uses: 5, days: 1, apis: [] };
    const over = await tokens().create(input, 'test');
    await sql`update initial_access_tokens set expires_at = now() where id = ${over.id}`.execute(
      database.db.kysely,
    );
    const revoked = await tokens().create(input, 'test');
    expect((await tokens().list()).map(({ id }) => id)).toEqual([revoked.id]);
    await tokens().revoke(revoked.id, 'test');
    for (const { token } of [over, revoked])
      expect((await register(server.issuer, plainApp, token)).status).toBe(401);
    expect(await count()).toBe(0);
  });

  test('what they registered is not cleaned away', async () => {
    const { token } = await tokens().create({ name: 'CI', uses: 1, days: 1, apis: [] }, 'test');
    const { body } = await register(server.issuer, plainApp, token);
    await sql`update clients set created_at = now() - interval '3 days' where id = ${body.client_id}`.execute(
      database.db.kysely,
    );
    await clean();
    expect(await rowOf(body.client_id)).toBeDefined();
  });
});

describe('SECURITY 9: who registers makes us call a host', () => {
  let host: DocumentHost;
  let inside: TestServer;
  const withSector = () => ({
    ...plainApp,
    subject_type: 'pairwise',
    sector_identifier_uri: `${host.origin}/sector.json`,
  });

  beforeAll(async () => {
    host = await startDocumentHost();
    inside = await startServer(database, {
      CLIENT_REGISTRATION: 'open',
      OUTBOUND_ALLOW: 'localhost',
    });
  });

  afterAll(async () => {
    await inside.close();
    await host.stop();
  });

  test('as often in an hour as documents, and no more; what is refused is counted as well', async () => {
    const statuses: number[] = [];
    for (let at = 0; at < 40; at++)
      statuses.push((await register(inside.issuer, withSector())).status);
    expect(statuses).toEqual([...Array(30).fill(400), ...Array(10).fill(429)]);
    expect(host.requests).toHaveLength(30);
    await sql`delete from rate_limits`.execute(database.db.kysely);
    const made = await register(inside.issuer);
    const changes: number[] = [];
    const change = { ...withSector(), client_id: made.body.client_id };
    for (let at = 0; at < 40; at++) changes.push((await manage(made, 'PUT', change)).status);
    expect(changes).toEqual([...Array(30).fill(400), ...Array(10).fill(429)]);
    expect(host.requests).toHaveLength(60);
  });

  test('not at all with a token that is none', async () => {
    host.requests.length = 0;
    const { status, body } = await register(inside.issuer, withSector(), 'vs_ia_made-up');
    expect([status, body.error]).toEqual([401, 'invalid_token']);
    expect(host.requests).toEqual([]);
    // Nor is anything told of what was sent.
    expect((await register(byToken.issuer, { redirect_uris: [] }, 'vs_ia_made-up')).status).toBe(
      401,
    );
  });
});

describe('SECURITY 32: bounds', () => {
  let serial = 0;
  /** Each of another app, unless it is named. */
  const from = (address: string, name = `Quillet ${serial++}`) =>
    fetch(`${server.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': address },
      body: JSON.stringify({ ...plainApp, client_name: name }),
    });

  test('of registrations at once, from one address and from many, no more than the quotas are made', async () => {
    const one = await Promise.all(Array.from({ length: 40 }, () => from('203.0.113.7')));
    expect(one.filter(({ status }) => status === 201)).toHaveLength(PER_ADDRESS);
    const full = one.find(({ status }) => status === 429);
    expect(full?.headers.get('retry-after')).toBe('3600');
    expect(await full?.json()).toMatchObject({ error: 'temporarily_unavailable' });
    // An IPv6 network is one address.
    const many = await Promise.all(
      Array.from({ length: 40 }, (_, at) => from(`2001:db8:${at}::${at + 1}`)),
    );
    expect(many.filter(({ status }) => status === 201)).toHaveLength(IN_ALL - PER_ADDRESS);
    expect(await count()).toBe(IN_ALL);
  });

  test('10,000 anonymous registrations stay inside the quota', async () => {
    let left = 10_000;
    const made: (number | undefined)[] = [];
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const once = (address: string) =>
      new Promise<void>((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'x-forwarded-for': address };
        request(`${server.issuer}/register`, { method: 'POST', agent, headers }, (response) => {
          made.push(response.statusCode);
          response.resume().on('end', resolve);
        })
          .on('error', reject)
          .end(JSON.stringify({ ...plainApp, client_name: `Quillet ${serial++}` }));
      });
    const loop = async () => {
      while (left-- > 0) await once(`198.51.100.${left % 250}`);
    };
    await Promise.all(Array.from({ length: 16 }, loop));
    agent.destroy();
    expect(made.filter((status) => status === 201)).toHaveLength(IN_ALL);
    expect(made.filter((status) => status === 429)).toHaveLength(10_000 - IN_ALL);
    expect(await count()).toBe(IN_ALL);
  }, 240_000);

  test('deleting makes no room: what was registered counts until it is gone', async () => {
    for (let at = 0; at < PER_ADDRESS; at++)
      expect((await manage(await register(server.issuer), 'DELETE')).status).toBe(204);
    expect((await register(server.issuer)).status).toBe(429);
  });

  test('12: where the quota is full, the same metadata from the same address replaces its oldest unused twin', async () => {
    const here = '203.0.113.7';
    const twin = async (address = here) => {
      const answer = await from(address, 'Forgetful');
      return {
        status: answer.status,
        id: ((await answer.json()) as { client_id: string }).client_id,
      };
    };
    const [first, second] = [await twin(), await twin()];
    for (let at = 2; at < PER_ADDRESS; at++) expect((await from(here)).status).toBe(201);
    // Until then each has its own.
    expect([await rowOf(first.id), await rowOf(second.id)].every(Boolean)).toBe(true);
    const third = await twin();
    expect(third.status).toBe(201);
    expect(await rowOf(first.id)).toBeUndefined();
    expect(await rowOf(second.id)).toBeDefined();
    expect(await count()).toBe(PER_ADDRESS);
    // Other metadata finds no room, nor does another address take what is this one's.
    expect((await from(here, 'Another')).status).toBe(429);
    for (let at = PER_ADDRESS; at < IN_ALL; at++) await from('198.51.100.1');
    expect((await twin('198.51.100.2')).status).toBe(429);
    // What somebody uses stays.
    await sql`update clients set used_at = now() where id in (${second.id}, ${third.id})`.execute(
      database.db.kysely,
    );
    for (let at = 0; at < 2; at++) expect((await from(here)).status).toBe(201);
    expect((await twin()).status).toBe(429);
    expect([await rowOf(second.id), await rowOf(third.id)].every(Boolean)).toBe(true);
  });

  /** What an operator may decide about a client that registered itself. */
  const decisions: [name: string, decide: (id: string) => Promise<unknown>][] = [
    ...Object.entries({
      verified: { verified: true },
      'a developer': { developer: 'Ann' },
      'a demand': { requirePushed: true },
      'a policy': { accessTokenTtl: 300 },
      'scopes of an API': { apis: [{ identifier: api, scopes: ['invoices:write'] }] },
      'a grant type that needs no user': {
        grantTypes: ['authorization_code', 'client_credentials'],
      } as const,
    }).map(([name, changes]): [string, (id: string) => Promise<unknown>] => [
      name,
      (id) => server.services.clients.update(id, changes as ClientChanges, 'test'),
    ]),
    [
      'a rule of exchange',
      (id) =>
        sql`insert into exchange_rules (id, client_id, source_id, target_id, scopes, impersonation, actors)
        select ${id}, ${id}, r.id, r.id, '{}', false, '{}' from resource_servers r`.execute(
          database.db.kysely,
        ),
    ],
    [
      'a subject that it may be',
      async (id) => {
        const { kysely } = database.db;
        await sql`insert into trusted_issuers (id, issuer, jwks, algs, max_life, reusable)
          values (${id}, ${id}, '{}', '{}', 60, false)`.execute(kysely);
        await sql`insert into trusted_subjects (id, issuer_id, subject, client_id, resource_server_id, scopes, public)
          select ${id}, ${id}, 'a', ${id}, r.id, '{}', false from resource_servers r`.execute(
          kysely,
        );
      },
    ],
  ];

  test('12: a client about which an operator has decided anything is replaced by no twin, and takes no room', async () => {
    const twin = async () => {
      const answer = await from('203.0.113.7', 'Forgetful');
      return ((await answer.json()) as { client_id: string }).client_id;
    };
    const decided: string[] = [];
    for (const [, decide] of decisions) {
      const id = await twin();
      await decide(id);
      decided.push(id);
    }
    // More of them than the quota of the address: they don't count.
    expect(decided.length).toBeGreaterThan(PER_ADDRESS);
    const waiting: string[] = [];
    for (let at = 0; at < PER_ADDRESS; at++) waiting.push(await twin());
    const before = await Promise.all(decided.map(rowOf));
    expect(await twin()).toMatch(/^c_/);
    expect(await rowOf(waiting[0] as string)).toBeUndefined();
    expect(await Promise.all(decided.map(rowOf))).toEqual(before);
    expect(before.every(Boolean)).toBe(true);
  });

  test.each(['anybody', 'document'] as const)(
    '30: one of %s about which an operator has decided anything is not cleaned away',
    async (by) => {
      const { kysely } = database.db;
      const kept: [string, string][] = [];
      for (const [name, decide] of decisions) {
        const { client_id: id } = (await register(server.issuer, plainApp)).body;
        await decide(id);
        kept.push([name, id]);
      }
      const { client_id: other } = (await register(server.issuer, plainApp)).body;
      await sql`update clients set registered_by = ${by}, created_at = now() - interval '40 days'
        where registered_by is not null`.execute(kysely);
      const left = async () => {
        await clean();
        const found = await Promise.all(
          kept.map(async ([name, id]) => ((await rowOf(id)) === undefined ? [] : [name])),
        );
        return found.flat();
      };
      const all = decisions.map(([name]) => name);
      // Never used, or used once and taken back by everybody.
      expect(await left()).toEqual(all);
      expect(await rowOf(other)).toBeUndefined();
      await sql`update clients set used_at = now() - interval '31 days' where registered_by is not null`.execute(
        kysely,
      );
      expect(await left()).toEqual(all);
      // Deleted, it goes like any other.
      await sql`update clients set deleted_at = now() - interval '26 hours', disabled_at = now() - interval '26 hours'
        where registered_by is not null`.execute(kysely);
      expect(await left()).toEqual([]);
    },
  );

  test('12: who was about to allow a client that was replaced reads a page and leaves nothing behind', async () => {
    const gone = await register(server.issuer);
    const account = await server.createAccount();
    const browser = new Browser();
    const asked = ask(server, credentialsOf(gone), { scope: 'openid' });
    const consent = await enterPassword(browser, await browser.get(asked.url), account);
    for (let at = 1; at < PER_ADDRESS; at++)
      await register(server.issuer, { ...plainApp, client_name: `Other ${at}` });
    expect((await register(server.issuer)).status).toBe(201);
    expect(await rowOf(gone.body.client_id)).toBeUndefined();
    const page = await browser.submit(consent, {}, 'allow');
    expect([page.status, page.title]).toEqual([400, expect.stringContaining('this app')]);
    const { rows } = await sql`select from consents where account_id = ${account.id}`.execute(
      database.db.kysely,
    );
    expect(rows).toHaveLength(0);
  });

  test('one that is used counts no more, and none with a live grant is taken', async () => {
    const used = await register(server.issuer);
    const { tokens, client } = await signIn(used);
    const waiting = await Promise.all(
      Array.from({ length: PER_ADDRESS }, () => register(server.issuer)),
    );
    expect(waiting.map(({ status }) => status)).toEqual(waiting.map(() => 201));
    await sql`update clients set created_at = now() - interval '25 hours' where registered_by is not null`.execute(
      database.db.kysely,
    );
    await clean();
    expect(await count()).toBe(1);
    expect((await refresh(server.issuer, client, tokens.body.refresh_token)).status).toBe(200);
    // However long ago that was.
    await sql`update clients set used_at = now() - interval '40 days' where id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await clean();
    expect(await rowOf(client.clientId)).toBeDefined();
  });

  test('younger ones wait, and what everybody has taken back goes a month later', async () => {
    const young = await register(server.issuer);
    const used = await register(server.issuer);
    const { account, client } = await signIn(used);
    await server.services.consents.remove(account.id, client.clientId);
    await sql`update grants set revoked_at = now() - interval '1 hour', expires_at = now() - interval '1 hour'
      where client_id = ${client.clientId}`.execute(database.db.kysely);
    await clean();
    expect(await count()).toBe(2);
    await sql`update clients set used_at = now() - interval '31 days' where id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await clean();
    expect(await rowOf(client.clientId)).toBeUndefined();
    expect(await rowOf(young.body.client_id)).toBeDefined();
  });

  test('one that somebody decides about while it is cleaned stays', async () => {
    const { body } = await register(server.issuer);
    await sql`update clients set created_at = now() - interval '25 hours' where id = ${body.client_id}`.execute(
      database.db.kysely,
    );
    const account = await server.createAccount();
    await database.db.transaction(async (db) => {
      await server.services.consents.decide(db, account.id, body.client_id, {
        allowed: { scopes: ['openid'], claims: [], resources: {} },
        denied: { scopes: [], claims: [], resources: {} },
      });
      await clean();
    });
    await clean();
    expect(await rowOf(body.client_id)).toBeDefined();
  });
});
