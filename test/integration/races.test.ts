import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Authorization,
  type Credentials,
  exchange,
  isActive,
  redirectUri,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { countRows } from '../support/wire.ts';

/** DESIGN's races, over two processes on one PostgreSQL. Graces are aged by SQL, never waited for. */

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
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, 'http://localhost:3000')),
  );
  [one, two] = servers.map((server) => server.url) as [string, string];
  client = await seed.client();
  other = await seed.client();
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

const either = (index: number) => (index % 2 === 0 ? one : two);
const times = <T>(count: number, work: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

async function person(): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  await seed.consent(accountId, other.clientId);
  return { accountId, browser: await seed.signIn(accountId) };
}

async function signedOn(): Promise<Authorization> {
  return (await person()).browser.authorize(one, client);
}

/** Every used token was used ten seconds ago. */
const age = () =>
  sql`update tokens set consumed_at = consumed_at - interval '121 seconds' where consumed_at is not null`.execute(
    database.db.kysely,
  );

const familyOf = async (accountId: string) =>
  database.db.kysely.selectFrom('grants').selectAll().where('account_id', '=', accountId).execute();

describe('a code', () => {
  test('fifty parallel exchanges give one answer, and what it gave works', async () => {
    const authorization = await signedOn();
    const answers = await times(50, (index) => exchange(either(index), client, authorization));
    const won = answers.filter((answer) => answer.status === 200);
    expect(won).toHaveLength(1);
    expect(
      answers.filter((answer) => answer.status === 400 && answer.body.error === 'invalid_grant'),
    ).toHaveLength(49);
    const [winner] = won as [(typeof won)[0]];
    expect(await isActive(two, client, winner.body.access_token)).toBe(true);
    expect((await refresh(two, client, winner.body.refresh_token)).status).toBe(200);
  });

  test('a loser leaves no row behind', async () => {
    const { accountId, browser } = await person();
    const authorization = await browser.authorize(one, client);
    await times(20, (index) => exchange(either(index), client, authorization));
    const rows = await database.db.kysely
      .selectFrom('tokens')
      .select('kind')
      .where('account_id', '=', accountId)
      .orderBy('kind')
      .execute();
    expect(rows.map((row) => row.kind)).toEqual(['access', 'code', 'refresh']);
  });

  test('presented again within the grace it is refused, and what it gave lives on', async () => {
    const authorization = await signedOn();
    const first = await exchange(one, client, authorization);
    expect((await exchange(two, client, authorization)).body.error).toBe('invalid_grant');
    expect(await isActive(one, client, first.body.access_token)).toBe(true);
  });

  test.each([
    ['another client', () => ({ by: other, extra: {} })],
    ['another verifier', () => ({ by: client, extra: { code_verifier: 'x'.repeat(43) } })],
    ['another redirect URI', () => ({ by: client, extra: { redirect_uri: `${redirectUri}/` } })],
  ])(
    'SECURITY Authorization 5, SECURITY 3: presented again within the grace with %s, it kills what it gave',
    async (_, how) => {
      const authorization = await signedOn();
      const first = await exchange(one, client, authorization);
      const { by, extra } = how();
      expect((await exchange(two, by, authorization, extra)).body.error).toBe('invalid_grant');
      expect(await isActive(one, client, first.body.access_token)).toBe(false);
      expect((await refresh(one, client, first.body.refresh_token)).status).toBe(400);
    },
  );

  test('SECURITY Authorization 5, SECURITY 3: presented by another client before its own, it is not used up, and gives the other nothing', async () => {
    const authorization = await signedOn();
    const rows = await countRows(database.db);
    expect((await exchange(two, other, authorization)).body.error).toBe('invalid_grant');
    expect(await countRows(database.db)).toEqual(rows);
    expect((await exchange(one, client, authorization)).status).toBe(200);
  });

  test('presented after the grace it kills what it gave', async () => {
    const { accountId, browser } = await person();
    const authorization = await browser.authorize(one, client);
    const first = await exchange(one, client, authorization);
    await age();
    expect((await exchange(two, client, authorization)).body.error).toBe('invalid_grant');
    expect(await isActive(one, client, first.body.access_token)).toBe(false);
    expect(await familyOf(accountId)).toMatchObject([{ revoked_reason: 'code_replayed' }]);
  });
});

