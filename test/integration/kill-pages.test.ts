import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ask, redeem } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';
import {
  type Door,
  type KillAt,
  openDoor,
  type ServerProcess,
  startServerProcess,
} from '../support/server-process.ts';

/**
 * The process is killed before and after each wait of each request that the pages make, and another one takes its
 * place. Nothing is half there, and whoever reloads or begins again comes through.
 */

let database: TestDatabase;
/** Makes the rows; the requests go to the process that is killed. */
let home: TestServer;
let client: ClientCredentials;
let door: Door;
let issuer: string;
let survivor: ServerProcess;
let victim: ServerProcess | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  home = await startServer(database);
  client = await home.createClient();
  door = await openDoor();
  issuer = `http://localhost:${door.port}`;
  survivor = await startServerProcess(database, issuer);
});

afterEach(() => victim?.stop());

afterAll(async () => {
  await survivor.stop();
  await door.close();
  await home.close();
  await database.drop();
});

interface Given {
  readonly account: TestAccount;
  readonly browser: Browser;
  /** The page from which the request is made. */
  readonly page: Page;
}

interface Flow {
  readonly name: string;
  /** What a right password gets back of its limits is written at the same time as the commit. */
  readonly overlaps?: true;
  prepare(account: TestAccount, browser: Browser): Promise<Page>;
  run(given: Given): Promise<Page>;
  /** What must be there exactly if the commit was acknowledged, and not at all otherwise. */
  done(account: TestAccount): Promise<boolean>;
}

const begin = (browser: Browser) =>
  browser.get(ask({ ...home, issuer }, client, { scope: 'openid email' }).url);
const credentials = ({ email, password }: TestAccount) => ({ email, password });
const enter = async (account: TestAccount, browser: Browser) =>
  browser.submitOnce(await begin(browser), credentials(account));
const follow = (browser: Browser, page: Page) =>
  browser.once(new URL(page.headers.get('location') as string, page.url).href);

const count = async (table: 'sessions' | 'consents' | 'grants', account: TestAccount) =>
  (
    await database.db.kysely
      .selectFrom(table)
      .select('account_id')
      .where('account_id', '=', account.id)
      .execute()
  ).length;
const liveSessions = async (account: TestAccount) =>
  (
    await database.db.kysely
      .selectFrom('sessions')
      .select('uid')
      .where('account_id', '=', account.id)
      .where('ended_at', 'is', null)
      .execute()
  ).length;
const codes = async (account: TestAccount) =>
  (
    await database.db.kysely
      .selectFrom('tokens')
      .select('kind')
      .where('account_id', '=', account.id)
      .execute()
  ).length;
const results = async (account: TestAccount) =>
  (await database.db.kysely.selectFrom('interactions').select('payload').execute()).filter((row) =>
    JSON.stringify(row.payload).includes(`"accountId":"${account.id}"`),
  ).length;

const flows: Flow[] = [
  {
    name: 'the post of a right password',
    overlaps: true,
    prepare: (_account, browser) => begin(browser),
    run: ({ account, browser, page }) => browser.submitOnce(page, credentials(account)),
    done: async (account) => (await results(account)) > 0,
  },
  {
    name: 'the way back after the sign-in',
    prepare: enter,
    run: ({ browser, page }) => follow(browser, page),
    done: async (account) => (await count('sessions', account)) > 0,
  },
  {
    name: 'the post of a consent',
    prepare: async (account, browser) => browser.submit(await begin(browser), credentials(account)),
    run: ({ browser, page }) => browser.submitOnce(page, {}, 'allow'),
    done: async (account) => (await count('consents', account)) > 0,
  },
  {
    name: 'the way back after the consent',
    async prepare(account, browser) {
      const consent = await browser.submit(await begin(browser), credentials(account));
      return browser.submitOnce(consent, {}, 'allow');
    },
    run: ({ browser, page }) => follow(browser, page),
    async done(account) {
      const [families, tokens] = [await count('grants', account), await codes(account)];
      // Half a grant would be one without the other.
      expect(tokens).toBe(families);
      return families > 0;
    },
  },
  {
    name: 'the post of a sign-out',
    async prepare(account, browser) {
      await browser.submit(
        await browser.submit(await begin(browser), credentials(account)),
        {},
        'allow',
      );
      return browser.get(`${issuer}/logout`);
    },
    run: ({ browser, page }) => browser.submitOnce(page, {}, 'yes'),
    done: async (account) => (await liveSessions(account)) === 0,
  },
];

async function startVictim(): Promise<ServerProcess> {
  victim = await startServerProcess(database, issuer);
  await door.leadTo(victim);
  // Caches are warm, so that the statements are those of the flow.
  await begin(new Browser());
  return victim;
}

async function prepare(flow: Flow): Promise<Given> {
  const account = await home.createAccount();
  const browser = new Browser();
  return { account, browser, page: await flow.prepare(account, browser) };
}

async function countStatements(flow: Flow): Promise<number> {
  const running = await startVictim();
  const given = await prepare(flow);
  await running.arm();
  await flow.run(given);
  const statements = await running.statements();
  expect(await flow.done(given.account)).toBe(true);
  await running.stop();
  return statements;
}

async function runKilled(flow: Flow, kill: KillAt): Promise<boolean> {
  const running = await startVictim();
  const given = await prepare(flow);
  await running.arm(kill);
  await expect(flow.run(given)).rejects.toThrow();
  await running.ended;
  const done = await flow.done(given.account);

  await door.leadTo(survivor);
  const request = ask({ ...home, issuer }, client, { scope: 'openid email' });
  let page = await given.browser.get(request.url);
  if (page.html.includes('name="password"'))
    page = await given.browser.submit(page, credentials(given.account));
  if (!page.external) page = await given.browser.submit(page, {}, 'allow');
  expect((await redeem({ ...home, issuer }, client, request, page)).status).toBe(200);
  return done;
}

test.each(flows.map((flow) => [flow.name, flow] as const))(
  'killed at each wait of %s, nothing is half there',
  async (_, flow) => {
    const { overlaps } = flow;
    const statements = await countStatements(flow);
    expect(statements).toBeGreaterThan(1);
    const done: boolean[] = [];
    for (let at = 1; at <= statements; at++) {
      for (const when of ['before', 'after'] as const)
        done.push(await runKilled(flow, { at, when }));
    }
    // There is one moment from which on it is done, and none after which it is not; but where statements are under way
    // together, which of them is the last differs from run to run.
    expect(done[0]).toBe(false);
    const inOrder = done.toSorted((a, b) => Number(a) - Number(b));
    if (overlaps !== true) expect(done).toEqual(inOrder);
    expect(done.at(-1)).toBe(true);
  },
  180_000,
);
