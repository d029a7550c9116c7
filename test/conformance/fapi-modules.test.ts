import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, decodeJwt } from 'jose';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  authenticated,
  codeForm,
  type FapiClient,
  push,
  see,
  take,
  type Wrong,
} from '../support/fapi-client.ts';
import { Seed, type SignedInBrowser } from '../support/protocol.ts';
import { type Answer, jwksOf, newKey, now, send } from '../support/proofs.ts';
import {
  answered,
  type Asking,
  asking,
  pushedUri,
  requestClaims,
  requestObject,
  visit,
} from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/**
 * What of the OpenID Foundation's FAPI 2.0 modules is looked at nowhere else (test/integration/fapi.test.ts has most), in
 * our own words. The names are those of its modules, without `fapi2-security-profile-final-`.
 */

const issuer = 'http://localhost:3000';
let database: TestDatabase;
let server: ServerProcess;
let browser: SignedInBrowser;
let bank: FapiClient;
let signing: FapiClient;
let other: FapiClient;

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  const accountId = await seed.account();
  const register = async (profile: 'fapi2' | 'fapi2-message-signing'): Promise<FapiClient> => {
    const [key, proves] = [await newKey('PS256'), await newKey()];
    const { clientId: id } = await seed.client({
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
      bound: 'dpop',
      settings: { profile },
    });
    await seed.consent(accountId, id);
    return { id, issuer, key, proves, signs: profile === 'fapi2-message-signing' };
  };
  bank = await register('fapi2');
  [signing, other] = [
    await register('fapi2-message-signing'),
    await register('fapi2-message-signing'),
  ];
  server = await startServerProcess(database, issuer);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const outcome = ({ status, body }: Answer) => ({ status, error: body.error });
const invalidObject = { status: 400, error: 'invalid_request_object' };

/** What the app is answered with; from within the JWT, where it is one. */
async function follow(
  client: FapiClient,
  asked: Asking,
  beside: Record<string, string> = {},
  wrong: Wrong = { proof: undefined },
): Promise<Record<string, unknown>> {
  const request_uri = pushedUri(await push(server.url, client, asked, wrong));
  const response = await visit(browser, server.url, {
    client_id: client.id,
    request_uri,
    ...beside,
  });
  const got = answered(response) ?? {};
  return got.response === undefined ? got : decodeJwt(got.response);
}

async function idToken(client: FapiClient, asked: Asking, code: unknown) {
  const given = { code: code as string, verifier: asked.verifier };
  const { status, body } = await take(server.url, client, codeForm(given));
  expect(status).toBe(200);
  return decodeJwt(body.id_token as string);
}

const modes: [string, () => [FapiClient, Record<string, string>]][] = [
  ['as parameters', () => [bank, {}]],
  ['signed', () => [signing, { response_mode: 'jwt' }]],
];

describe.each(modes)('what was pushed, %s', (_how, kind) => {
  test('ensure-different-nonce-inside-and-outside-request-object, ensure-different-state-…: what was pushed counts', async () => {
    const [client, mode] = kind();
    const asked = asking(client.id, { ...mode, state: 'inside', nonce: 'inside' });
    const { code, state } = await follow(client, asked, { state: 'outside', nonce: 'outside' });
    expect(state).toBe('inside');
    expect((await idToken(client, asked, code)).nonce).toBe('inside');
  });

  test('state-only-outside-request-object-not-used, ensure-authorization-request-without-nonce-success', async () => {
    const [client, mode] = kind();
    const asked = asking(client.id, { ...mode, state: undefined, nonce: undefined });
    const { code, state } = await follow(client, asked, { state: 'outside', nonce: 'outside' });
    expect(state).toBeUndefined();
    expect(await idToken(client, asked, code)).not.toHaveProperty('nonce');
  });

  test('ensure-authorization-request-with-64-char-nonce-success, …-with-long-nonce, …-with-long-state', async () => {
    const [client, mode] = kind();
    for (const length of [64, 384]) {
      const [nonce, state] = ['n'.repeat(length), 's'.repeat(length * 3)];
      const asked = asking(client.id, { ...mode, nonce, state });
      const answer = await follow(client, asked);
      expect(answer.state).toBe(state);
      expect((await idToken(client, asked, answer.code)).nonce).toBe(nonce);
    }
  });
});

describe('request objects', () => {
  test('ensure-request-object-with-multiple-aud-succeeds: ours among others is enough (RFC 7519, section 4.1.3)', async () => {
    const asked = asking(signing.id, { response_mode: 'jwt' });
    const object = { aud: ['https://other.example.com', issuer] };
    const { code } = await follow(signing, asked, {}, { proof: undefined, object });
    expect(code).toEqual(expect.any(String));
    const none = { aud: ['https://other.example.com', `${issuer}/par`] };
    const refused = await push(server.url, signing, asked, { proof: undefined, object: none });
    expect(outcome(refused)).toEqual(invalidObject);
  });

  test('ensure-request-object-signature-algorithm-is-not-none, …-with-invalid-signature-fails, ensure-matching-key-in-authorization-request', async () => {
    const asked = asking(signing.id, { response_mode: 'jwt' });
    const right = await requestObject(signing.key, asked, issuer);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const request of [
      `${part({ alg: 'none' })}.${part(requestClaims(asked, issuer))}.`,
      `${right.slice(0, -30)}${'A'.repeat(30)}`,
      await requestObject(other.key, asked, issuer),
    ]) {
      const form = await authenticated(signing, { client_id: signing.id, request });
      expect(outcome(await send(server.url, '/par', form))).toEqual(invalidObject);
    }
  });
});

describe('proofs', () => {
  test.each<[string, () => Record<string, unknown>]>([
    ['ensure-dpopproof-with-iat-10seconds-before-succeeds', () => ({ iat: now() - 10 })],
    ['ensure-dpopproof-with-iat-10seconds-after-succeeds', () => ({ iat: now() + 10 })],
    ['check-dpop-proof-nbf-exp', () => ({ nbf: now(), exp: now() + 60 })],
  ])('%s: where it is pushed, for tokens and at userinfo', async (_module, claims) => {
    const asked = asking(bank.id);
    const { code } = await follow(bank, asked, {}, { proof: claims() });
    const given = { code: code as string, verifier: asked.verifier };
    const { status, body } = await take(server.url, bank, codeForm(given), { proof: claims() });
    expect(status).toBe(200);
    expect((await see(server.url, bank, body.access_token, { proof: claims() })).status).toBe(200);
  });

  test('ensure-dpop-auth-code-binding-success: dpop_jkt, and proofs of the same key', async () => {
    const dpop_jkt = await calculateJwkThumbprint(bank.proves.publicJwk);
    const asked = asking(bank.id, { dpop_jkt });
    const { code } = await follow(bank, asked, {}, { proof: {} });
    expect(await idToken(bank, asked, code)).toMatchObject({ aud: bank.id });
  });
});

test('par-attempt-invalid-http-method: nothing but a post pushes', async () => {
  const form = new URLSearchParams(await authenticated(bank, asking(bank.id).parameters));
  for (const method of ['PUT', 'PATCH', 'DELETE', 'GET']) {
    const { status } = await fetch(`${server.url}/par${method === 'GET' ? `?${form}` : ''}`, {
      method,
      ...(method === 'GET' ? {} : { body: form }),
    });
    expect([method, [404, 405].includes(status)]).toEqual([method, true]);
  }
  const posted = await send(server.url, '/par', Object.fromEntries(form));
  expect(posted.status).toBe(201);
});
