import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose';
import { sql } from 'kysely';
import type { NewClient } from '../../src/client/client.ts';
import { certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  authenticated,
  authorize,
  codeForm,
  type FapiClient,
  postWithCertificate,
  push,
  see,
  take,
  type Wrong,
} from '../support/fapi-client.ts';
import { redirectUri, Seed, type SignedInBrowser } from '../support/protocol.ts';
import { type Answer, type ClientKey, jwksOf, newKey, now, send } from '../support/proofs.ts';
import { answered, asking, pushedUri, requestObject, visit } from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/**
 * Clients of FAPI 2.0, over two processes: SECURITY.md's line about them, and what the OpenID Foundation's modules for the
 * Security Profile and Message Signing look at, as far as the engine alone does not decide it.
 */

const issuer = 'http://localhost:3000';
const api = 'https://accounts.example.com';
let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
let browser: SignedInBrowser;
let accountId: string;
let bank: FapiClient;
let other: FapiClient;
let signing: FapiClient;

const invalidClient = { status: 401, error: 'invalid_client' };
const outcome = ({ status, body }: Answer) => ({ status, error: body.error });

async function register(
  alg: string,
  profile: 'fapi2' | 'fapi2-message-signing',
  more: Partial<NewClient> = {},
) {
  const [key, proves] = [await newKey(alg), await newKey()];
  const { clientId: id } = await seed.client({
    authMethod: 'private_key_jwt',
    jwks: jwksOf(key),
    bound: 'dpop',
    settings: { profile },
    ...more,
  });
  await seed.consent(accountId, id, { [api]: ['read'] });
  return { id, issuer, key, proves, signs: profile === 'fapi2-message-signing' };
}

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(api);
  accountId = await seed.account();
  bank = await register('PS256', 'fapi2', { apis: [{ identifier: api, scopes: ['read'] }] });
  other = await register('ES256', 'fapi2');
  signing = await register('ES256', 'fapi2-message-signing');
  [one, two] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
  ]);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

const pushes = async (wrong: Wrong, client = bank, server = one) =>
  outcome(await push(server.url, client, asking(client.id, modeOf(client)), wrong));
/** Who is answered in signed responses alone has to say so. */
const modeOf = ({ signs }: FapiClient) => (signs === true ? { response_mode: 'jwt' } : {});
const pushed = { status: 201, error: undefined };
/** Of a request, its proof left out. */
const saying = (wrong: Wrong): Wrong => ({ proof: undefined, ...wrong });

async function tokens(client = bank, extra: Record<string, string> = {}): Promise<Answer> {
  const given = await authorize(one.url, client, browser, extra);
  return take(two.url, client, codeForm(given));
}

test('the whole way: pushed, by a 303 with iss and state, a bound token, a refresh token that stays', async () => {
  const asked = asking(bank.id);
  const answer = await push(one.url, bank, asked);
  const response = await visit(browser, two.url, {
    client_id: bank.id,
    request_uri: pushedUri(answer),
  });
  expect(response.status).toBe(303);
  const got = answered(response);
  expect(got).toEqual({ code: expect.any(String), state: 'the state', iss: issuer });
  const code = got?.code as string;
  const { status, body } = await take(one.url, bank, codeForm({ code, verifier: asked.verifier }));
  expect([status, body.token_type]).toEqual([200, 'DPoP']);
  const { access_token: token, refresh_token: refresh, id_token: idToken } = body;
  expect(decodeProtectedHeader(idToken as string).alg).toBe('ES256');
  expect(decodeJwt(idToken as string)).toMatchObject({ aud: bank.id, nonce: 'the nonce' });
  expect((await see(two.url, bank, token)).status).toBe(200);
  const told = await send(one.url, '/introspect', await authenticated(bank, { token }));
  expect(told.body).toMatchObject({
    active: true,
    cnf: { jkt: await calculateJwkThumbprint(bank.proves.publicJwk) },
  });
  for (const server of [one, two]) {
    const again = await take(server.url, bank, {
      grant_type: 'refresh_token',
      refresh_token: refresh,
    });
    expect([again.status, again.body.refresh_token]).toEqual([200, refresh]);
    expect((await see(one.url, bank, again.body.access_token)).status).toBe(200);
  }
});

