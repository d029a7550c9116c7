import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Letter } from '../../src/email/email.ts';
import { createReplayMailHandler } from '../../src/email/email.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Replays are told to the account's owner: once, with the family that they end. */

const issuer = 'http://localhost:3000';

let database: TestDatabase;
let seed: Seed;
let servers: ServerProcess[];
let one: string;
let two: string;
let client: Credentials;
let other: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  // Where nobody sends them, the rows of mails stay to be seen.
  const env = { SMTP_URL: '', HOST: '127.0.0.1' };
  servers = await Promise.all([1, 2].map(() => startServerProcess(database, issuer, env)));
  [one, two] = servers.map((server) => server.url) as [string, string];
  client = await seed.client({ name: 'Quillet' });
  other = await seed.client({ name: 'Other' });
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

async function person(): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  for (const each of [client, other]) await seed.consent(accountId, each.clientId);
  return { accountId, browser: await seed.signIn(accountId) };
}

/** Makes every use so old that its grace is over. */
const age = () =>
  sql`update tokens set consumed_at = consumed_at - interval '121 seconds' where consumed_at is not null`.execute(
    database.db.kysely,
  );

async function mailsTo(accountId: string) {
  const rows = await database.db.kysely
    .selectFrom('outbox')
    .select(['id', 'about', 'payload_sealed'])
    .where('kind', '=', 'replay_mail')
    .where(sql<boolean>`about->>'accountId' = ${accountId}`)
    .orderBy('created_at')
    .execute();
  return rows.map(({ about }) => about as Record<string, string>);
}

const killsOf = (accountId: string) =>
  database.db.kysely
    .selectFrom('grants')
    .select('revoked_reason')
    .where('account_id', '=', accountId)
    .where('revoked_at', 'is not', null)
    .execute();

/** A refresh token that was used, and whose grace is over. */
async function used(browser: SignedInBrowser, of = client): Promise<string> {
  const { refresh_token: token } = (await exchange(one, of, await browser.authorize(one, of))).body;
  expect((await refresh(one, of, token)).status).toBe(200);
  await age();
  return token;
}

const either = (index: number) => (index % 2 === 0 ? one : two);

