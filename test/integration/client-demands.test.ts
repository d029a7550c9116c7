import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { givenOf, settingsInput, settingsOptions } from '../../src/cli/client-settings.ts';
import type { Client } from '../../src/client/client.ts';
import { selfRegistration } from '../../src/client/client-dynamic.ts';
import type { ClientChanges } from '../../src/client/client-settings.ts';
import {
  type ChangedClient,
  changedRegistration,
  laidOver,
} from '../../src/client/registration.ts';
import {
  keepDocumentClient,
  type SelfRegistered,
  updateDocumentClient,
} from '../../src/client/self-registered.service.ts';
import type { Metadata } from '../../src/client/metadata.ts';
import { readMetadata } from '../../src/client-registration/metadata.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, payment } from '../support/detail-types.ts';
import { type DocumentHost, documentsWith, startDocumentHost } from '../support/document-host.ts';
import { jwksOf, newKey } from '../support/proofs.ts';
import { Seed } from '../support/protocol.ts';
import { manage, register } from '../support/self-registering.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** What an operator demands of a client that registered itself holds, whatever the client registers later. */

const api = 'https://ledger.example.com';
const CIBA = 'urn:openid:params:grant-type:ciba';

let database: TestDatabase;
let server: TestServer;
let host: DocumentHost;
let seed: Seed;
let folder: string;
/** What the clients register, again and again: where it can be said at all, the opposite of each demand. */
let said: Record<string, unknown>;
/** Each option of the table with a value, and what that value needs besides. */
let demands: Record<keyof typeof settingsOptions, Record<string, string>>;

beforeAll(async () => {
  [database, host] = await Promise.all([createTestDatabase(), startDocumentHost()]);
  server = await startServer(database, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '1000',
    CLIENT_REGISTRATION_IN_ALL: '1000',
    OUTBOUND_ALLOW: 'localhost',
  });
  seed = new Seed(database.db, ['localhost']);
  await server.createApi(api);
  await server.services.resourceServers.update(api, { openScopes: ['invoices:read'] }, 'test');
  await addDetailType(database.db, api, payment);
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-demands-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const keys = jwksOf(await newKey('ES256'), await newKey('RS256'));
  const redirect = `${host.origin}/callback`;
  said = {
    client_name: 'Scribe',
    application_type: 'web',
    redirect_uris: [redirect],
    post_logout_redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'RS256',
    jwks: keys,
    scope: 'openid profile email offline_access',
    id_token_signed_response_alg: 'RS256',
    userinfo_signed_response_alg: 'RS256',
    authorization_signed_response_alg: 'RS256',
    request_object_signing_alg: 'RS256',
    require_pushed_authorization_requests: false,
    require_signed_request_object: false,
    dpop_bound_access_tokens: false,
    tls_client_certificate_bound_access_tokens: false,
    subject_type: 'public',
    backchannel_logout_uri: `${host.origin}/logout`,
    backchannel_logout_session_required: true,
  };
  host.answer('/sector.json', (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify([redirect]));
  });
  const pem = file('client.crt', certificate().cert);
  const ciba = {
    'grant-types': `authorization_code,refresh_token,${CIBA}`,
    'ciba-notification-endpoint': 'https://app.example.com/ping',
  };
  // What redirects to loopback has no sector of its own.
  const sector = {
    'subject-type': 'pairwise',
    'sector-identifier-uri': `${host.origin}/sector.json`,
  };
  demands = {
    'access-token-ttl': { 'access-token-ttl': '300' },
    'family-ttl': { 'family-ttl': '600' },
    'refresh-grace': { 'refresh-grace': '0' },
    'refresh-rotation': { 'refresh-rotation': 'keep' },
    'default-resource': { 'default-resource': api },
    'id-token-alg': { 'id-token-alg': 'ES256' },
    'userinfo-signing-alg': { 'userinfo-signing-alg': 'ES256' },
    'introspection-signing-alg': { 'introspection-signing-alg': 'ES256' },
    'introspection-encryption-alg': { 'introspection-encryption-alg': 'ECDH-ES' },
    jwks: {
      jwks: file('jwks.json', JSON.stringify(jwksOf(await newKey('RS256')))),
      'request-object-alg': 'RS256',
    },
    'jwks-uri': { 'jwks-uri': 'https://keys.example.com/jwks' },
    'auth-method': { 'auth-method': 'client_secret_basic' },
    'auth-signing-alg': { 'auth-signing-alg': 'ES256' },
    certificate: {
      'auth-method': 'self_signed_tls_client_auth',
      certificate: pem,
      'require-signed-request': 'false',
      'request-object-alg': 'ES256',
    },
    'certificate-name': {
      'auth-method': 'tls_client_auth',
      'certificate-name': 'san-dns=client.example.com',
    },
    bound: { bound: 'dpop' },
    'dpop-nonce': { 'dpop-nonce': 'required' },
    profile: {
      profile: 'fapi2',
      bound: 'dpop',
      'id-token-alg': 'ES256',
      'authorization-signing-alg': 'ES256',
      'auth-signing-alg': 'ES256',
      'request-object-alg': 'ES256',
      'require-pushed': 'true',
    },
    'require-pushed': { 'require-pushed': 'true' },
    'require-signed-request': { 'require-signed-request': 'true' },
    'request-object-alg': { 'request-object-alg': 'ES256' },
    'response-modes': { 'response-modes': 'jwt' },
    'authorization-signing-alg': { 'authorization-signing-alg': 'ES256' },
    'grant-types': { 'grant-types': 'authorization_code' },
    'ciba-delivery': { ...ciba, 'ciba-delivery': 'ping' },
    'ciba-notification-endpoint': { ...ciba, 'ciba-delivery': 'ping' },
    'ciba-signing-alg': { ...ciba, 'ciba-delivery': 'ping', 'ciba-signing-alg': 'ES256' },
    'detail-types': { 'detail-types': payment.type },
    'id-token-claims': { 'id-token-claims': 'identity' },
    'id-token-on-refresh': { 'id-token-on-refresh': 'never' },
    'offline-access': { 'offline-access': 'always' },
    pkce: { pkce: 'optional' },
    'subject-type': sector,
    'sector-identifier-uri': sector,
    'backchannel-logout-uri': { 'backchannel-logout-uri': 'https://app.example.com/logout' },
    'backchannel-logout-session-required': { 'backchannel-logout-session-required': 'false' },
  };
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server.close();
  await host.stop();
  await database.drop();
});

