import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import type { NewClient } from '../../src/client/client.ts';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openPingReceiver, type PingReceiver } from '../support/ping-receiver.ts';
import { browserFrom, cibaGrant } from '../support/polled.ts';
import { until } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';
import {
  type Answer,
  assertion,
  type ClientKey,
  jwksOf,
  newKey,
  now,
  send,
  sign,
} from '../support/proofs.ts';
import { enterPassword } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';

/**
 * What the OpenID Foundation's FAPI-CIBA plans look at, module by module, in our own words: clients that sign who they are
 * and what they ask, and are told by a ping or poll. The names are those of its modules, without `fapi-ciba-id1-`.
 */

interface AskingClient {
  readonly id: string;
  readonly key: ClientKey;
}

let database: TestDatabase;
let receiver: PingReceiver;
let server: TestServer;
let seed: Seed;
let bank: AskingClient;
let other: AskingClient;
let pinged: AskingClient;

async function register(more: Partial<NewClient> = {}, keys?: ClientKey[]): Promise<AskingClient> {
  const key = keys?.[0] ?? (await newKey('PS256'));
  const { clientId: id } = await seed.client({
    name: 'Till',
    redirectUris: [],
    grantTypes: [cibaGrant, 'refresh_token'],
    authMethod: 'private_key_jwt',
    authSigningAlg: 'PS256',
    idTokenSigningAlg: 'ES256',
    cibaSigningAlg: 'PS256',
    jwks: jwksOf(...(keys ?? [key])),
    ...more,
  });
  return { id, key };
}

beforeAll(async () => {
  database = await createTestDatabase();
  receiver = await openPingReceiver();
  server = await startServer(database, { TRUST_PROXY: '1', OUTBOUND_ALLOW: 'localhost' });
  seed = new Seed(database.db, ['localhost']);
  [bank, other] = [await register(), await register()];
  pinged = await register({ cibaDelivery: 'ping', cibaNotificationEndpoint: receiver.uri });
});

afterAll(async () => {
  await receiver.close();
  await server.close();
  await database.drop();
});

/** A form with an assertion, for the endpoint itself as the suite has it. */
const authenticated = async (path: string, form: Record<string, string>, { id, key } = bank) => ({
  ...form,
  ...(await assertion(key, id, `${server.issuer}${path}`)),
});

/** The claims of a right request; `undefined` leaves one out. */
const claimsOf = (client: AskingClient, more: Record<string, unknown> = {}) => ({
  iss: client.id,
  aud: server.issuer,
  jti: randomUUID(),
  iat: now(),
  nbf: now(),
  exp: now() + 300,
  scope: 'openid',
  login_hint: 'nobody@example.com',
  ...more,
});

interface Wrong {
  readonly by?: ClientKey;
  readonly header?: Record<string, unknown>;
  readonly request?: (signed: string) => string;
}

async function request(
  client: AskingClient,
  more: Record<string, unknown> = {},
  { by = client.key, header = {}, request: change = (signed) => signed }: Wrong = {},
): Promise<Answer> {
  const signed = change(await sign(by, claimsOf(client, more), header));
  return send(server.issuer, '/ciba', await authenticated('/ciba', { request: signed }, client));
}

const outcome = ({ status, body }: Answer) => ({ status, error: body.error });
const invalidRequest = { status: 400, error: 'invalid_request' };
const invalidGrant = { status: 400, error: 'invalid_grant' };
const invalidClient = { status: 401, error: 'invalid_client' };

/** A request about the account; its id. */
async function ask(
  client: AskingClient,
  account: Pick<TestAccount, 'email'>,
  more: Record<string, unknown> = {},
): Promise<string> {
  const { status, body } = await request(client, { login_hint: account.email, ...more });
  if (status !== 200) throw new Error(`ciba: ${status} ${JSON.stringify(body)}`);
  return body.auth_req_id as string;
}

const tokenForm = (id: string) => ({ grant_type: cibaGrant, auth_req_id: id });
const poll = async (client: AskingClient, id: string): Promise<Answer> =>
  send(server.issuer, '/token', await authenticated('/token', tokenForm(id), client));