describe('a mail', () => {
  test('goes with the family that a replayed refresh token ends, in the same commit', async () => {
    const { accountId, browser } = await person();
    const token = await used(browser);
    expect(await mailsTo(accountId)).toEqual([]);
    expect((await refresh(two, client, token)).body.error).toBe('invalid_grant');
    expect(await killsOf(accountId)).toEqual([{ revoked_reason: 'refresh_token_replayed' }]);
    const mails = await mailsTo(accountId);
    expect(mails).toEqual([
      {
        accountId,
        clientId: client.clientId,
        reason: 'refresh_token_replayed',
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
    ]);
    expect(JSON.stringify(mails)).not.toContain(token);
    const audit = await database.db.kysely
      .selectFrom('audit_events')
      .select(['client_id', 'reason'])
      .where('account_id', '=', accountId)
      .where('type', '=', 'family.revoked')
      .execute();
    expect(audit).toEqual([{ client_id: client.clientId, reason: 'refresh_token_replayed' }]);
  });

  test('goes with that of a replayed code, early with a wrong verifier as well as late', async () => {
    for (const isLate of [true, false]) {
      const { accountId, browser } = await person();
      const code = await browser.authorize(one, client);
      expect((await exchange(one, client, code)).status).toBe(200);
      if (isLate) await age();
      await exchange(two, client, code, isLate ? {} : { code_verifier: 'x'.repeat(43) });
      expect(await killsOf(accountId)).toEqual([{ revoked_reason: 'code_replayed' }]);
      expect(await mailsTo(accountId)).toMatchObject([{ reason: 'code_replayed' }]);
    }
  });

  test('is one, however many replays race on two processes', async () => {
    const { accountId, browser } = await person();
    const token = await used(browser);
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) => refresh(either(index), client, token)),
    );
    expect(answers.every(({ body }) => body.error === 'invalid_grant')).toBe(true);
    expect(await killsOf(accountId)).toHaveLength(1);
    expect(await mailsTo(accountId)).toHaveLength(1);
  });

  test('is one an hour for each app, however many families of it die', async () => {
    const { accountId, browser } = await person();
    const phone = await seed.signIn(accountId);
    const tokens = [await used(browser), await used(phone)];
    const another = await used(browser, other);
    await Promise.all(tokens.map((token, index) => refresh(either(index), client, token)));
    await refresh(one, other, another);
    expect(await killsOf(accountId)).toHaveLength(3);
    const mails = await mailsTo(accountId);
    expect(new Set(mails.map(({ clientId }) => clientId))).toEqual(
      new Set([client.clientId, other.clientId]),
    );
    const hours = mails.map(({ clientId, at }) => `${clientId} ${at?.slice(0, 13)}`);
    expect(new Set(hours).size).toBe(hours.length);
    // Another hour.
    await sql`update outbox set id = id || '_before' where about->>'accountId' = ${accountId}`.execute(
      database.db.kysely,
    );
    await refresh(two, client, await used(await seed.signIn(accountId)));
    expect(await mailsTo(accountId)).toHaveLength(mails.length + 1);
  });

  test('is not written for what is no replay: a grace, a revocation, a sign-out, an unknown token', async () => {
    const { accountId, browser } = await person();
    const { refresh_token: token } = (
      await exchange(one, client, await browser.authorize(one, client))
    ).body;
    await refresh(one, client, token);
    await refresh(two, client, token);
    await refresh(two, client, `${token}x`);
    await refresh(two, other, token);
    const headers = {
      authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`,
    };
    await fetch(`${one}/revoke`, { method: 'POST', headers, body: new URLSearchParams({ token }) });
    expect(await killsOf(accountId)).toEqual([{ revoked_reason: 'token_revoked' }]);
    await age();
    // The family is dead already: nobody has to be told that it was ended.
    await refresh(one, client, token);
    expect(await mailsTo(accountId)).toEqual([]);
  });
});

describe('what it says', () => {
  const brand = { name: 'Example ID', issuer: 'https://id.example.com' };
  const about = { accountId: 'u_1', clientId: 'c_1', reason: 'refresh_token_replayed' };
  const at = '2026-03-04T05:06:07Z';
  const delivery = { id: 'row', attempt: 1, signal: new AbortController().signal };

  async function sent(address: string | undefined, app: string | undefined): Promise<Letter[]> {
    const letters: Letter[] = [];
    const handler = createReplayMailHandler(
      { send: async (letter) => void letters.push(letter) },
      brand,
      {
        account: async () =>
          address === undefined ? undefined : { email: address, locale: undefined },
        app: async () => app,
      },
    );
    await handler({ ...about, at }, delivery);
    return letters;
  }

  test('names the app, the time, what was done and what to do', async () => {
    const [letter] = await sent('ann@example.com', 'Quillet');
    expect(letter).toMatchObject({
      id: 'row',
      to: 'ann@example.com',
      subject: 'Quillet was signed out of your Example ID account',
    });
    const { text } = letter as Letter;
    for (const part of [
      '“Quillet”',
      '2026-03-04 at 05:06 UTC',
      'signed the app out',
      'sign in to it again',
      'remove it from your account',
    ])
      expect(text).toContain(part);
    expect(text.split('\n')).toContain('https://id.example.com/account');
    expect(text).not.toMatch(/vs_|u_1|c_1|token/);
  });

  test('has no line of the app’s own', async () => {
    const [letter] = await sent('ann@example.com', 'Quillet\r\nBcc: eve@example.org');
    expect(letter?.subject).not.toMatch(/[\r\n]/);
    expect(letter?.text).not.toMatch(/^Bcc/m);
  });

  test('is said to nobody where the account or the app is gone', async () => {
    expect(await sent(undefined, 'Quillet')).toEqual([]);
    expect(await sent('ann@example.com', undefined)).toEqual([]);
  });
});

describe('a whole server', () => {
  let server: TestServer;
  let own: TestDatabase;

  beforeAll(async () => {
    own = await createTestDatabase();
    server = await startServer(own);
  });

  afterAll(async () => {
    await server.close();
    await own.drop();
  });

  test('sends it to the address that the account has', async () => {
    const seed = new Seed(own.db);
    const app = await server.createClient({ name: 'Quillet' });
    const accountId = await seed.account();
    await seed.consent(accountId, app.clientId);
    const browser = await seed.signIn(accountId, undefined, server.issuer);
    const redirect = { redirect_uri: 'https://app.example.com/callback' };
    const code = await browser.authorize(server.issuer, app, redirect);
    const { refresh_token: token } = (await exchange(server.issuer, app, code, redirect)).body;
    await refresh(server.issuer, app, token);
    await sql`update tokens set consumed_at = consumed_at - interval '121 seconds' where consumed_at is not null`.execute(
      own.db.kysely,
    );
    await refresh(server.issuer, app, token);
    const [mail] = await server.mails(`${accountId.toLowerCase()}@example.com`);
    expect(mail?.subject).toBe('Quillet was signed out of your Vouchsafe account');
    expect(mail?.links).toEqual([`${server.issuer}/account`]);
  });
});