describe('SECURITY FAPI 2.0: PAR only', () => {
  test('what the browser alone brings is answered with an error, signed or not', async () => {
    for (const client of [bank, signing]) {
      const asked = asking(client.id);
      const plain = await visit(browser, one.url, asked.parameters);
      const request = await requestObject(client.key, asked, issuer);
      const signed = await visit(browser, one.url, { ...asked.parameters, request });
      for (const answer of [plain, signed])
        expect(answered(answer)).toMatchObject({ error: 'invalid_request', state: 'the state' });
    }
  });

  test('a request_uri is for one client, once, and for less than 600 s', async () => {
    const answer = await push(one.url, bank, asking(bank.id));
    expect(Number(answer.body.expires_in)).toBeGreaterThan(4);
    expect(Number(answer.body.expires_in)).toBeLessThan(600);
    const request_uri = pushedUri(answer);
    const bring = async (client: FapiClient) => {
      const response = await visit(browser, two.url, { client_id: client.id, request_uri });
      return answered(response)?.code ?? response.status;
    };
    expect(await bring(other)).toBe(400);
    expect(await bring(bank)).toEqual(expect.any(String));
    expect(await bring(bank)).toBe(400);
    const late = pushedUri(await push(one.url, bank, asking(bank.id)));
    await sql`update pushed_requests set expires_at = now()`.execute(database.db.kysely);
    const response = await visit(browser, one.url, { client_id: bank.id, request_uri: late });
    expect([response.status, response.headers.get('location')]).toEqual([400, null]);
  });

  test('response types, PKCE and redirect URIs are seen to as it is pushed', async () => {
    for (const extra of [
      { response_type: 'code id_token' },
      { response_type: 'token' },
      { response_type: 'id_token' },
      { response_type: undefined },
      { code_challenge: undefined, code_challenge_method: undefined },
      { code_challenge_method: 'plain' },
      { redirect_uri: undefined },
      { redirect_uri: `${redirectUri}/` },
      { redirect_uri: 'http://app.example.com/callback' },
      { request_uri: 'urn:ietf:params:oauth:request_uri:x' },
    ]) {
      const { status, body } = await push(one.url, bank, asking(bank.id, extra));
      expect([extra, status]).toEqual([extra, 400]);
      expect(body.request_uri).toBeUndefined();
    }
    for (const extra of [
      { state: undefined },
      { nonce: undefined },
      { nonce: 'n'.repeat(64) },
      { nonce: 'n'.repeat(384), state: 's'.repeat(1_000) },
      { scope: 'offline_access email openid' },
    ]) {
      const asked = asking(bank.id, extra);
      const request_uri = pushedUri(await push(one.url, bank, asked));
      const got = answered(await visit(browser, one.url, { client_id: bank.id, request_uri }));
      expect(got?.state).toBe(asked.parameters.state);
      const given = { code: got?.code as string, verifier: asked.verifier };
      const { body } = await take(one.url, bank, codeForm(given));
      expect(decodeJwt(body.id_token as string).nonce).toBe(asked.parameters.nonce);
    }
  });
});

