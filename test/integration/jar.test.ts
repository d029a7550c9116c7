import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHmac } from 'node:crypto';
import { CompactEncrypt, importJWK, type JWK, UnsecuredJWT } from 'jose';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  redirectUri,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { assertion, type ClientKey, jwksOf, newKey, now, send, sign } from '../support/proofs.ts';
import {
  answered,
  asking,
  type Asking,
  pushedUri,
  requestClaims,
  requestObject,
  visit,
} from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { countRows } from '../support/wire.ts';

/** Authorization requests that are signed by their client (RFC 9101), by the browser and pushed. */

const issuer = 'http://localhost:3000';
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let key: ClientKey;
let stranger: ClientKey;
let client: Credentials;
let strict: Credentials;
let pinned: Credentials;
let pinnedKeys: ClientKey[];
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  [key, stranger] = [await newKey(), await newKey()];
  pinnedKeys = [await newKey('ES256'), await newKey('PS256')];
  client = await seed.client({ jwks: jwksOf(key) });
  strict = await seed.client({ jwks: jwksOf(key), requireSignedRequest: true });
  pinned = await seed.client({ jwks: jwksOf(...pinnedKeys), requestObjectSigningAlg: 'PS256' });
  const accountId = await seed.account();
  for (const { clientId } of [client, strict, pinned]) await seed.consent(accountId, clientId);
  server = await startServerProcess(database, issuer);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const basic = ({ clientId, clientSecret }: Credentials) => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});
const push = (by: Credentials, request: string, more: Record<string, string> = {}) =>
  send(server.url, '/par', { client_id: by.clientId, request, ...more }, basic(by));

/** By the browser, with as much beside it as OpenID Connect asks for. */
const bring = (by: Credentials, request: string, more: Record<string, string> = {}) =>
  visit(browser, server.url, {
    client_id: by.clientId,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: redirectUri,
    request,
    ...more,
  });

describe('a signed request', () => {
  test('is what counts, and nothing that stands beside it', async () => {
    const asked = asking(client.clientId);
    const request = await requestObject(key, asked, issuer);
    const answer = await bring(client, request, {
      state: 'outside',
      scope: 'openid profile',
      redirect_uri: `${redirectUri}/outside`,
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
      resource: 'https://nowhere.example.com',
    });
    const got = answered(answer);
    expect(got).toEqual({ code: expect.any(String), state: 'the state', iss: issuer });
    const { verifier } = asked;
    const { body } = await exchange(server.url, client, { code: got?.code as string, verifier });
    expect(body.scope).toBe('openid email offline_access');
    expect(body.refresh_token).toBeDefined();
  });

  test('leaves out what it does not say', async () => {
    const asked = asking(client.clientId, { state: undefined });
    const request = await requestObject(key, asked, issuer);
    const answer = await bring(client, request, { state: 'outside' });
    expect(answered(answer)).toEqual({ code: expect.any(String), iss: issuer });
    const bare = await visit(browser, server.url, { client_id: client.clientId, request });
    expect(answered(bare)).toHaveProperty('code');
    const { code_challenge: _, code_challenge_method: __, ...parameters } = asked.parameters;
    const without = await requestObject(key, { ...asked, parameters }, issuer);
    const { code_challenge = '', code_challenge_method = '' } = asked.parameters;
    const stripped = await bring(client, without, { code_challenge, code_challenge_method });
    expect(answered(stripped)).toMatchObject({ error: 'invalid_request' });
  });

  test('may have several audiences, an honest clock and the plain type', async () => {
    const asked = asking(client.clientId);
    const right: [Record<string, unknown>, Record<string, unknown>][] = [
      [{ aud: [issuer, 'https://other.example.com'] }, {}],
      [{ nbf: now() + 10, iat: now() + 10 }, {}],
      [{ nbf: now() - 3_500, exp: now() + 60 }, {}],
      [{ nbf: undefined, iat: undefined }, {}],
      [{}, { typ: 'JWT' }],
      [{}, { typ: undefined }],
      [{}, { typ: 'application/oauth-authz-req+jwt' }],
      [{ claims: { id_token: { auth_time: null } } }, {}],
    ];
    for (const [claims, header] of right) {
      const request = await requestObject(key, asked, issuer, claims, header);
      expect([claims, (await push(client, request)).status]).toEqual([claims, 201]);
      expect(answered(await bring(client, request))).toHaveProperty('code');
    }
  });

  test('is pushed as well, and then found by its request_uri', async () => {
    const asked = asking(client.clientId);
    const { status, body } = await push(client, await requestObject(key, asked, issuer), {
      scope: 'openid profile',
      state: 'outside',
    });
    expect([status, body.expires_in]).toEqual([201, 60]);
    const request_uri = body.request_uri as string;
    const got = answered(
      await visit(browser, server.url, { client_id: client.clientId, request_uri }),
    );
    expect(got).toMatchObject({ state: 'the state', code: expect.any(String) });
    const short = await push(client, await requestObject(key, asked, issuer, { exp: now() + 20 }));
    expect(short.body.expires_in).toBeLessThanOrEqual(20);
  });

  test('is verified with the algorithm that the client has named', async () => {
    const [es, ps] = pinnedKeys as [ClientKey, ClientKey];
    const asked = asking(pinned.clientId);
    expect((await push(pinned, await requestObject(ps, asked, issuer))).status).toBe(201);
    const { status, body } = await push(pinned, await requestObject(es, asked, issuer));
    expect([status, body.error]).toEqual([400, 'invalid_request_object']);
  });
});