/** The person reads the newest mail, signs in, and decides. */
async function decide(account: TestAccount, decision: 'allow' | 'deny'): Promise<void> {
  const [mail] = await server.mails(account.email);
  const browser = browserFrom();
  const signIn = await browser.get(mail?.links.find((link) => link.includes('/asked/')) as string);
  const page = await enterPassword(browser, signIn, account);
  expect((await browser.submit(page, {}, decision)).status).toBe(200);
}

describe('what is asked', () => {
  test('fapi-ciba-id1: asked, pending, allowed; an ID token that says which request it answers', async () => {
    const account = await server.createAccount();
    const id = await ask(bank, account, { scope: 'openid email' });
    expect(outcome(await poll(bank, id))).toEqual({ status: 400, error: 'authorization_pending' });
    await decide(account, 'allow');
    const { status, body } = await poll(bank, id);
    expect(status).toBe(200);
    expect(decodeJwt(body.id_token as string)).toMatchObject({
      iss: server.issuer,
      aud: bank.id,
      sub: account.id,
      auth_time: expect.any(Number),
    });
  });

  test('user-rejects-authentication: access_denied', async () => {
    const account = await server.createAccount();
    const id = await ask(bank, account);
    await decide(account, 'deny');
    expect(outcome(await poll(bank, id))).toEqual({ status: 400, error: 'access_denied' });
  });

  test('multiple-call-to-token-endpoint: slow_down, and still answered', async () => {
    const account = await server.createAccount();
    const id = await ask(bank, account);
    const errors = [];
    for (let i = 0; i < 3; i++) errors.push((await poll(bank, id)).body.error);
    expect(errors).toEqual(['authorization_pending', 'slow_down', 'slow_down']);
    await decide(account, 'allow');
    await sql`update polled_requests set polled_at = polled_at - interval '1 minute'
      where id_hash = ${sha256(id)}`.execute(database.db.kysely);
    expect((await poll(bank, id)).status).toBe(200);
  });

  test('auth-req-id-expired: expired_token', async () => {
    const id = await ask(bank, { email: 'late@example.com' }, { requested_expiry: 10 });
    expect(outcome(await poll(bank, id)).error).toBe('authorization_pending');
    await sql`update polled_requests set expires_at = now() - interval '1 second'
      where id_hash = ${sha256(id)}`.execute(database.db.kysely);
    expect(outcome(await poll(bank, id))).toEqual({ status: 400, error: 'expired_token' });
  });

  test.each<[string, () => Record<string, unknown>]>([
    [
      'ensure-authorization-request-with-binding-message-succeeds',
      () => ({ binding_message: '1234' }),
    ],
    ['ensure-other-scope-order-succeeds', () => ({ scope: 'email openid' })],
    ['ensure-requested-expiry-as-string-succeeds', () => ({ requested_expiry: '120' })],
    ['requested_expiry as a number', () => ({ requested_expiry: 120 })],
    [
      'aud as a list with ours in it',
      () => ({ aud: ['https://other.example.com', server.issuer] }),
    ],
  ])('%s', async (_module, make) => {
    const more = make();
    const answer = await request(bank, { login_hint: `${randomUUID()}@example.com`, ...more });
    expect(outcome(answer)).toEqual({ status: 200, error: undefined });
    expect(answer.body.expires_in).toBe('requested_expiry' in more ? 120 : 300);
  });

  test('ensure-authorization-request-with-potentially-bad-binding-message: refused by its own name', async () => {
    const answer = await request(bank, { binding_message: '1234 \ud83d\udc4d\ud83c\udfff' });
    expect(outcome(answer)).toEqual({ status: 400, error: 'invalid_binding_message' });
  });
});

