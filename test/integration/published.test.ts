import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KeyService } from '../../src/keys/keys.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, payment } from '../support/detail-types.ts';
import { type Pair, startPair } from '../support/fast-path.ts';
import { until } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';

/** 38: discovery and JWKS are recorded and answered before Koa, byte for byte as the engine answers them. */

let database: TestDatabase;
const lines: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const get = (pair: Pair, path: string, headers: string[] = [], method = 'GET') =>
  pair.ask({ method, path, headers });

test.each([
  ['http://localhost:3000', ''],
  ['https://id.example.com/auth', '/auth'],
])('38: %s: the recorded response is that of the engine', async (issuer, prefix) => {
  const pair = await startPair(database, issuer, { write: (line) => lines.push(line) });
  try {
    const documents = [
      `${prefix}/jwks`,
      `${prefix}/.well-known/openid-configuration`,
      `${prefix}/.well-known/oauth-authorization-server`,
      `/.well-known/oauth-authorization-server${prefix}`,
    ];
    for (const path of new Set(documents)) {
      const [first, engine] = await get(pair, path);
      expect([path, first]).toEqual([path, engine]);
      lines.length = 0;
      const [second] = await get(pair, path);
      expect({ ...second, byFastPath: false }).toEqual(engine);
      expect([path, second.status, second.byFastPath]).toEqual([path, 200, true]);
      const [one, other] = lines.map((line) => {
        const { requestId, ms, time, ...rest } = JSON.parse(line) as Record<string, unknown>;
        expect([typeof requestId, typeof ms, typeof time]).toEqual(['string', 'number', 'string']);
        return rest;
      });
      expect(one).toEqual(other);
      // Whatever else is asked takes the usual path.
      for (const [how, headers, method] of [
        [path, ['Origin', 'https://app.example.com'], 'GET'],
        [path, [], 'HEAD'],
        [`${path}?a=b`, [], 'GET'],
        [`${path}/`, [], 'GET'],
      ] as const) {
        const [asked, usual] = await get(pair, how, [...headers], method);
        expect([how, method, asked]).toEqual([
          how,
          method,
          { ...usual, byFastPath: asked.byFastPath },
        ]);
        expect(asked.byFastPath).toBe(false);
      }
    }
  } finally {
    await pair.close();
  }
});

test('38: a change of keys or APIs is in the next documents', async () => {
  const pair = await startPair(database, 'http://localhost:3000');
  try {
    const body = async (path: string) => (await get(pair, path)).map((answer) => answer.body);
    const [jwks] = await body('/jwks');
    const discovery = '/.well-known/openid-configuration';
    await body(discovery);
    const api = 'https://bank.example.com';
    await new Seed(database.db).api(api);
    await addDetailType(database.db, api, payment);
    await new KeyService(database.db, new Sealer([testMasterKey])).rotate('test', ['ES256']);
    await until(async () => (await body('/jwks'))[0] !== jwks);
    await until(async () => (await body(discovery))[0]?.includes(payment.type) === true);
    await until(async () => {
      const answers = [await body('/jwks'), await body(discovery)];
      return answers.every(([fastPath, engine]) => fastPath === engine);
    });
    expect((await get(pair, '/jwks'))[0].byFastPath).toBe(true);
  } finally {
    await pair.close();
  }
});
