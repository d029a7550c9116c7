import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import argon2 from 'argon2';
import { AccountRefused } from '../../src/account/account.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, password, type People, refusals } from '../support/people.ts';

let database: TestDatabase;
let people: People;

beforeAll(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
});

afterAll(() => database.drop());

const row = (id: string) =>
  database.db.kysely
    .selectFrom('accounts')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();

describe('an account', () => {
  test('is made with a random id and a hashed password, audited, and found by every spelling of its address', async () => {
    const made = await people.accounts.create(
      {
        email: 'Imani.Okafor@Example.com',
        name: ' Imani  Okafor ',
        password,
        verified: true,
        admin: false,
      },
      'cli',
    );
    expect(made).toMatchObject({
      email: 'Imani.Okafor@example.com',
      name: 'Imani Okafor',
      emailVerified: true,
      admin: false,
      disabled: false,
    });
    expect(made.id).toMatch(/^u_[\w-]{22}$/);
    expect((await row(made.id)).password_hash).toMatch(/^\$argon2id\$/);
    expect(JSON.stringify(made)).not.toContain('argon2');
    expect(await people.audit(made.id)).toEqual([
      { type: 'account.created', outcome: 'success', actor: 'cli', reason: null, data: null },
    ]);
    for (const spelling of [
      'imani.okafor@example.com',
      ' IMANI.OKAFOR@EXAMPLE.COM ',
      'Ｉmani.okafor@example.com',
    ]) {
      expect((await people.accounts.findByEmail(spelling))?.id).toBe(made.id);
    }
    expect(await people.accounts.find(made.id)).toEqual(made);
    expect(await people.accounts.find('u_nobody')).toBeUndefined();
    expect(await people.accounts.findByEmail('not an address')).toBeUndefined();
    expect(await people.mails(made.email)).toEqual([]);
  });

  test('that is an administrator is told so by mail', async () => {
    const made = await people.accounts.create(
      { email: 'first@example.com', password, verified: true, admin: true },
      'cli',
    );
    expect(await people.mails(made.email)).toEqual([
      { template: 'administrator_created', to: made.email },
    ]);
  });

  test('is one for all spellings of an address, also when fifty are made at once', async () => {
    const spellings = [
      'lin@example.com',
      'LIN@example.com',
      'Lin@EXAMPLE.com',
      'ＬＩＮ@example.com',
      'lIN@example.com',
    ];
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, i) =>
        people.accounts.create(
          { email: spellings[i % 5] as string, verified: true, admin: false },
          'cli',
        ),
      ),
    );
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
    expect(refusals(results)).toEqual(['email_taken']);
    expect(
      await database.db.kysely
        .selectFrom('accounts')
        .select('id')
        .where('email_key', '=', 'lin@example.com')
        .execute(),
    ).toHaveLength(1);
  });

  test('is refused with every problem, field by field, and leaves nothing', async () => {
    const before = await database.db.kysely.selectFrom('accounts').select('id').execute();
    const refused = await people.accounts
      .create(
        {
          email: 'no address',
          name: 'eve@example.org',
          password: 'password',
          verified: true,
          admin: true,
        },
        'cli',
      )
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AccountRefused);
    expect(refused).toMatchObject({
      code: 'account_refused',
      status: 400,
      problems: { email: 'malformed', name: 'malformed', password: 'too-short' },
    });
    await expect(
      people.accounts.create(
        { email: 'a@example.com', name: 'x'.repeat(101), verified: false, admin: false },
        'cli',
      ),
    ).rejects.toMatchObject({
      problems: { email: undefined, name: 'too-long' },
    });
    expect(await database.db.kysely.selectFrom('accounts').select('id').execute()).toHaveLength(
      before.length,
    );
  });
});

