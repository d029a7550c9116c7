import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Authorization,
  type Credentials,
  exchange,
  isActive,
  post,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type KillAt, type ServerProcess, startServerProcess } from '../support/server-process.ts';

/**
 * The process is killed before and after each wait on the database of each flow; a second process lives on. Nothing is
 * ever half there, and the client goes on by repeating what it did.
 */

let database: TestDatabase;
let seed: Seed;
let survivor: ServerProcess;
let client: Credentials;
let machine: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  survivor = await startServerProcess(database, 'http://localhost:3000');
  await seed.api('https://api.example.com');
  client = await seed.client();
  machine = await seed.client({
    type: 'machine',
    apis: [{ identifier: 'https://api.example.com', scopes: ['read'] }],
  });
});

afterAll(async () => {
  await survivor.stop();
  await database.drop();
});

async function person(): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  return { accountId, browser: await seed.signIn(accountId) };
}

const tokensOf = async (accountId: string) => {
  const rows = await database.db.kysely
    .selectFrom('tokens')
    .select(['kind', 'consumed_at'])
    .where('account_id', '=', accountId)
    .execute();
  return rows.map((row) => `${row.kind}${row.consumed_at === null ? '' : ' used'}`).sort();
};

interface Flow<Given> {
  readonly name: string;
  prepare(): Promise<Given>;
  /** The request in which the process is killed. */
  run(server: string, given: Given): Promise<unknown>;
  /** Whatever was done, it was done whole, and the client can go on. `committed`: the commit was acknowledged to the process. */
  check(given: Given, committed: boolean): Promise<void>;
}

const flows: Flow<never>[] = [
  {
    name: 'code exchange',
    async prepare() {
      const { accountId, browser } = await person();
      return { accountId, authorization: await browser.authorize(survivor.url, client) };
    },
    run: (server, { authorization }) => exchange(server, client, authorization),
    async check({ accountId, authorization }, committed) {
      expect(await tokensOf(accountId)).toEqual(
        committed ? ['access', 'code used', 'refresh'] : ['code'],
      );
      expect((await exchange(survivor.url, client, authorization)).status).toBe(
        committed ? 400 : 200,
      );
    },
  } satisfies Flow<{ accountId: string; authorization: Authorization }> as unknown as Flow<never>,
  {
    name: 'refresh',
    async prepare() {
      const { accountId, browser } = await person();
      const { body } = await exchange(
        survivor.url,
        client,
        await browser.authorize(survivor.url, client),
      );
      return { accountId, token: body.refresh_token };
    },
    run: (server, { token }) => refresh(server, client, token),
    async check({ accountId, token }, committed) {
      expect(await tokensOf(accountId)).toEqual(
        committed
          ? ['access', 'access', 'code used', 'refresh', 'refresh used']
          : ['access', 'code used', 'refresh'],
      );
      const again = await refresh(survivor.url, client, token);
      expect(again.status).toBe(200);
      expect((await tokensOf(accountId)).filter((kind) => kind === 'refresh')).toHaveLength(1);
      expect((await refresh(survivor.url, client, again.body.refresh_token)).status).toBe(200);
    },
  } satisfies Flow<{ accountId: string; token: string }> as unknown as Flow<never>,
  {
    name: 'single sign-on',
    prepare: person,
    run: (server, { browser }) => browser.tab().ask(server, client),
    async check({ accountId, browser }, committed) {
      const families = await database.db.kysely
        .selectFrom('grants')
        .select('id')
        .where('account_id', '=', accountId)
        .execute();
      expect(families).toHaveLength(committed ? 1 : 0);
      expect(await tokensOf(accountId)).toEqual(committed ? ['code'] : []);
      const { body } = await exchange(
        survivor.url,
        client,
        await browser.authorize(survivor.url, client),
      );
      expect(await isActive(survivor.url, client, body.access_token)).toBe(true);
    },
  } satisfies Flow<{ accountId: string; browser: SignedInBrowser }> as unknown as Flow<never>,
  {
    name: 'client credentials',
    prepare: () =>
      database.db.kysely
        .selectFrom('tokens')
        .select('id_hash')
        .where('kind', '=', 'machine')
        .execute()
        .then((rows) => rows.length),
    run: (server) =>
      post(server, '/token', machine, {
        grant_type: 'client_credentials',
        resource: 'https://api.example.com',
        scope: 'read',
      }),
    async check(before, committed) {
      const rows = await database.db.kysely
        .selectFrom('tokens')
        .select('id_hash')
        .where('kind', '=', 'machine')
        .execute();
      expect(rows).toHaveLength(before + (committed ? 1 : 0));
    },
  } satisfies Flow<number> as unknown as Flow<never>,
  {
    name: 'revocation',
    async prepare() {
      const { browser } = await person();
      const { body } = await exchange(
        survivor.url,
        client,
        await browser.authorize(survivor.url, client),
      );
      return { access: body.access_token, token: body.refresh_token };
    },
    run: (server, { token }) => revoke(server, client, token),
    async check({ access, token }, committed) {
      expect(await isActive(survivor.url, client, access)).toBe(!committed);
      expect((await revoke(survivor.url, client, token)).status).toBe(200);
      expect(await isActive(survivor.url, client, access)).toBe(false);
    },
  } satisfies Flow<{ access: string; token: string }> as unknown as Flow<never>,
];

/** Caches are warm in every process that is measured or killed, so that the waits are those of the flow. */
async function warm(server: ServerProcess): Promise<void> {
  const { browser } = await person();
  await exchange(server.url, client, await browser.authorize(server.url, client));
  await post(server.url, '/token', machine, {
    grant_type: 'client_credentials',
    resource: 'https://api.example.com',
    scope: 'read',
  });
}

async function countStatements(flow: Flow<never>): Promise<number> {
  const server = await startServerProcess(database, 'http://localhost:3000');
  try {
    await warm(server);
    const given = await flow.prepare();
    await server.arm();
    await flow.run(server.url, given);
    return await server.statements();
  } finally {
    await server.stop();
  }
}

async function runKilled(flow: Flow<never>, kill: KillAt, last: number): Promise<void> {
  const server = await startServerProcess(database, 'http://localhost:3000');
  await warm(server);
  const given = await flow.prepare();
  await server.arm(kill);
  await expect(flow.run(server.url, given)).rejects.toThrow();
  await server.ended;
  await flow.check(given, kill.at === last && kill.when === 'after');
}

describe.each(flows.map((flow) => [flow.name, flow] as const))(
  'killed in the middle of a %s',
  (_, flow) => {
    test('before and after each wait, nothing is half there', async () => {
      const statements = await countStatements(flow);
      expect(statements).toBeGreaterThan(0);
      for (let at = 1; at <= statements; at++) {
        await runKilled(flow, { at, when: 'before' }, statements);
        await runKilled(flow, { at, when: 'after' }, statements);
      }
    }, 120_000);
  },
);