/** What `client update` makes of options, by the table itself. */
function changesOf(options: Record<string, string>): ClientChanges {
  const { settings, aspects } = givenOf(z.object(settingsInput).parse(options) as never);
  return { ...settings, ...aspects } as ClientChanges;
}

const everyDemand = (): [string, ClientChanges][] => [
  ...Object.keys(settingsOptions).map((name): [string, ClientChanges] => [
    name,
    changesOf(demands[name as keyof typeof demands]),
  ]),
  ['name', { name: 'By the operator' }],
  ['post-logout-redirect-uri', { postLogoutRedirectUris: [] }],
  ['scope', { scopes: ['openid', 'groups', 'offline_access'] }],
  ['api', { apis: [{ identifier: api, scopes: ['invoices:write'] }] }],
  ['developer', { developer: 'Ann' }],
  ['verified', { verified: true }],
];

/** What counts of a client, without what changes between its registrations. */
function counted({ name, metadata, settings, allowed, developer, verified }: Client) {
  const { policy_uri: _, ...rest } = metadata;
  return { name, metadata: rest, settings, allowed, developer, verified };
}

test('30: every option that an operator demands holds for a registered client, whatever it registers later', async () => {
  const wrong: string[] = [];
  for (const [name, changes] of everyDemand()) {
    const answer = await register(server.issuer, said);
    expect([name, answer.status, answer.body.error_description]).toEqual([name, 201, undefined]);
    const id = answer.body.client_id;
    const show = async () => counted((await server.services.clients.show(id)).client);
    const own = await show();
    await seed.updateClient(id, changes);
    const demanded = await show();
    expect([name, demanded]).not.toEqual([name, own]);
    const put = { ...said, client_id: id, policy_uri: `${host.origin}/privacy` };
    const changed = await manage(answer, 'PUT', put);
    if (changed.status !== 200) wrong.push(`${name}: ${changed.body.error_description}`);
    else expect([name, await show()]).toEqual([name, demanded]);
    // Told what holds, not what it said.
    const { client_name: told } = (await manage(answer, 'GET')).body;
    expect(told).toBe(demanded.name);
    // A process of the release before writes what the client registers, without the demands.
    const { client } = await server.services.clients.show(id);
    const { rows } = await database.db.pool.query(
      "update clients c set name = c.said->>'name', metadata = c.said->'metadata' from clients o where c.id = $1 and o.id = c.id returning o.metadata",
      [id],
    );
    expect([name, rows]).toEqual([name, [{ metadata: client.metadata }]]);
    expect([name, await show()]).toEqual([name, demanded]);
  }
  expect(wrong).toEqual([]);
});

