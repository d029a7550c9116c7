import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwtVerify } from 'jose';
import type { TrustedIssuer } from '../../src/issuer/issuer.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { Outbound } from '../../src/outbound/outbound.service.ts';
import { ClientKeySets } from '../../src/oidc/client-authentication/key-sets.ts';
import { keysOf } from '../../src/oidc/grants/issuer-keys.ts';
import { type ClientKey, jwksOf, newKey, sign } from '../support/proofs.ts';

/** When the keys at an address are asked for, by a clock of the test's own. */

let server: Server;
let uri: string;
let asked: number;
let answer: { status: number; keys: ClientKey[] };
let clock: number;
let keys: ClientKeySets;
let [first, second]: ClientKey[] = [];

beforeAll(async () => {
  [first, second] = [await newKey(), await newKey('RS256')];
  server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(answer.status).end(JSON.stringify(jwksOf(...answer.keys)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
});
afterAll(() => void server.close());

beforeEach(() => {
  [asked, clock] = [0, 0];
  answer = { status: 200, keys: [first as ClientKey] };
  const outbound = new Outbound({ allow: new OutboundAllow(['127.0.0.1']) });
  keys = new ClientKeySets(outbound, () => clock);
});

const issuer = (): TrustedIssuer => ({
  id: 'iss',
  issuer: 'https://ci.example.com',
  jwks: undefined,
  jwksUri: uri,
  algs: ['ES256', 'RS256'],
  maxLife: 600,
  reusable: false,
  subjects: [],
});

const verify = async (key = first as ClientKey) =>
  jwtVerify(await sign(key, { sub: 'x' }), keysOf(issuer(), keys)).then(
    () => 'verified',
    (error: { code: string }) => error.code,
  );

test('they are kept for five minutes, and asked for by one question at a time', async () => {
  expect(await Promise.all(Array.from({ length: 20 }, () => verify()))).toEqual(
    Array.from({ length: 20 }, () => 'verified'),
  );
  clock = 299_999;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(1);
  clock += 1;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(2);
});

test('a key that is new is found at once, but nobody makes us ask more than three times a minute', async () => {
  expect(await verify()).toBe('verified');
  answer.keys = [first as ClientKey, second as ClientKey];
  expect(await verify(second)).toBe('verified');
  expect(asked).toBe(2);
  const stranger = await newKey('EdDSA');
  for (let tries = 0; tries < 10; tries++)
    expect(await verify(stranger)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(asked).toBe(3);
});

test('a key that is gone verifies nothing once that is known', async () => {
  expect(await verify()).toBe('verified');
  answer.keys = [second as ClientKey];
  clock = 300_000;
  expect(await verify()).toBe('ERR_JWKS_NO_MATCHING_KEY');
});

test('while there is no answer, the last one counts for an hour, and the host is let alone', async () => {
  expect(await verify()).toBe('verified');
  answer.status = 503;
  clock = 300_000;
  for (let tries = 0; tries < 5; tries++) expect(await verify()).toBe('verified');
  expect(asked).toBe(2);
  clock = 3_599_999;
  expect(await verify()).toBe('verified');
  clock += 1;
  expect(await verify()).toBe('keys_unavailable');
  expect(asked).toBe(3);
  clock += 30_000;
  answer.status = 200;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(4);
});
