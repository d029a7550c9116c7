import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { certificateHeader, certificateToken, dpopToken } from '../support/bound-tokens.ts';
import { selfSigned } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  allow,
  exchangeForm,
  exchangeGrant,
  exchangeToken,
  introspect,
  personTokens,
} from '../support/exchange.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { type ClientKey, newKey, proof, send } from '../support/proofs.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** Tokens that are bound to a key are exchanged by who proves it; and the names of people stay within their sector. */

const orders = 'https://orders.example.com';
const stock = 'https://stock.example.com';
const ledger = 'https://ledger.example.com';
const apis = [orders, stock, ledger].map((identifier) => ({ identifier, scopes: ['read'] }));

let database: TestDatabase;
let seed: Seed;
let server: TestServer;
let key: ClientKey;
let other: ClientKey;
let robot: Credentials;
let service: Credentials;
const api = new Map<string, Credentials>();

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  api.set(orders, await seed.api(orders));
  api.set(stock, await seed.api(stock));
  api.set(ledger, await seed.api(ledger, 'jwt'));
  robot = await seed.client({ type: 'machine', apis });
  service = await exchanger();
  [key, other] = [await newKey(), await newKey()];
  server = await startServer(database, certificateHeader);
});

afterAll(async () => {
  await server.close();
  await database.drop();
});

async function exchanger(more: Parameters<Seed['client']>[0] = {}): Promise<Credentials> {
  const client = await seed.client({ type: 'machine', apis, ...exchangeGrant, ...more });
  for (const target of [stock, ledger])
    await allow(database, { clientId: client.clientId, source: orders, target, scopes: ['read'] });
  return client;
}

const wanted = { resource: orders, scope: 'read' };

async function take(
  client: Credentials,
  token: string,
  {
    target = stock,
    by,
    headers = {},
  }: { target?: string; by?: ClientKey; headers?: Record<string, string> } = {},
) {
  const dpop = by === undefined ? {} : { dpop: await proof(by, { htu: `${server.issuer}/token` }) };
  return send(
    server.issuer,
    '/token',
    {
      ...exchangeForm(token, target),
      client_id: client.clientId,
      client_secret: client.clientSecret as string,
    },
    { ...dpop, ...headers },
  );
}

const rows = async () =>
  (await database.db.kysely.selectFrom('tokens').select('kind').execute()).length;

async function refused(answer: () => ReturnType<typeof take>, error = 'invalid_request') {
  const before = await rows();
  const { status, body } = await answer();
  expect({ status, error: body.error }).toEqual({ status: 400, error });
  expect(await rows()).toBe(before);
}

describe('DPoP', () => {
  test('a bound token is not exchanged without the proof of its key, nor with that of another', async () => {
    const subject = await dpopToken(server.issuer, robot, wanted, key);
    await refused(() => take(service, subject));
    await refused(() => take(service, subject, { by: other }));
  });

  test.each([
    ['opaque', stock],
    ['JWT', ledger],
  ])('with its proof the new one (%s) is bound to the same key', async (_format, target) => {
    const subject = await dpopToken(server.issuer, robot, wanted, key);
    const { status, body } = await take(service, subject, { target, by: key });
    expect({ status, type: body.token_type }).toEqual({ status: 200, type: 'DPoP' });
    const was = await introspect(server.issuer, api.get(orders) as Credentials, subject);
    const is = await introspect(server.issuer, api.get(target) as Credentials, body.access_token);
    expect(is.cnf).toEqual(was.cnf);
  });

  test('a proof is used up once, and not by an exchange that is refused otherwise', async () => {
    const subject = await dpopToken(server.issuer, robot, wanted, key);
    const headers = { dpop: await proof(key, { htu: `${server.issuer}/token` }) };
    await refused(() => take(service, 'nothing', { headers }));
    expect((await take(service, subject, { headers })).status).toBe(200);
    await refused(() => take(service, subject, { headers }), 'invalid_dpop_proof');
  });

  test('a client whose tokens are bound gets no others', async () => {
    const bound = await exchanger({ bound: 'dpop' });
    const app = await seed.client({ apis });
    const { accessToken } = await personTokens(server.issuer, seed, app, { api: orders });
    await refused(() => take(bound, accessToken), 'invalid_grant');
    const { body } = await take(bound, accessToken, { by: other });
    expect(body.token_type).toBe('DPoP');
  });
});

test('a token that is bound to a certificate is exchanged by who shows it, into one that is bound to it', async () => {
  const [certificate, stranger] = [selfSigned(), selfSigned()];
  const bound = await seed.client({ type: 'machine', apis, bound: 'mtls' });
  const subject = await certificateToken(server.issuer, bound, wanted, certificate.cert);
  const showing = (cert: string) => ({ 'x-client-certificate': encodeURIComponent(cert) });
  await refused(() => take(service, subject));
  await refused(() => take(service, subject, { headers: showing(stranger.cert) }));
  const { status, body } = await take(service, subject, { headers: showing(certificate.cert) });
  expect(status).toBe(200);
  const was = await introspect(server.issuer, api.get(orders) as Credentials, subject);
  const is = await introspect(server.issuer, api.get(stock) as Credentials, body.access_token);
  expect(is.cnf).toEqual(was.cnf);
});

test('who exchanges learns no other name of a person than the first client has', async () => {
  const app = await seed.client({ apis, subjectType: 'pairwise' });
  const { accountId, accessToken } = await personTokens(server.issuer, seed, app, { api: orders });
  const { sub } = await introspect(server.issuer, api.get(orders) as Credentials, accessToken);
  expect(sub).not.toBe(accountId);
  for (const target of [stock, ledger]) {
    const { body } = await exchangeToken(server.issuer, service, accessToken, target);
    const told = await introspect(server.issuer, api.get(target) as Credentials, body.access_token);
    expect(told).toMatchObject({ active: true, sub });
    if (target === ledger) expect(decodeJwt(body.access_token).sub).toBe(sub);
  }
});