describe('SECURITY FAPI 2.0: sender-constrained tokens only', () => {
  test('no proof, no token: of a code and of a refresh token', async () => {
    const given = await authorize(one.url, bank, browser);
    const without = { proof: undefined };
    expect(outcome(await take(one.url, bank, codeForm(given), without))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    const { body } = await take(one.url, bank, codeForm(given));
    const form = { grant_type: 'refresh_token', refresh_token: body.refresh_token };
    expect(outcome(await take(one.url, bank, form, without))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    // Nor without authentication, as somebody else, or with another grant.
    expect((await send(one.url, '/token', { ...form, client_id: bank.id })).status).toBe(401);
    expect(outcome(await take(one.url, other, form))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
  });

  test('a token is good with its key alone: wrong key, htu, htm, ath, no proof, and as a bearer', async () => {
    const { body } = await tokens();
    const token = body.access_token;
    expect((await see(one.url, bank, token)).status).toBe(200);
    for (const scheme of ['dpop', 'DPOP'])
      expect((await see(one.url, bank, token, {}, scheme)).status).toBe(200);
    const thief = await newKey();
    const stolen: [string, Wrong][] = [
      ['key', { proves: thief }],
      ['htu', { proof: { htu: `${issuer}/token` } }],
      ['host of htu', { proof: { htu: 'https://evil.example.com/userinfo' } }],
      ['htm', { proof: { htm: 'POST' } }],
      ['ath', { proof: { ath: 'x'.repeat(43) } }],
      ['no ath', { proof: { ath: undefined } }],
      // With a nonce of ours, the time of the client would be its own affair.
      ['a minute ahead', { proof: { iat: now() + 60, nonce: undefined } }],
    ];
    for (const [what, wrong] of stolen) {
      const { status } = await see(one.url, bank, token, wrong);
      expect([what, [400, 401].includes(status)]).toEqual([what, true]);
    }
    expect((await see(one.url, bank, token, { proof: undefined })).status).toBe(400);
    const bearer = await fetch(new URL('/userinfo', one.url), {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(bearer.status).toBe(401);
    for (const proof of [
      { iat: now() - 10 },
      { iat: now() + 10 },
      { nbf: now(), exp: now() + 300 },
    ])
      expect((await see(one.url, bank, token, { proof })).status).toBe(200);
  });

  test('a proof of a minute ahead is refused at userinfo too, with our nonce', async () => {
    const { access_token: token } = (await tokens()).body;
    for (const [ahead, status] of [
      [10, 200],
      [60, 401],
    ] as const) {
      const answer = await see(one.url, bank, token, { proof: { iat: now() + ahead } });
      expect([ahead, answer.status]).toEqual([ahead, status]);
      if (status === 401) expect(answer.body.error).toBe('invalid_dpop_proof');
    }
  });

  test('a code is bound to the key that its request named or proved', async () => {
    const thief = await newKey();
    const jkt = await calculateJwkThumbprint(bank.proves.publicJwk);
    const both = saying({ proof: {}, proves: thief });
    const mismatch = await push(one.url, bank, asking(bank.id, { dpop_jkt: jkt }), both);
    expect(outcome(mismatch)).toEqual({ status: 400, error: 'invalid_request' });
    for (const [extra, wrong] of [
      [{ dpop_jkt: jkt }, { proof: undefined }],
      [{}, { proof: {} }],
    ] as const) {
      const given = await authorize(one.url, bank, browser, extra, wrong);
      const stolen = await take(two.url, bank, codeForm(given), { proves: thief });
      expect(outcome(stolen)).toEqual({ status: 400, error: 'invalid_grant' });
      expect((await take(two.url, bank, codeForm(given))).status).toBe(200);
    }
  });

  test('by a certificate: wrong, or none, refused', async () => {
    const [mine, thief] = [certificate(), certificate()];
    const { d: _, ...publicKey } = mine.privateKey.export({ format: 'jwk' });
    const { clientId } = await seed.client({
      authMethod: 'self_signed_tls_client_auth',
      jwks: { keys: [{ ...publicKey, x5c: [mine.der.toString('base64')] }] },
      bound: 'mtls',
      settings: { profile: 'fapi2' },
    });
    await seed.consent(accountId, clientId);
    const server = await startServerProcess(database, issuer, {
      HOST: '127.0.0.1',
      TRUST_PROXY: '1',
      CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
      CLIENT_CERTIFICATE_PROXIES: '127.0.0.2/32',
    });
    try {
      const asked = asking(clientId);
      const by = (path: string, form: Record<string, string>, shown: typeof mine | undefined) =>
        postWithCertificate(server.url, path, { client_id: clientId, ...form }, shown);
      for (const wrong of [thief, undefined])
        expect(outcome(await by('/par', asked.parameters, wrong))).toEqual(invalidClient);
      const request_uri = pushedUri(await by('/par', asked.parameters, mine));
      const got = answered(await visit(browser, one.url, { client_id: clientId, request_uri }));
      const form = codeForm({ code: got?.code as string, verifier: asked.verifier });
      for (const wrong of [thief, undefined])
        expect(outcome(await by('/token', form, wrong))).toEqual(invalidClient);
      const { status, body } = await by('/token', form, mine);
      expect(status).toBe(200);
      const token = body.access_token;
      const told = await by('/introspect', { token }, mine);
      expect(told.body).toMatchObject({ active: true, cnf: { 'x5t#S256': expect.any(String) } });
    } finally {
      await server.stop();
    }
  });
});

describe('SECURITY FAPI 2.0: PS256, ES256 or EdDSA', () => {
  test.each(['PS256', 'ES256', 'EdDSA'])('%s signs assertions and requests', async (alg) => {
    const client = await register(alg, 'fapi2-message-signing');
    expect(await pushes({ proof: undefined }, client)).toEqual(pushed);
  });

  test('RS256 signs neither, nor proofs, whatever the key can do', async () => {
    // The key verifies both algorithms: it is the profile that takes one.
    const rsa = await newKey('RS256');
    for (const profile of ['fapi2', 'fapi2-message-signing'] as const) {
      const client = await register('PS256', profile, { jwks: jwksOf(rsa) });
      const by: FapiClient = { ...client, key: rsa };
      expect(await pushes({ proof: undefined }, by)).toEqual(invalidClient);
      const proved = await take(
        one.url,
        client,
        { grant_type: 'authorization_code', code: 'x' },
        {
          by: rsa,
        },
      );
      expect(outcome(proved)).toEqual(invalidClient);
    }
    const both = [await newKey('ES256'), rsa] as [ClientKey, ClientKey];
    const client = await register('ES256', 'fapi2-message-signing', { jwks: jwksOf(...both) });
    const asked = asking(client.id);
    const request = await requestObject(rsa, asked, issuer);
    const form = await authenticated(
      { ...client, key: both[0] },
      { client_id: client.id, request },
    );
    expect(outcome(await send(one.url, '/par', form))).toEqual({
      status: 400,
      error: 'invalid_request_object',
    });
    expect(await pushes({ proof: {}, proves: rsa })).toEqual({
      status: 400,
      error: 'invalid_dpop_proof',
    });
  });
});

describe('SECURITY FAPI 2.0: assertions', () => {
  test('the audience is the issuer as a string, at every endpoint', async () => {
    for (const aud of [
      [issuer],
      `${issuer}/`,
      `${issuer}/par`,
      `${issuer}/token`,
      [`${issuer}/par`],
      [issuer, `${issuer}/par`],
      'https://other.example.com',
    ]) {
      const wrong = saying({ claims: { aud } });
      expect([aud, await pushes(wrong)]).toEqual([aud, invalidClient]);
      const form = { grant_type: 'authorization_code', code: 'x' };
      expect([aud, outcome(await take(one.url, bank, form, wrong))]).toEqual([aud, invalidClient]);
    }
    expect(await pushes(saying({ claims: { aud: issuer } }))).toEqual(pushed);
  });

  test('a jti once, at whatever endpoint and process', async () => {
    const asked = asking(bank.id);
    const form = await authenticated(bank, asked.parameters);
    expect(outcome(await send(one.url, '/par', form))).toEqual(pushed);
    const { client_assertion = '', client_assertion_type = '' } = form;
    const assertion = { client_assertion, client_assertion_type };
    for (const [server, path, fields] of [
      [two, '/par', asked.parameters],
      [one, '/token', { grant_type: 'authorization_code', code: 'x' }],
      [two, '/introspect', { token: 'x' }],
      [one, '/revoke', { token: 'x' }],
    ] as const)
      expect(outcome(await send(server.url, path, { ...fields, ...assertion }))).toEqual(
        invalidClient,
      );
  });

  test('an iat or nbf 10 s ahead is accepted, 60 s refused; one that is over, or of nobody, is refused', async () => {
    for (const claims of [
      { iat: now() + 10 },
      { nbf: now() + 10 },
      { iat: now() + 8, nbf: now() + 8 },
    ])
      expect([claims, await pushes(saying({ claims }))]).toEqual([claims, pushed]);
    for (const claims of [
      { iat: now() + 60 },
      { nbf: now() + 60 },
      { exp: now() - 300 },
      { exp: undefined },
      { sub: undefined },
      { sub: other.id },
      { iss: other.id },
      { jti: undefined },
    ]) {
      const { error } = await pushes(saying({ claims }));
      expect([claims, error]).toEqual([claims, 'invalid_client']);
    }
    expect(await pushes(saying({ by: other.key }))).toEqual(invalidClient);
    const none = await send(one.url, '/par', asking(bank.id).parameters);
    expect(outcome(none)).toEqual(invalidClient);
  });
});

describe('codes', () => {
  test('are for their client, their verifier and a minute', async () => {
    const given = await authorize(one.url, bank, browser);
    const form = codeForm(given);
    const invalidGrant = { status: 400, error: 'invalid_grant' };
    expect(outcome(await take(one.url, other, form))).toEqual(invalidGrant);
    expect(outcome(await take(one.url, bank, { ...form, client_id: other.id }))).toEqual(
      invalidClient,
    );
    for (const code_verifier of ['x'.repeat(43), ''])
      expect((await take(one.url, bank, { ...form, code_verifier })).body.access_token).toBe(
        undefined,
      );
    const late = codeForm(await authorize(one.url, bank, browser));
    const { rows } = await sql<{ life: number }>`
      select extract(epoch from expires_at - issued_at)::float8 as life from tokens where kind = 'code'`.execute(
      database.db.kysely,
    );
    for (const { life } of rows) expect(life).toBeLessThanOrEqual(61);
    await sql`update tokens set expires_at = now() - interval '1 minute',
      payload = jsonb_set(payload, '{exp}', to_jsonb(extract(epoch from now())::int - 60)) where kind = 'code'`.execute(
      database.db.kysely,
    );
    expect(outcome(await take(one.url, bank, late))).toEqual(invalidGrant);
  });

  test('11: a repeated code has no grace: it is refused at once, and ends what the first gave', async () => {
    const form = codeForm(await authorize(one.url, bank, browser));
    const { body } = await take(one.url, bank, form);
    expect(outcome(await take(two.url, bank, form))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    expect((await see(one.url, bank, body.access_token)).status).toBe(401);
  });
});

describe('SECURITY FAPI 2.0: message signing', () => {
  test('the request is signed and the answer is: by the client’s key, and by ours', async () => {
    const asked = asking(signing.id, { response_mode: 'jwt' });
    const request_uri = pushedUri(await push(one.url, signing, asked));
    const answer = await visit(browser, one.url, { client_id: signing.id, request_uri });
    const { response = '', ...rest } = answered(answer) ?? {};
    expect(rest).toEqual({});
    expect(decodeProtectedHeader(response)).toMatchObject({
      alg: 'ES256',
      kid: expect.any(String),
    });
    const { code, ...claims } = decodeJwt(response);
    expect(claims).toEqual({
      iss: issuer,
      aud: signing.id,
      exp: expect.any(Number),
      state: 'the state',
    });
    const given = { code: code as string, verifier: asked.verifier };
    expect((await take(one.url, signing, codeForm(given))).status).toBe(200);
  });

  test('a request that is not signed, and an answer that would not be, are refused as they are pushed', async () => {
    const asked = asking(signing.id, { response_mode: 'jwt' });
    const form = await authenticated(signing, asked.parameters);
    const invalid = { status: 400, error: 'invalid_request' };
    expect(outcome(await send(one.url, '/par', form))).toEqual(invalid);
    for (const response_mode of [undefined, 'query', 'fragment', 'form_post'])
      expect(outcome(await push(one.url, signing, asking(signing.id, { response_mode })))).toEqual(
        invalid,
      );
  });

  test('a request says when it begins and ends, an hour at the most, and that it is for us', async () => {
    const asked = asking(signing.id, { response_mode: 'jwt' });
    const ask = async (object: Record<string, unknown>) =>
      outcome(await push(one.url, signing, asked, saying({ object })));
    for (const object of [
      { aud: [issuer, 'https://other.example.com'] },
      { nbf: now() + 8 },
      { nbf: now() - 3_000, exp: now() + 500 },
    ])
      expect([object, await ask(object)]).toEqual([object, pushed]);
    for (const object of [
      { exp: undefined },
      { nbf: undefined },
      { aud: undefined },
      { aud: 'https://other.example.com' },
      { exp: now() - 60 },
      { exp: now() + 70 * 60 },
      { nbf: now() - 70 * 60, exp: now() + 60 },
      { nbf: now() + 60 },
      { iat: now() + 60 },
      { iss: other.id },
      { redirect_uri: undefined },
      { request_uri: 'urn:ietf:params:oauth:request_uri:x' },
    ])
      expect([object, (await ask(object)).status]).toEqual([object, 400]);
  });
});

describe('registration', () => {
  let key: ClientKey;

  beforeAll(async () => {
    key = await newKey();
  });

  test.each<[string, Partial<NewClient>]>([
    ['no PAR', { requirePushed: false }],
    ['redirects over http', { redirectUris: ['http://localhost/callback'] }],
    ['answers that are signed with RS256', { authorizationSigningAlg: 'RS256' }],
    ['requests that are signed with RS256', { requestObjectSigningAlg: 'RS256' }],
    ['tokens for bearers', { bound: 'none' }],
    ['a secret', { authMethod: 'client_secret_basic' }],
  ])('%s is no FAPI client', async (_, wrong) => {
    const whole: Partial<NewClient> = {
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
      bound: 'dpop',
      settings: { profile: 'fapi2' },
    };
    await seed.client(whole);
    await expect(seed.client({ ...whole, ...wrong })).rejects.toMatchObject({
      code: 'invalid_client',
    });
  });

  test.each<[string, Partial<NewClient>]>([
    ['requests without a signature', { requireSignedRequest: false }],
    ['answers without a signature', { responseModes: ['query', 'jwt'] }],
  ])('%s are no message signing', async (_, wrong) => {
    const whole: Partial<NewClient> = {
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
      bound: 'dpop',
      settings: { profile: 'fapi2-message-signing' },
    };
    await seed.client(whole);
    await expect(seed.client({ ...whole, ...wrong })).rejects.toMatchObject({
      code: 'invalid_client',
    });
  });

  test('the metadata says what these clients can count on', async () => {
    const { json } = {
      json: await (await fetch(`${one.url}/.well-known/openid-configuration`)).json(),
    } as {
      json: Record<string, unknown>;
    };
    expect(json).toMatchObject({
      pushed_authorization_request_endpoint: `${issuer}/par`,
      authorization_response_iss_parameter_supported: true,
      request_parameter_supported: true,
      request_uri_parameter_supported: false,
      code_challenge_methods_supported: ['S256'],
    });
    const fapi = ['PS256', 'ES256', 'EdDSA'];
    for (const list of [
      'dpop_signing_alg_values_supported',
      'request_object_signing_alg_values_supported',
      'authorization_signing_alg_values_supported',
      'token_endpoint_auth_signing_alg_values_supported',
      'id_token_signing_alg_values_supported',
    ])
      expect([list, json[list]]).toEqual([list, expect.arrayContaining(fapi)]);
    expect(json).not.toHaveProperty('require_pushed_authorization_requests');
  });
});