test('a client that has to sign gets nothing without, pushed or not', async () => {
  const asked = asking(strict.clientId);
  const plain = await visit(browser, server.url, asked.parameters);
  expect(answered(plain)).toMatchObject({ error: 'invalid_request', state: 'the state' });
  const { status, body } = await send(server.url, '/par', asked.parameters, basic(strict));
  expect([status, body.error]).toEqual([400, 'invalid_request']);
  const request = await requestObject(key, asked, issuer);
  expect(answered(await bring(strict, request))).toHaveProperty('code');
  const request_uri = pushedUri(await push(strict, request));
  const pushed = await visit(browser, server.url, { client_id: strict.clientId, request_uri });
  expect(answered(pushed)).toHaveProperty('code');
});

describe('SECURITY JWT: what is no signed request of this client', () => {
  const unsigned = (asked: Asking) => new UnsecuredJWT(requestClaims(asked, issuer)).encode();
  const asHmac = (secret: string | Buffer) => (asked: Asking) => {
    const parts = [{ alg: 'HS256', typ: 'oauth-authz-req+jwt' }, requestClaims(asked, issuer)];
    const data = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
    const mac = createHmac('sha256', secret).update(data.join('.')).digest('base64url');
    return [...data, mac].join('.');
  };
  const spki = async () => JSON.stringify(key.publicJwk);
  const tampered = async (asked: Asking) => {
    const [head, , mac] = (await requestObject(key, asked, issuer)).split('.');
    const claims = { ...requestClaims(asked, issuer), scope: 'openid profile' };
    return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), mac].join('.');
  };
  const encrypted = async (asked: Asking) => {
    const { keys } = (await (await fetch(`${server.url}/jwks`)).json()) as { keys: JWK[] };
    const rsa = keys.find(({ kty }) => kty === 'RSA') as JWK;
    return new CompactEncrypt(Buffer.from(await requestObject(key, asked, issuer)))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: rsa.kid as string })
      .encrypt(await importJWK({ ...rsa, use: 'enc', alg: 'RSA-OAEP-256' }, 'RSA-OAEP-256'));
  };
  const made =
    (claims: Record<string, unknown>, header: Record<string, unknown> = {}, by = () => key) =>
    (asked: Asking) =>
      requestObject(by(), asked, issuer, claims, header);

  const refused: [string, (asked: Asking) => string | Promise<string>, string?][] = [
    ['unsigned', unsigned],
    ['not a JWT', () => 'request'],
    [
      'signed with the secret of the client',
      (asked) => asHmac(client.clientSecret as string)(asked),
    ],
    ['signed with its public key as a secret', async (asked) => asHmac(await spki())(asked)],
    ['signed by somebody else', made({}, {}, () => stranger)],
    [
      'signed by a key that it brings along',
      (asked) => requestObject(stranger, asked, issuer, {}, { jwk: stranger.publicJwk }),
    ],
    ['changed after it was signed', tampered],
    ['encrypted to a key of ours', encrypted],
    [
      'critical in a way that nobody knows',
      (asked) =>
        sign(key, requestClaims(asked, issuer), { crit: ['exp'], exp: 1 }).catch(() => 'a.b.c'),
    ],
    ['of another type', made({}, { typ: 'at+jwt' })],
    ['a client assertion by its type', made({}, { typ: 'client-authentication+jwt' })],
    ['a proof by its type', made({}, { typ: 'dpop+jwt' })],
    ['good as a client assertion', made({ sub: 'SELF', jti: 'x' })],
    ['for somebody else', made({ aud: 'https://other.example.com' })],
    ['for our token endpoint', made({ aud: `${issuer}/token` })],
    ['for nobody', made({ aud: undefined })],
    ["of another client's", made({ iss: 'c_other' })],
    ['of nobody', made({ iss: undefined })],
    ['of another client_id', made({ client_id: 'c_other' })],
    ['over', made({ exp: now() - 60 })],
    ['without an end', made({ exp: undefined })],
    ['good for longer than an hour', made({ exp: now() + 3_700 })],
    [
      'good for longer than an hour, from no beginning',
      made({ nbf: undefined, exp: now() + 3_700 }),
    ],
    ['over before it begins', made({ nbf: now() + 10, exp: now() + 5 })],
    ['of later', made({ nbf: now() + 60 })],
    ['of an hour ago', made({ nbf: now() - 3_660, exp: now() - 60 + 120 })],
    ['issued in the future', made({ iat: now() + 60 })],
    ['timed by words', made({ exp: 'tomorrow' })],
    ['a request within a request', made({ request: 'a.b.c' })],
    ['elsewhere', made({ request_uri: 'https://app.example.com/request.jwt' })],
  ];

  const withSelf = async (
    by: Credentials,
    how: (asked: Asking) => string | Promise<string>,
    name: string,
  ) => {
    const asked = asking(by.clientId);
    return name === 'good as a client assertion'
      ? requestObject(key, asked, issuer, { sub: by.clientId, jti: 'x' })
      : how(asked);
  };

  test.each(refused)(
    '%s: refused, by the browser and pushed, with nothing written',
    async (name, how) => {
      const request = await withSelf(client, how, name);
      const before = await countRows(database.db);
      const brought = await bring(client, request);
      const answer = answered(brought);
      expect(answer?.code).toBeUndefined();
      expect(answer?.error ?? (await brought.text())).toContain('invalid_request_object');
      const { status, body } = await push(client, request);
      expect([status, body.error]).toEqual([400, 'invalid_request_object']);
      expect(await countRows(database.db)).toEqual(before);
    },
  );

  test('a client assertion is no request, and a request no client assertion', async () => {
    const { clientId } = await seed.client({ authMethod: 'private_key_jwt', jwks: jwksOf(key) });
    const { client_assertion = '' } = await assertion(key, clientId, issuer, {
      response_type: 'code',
    });
    const own = await assertion(key, clientId, issuer);
    const pushed = await send(server.url, '/par', { request: client_assertion, ...own });
    expect([pushed.status, pushed.body.error]).toEqual([400, 'invalid_request_object']);
    const asked = asking(clientId);
    const request = await requestObject(key, asked, issuer, { sub: clientId, jti: 'x' });
    const { status, body } = await send(server.url, '/par', {
      ...asked.parameters,
      client_assertion_type: own.client_assertion_type as string,
      client_assertion: request,
    });
    expect([status, body.error]).toEqual([401, 'invalid_client']);
  });

  test('what says other things outside than inside is refused', async () => {
    const request = await requestObject(key, asking(client.clientId), issuer);
    expect(answered(await bring(client, request, { response_type: 'none' }))).toMatchObject({
      error: 'invalid_request_object',
    });
    const ofOther = await visit(browser, server.url, {
      client_id: strict.clientId,
      redirect_uri: redirectUri,
      request,
    });
    expect(answered(ofOther)?.error).toBe('invalid_request_object');
  });

  test('a parameter that stands in it twice, or is none, is refused', async () => {
    const asked = asking(client.clientId);
    for (const claims of [
      { state: ['one', 'two'] },
      { scope: ['openid', 'email'] },
      { redirect_uri: [redirectUri, 'https://evil.example.com/'] },
      { client_id: [client.clientId, 'c_other'] },
      { response_type: { code: true } },
    ]) {
      const request = await requestObject(key, asked, issuer, claims);
      const { status } = await push(client, request);
      expect([claims, status]).toEqual([claims, 400]);
      expect(answered(await bring(client, request))?.code).toBeUndefined();
    }
  });

  test('SECURITY 27: what can be made no text of, or has no end, is refused wherever it comes', async () => {
    const signedText = async (claims: string) => {
      const [head] = (await requestObject(key, asking(client.clientId), issuer)).split('.');
      return [head, Buffer.from(claims).toString('base64url'), 'AA'].join('.');
    };
    const named = `"client_id":"${client.clientId}","iss":"${client.clientId}"`;
    for (const claims of [
      `{${named},"state":{"toString":1,"valueOf":1}}`,
      `{${named},"resource":[{"toString":1}]}`,
      `{${named},"state":"\\ud800"}`,
      `{${named},"x":${'['.repeat(18_000)}${']'.repeat(18_000)}}`,
      `{${named},"claims":${'{"a":'.repeat(6_000)}1${'}'.repeat(6_000)}}`,
    ]) {
      const request = await signedText(claims);
      for (const path of ['/par', '/device_authorization', '/ciba']) {
        const by = { client_id: client.clientId, request };
        const { status, body } = await send(server.url, path, by, basic(client));
        expect([path, claims.slice(0, 90), status, body.error]).toEqual([
          path,
          claims.slice(0, 90),
          400,
          path === '/par' ? 'invalid_request_object' : expect.any(String),
        ]);
      }
      if (request.length > 8_000) continue;
      expect(answered(await bring(client, request))?.error).toBe('invalid_request_object');
      const query = new URLSearchParams({
        client_id: client.clientId,
        redirect_uri: redirectUri,
        request,
      });
      const head = await fetch(`${server.url}/authorize?${query.toString()}`, {
        method: 'HEAD',
        redirect: 'manual',
      });
      expect(head.status).toBe(303);
    }
  });

  test('a redirect URI that is not registered is followed nowhere, wherever it stands', async () => {
    const asked = asking(client.clientId, { redirect_uri: 'https://evil.example.com/' });
    const request = await requestObject(key, asked, issuer);
    for (const parameters of [
      { client_id: client.clientId, request },
      { client_id: client.clientId, request, redirect_uri: redirectUri },
      { client_id: client.clientId, request, redirect_uri: 'https://evil.example.com/' },
    ]) {
      const answer = await visit(browser, server.url, parameters);
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
    }
  });
});

test('a client without keys of its own has nothing to sign requests with', async () => {
  for (const input of [
    { requireSignedRequest: true },
    { requestObjectSigningAlg: 'PS256' as const },
    { requestObjectSigningAlg: 'PS256' as const, jwks: jwksOf(key) },
  ])
    await expect(seed.client(input)).rejects.toMatchObject({ code: 'invalid_client' });
});
