import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { form, send } from '../support/wire.ts';

/** SECURITY 9: what the engine fetches by itself goes through the same guard: the keys of a client, by its `jwks_uri`. */

const issuer = 'http://localhost:3000';
const inside = '127.0.0.1';
const api = 'https://api.example.com';
let database: TestDatabase;
let strict: ServerProcess;
let opened: ServerProcess;
let fixture: Server;
let port: number;
let requests: string[] = [];
let answer: (response: ServerResponse) => void;
let privateKey: CryptoKey;
let keys: string;

beforeAll(async () => {
  const pair = await generateKeyPair('ES256');
  privateKey = pair.privateKey;
  keys = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), alg: 'ES256' }] });
  fixture = createServer((request, response) => {
    requests.push(request.url as string);
    if (request.url === '/keys') response.end(keys);
    else answer(response);
  });
  fixture.listen(0, inside);
  await once(fixture, 'listening');
  port = (fixture.address() as AddressInfo).port;
  database = await createTestDatabase();
  await new Seed(database.db).api(api);
  const env = { LOG_LEVEL: 'silent' };
  [strict, opened] = await Promise.all([
    startServerProcess(database, issuer, env),
    startServerProcess(database, issuer, { ...env, OUTBOUND_ALLOW: inside }),
  ]);
});

beforeEach(() => {
  requests = [];
});

afterAll(async () => {
  await Promise.all([strict.stop(), opened.stop()]);
  fixture.closeAllConnections();
  fixture.close();
  await database.drop();
});

/** A machine whose keys are at this address, as a row of the table says; what a token request of its own is answered with. */
async function tokenBy(server: ServerProcess, jwksUri: string) {
  const { clientId } = await new Seed(database.db).client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
  });
  const metadata = { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: jwksUri };
  await sql`update clients set metadata = metadata || ${JSON.stringify(metadata)}::jsonb where id = ${clientId}`.execute(
    database.db.kysely,
  );
  const assertion = await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(issuer)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(privateKey);
  return send(server.url, '/token', {
    method: 'POST',
    body: form({
      grant_type: 'client_credentials',
      resource: api,
      scope: 'read',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion,
    }),
  });
}

test('inside hosts that the operator has listed are asked', async () => {
  expect((await tokenBy(opened, `http://${inside}:${port}/keys`)).status).toBe(200);
  expect(requests).toEqual(['/keys']);
});

describe('without being listed', () => {
  test.each(['http', 'https'])('none is, over %s', async (scheme) => {
    for (const host of [inside, 'localhost', '[::1]']) {
      const { status, json } = await tokenBy(strict, `${scheme}://${host}:${port}/keys`);
      expect([status, json.access_token]).toEqual([expect.any(Number), undefined]);
      expect(status).toBeGreaterThanOrEqual(400);
    }
    expect(requests).toEqual([]);
  });
});

describe('an answer', () => {
  test('that leads elsewhere is not followed', async () => {
    answer = (response) =>
      response.writeHead(302, { location: `http://${inside}:${port}/keys` }).end(keys);
    expect((await tokenBy(opened, `http://${inside}:${port}/elsewhere`)).json).not.toHaveProperty(
      'access_token',
    );
    expect(requests).toEqual(['/elsewhere']);
  });

  test('that is too long is not read to its end', async () => {
    const padded = (length: number) => keys.replace('{', `{"x":"${'a'.repeat(length)}",`);
    answer = (response) => response.end(padded(129 * 1024));
    expect((await tokenBy(opened, `http://${inside}:${port}/long`)).json).not.toHaveProperty(
      'access_token',
    );
    answer = (response) => response.end(padded(120 * 1024));
    expect((await tokenBy(opened, `http://${inside}:${port}/shorter`)).status).toBe(200);
  });
});