describe('a refresh token', () => {
  async function started() {
    return (await exchange(one, client, await signedOn())).body;
  }

  test('SECURITY 1, SECURITY 31: fifty parallel refreshes give one successor, which works, and access tokens of their own', async () => {
    const { accountId, browser } = await person();
    const started = await exchange(one, client, await browser.authorize(one, client));
    const { refresh_token: token } = started.body;
    const answers = await times(50, (index) => refresh(either(index), client, token));
    const unused = await database.db.kysely
      .selectFrom('tokens')
      .select('id_hash')
      .where('account_id', '=', accountId)
      .where('kind', '=', 'refresh')
      .where('consumed_at', 'is', null)
      .execute();
    expect(unused).toHaveLength(1);
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 50 }, () => 200));
    expect(new Set(answers.map((answer) => answer.body.refresh_token)).size).toBe(1);
    expect(new Set(answers.map((answer) => answer.body.access_token)).size).toBe(50);
    const [{ body }] = answers as [(typeof answers)[0]];
    expect(body.refresh_token).not.toBe(token);
    expect((await refresh(two, client, body.refresh_token)).status).toBe(200);
    expect(await isActive(one, client, body.access_token)).toBe(true);
  });

  test('SECURITY Authorization 7, SECURITY 1: replayed after the grace it kills the family', async () => {
    const first = await started();
    const second = (await refresh(one, client, first.refresh_token)).body;
    await age();
    expect((await refresh(two, client, first.refresh_token)).body.error).toBe('invalid_grant');
    expect(await isActive(one, client, second.access_token)).toBe(false);
    expect((await refresh(one, client, second.refresh_token)).body.error).toBe('invalid_grant');
  });

  test('SECURITY 3: of another client it is refused and stays whole', async () => {
    const { refresh_token: token } = await started();
    expect((await refresh(two, other, token)).body.error).toBe('invalid_grant');
    expect((await refresh(one, client, token)).status).toBe(200);
  });

  test('with a resource that is not open to the client it is refused and not used up', async () => {
    const { refresh_token: token } = await started();
    expect(
      (await refresh(one, client, token, { resource: 'https://unknown.example.com' })).body.error,
    ).toBe('invalid_target');
    expect((await refresh(one, client, token, { scope: 'openid profile' })).body.error).toBe(
      'invalid_scope',
    );
    const [row] = await database.db.kysely
      .selectFrom('tokens')
      .select('consumed_at')
      .where('kind', '=', 'refresh')
      .orderBy('issued_at', 'desc')
      .limit(1)
      .execute();
    expect(row?.consumed_at).toBeNull();
    expect((await refresh(one, client, token)).status).toBe(200);
  });

  test('SECURITY 2: raced with its revocation a hundred times, nothing lives afterwards', async () => {
    for (let round = 0; round < 100; round++) {
      const { browser } = await person();
      const { body } = await exchange(one, client, await browser.authorize(two, client));
      const [refreshed, revoked] = await Promise.all([
        refresh(either(round), client, body.refresh_token),
        revoke(either(round + 1), client, body.refresh_token),
      ]);
      expect(revoked.status).toBe(200);
      expect([200, 400]).toContain(refreshed.status);
      const left = [body, ...(refreshed.status === 200 ? [refreshed.body] : [])];
      for (const { access_token: access, refresh_token: token } of left) {
        expect(await isActive(one, client, access)).toBe(false);
        expect((await refresh(two, client, token)).body.error).toBe('invalid_grant');
      }
    }
  });
});

