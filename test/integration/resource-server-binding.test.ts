import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import { createServer, request as httpsRequest, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';
import Koa from 'koa';
import { DpopNonces } from '../../resource-server/dpop-nonces.ts';
import {
  AuthorizationError,
  createResourceServer,
  type Requirements,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { ReplayMemory } from '../../resource-server/replay.ts';
import { FakeIssuer, type FakeKey, fakeKey } from '../support/fake-issuer.ts';
import { now } from '../support/proofs.ts';
import { selfSigned } from '../support/certificates.ts';

/** Tokens that are bound to a key: nobody goes on who merely holds them (RFC 9449, RFC 8705; SECURITY's FAPI line). */

const audience = 'https://api.example.com/v1';
const origin = 'https://api.example.com';

let issuer: FakeIssuer;
let api: ResourceServer;
let key: FakeKey;
let jkt: string;

beforeEach(async () => {
  issuer = await FakeIssuer.start();
  key = await fakeKey();
  jkt = await calculateJwkThumbprint(key.jwk);
  api = create();
});

afterEach(() => issuer.down());

const create = (options: Partial<ResourceServerOptions> = {}): ResourceServer =>
  createResourceServer({ issuer: issuer.issuer, audience, revocationFeed: false, ...options });

const bound = (cnf: Record<string, unknown> = { jkt }) => issuer.token(audience, { cnf });

interface Proof {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly by?: FakeKey;
}

/** A proof for GET /v1/invoices with the token, changed by what is given; what is undefined is left out. */
async function prove(
  token: string,
  { claims = {}, header = {}, by = key }: Proof = {},
): Promise<string> {
  const { kty, crv, x, y } = by.jwk;
  const payload = {
    htm: 'GET',
    htu: `${origin}/v1/invoices`,
    ath: createHash('sha256').update(token).digest('base64url'),
    jti: randomUUID(),
    iat: now(),
    ...claims,
  };
  return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>)
    .setProtectedHeader({
      alg: by.alg,
      typ: 'dpop+jwt',
      jwk: { kty, crv, x, y },
      ...header,
    } as never)
    .sign(by.privateKey);
}

const call = (token: string, proof: string | undefined, scheme = 'DPoP', path = '/v1/invoices') =>
  // The origin that a request seems to have is whatever its Host header says.
  new Request(`http://internal:8080${path}`, {
    headers: {
      authorization: `${scheme} ${token}`,
      ...(proof === undefined ? {} : { dpop: proof }),
    },
  });

async function refusalOf(
  server: ResourceServer,
  request: Request,
  required?: Requirements,
): Promise<AuthorizationError> {
  const error = await server.authenticate(request, required).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AuthorizationError)) throw new Error(`no refusal: ${String(error)}`);
  return error;
}

const algs = 'algs="ES256 RS256 PS256 EdDSA Ed25519"';