describe('request objects that are refused', () => {
  test.each<[string, () => Record<string, unknown>]>([
    ['missing-aud', () => ({ aud: undefined })],
    ['bad-aud', () => ({ aud: 'https://other.example.com' })],
    ['missing-iss', () => ({ iss: undefined })],
    ['bad-iss', () => ({ iss: other.id })],
    ['missing-exp', () => ({ exp: undefined })],
    ['expired-exp', () => ({ exp: now() - 300 })],
    ['exp-is-70-minutes-in-future', () => ({ exp: now() + 70 * 60 })],
    ['missing-iat', () => ({ iat: undefined })],
    ['missing-nbf', () => ({ nbf: undefined })],
    ['nbf-is-10-minutes-in-future', () => ({ nbf: now() + 600, exp: now() + 900 })],
    ['nbf-is-70-minutes-in-past', () => ({ nbf: now() - 70 * 60 })],
    ['missing-jti', () => ({ jti: undefined })],
  ])('ensure-request-object-%s-fails', async (_module, wrong) => {
    expect(outcome(await request(bank, wrong()))).toEqual(invalidRequest);
  });

  test('ensure-authorization-request-with-multiple-hints-fails, and so does one without any', async () => {
    for (const hints of [
      { id_token_hint: 'x' },
      { login_hint_token: 'x' },
      { login_hint: undefined },
    ])
      expect(outcome(await request(bank, hints))).toEqual(invalidRequest);
  });

  test('ensure-request-object-signature-algorithm-is-none-fails', async () => {
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const answer = await request(
      bank,
      {},
      { request: (signed) => `${none}.${signed.split('.')[1]}.` },
    );
    expect(outcome(answer)).toEqual(invalidRequest);
  });

  test('ensure-request-object-signature-algorithm-is-bad-fails: a signature that was changed', async () => {
    const answer = await request(
      bank,
      {},
      { request: (signed) => `${signed.slice(0, -30)}${'A'.repeat(30)}` },
    );
    expect(outcome(answer)).toEqual(invalidRequest);
  });

  test('ensure-request-object-signed-by-other-client-fails', async () => {
    expect(outcome(await request(bank, {}, { by: other.key }))).toEqual(invalidRequest);
  });

  test('RS256 signs neither requests nor assertions: ensure-request-object-signature-algorithm-is-RS256-fails, ensure-client-assertion-signature-algorithm-in-…-is-RS256-fails', async () => {
    // The client's keys verify both algorithms: what is refused is the other one.
    const [right, rsa] = [await newKey('PS256'), await newKey('RS256')];
    const client = await register({}, [right, rsa]);
    expect((await request(client)).status).toBe(200);
    expect(outcome(await request(client, {}, { by: rsa }))).toEqual(invalidRequest);
    const signed = await sign(right, claimsOf(client));
    const byRsa = { ...client, key: rsa };
    for (const [path, form] of [
      ['/ciba', { request: signed }],
      ['/token', tokenForm('x')],
    ] as const) {
      const answer = await send(server.issuer, path, await authenticated(path, form, byRsa));
      expect([path, outcome(answer)]).toEqual([path, invalidClient]);
    }
  });

  test('ensure-unsigned-backchannel-authorization-request-fails', async () => {
    const form = { scope: 'openid', login_hint: 'nobody@example.com' };
    const answer = await send(server.issuer, '/ciba', await authenticated('/ciba', form));
    expect(outcome(answer)).toEqual(invalidRequest);
  });
});

