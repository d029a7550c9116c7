import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  AuthorizationError,
  createResourceServer,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { calculateJwkThumbprint } from 'jose';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { newKey, now, sign } from '../support/proofs.ts';

/** What callers send who know how the export is made. */

const audience = 'https://api.example.com';

let issuer: FakeIssuer;
const created: ResourceServer[] = [];

beforeAll(async () => {
  issuer = await FakeIssuer.start();
});

afterEach(() => {
  for (const api of created.splice(0)) api.close();
});

afterAll(() => issuer.down());

function create(options: Partial<ResourceServerOptions> = {}): ResourceServer {
  const api = createResourceServer({
    issuer: issuer.issuer,
    audience,
    revocationFeed: false,
    ...options,
  });
  created.push(api);
  return api;
}

describe('the scheme of a token', () => {
  test.each(['constructor', '__proto__', 'Constructor', '__PROTO__', 'Basic', 'MAC'])(
    '%s is none that carries one: a challenge as for no token at all',
    async (scheme) => {
      const authorization = `${scheme} ${await issuer.token(audience)}`;
      const error = await create()
        .authenticate(new Request(audience, { headers: { authorization } }))
        .catch((error: unknown) => error);
      expect(error).toBeInstanceOf(AuthorizationError);
      const { code, challenges } = error as AuthorizationError;
      expect({ code, challenges }).toEqual({ code: 'missing_token', challenges: ['Bearer'] });
    },
  );
});

test.each<[unknown]>([
  [{}],
  [null],
  [[]],
  ['x'],
  [{ kid: 'x' }],
  [{ jku: 'https://evil.example' }],
])('a token that is bound to what nobody can prove (cnf %j) is none for everybody', async (cnf) => {
  const token = await issuer.token(audience, { cnf });
  for (const scheme of ['Bearer', 'DPoP']) {
    const request = new Request(audience, { headers: { authorization: `${scheme} ${token}` } });
    const error = await create()
      .authenticate(request)
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'invalid_token' });
  }
});

test('DPoP: a request for no address (OPTIONS *) has no proof that fits, least of all one that names none', async () => {
  const api = create({ publicUrl: 'https://api.example.com:8443' });
  const server = createServer((request, response) => {
    api.authenticate(request).then(
      () => response.end('in'),
      (error: unknown) => response.end(error instanceof AuthorizationError ? error.code : 'broken'),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const key = await newKey();
  const token = await issuer.token(audience, {
    cnf: { jkt: await calculateJwkThumbprint(key.publicJwk) },
  });
  const ath = createHash('sha256').update(token).digest('base64url');
  const ask = async (path: string, htu: unknown) => {
    const dpop = await sign(
      key,
      { htm: 'OPTIONS', htu, ath, jti: randomUUID(), iat: now() },
      { typ: 'dpop+jwt', jwk: key.publicJwk },
    );
    const asked = send({
      port: (server.address() as AddressInfo).port,
      method: 'OPTIONS',
      path,
      headers: { authorization: `DPoP ${token}`, dpop },
    }).end();
    const [response] = await once(asked, 'response');
    return Buffer.concat(await response.toArray()).toString();
  };
  try {
    expect(await ask('/', 'https://api.example.com:8443/')).toBe('in');
    for (const htu of [undefined, 'nowhere', '*', 'https://api.example.com:8443*'])
      expect([htu, await ask('*', htu)]).toEqual([htu, 'invalid_dpop_proof']);
  } finally {
    server.close();
  }
});