describe('DPoP', () => {
  test('who proves to hold the key goes on, once for each proof', async () => {
    const token = await bound();
    const proof = await prove(token);
    const auth = await api.authenticate(call(token, proof), { binding: 'dpop' });
    expect([auth.binding, auth.sub]).toEqual(['dpop', 'u_ann']);
    const again = await refusalOf(api, call(token, proof));
    expect([again.status, again.code, again.message]).toEqual([
      401,
      'invalid_dpop_proof',
      'the DPoP proof was used before',
    ]);
    expect(again.challenges).toEqual([
      `DPoP error="invalid_dpop_proof", error_description="the DPoP proof was used before", ${algs}`,
    ]);
    await api.authenticate(call(token, await prove(token)), { binding: 'any' });
  });

  test.each(['RS256', 'PS256', 'EdDSA'])('a proof by %s', async (alg) => {
    const by = await fakeKey(alg);
    const { kty, crv, x, n, e } = by.jwk;
    const token = await bound({ jkt: await calculateJwkThumbprint(by.jwk) });
    const proof = await prove(token, { by, header: { jwk: { kty, crv, x, n, e } } });
    expect((await api.authenticate(call(token, proof))).binding).toBe('dpop');
  });

  test('a bound token is none for a bearer, and none that is bound to nothing comes by DPoP', async () => {
    const token = await bound();
    for (const proof of [undefined, await prove(token)]) {
      const error = await refusalOf(api, call(token, proof, 'Bearer'));
      expect([error.status, error.code]).toEqual([401, 'invalid_token']);
      expect(error.challenges).toEqual([
        'Bearer error="invalid_token", error_description="the token is bound to a DPoP key"',
        `DPoP ${algs}`,
      ]);
    }
    const plain = await issuer.token(audience);
    const error = await refusalOf(api, call(plain, await prove(plain)));
    expect([error.status, error.code, error.message]).toEqual([
      401,
      'invalid_token',
      'the token is bound to no DPoP key',
    ]);
  });

  test.each<[string, Proof]>([
    ['another method', { claims: { htm: 'POST' } }],
    ['another path', { claims: { htu: `${origin}/v1/other` } }],
    ['another origin', { claims: { htu: 'https://evil.example/v1/invoices' } }],
    ['the origin of the Host header', { claims: { htu: 'http://internal:8080/v1/invoices' } }],
    ['another port', { claims: { htu: 'https://api.example.com:8443/v1/invoices' } }],
    ['no TLS', { claims: { htu: 'http://api.example.com/v1/invoices' } }],
    ['an address with a user', { claims: { htu: 'https://a@api.example.com/v1/invoices' } }],
    ['a path in another case', { claims: { htu: `${origin}/v1/Invoices` } }],
    ['no address', { claims: { htu: undefined } }],
    ['an address that is none', { claims: { htu: '/v1/invoices' } }],
    ['another token', { claims: { ath: 'x' } }],
    ['no token', { claims: { ath: undefined } }],
    ['an old time', { claims: { iat: now() - 120 } }],
    ['a time to come', { claims: { iat: now() + 60 } }],
    ['no time', { claims: { iat: undefined } }],
    ['a time that is none', { claims: { iat: '1' } }],
    ['no id', { claims: { jti: undefined } }],
    ['an id that is none', { claims: { jti: '' } }],
    ['another type', { header: { typ: 'JWT' } }],
    ['no type', { header: { typ: undefined } }],
    ['no key', { header: { jwk: undefined } }],
    ['a symmetric key', { header: { jwk: { kty: 'oct', k: 'AAAA' } } }],
  ])('refused: a proof with %s', async (_name, proof) => {
    const token = await bound();
    const { status, code, challenges } = await refusalOf(
      api,
      call(token, await prove(token, proof)),
    );
    expect([status, code]).toEqual([401, 'invalid_dpop_proof']);
    expect(challenges).toEqual([
      expect.stringMatching(/^DPoP error="invalid_dpop_proof", .*algs="/),
    ]);
  });

  test('refused: a proof of nobody, by another key, of no signature, with a private key, or none', async () => {
    const token = await bound();
    const [head = '', payload = '', signature = ''] = (await prove(token)).split('.');
    const unsigned = Buffer.from(JSON.stringify({ alg: 'none', typ: 'dpop+jwt', jwk: key.jwk }));
    const secret = { ...key.jwk, ...(await exportJWK(key.privateKey)) };
    const proofs = [
      undefined,
      'x',
      `${head}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${unsigned.toString('base64url')}.${payload}.`,
      await prove(token, { header: { jwk: secret } }),
      await prove(token, { by: await fakeKey(), header: { jwk: key.jwk } }),
      await prove(token, { claims: { padding: 'x'.repeat(10_000) } }),
      `${await prove(token)}, ${await prove(token)}`,
    ];
    for (const proof of proofs) {
      expect((await refusalOf(api, call(token, proof))).code).toBe('invalid_dpop_proof');
    }
    // A proof that is good by itself, by a key that is not the token's.
    const stranger = await prove(token, { by: await fakeKey() });
    const error = await refusalOf(api, call(token, stranger));
    expect([error.code, error.message]).toEqual([
      'invalid_token',
      'the token is bound to another key',
    ]);
  });

  test.each([
    ['https://API.example.com:443/v1/invoices', '/v1/invoices'],
    ['https://api.example.com/v1/invoices?a=b#c', '/v1/invoices?d=e'],
    ['https://api.example.com/v1/./x/../invoices', '/v1/invoices'],
    ['https://api.example.com/v1/%7eann/%c3%a9', '/v1/~ann/%C3%A9'],
  ])('the same address, spelt otherwise: %s', async (htu, path) => {
    const token = await bound();
    const proof = await prove(token, { claims: { htu } });
    expect((await api.authenticate(call(token, proof, 'dpop', path))).binding).toBe('dpop');
  });

  test('an escaped slash is no slash', async () => {
    const token = await bound();
    const proof = await prove(token, { claims: { htu: `${origin}/v1/a%2Fb` } });
    expect((await refusalOf(api, call(token, proof, 'DPoP', '/v1/a/b'))).code).toBe(
      'invalid_dpop_proof',
    );
  });

  test('behind a proxy that takes a prefix away', async () => {
    const server = create({ publicUrl: 'https://gateway.example.com/ledger/' });
    const token = await bound();
    const proof = await prove(token, {
      claims: { htu: 'https://gateway.example.com/ledger/v1/invoices' },
    });
    expect((await server.authenticate(call(token, proof))).binding).toBe('dpop');
    expect((await refusalOf(server, call(token, await prove(token)))).code).toBe(
      'invalid_dpop_proof',
    );
  });

  test('where the addresses of callers are not known, a bound token is refused', async () => {
    const server = create({ audience: 'urn:ledger' });
    const token = await issuer.token('urn:ledger', { cnf: { jkt } });
    expect((await refusalOf(server, call(token, await prove(token)))).code).toBe('invalid_token');
  });

  test('nonces: asked for, taken by every process with the secret, and renewed in time', async () => {
    const nonceSecret = 'a secret of at least thirty-two bytes';
    const [one, two] = [create({ dpop: { nonceSecret } }), create({ dpop: { nonceSecret } })];
    const token = await bound();
    const first = await refusalOf(one, call(token, await prove(token)));
    expect([first.status, first.code]).toEqual([401, 'use_dpop_nonce']);
    expect(first.challenges).toEqual([
      expect.stringMatching(/^DPoP error="use_dpop_nonce", .*algs="/),
    ]);
    const nonce = first.headers['DPoP-Nonce'];
    const auth = await two.authenticate(call(token, await prove(token, { claims: { nonce } })));
    expect(auth.responseHeaders).toEqual({});
    const other = new DpopNonces('another secret of at least 32 bytes', 300).issue();
    for (const wrong of [other, 'x', `${nonce?.slice(0, -2)}AA`, 7, ''])
      expect(
        (await refusalOf(one, call(token, await prove(token, { claims: { nonce: wrong } })))).code,
      ).toBe('use_dpop_nonce');
    // Past its half: taken, and with the answer comes the next one.
    const short = create({ dpop: { nonceSecret, nonceLifetime: 1_000 } });
    const aged = new DpopNonces(nonceSecret, 1_000);
    const old = agedNonce(aged, 600);
    const renewed = await short.authenticate(
      call(token, await prove(token, { claims: { nonce: old } })),
    );
    expect(aged.check(renewed.responseHeaders['DPoP-Nonce'])).toBe('good');
    const past = agedNonce(aged, 1_001);
    expect(
      (await refusalOf(short, call(token, await prove(token, { claims: { nonce: past } })))).code,
    ).toBe('use_dpop_nonce');
  });

  test('the next nonce comes with the answer of the API itself', async () => {
    const nonceSecret = 'a secret of at least thirty-two bytes';
    const nonces = new DpopNonces(nonceSecret, 300);
    const server = create({ dpop: { nonceSecret } });
    const koa = new Koa().use(server.koa()).use((ctx) => {
      ctx.status = 204;
    });
    const handle = koa.callback();
    const byKoa: RequestListener = (request, response) => void handle(request, response);
    const byExpress: RequestListener = (request, response) =>
      server.express()(request, response, () => response.writeHead(204).end());
    const token = await bound();
    const old = async () =>
      call(token, await prove(token, { claims: { nonce: agedNonce(nonces, 200) } }));
    for (const listener of [byKoa, byExpress]) {
      const listening = createHttpServer(listener).listen(0, '127.0.0.1');
      await once(listening, 'listening');
      const { port } = listening.address() as AddressInfo;
      const { headers } = await old();
      const answer = await fetch(`http://127.0.0.1:${port}/v1/invoices`, { headers });
      listening.close();
      expect(answer.status).toBe(204);
      expect(nonces.check(answer.headers.get('dpop-nonce'))).toBe('good');
    }
    const byFetch = server.fetch({}, () => new Response('body', { status: 201 }));
    const answer = await byFetch(await old());
    expect([answer.status, await answer.text()]).toEqual([201, 'body']);
    expect(nonces.check(answer.headers.get('dpop-nonce'))).toBe('good');
  });

  test('an API may take no other', async () => {
    const server = create({ dpop: { required: true, algorithms: ['ES256'] }, realm: 'Ledger' });
    expect((await refusalOf(server, new Request(audience))).challenges).toEqual([
      'DPoP realm="Ledger", algs="ES256"',
    ]);
    const plain = await issuer.token(audience);
    const error = await refusalOf(server, call(plain, undefined, 'Bearer'));
    expect([error.status, error.challenges[1]]).toEqual([401, 'DPoP realm="Ledger", algs="ES256"']);
    const offering = create({ dpop: {} });
    expect((await refusalOf(offering, new Request(audience))).challenges).toEqual([
      'Bearer',
      `DPoP ${algs}`,
    ]);
    expect((await refusalOf(api, call(plain, undefined, 'Bearer'), { binding: 'any' })).code).toBe(
      'invalid_token',
    );
    const rsa = await fakeKey('RS256');
    const { kty, n, e } = rsa.jwk;
    const other = await bound({ jkt: await calculateJwkThumbprint(rsa.jwk) });
    const byRsa = () => prove(other, { by: rsa, header: { jwk: { kty, n, e } } });
    expect((await refusalOf(server, call(other, await byRsa()))).code).toBe('invalid_dpop_proof');
    expect((await api.authenticate(call(other, await byRsa()))).binding).toBe('dpop');
    expect(server.metadata).toMatchObject({
      dpop_signing_alg_values_supported: ['ES256'],
      dpop_bound_access_tokens_required: true,
    });
  });

  test('what was used is remembered in bounds; where no more can be, nobody goes on', async () => {
    const memory = new ReplayMemory(2, 60_000);
    expect([memory.use('a'), memory.use('a'), memory.use('b')]).toEqual([true, false, true]);
    expect(() => memory.use('c')).toThrow('raise dpop.replaySize');
    const server = create({ dpop: { replaySize: 1 } });
    const token = await bound();
    await server.authenticate(call(token, await prove(token)));
    expect((await refusalOf(server, call(token, await prove(token)))).status).toBe(503);
  });

  test('two proofs in two header fields are none', async () => {
    const token = await bound();
    const rawHeaders = [
      'Authorization',
      `DPoP ${token}`,
      'DPoP',
      await prove(token),
      'dpop',
      await prove(token),
    ];
    const request = { method: 'GET', url: '/v1/invoices', headers: {}, rawHeaders, socket: {} };
    await expect(api.authenticate(request)).rejects.toMatchObject({ code: 'invalid_dpop_proof' });
    // A router of Express has taken away what it is mounted at; callers know the whole.
    const mounted = { url: '/invoices', originalUrl: '/v1/invoices?page=2' };
    const one = { ...request, ...mounted, rawHeaders: rawHeaders.slice(0, 4) };
    expect((await api.authenticate(one)).binding).toBe('dpop');
  });
});

/** A nonce as it was issued some seconds ago. */
function agedNonce(nonces: DpopNonces, seconds: number): string {
  const real = Date.now;
  Date.now = () => real() - seconds * 1_000;
  try {
    return nonces.issue();
  } finally {
    Date.now = real;
  }
}

describe('mTLS', () => {
  const [mine, other, { cert, key }] = [selfSigned('mine'), selfSigned('other'), selfSigned()];
  const thumbprint = createHash('sha256')
    .update(new X509Certificate(mine.cert).raw)
    .digest('base64url');
  let server: Server;
  let url: string;

  beforeEach(async () => {
    server = createServer(
      { cert, key, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        api.express({ binding: 'mtls' })(request, response, (error) => {
          response.statusCode = error === undefined ? 200 : 500;
          response.end((request as { auth?: { binding?: string } }).auth?.binding);
        });
      },
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1/invoices`;
  });

  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  async function statusWith(token: string, certificate: object): Promise<number | undefined> {
    const headers = { authorization: `Bearer ${token}` };
    const sent = httpsRequest(url, {
      headers,
      ...certificate,
      rejectUnauthorized: false,
      agent: false,
    });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  }

  test('the certificate of the connection is the one that the token is bound to', async () => {
    const token = await bound({ 'x5t#S256': thumbprint });
    expect(await statusWith(token, mine)).toBe(200);
    expect(await statusWith(token, other)).toBe(401);
    expect(await statusWith(token, {})).toBe(401);
    expect(await statusWith(await issuer.token(audience), mine)).toBe(401);
  });

  test('behind a proxy it comes by a function, in each form', async () => {
    const token = await bound({ 'x5t#S256': thumbprint });
    const parsed = new X509Certificate(mine.cert);
    for (const form of [parsed, mine.cert, parsed.raw, new Uint8Array(parsed.raw)]) {
      const proxied = create({ clientCertificate: () => form });
      expect((await proxied.authenticate(call(token, undefined, 'Bearer'))).binding).toBe('mtls');
    }
    for (const form of [undefined, other.cert, 'nonsense', new Uint8Array(3)]) {
      const proxied = create({ clientCertificate: () => form });
      const error = await refusalOf(proxied, call(token, undefined, 'Bearer'));
      expect([error.status, error.code]).toEqual([401, 'invalid_token']);
    }
    expect(create({ clientCertificate: () => undefined }).metadata).toMatchObject({
      tls_client_certificate_bound_access_tokens: true,
    });
    const asking = create();
    expect(asking.metadata).not.toHaveProperty('tls_client_certificate_bound_access_tokens');
    asking.koa({ binding: 'mtls' });
    expect(asking.metadata).toHaveProperty('tls_client_certificate_bound_access_tokens', true);
    // A function that fails lets nobody through, and is no refusal: it is told to whoever runs the API.
    const failing = create({
      clientCertificate: () => {
        throw new RangeError('broken');
      },
    });
    await expect(failing.authenticate(call(token, undefined, 'Bearer'))).rejects.toThrow(
      RangeError,
    );
  });

  test('a token that is bound to both takes both', async () => {
    const token = await bound({ jkt, 'x5t#S256': thumbprint });
    const [with_, without] = [mine.cert, undefined].map((cert) =>
      create({ clientCertificate: () => cert }),
    );
    const { binding } = await (with_ as ResourceServer).authenticate(
      call(token, await prove(token)),
    );
    expect(binding).toBe('dpop');
    expect(
      (await refusalOf(without as ResourceServer, call(token, await prove(token)))).status,
    ).toBe(401);
    expect(
      (await refusalOf(with_ as ResourceServer, call(token, undefined, 'Bearer'))).status,
    ).toBe(401);
  });
});