test('30: the same for a metadata document, in its row and in what is made of it', async () => {
  const account = await seed.account();
  const update = async (stored: Client, now: SelfRegistered) =>
    void (await updateDocumentClient(database.db, stored, now));
  let clock = 0;
  const service = documentsWith(server.services.resourceServers, {
    update,
    lastSeen: async () => undefined,
    clock: () => clock,
  });
  const { clients } = server.services;
  const rowOf = async (url: string) => (await clients.show(url)).client;
  for (const [index, [name, changes]] of everyDemand().entries()) {
    const path = `/app-${index}.json`;
    const document = { ...said, client_id: `${host.origin}${path}` };
    const url = host.answer(path, document);
    const seen = await service.find(url, async () => undefined);
    expect([name, seen === undefined ? service.whyNot(url) : undefined]).toEqual([name, undefined]);
    await keepDocumentClient(database.db.kysely, seen as Client, account);
    const own = counted(await rowOf(url));
    await seed.updateClient(url, changes);
    const demanded = counted(await rowOf(url));
    expect([name, demanded]).not.toEqual([name, own]);
    clock += 86_400_000;
    host.answer(path, { ...document, policy_uri: `${host.origin}/privacy` });
    const made = await service.find(url, () => rowOf(url));
    expect([name, service.whyNot(url)]).toEqual([name, undefined]);
    expect(made?.metadata.policy_uri).toBe(`${host.origin}/privacy`);
    expect([name, counted(await rowOf(url))]).toEqual([name, demanded]);
    expect([name, counted(made as Client)]).toEqual([name, demanded]);
  }
});

/** As `changedRegistration` takes it: an operator's own client, or one that registered itself, without its row. */
type Stored = Omit<ChangedClient, 'allowed' | 'type'>;