describe('who asks', () => {
  test('ensure-without-client-assertion-in-…-request: neither asks nor polls', async () => {
    const id = await ask(bank, { email: 'one@example.com' });
    const signed = await sign(bank.key, claimsOf(bank));
    for (const [path, form] of [
      ['/ciba', { request: signed }],
      ['/token', tokenForm(id)],
    ] as const) {
      const answer = await send(server.issuer, path, { client_id: bank.id, ...form });
      expect([path, outcome(answer)]).toEqual([path, invalidClient]);
    }
  });

  test('ensure-wrong-auth-req-id-in-token-endpoint-request: another client’s is invalid_grant', async () => {
    const account = await server.createAccount();
    const id = await ask(bank, account);
    expect(outcome(await poll(other, id))).toEqual(invalidGrant);
    await decide(account, 'allow');
    expect(outcome(await poll(other, id))).toEqual(invalidGrant);
    expect((await poll(bank, id)).status).toBe(200);
  });

  test('ensure-wrong-client-id-in-…-request, ensure-different-client-id-and-issuer-in-…: who signs is who asks', async () => {
    const signed = await sign(bank.key, claimsOf(bank));
    const beside = { ...(await authenticated('/ciba', { request: signed })), client_id: other.id };
    expect(outcome(await send(server.issuer, '/ciba', beside))).toEqual(invalidClient);
    const asOther = await authenticated('/ciba', { request: signed }, other);
    expect(outcome(await send(server.issuer, '/ciba', asOther))).toEqual(invalidRequest);
    const token = { ...(await authenticated('/token', tokenForm('x'))), client_id: other.id };
    expect(outcome(await send(server.issuer, '/token', token))).toEqual(invalidClient);
  });

  test('ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds', async () => {
    const id = await ask(bank, { email: 'two@example.com' });
    const form = { ...tokenForm(id), ...(await assertion(bank.key, bank.id, server.issuer)) };
    expect(outcome(await send(server.issuer, '/token', form)).error).toBe('authorization_pending');
  });

  test('fapi-ciba-id1-refresh-token: for the client that it was given to, and for no other', async () => {
    const account = await server.createAccount();
    const id = await ask(bank, account, { scope: 'openid offline_access' });
    await decide(account, 'allow');
    const { body } = await poll(bank, id);
    const form = { grant_type: 'refresh_token', refresh_token: body.refresh_token };
    const stolen = await send(server.issuer, '/token', await authenticated('/token', form, other));
    expect(outcome(stolen)).toEqual(invalidGrant);
    const again = await send(server.issuer, '/token', await authenticated('/token', form));
    expect(again.status).toBe(200);
    expect(decodeJwt(again.body.id_token as string).sub).toBe(account.id);
  });
});

describe('ping', () => {
  /** What is still to be delivered; it is due at once. */
  async function waiting(): Promise<unknown[]> {
    const left = await sql`update outbox set due_at = now()
      where kind = 'ciba_ping' and done_at is null and dead_at is null returning id`.execute(
      database.db.kysely,
    );
    return left.rows;
  }

  test.each([
    ['ping-backchannel-notification-endpoint-response-has-body', 200],
    ['ping-…-response-401, …-require-server-does-not-retry', 401],
    ['ping-backchannel-notification-endpoint-response-403', 403],
    ['ping-backchannel-notification-endpoint-return-redirect-request', 301],
    ['ping-…-return-redirect-request, by another status', 307],
  ])('%s: told once, led nowhere, and the tokens are there', async (_module, status) => {
    const account = await server.createAccount();
    receiver.answerWith(status);
    const before = receiver.received.length;
    const token = `token-${status}`;
    const id = await ask(pinged, account, { client_notification_token: token });
    await decide(account, 'allow');
    await until(async () => receiver.received.length > before && (await waiting()).length === 0);
    expect(receiver.received.slice(before)).toEqual([
      {
        authorization: `Bearer ${token}`,
        contentType: 'application/json',
        body: { auth_req_id: id },
      },
    ]);
    expect((await poll(pinged, id)).status).toBe(200);
  });
});

test('discovery-end-point-verification', async () => {
  const metadata = (await (
    await fetch(`${server.issuer}/.well-known/openid-configuration`)
  ).json()) as Record<string, unknown>;
  expect(metadata).toMatchObject({
    backchannel_authentication_endpoint: `${server.issuer}/ciba`,
    backchannel_token_delivery_modes_supported: ['poll', 'ping'],
    backchannel_authentication_request_signing_alg_values_supported: expect.arrayContaining([
      'PS256',
      'ES256',
    ]),
    grant_types_supported: expect.arrayContaining([cibaGrant, 'refresh_token']),
    id_token_signing_alg_values_supported: expect.arrayContaining(['PS256', 'ES256']),
    token_endpoint_auth_methods_supported: expect.arrayContaining(['private_key_jwt']),
  });
});