describe('a session', () => {
  const clientsOf = async (uid: string) => {
    const rows = await database.db.kysely
      .selectFrom('session_clients')
      .select('client_id')
      .where('session_uid', '=', uid)
      .execute();
    return rows.map((row) => row.client_id).sort();
  };

  test('two tabs with two clients both end with working codes, and both clients are in the session', async () => {
    for (let round = 0; round < 10; round++) {
      const { browser } = await person();
      const tabs = [browser.tab(), browser.tab()] as const;
      const [first, second] = await Promise.all([
        tabs[0].authorize(one, client),
        tabs[1].authorize(two, other),
      ]);
      expect((await exchange(two, client, first)).status).toBe(200);
      expect((await exchange(one, other, second)).status).toBe(200);
      expect(await clientsOf(browser.sessionUid)).toEqual([client.clientId, other.clientId].sort());
    }
  });

  test('two tabs with one client both end with working codes', async () => {
    const { browser } = await person();
    const codes = await times(2, (index) =>
      browser.tab().authorize(either(index), client, { scope: 'openid' }),
    );
    for (const code of codes) expect((await exchange(one, client, code)).status).toBe(200);
  });

  test('a late single sign-on never revives one that was signed out', async () => {
    for (let round = 0; round < 20; round++) {
      const { accountId, browser } = await person();
      const end = () =>
        sql`update sessions set ended_at = now() where uid = ${browser.sessionUid}`.execute(
          database.db.kysely,
        );
      const [{ response, verifier }] = await Promise.all([
        browser.tab().ask(either(round), client, { scope: 'openid' }),
        end(),
      ]);
      const session = await database.db.kysely
        .selectFrom('sessions')
        .select('ended_at')
        .where('uid', '=', browser.sessionUid)
        .executeTakeFirstOrThrow();
      expect(session.ended_at).not.toBeNull();
      const location = response.headers.get('location') ?? '';
      if (location.startsWith(redirectUri)) {
        // It was answered before the sign-out: its code is bound to the session, and dead with it.
        const code = new URL(location).searchParams.get('code') as string;
        expect((await exchange(one, client, { code, verifier })).body.error).toBe('invalid_grant');
      }
      expect(
        (await browser.ask(two, client, { prompt: 'none' })).response.headers.get('location'),
      ).toContain('error=login_required');
      const access = await database.db.kysely
        .selectFrom('tokens')
        .select('kind')
        .where('account_id', '=', accountId)
        .where('kind', '=', 'access')
        .execute();
      expect(access).toEqual([]);
    }
  });
});

describe('two devices', () => {
  test('revoking on one leaves the other, and consent is not asked again', async () => {
    const accountId = await seed.account();
    await seed.consent(accountId, client.clientId);
    const phone = await seed.signIn(accountId);
    const laptop = await seed.signIn(accountId);
    const onPhone = (await exchange(one, client, await phone.authorize(one, client))).body;
    const onLaptop = (await exchange(two, client, await laptop.authorize(two, client))).body;
    expect((await revoke(one, client, onPhone.refresh_token)).status).toBe(200);
    expect(await isActive(two, client, onPhone.access_token)).toBe(false);
    expect(await isActive(one, client, onLaptop.access_token)).toBe(true);
    expect((await refresh(one, client, onLaptop.refresh_token)).status).toBe(200);
    await expect(phone.authorize(two, client)).resolves.toBeDefined();
  });

  test('a replay on one leaves the other, and consent is not asked again', async () => {
    const accountId = await seed.account();
    await seed.consent(accountId, client.clientId);
    const phone = await seed.signIn(accountId);
    const laptop = await seed.signIn(accountId);
    const onPhone = (await exchange(one, client, await phone.authorize(one, client))).body;
    const onLaptop = (await exchange(two, client, await laptop.authorize(two, client))).body;
    await refresh(one, client, onPhone.refresh_token);
    await age();
    expect((await refresh(one, client, onPhone.refresh_token)).status).toBe(400);
    expect(await isActive(one, client, onPhone.access_token)).toBe(false);
    expect((await refresh(two, client, onLaptop.refresh_token)).status).toBe(200);
    await expect(phone.authorize(two, client)).resolves.toBeDefined();
  });
});