test('30: a demand is taken back or replaced as freely as what an operator says of an own client', async () => {
  const allow = new OutboundAllow(['localhost']);
  const described = selfRegistration(readMetadata(said), allow);
  const { token_endpoint_auth_signing_alg: _, ...rest } = described.metadata;
  const basic: Metadata = { ...rest, token_endpoint_auth_method: 'client_secret_basic' };
  const registered = { ...described, metadata: basic };
  const start = (registeredBy: Stored['registeredBy']): Stored => ({
    registeredBy,
    stored: {
      ...registered,
      said: registeredBy && { metadata: registered.metadata },
      demanded: {},
    },
  });
  const after = ({ stored, registeredBy }: Stored, changes: ClientChanges): Stored | string => {
    const client = {
      registeredBy,
      type: 'web',
      allowed: new Map([[api, new Set<string>()]]),
    } as const;
    try {
      // As it comes back from its row.
      const next = JSON.parse(
        JSON.stringify(changedRegistration({ ...client, stored }, changes, allow)),
      );
      return { registeredBy, stored: { ...stored, ...next } };
    } catch (error) {
      return (error as Error).message;
    }
  };
  const key = jwksOf(await newKey('ES256'), await newKey('RS256'));
  const signing = { authMethod: 'private_key_jwt', authSigningAlg: 'ES256', jwks: key } as const;
  const byName = { kind: 'san_dns', name: 'client.example.com' } as const;
  const pings = {
    grantTypes: ['authorization_code', 'refresh_token', CIBA],
    cibaDelivery: 'ping',
    cibaNotificationEndpoint: 'https://app.example.com/ping',
  } as const;
  const changes: [string, ClientChanges][] = [
    ...everyDemand(),
    ['signing', signing],
    ['own keys', { jwks: key }],
    ['secret in the body', { authMethod: 'client_secret_post' }],
    ['by name', { authMethod: 'tls_client_auth', certificateName: byName }],
    ['no keys elsewhere', { jwksUri: null }],
    ['logout', { backchannelLogoutUri: 'https://app.example.com/out' }],
    ['session', { backchannelLogoutSessionRequired: true }],
    ['no logout', { backchannelLogoutUri: null }],
    ['pings', pings as unknown as ClientChanges],
    ['polls', { cibaDelivery: 'poll', cibaNotificationEndpoint: null }],
    ['no decoupled', { grantTypes: ['authorization_code', 'refresh_token'] }],
    ['machine', { grantTypes: ['client_credentials'], redirectUris: [] }],
    ['subjects', { subjectType: 'public', sectorIdentifierUri: null }],
    ['unbound', { bound: 'none' }],
  ];
  const wrong: string[] = [];
  let count = 0;
  for (const [first, one] of changes)
    for (const [second, two] of changes) {
      const [own, demanded] = ([undefined, 'anybody'] as const).map((by) => {
        const before = after(start(by), one);
        return typeof before === 'string' ? before : after(before, two);
      }) as [Stored | string, Stored | string];
      if (typeof own === 'string') continue;
      count++;
      if (typeof demanded === 'string') {
        wrong.push(`${first}, ${second}: ${demanded}`);
        continue;
      }
      // The last word holds, and so does what it leaves of the first one.
      const { metadata } = demanded.stored;
      const again = JSON.parse(JSON.stringify(laidOver(metadata, two)));
      if (!isDeepStrictEqual(metadata, again)) wrong.push(`${first}, ${second}: is not in force`);
      for (const [member, value] of Object.entries(own.stored.metadata))
        if (
          !isDeepStrictEqual(value, registered.metadata[member]) &&
          !isDeepStrictEqual(value, metadata[member])
        )
          wrong.push(`${first}, ${second}: ${member} is ${JSON.stringify(metadata[member])}`);
    }
  expect(wrong).toEqual([]);
  expect(count).toBeGreaterThan(1_000);
});

test('30: a demand that another one displaced does not come back, in the row or with the next change', async () => {
  const answer = await register(server.issuer, said);
  const id = answer.body.client_id;
  const rowOf = () =>
    database.db.kysely
      .selectFrom('clients')
      .select(['demanded', 'metadata'])
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
  const keys = jwksOf(await newKey('ES256'), await newKey('RS256'));
  await seed.updateClient(id, {
    authMethod: 'private_key_jwt',
    authSigningAlg: 'ES256',
    jwks: keys,
  });
  await seed.updateClient(id, { jwksUri: 'https://keys.example.com/jwks' });
  await seed.updateClient(id, { authMethod: 'client_secret_basic', backchannelLogoutUri: null });
  await seed.updateClient(id, { name: 'By the operator' });
  const { demanded, metadata } = await rowOf();
  expect(demanded).toEqual({
    authMethod: 'client_secret_basic',
    backchannelLogoutUri: null,
    jwksUri: 'https://keys.example.com/jwks',
    name: 'By the operator',
  });
  expect(metadata).toMatchObject({
    token_endpoint_auth_method: 'client_secret_basic',
    jwks_uri: 'https://keys.example.com/jwks',
  });
  for (const gone of ['jwks', 'token_endpoint_auth_signing_alg', 'backchannel_logout_uri'])
    expect(metadata).not.toHaveProperty(gone);
  // What contradicts itself, or what holds, is refused as before, and changes nothing.
  for (const wrong of [
    { authSigningAlg: 'ES256' },
    { jwks: keys, jwksUri: 'https://keys.example.com/jwks' },
    { backchannelLogoutSessionRequired: true },
  ] as ClientChanges[])
    await expect(seed.updateClient(id, wrong)).rejects.toMatchObject({ code: 'invalid_client' });
  expect(await rowOf()).toEqual({ demanded, metadata });
});
