import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jwtVerify } from 'jose';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { Outbound } from '../../src/outbound/outbound.service.ts';
import { RemoteKeys } from '../../src/outbound/remote-keys.service.ts';
import { type ClientKey, jwksOf, newKey, sign } from '../support/proofs.ts';

/** When the keys at an address are asked for, by a clock of the test's own. */

let server: Server;
let uri: string;
let asked: number;
let answer: { status: number; keys: ClientKey[] };
let clock: number;
let keys: RemoteKeys;
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
  keys = new RemoteKeys(outbound, () => clock);
});

const verify = async (key = first as ClientKey) =>
  jwtVerify(await sign(key, { sub: 'x' }), keys.keysAt(uri)).then(
    () => 'verified',
    (error: { code: string }) => error.code,
  );

test('they are kept for five minutes, and asked for by one question at a time', async () => {
  expect(await Promise.all(Array.from({ length: 20 }, () => verify()))).toEqual(
    Array.from({ length: 20 }, () => 'verified'),
  );
  clock = 300_000;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(1);
  clock += 1;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(2);
});

test('a key that is new is found at once, but nobody makes us ask more than twice a minute', async () => {
  expect(await verify()).toBe('verified');
  answer.keys = [first as ClientKey, second as ClientKey];
  clock = 29_999;
  expect(await verify(second)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(asked).toBe(1);
  clock = 30_000;
  expect(await verify(second)).toBe('verified');
  expect(asked).toBe(2);
  clock = 60_000;
  const stranger = await newKey('EdDSA');
  for (let tries = 0; tries < 5; tries++)
    expect(await verify(stranger)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  expect(asked).toBe(3);
});

test('a key that is gone verifies nothing once that is known', async () => {
  expect(await verify()).toBe('verified');
  answer.keys = [second as ClientKey];
  clock = 300_001;
  expect(await verify()).toBe('ERR_JWKS_NO_MATCHING_KEY');
});

test('while there is no answer, the last one counts for an hour; a failure is remembered for half a minute', async () => {
  expect(await verify()).toBe('verified');
  answer.status = 503;
  clock = 300_001;
  for (let tries = 0; tries < 5; tries++) expect(await verify()).toBe('verified');
  expect(asked).toBe(2);
  clock = 3_600_000;
  expect(await verify()).toBe('verified');
  clock += 1;
  expect(await verify()).toBe('keys_unavailable');
  expect(asked).toBe(3);
  clock += 30_000;
  answer.status = 200;
  expect(await verify()).toBe('verified');
  expect(asked).toBe(4);
});