describe('a password', () => {
  test('is right for its account alone, whichever way its letters are typed', async () => {
    const made = await people.accounts.create(
      {
        email: 'rémi@example.com',
        password: 'caf\u00e9 vellum otter',
        verified: true,
        admin: false,
      },
      'cli',
    );
    expect(
      await people.accounts.checkCredentials('RE\u0301MI@example.com', 'cafe\u0301 vellum otter'),
    ).toEqual({ account: made, hasSecondFactor: false });
    expect(await people.accounts.checkCredentials(made.email, 'cafe vellum otter')).toEqual({
      refusal: { reason: 'wrong_password', accountId: made.id },
    });
    expect(await people.accounts.checkCredentials('nobody@example.com', password)).toEqual({
      refusal: { reason: 'unknown_account', accountId: undefined },
    });
    expect(await people.accounts.checkCredentials('not an address', password)).toEqual({
      refusal: { reason: 'unknown_account', accountId: undefined },
    });
    expect(
      (await people.accounts.checkCredentials(made.email, 'x'.repeat(1_000_000))).account,
    ).toBeUndefined();
    expect((await people.accounts.checkCredentials(made.email, '')).account).toBeUndefined();
  });

  test('is never right where there is none', async () => {
    const { email } = await people.accounts.create(
      { email: 'passkey@example.com', verified: true, admin: false },
      'cli',
    );
    for (const guess of ['', 'null', 'undefined', password])
      expect((await people.accounts.checkCredentials(email, guess)).account).toBeUndefined();
  });

  test('takes the same time to be wrong for a known and an unknown address', async () => {
    const { email } = await people.accounts.create(
      { email: 'timed@example.com', password, verified: true, admin: false },
      'cli',
    );
    const times = new Map<string, number[]>([
      [email, []],
      ['untimed@example.com', []],
    ]);
    for (let round = 0; round < 15; round++) {
      for (const [address, list] of times) {
        const started = performance.now();
        await people.accounts.checkCredentials(address, 'wrong wrong wrong wrong');
        list.push(performance.now() - started);
      }
    }
    const [known = 0, unknown = 0] = [...times.values()].map(
      (list) => list.toSorted((a, b) => a - b)[7],
    );
    expect(unknown / known).toBeGreaterThan(0.4);
    expect(unknown / known).toBeLessThan(2.5);
  });

  test('whose hash is of an older cost gets a new one when it is right, and not before', async () => {
    const { id, email } = await people.accounts.create(
      { email: 'old@example.com', password, verified: true, admin: false },
      'cli',
    );
    const old = await argon2.hash(password, { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    await database.db.kysely
      .updateTable('accounts')
      .set({ password_hash: old })
      .where('id', '=', id)
      .execute();
    await people.accounts.checkCredentials(email, 'wrong wrong wrong');
    expect((await row(id)).password_hash).toBe(old);
    expect((await people.accounts.checkCredentials(email, password)).account?.id).toBe(id);
    const fresh = (await row(id)).password_hash as string;
    expect(people.passwords.isOutdated(fresh)).toBe(false);
    expect((await people.accounts.checkCredentials(email, password)).account?.id).toBe(id);
    expect((await row(id)).password_hash).toBe(fresh);
  });
});

describe('disabling', () => {
  test('ends sessions and token families in the same commit, refuses the right password, and is audited', async () => {
    const ada = await people.signedIn('ada@example.com');
    const other = await people.signedIn('other@example.com');
    expect(await people.accounts.setDisabled('ADA@example.com', true, 'u_admin')).toMatchObject({
      id: ada.id,
      disabled: true,
    });
    expect(await people.ended(ada)).toEqual({
      session: true,
      family: true,
      reason: 'account_disabled',
    });
    expect(await people.ended(other)).toMatchObject({ session: false, family: false });
    expect(await people.accounts.checkCredentials('ada@example.com', password)).toEqual({
      refusal: { reason: 'account_disabled', accountId: ada.id },
    });
    await people.accounts.setDisabled(ada.id, false, 'u_admin');
    expect(
      (await people.accounts.checkCredentials('ada@example.com', password)).account?.disabled,
    ).toBe(false);
    expect((await people.ended(ada)).session).toBe(true);
    expect((await people.audit(ada.id)).map(({ type, actor }) => [type, actor])).toEqual([
      ['account.created', 'test'],
      ['account.disabled', 'u_admin'],
      ['account.enabled', 'u_admin'],
    ]);
  });

  test('waits for a sign-in that is committing, and ends it, too', async () => {
    const ben = await people.signedIn('ben@example.com');
    let disabling: Promise<unknown> | undefined;
    // What a sign-in's commit does: it holds the account while it writes the session.
    await database.db.transaction(async (db) => {
      await db
        .selectFrom('accounts')
        .select('id')
        .where('id', '=', ben.id)
        .where('disabled_at', 'is', null)
        .forShare()
        .execute();
      disabling = people.accounts.setDisabled(ben.id, true, 'cli');
      await db
        .insertInto('sessions')
        .values({
          uid: 'late',
          id_hash: Buffer.from('late'),
          previous_id_hash: null,
          previous_until: null,
          account_id: ben.id,
          payload: '{}',
          expires_at: new Date(Date.now() + 60_000),
          ended_at: null,
        })
        .execute();
    });
    await disabling;
    const late = await database.db.kysely
      .selectFrom('sessions')
      .select('ended_at')
      .where('uid', '=', 'late')
      .executeTakeFirstOrThrow();
    expect(late.ended_at).not.toBeNull();
  });

  test('of nobody says so', async () => {
    for (const who of ['nobody@example.com', 'u_nobody', '', '@']) {
      await expect(people.accounts.setDisabled(who, true, 'cli')).rejects.toMatchObject({
        code: 'unknown_account',
        status: 404,
      });
    }
  });

  test('leaves an administrator, whoever disables whom at once', async () => {
    await database.db.kysely.updateTable('accounts').set({ admin: false }).execute();
    const admins = await Promise.all(
      [0, 1, 2].map((i) =>
        people.accounts.create(
          { email: `admin${i}@example.com`, password, verified: true, admin: true },
          'cli',
        ),
      ),
    );
    const results = await Promise.allSettled(
      admins.map(({ id }) => people.accounts.setDisabled(id, true, 'cli')),
    );
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(2);
    expect(refusals(results)).toEqual(['last_administrator']);
    const live = await database.db.kysely
      .selectFrom('accounts')
      .select('id')
      .where('admin', '=', true)
      .where('disabled_at', 'is', null)
      .execute();
    expect(live).toHaveLength(1);
    // Disabling one who is disabled already, and enabling, stay possible.
    const disabled = admins.find(({ id }) => id !== live[0]?.id)?.id as string;
    await people.accounts.setDisabled(disabled, true, 'cli');
    await people.accounts.setDisabled(disabled, false, 'cli');
  });
});
