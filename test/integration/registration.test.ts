import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Mail } from '../../src/email/email.ts';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, password, type People } from '../support/people.ts';

let database: TestDatabase;
let people: People;
const origin = { requestId: 'r1', address: '192.0.2.7', userAgent: 'Test' };

beforeAll(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
});

afterAll(() => database.drop());

/** Moves the times of a waiting proof into the past, in place of waiting. */
async function age(ref: string, seconds: number): Promise<void> {
  const back = sql<Date>`make_interval(secs => ${seconds})`;
  await database.db.kysely
    .updateTable('action_links')
    .set({
      sent_at: sql<Date>`sent_at - ${back}`,
      expires_at: sql<Date>`expires_at - ${back}`,
      created_at: sql<Date>`created_at - ${back}`,
    })
    .where('id_hash', '=', sha256(ref))
    .execute();
}

const link = (ref: string) =>
  database.db.kysely
    .selectFrom('action_links')
    .selectAll()
    .where('id_hash', '=', sha256(ref))
    .executeTakeFirstOrThrow();
const countAccounts = async () =>
  (await database.db.kysely.selectFrom('accounts').select('id').execute()).length;

async function proof(email: string): Promise<Extract<Mail, { template: 'verify_email' }>> {
  const mail = (await people.mails(email)).at(-1);
  if (mail?.template !== 'verify_email') throw new Error(`the last mail is ${mail?.template}`);
  return mail;
}

const wrong = (code: string) => String((Number(code) + 1) % 100_000_000).padStart(8, '0');
const register = (email: string, name?: string) =>
  people.registration.register({ email, name, password }, origin);

describe('registration', () => {
  test('makes no account before the address is proven, and one by the link', async () => {
    const before = await countAccounts();
    const { ref, pausedFor } = await register('New@Example.com', 'New Person');
    expect(pausedFor).toBe(60);
    expect(await countAccounts()).toBe(before);
    expect(
      (await people.accounts.checkCredentials('new@example.com', password)).account,
    ).toBeUndefined();
    const { token, code } = await proof('New@example.com');
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(code).toMatch(/^\d{8}$/);

    expect(await people.registration.findWaiting(ref)).toMatchObject({ email: 'New@example.com' });
    expect(await people.registration.findLink(token)).toEqual({
      status: 'live',
      email: 'New@example.com',
      needsPassword: true,
      isSameBrowser: false,
    });
    expect(await people.registration.findLink(token, ref)).toMatchObject({ needsPassword: false });
    expect(await people.registration.verifyLink(token, origin)).toEqual({
      status: 'wrong_password',
    });
    const done = await people.registration.verifyLink(token, origin, { password });
    expect(done).toMatchObject({
      status: 'verified',
      account: { email: 'New@example.com', name: 'New Person', emailVerified: true, admin: false },
    });
    expect(
      (await people.accounts.checkCredentials('new@example.com', password)).account?.email,
    ).toBe('New@example.com');
    const { id } = (done as { account: { id: string } }).account;
    expect((await people.audit(id)).map(({ type, outcome }) => [type, outcome])).toEqual([
      ['account.created', 'success'],
      ['account.email_verified', 'success'],
    ]);

    expect(await people.registration.verifyLink(token, origin, { password })).toEqual({
      status: 'used',
    });
    expect(await people.registration.findLink(token)).toEqual({ status: 'used' });
    expect(await people.registration.verifyCode(ref, code, origin)).toEqual({ status: 'used' });
    expect(await people.registration.findWaiting(ref)).toBeUndefined();
    expect(await people.registration.resend(ref)).toBeUndefined();
  });

  test('makes one by the code, however it is typed', async () => {
    const { ref } = await register('code@example.com');
    const { code, token } = await proof('code@example.com');
    const typed = ` ${code.slice(0, 4)} ${code.slice(4, 6)}-${code.slice(6)} `;
    expect(await people.registration.verifyCode(ref, typed, origin)).toMatchObject({
      status: 'verified',
      account: { email: 'code@example.com' },
    });
    expect(await people.registration.verifyLink(token, origin, { password })).toEqual({
      status: 'used',
    });
  });

  test('keeps nothing in the database that the proof, or the password, can be read from', async () => {
    const { ref } = await register('dump@example.com', 'Dump Person');
    const { token, code } = await proof('dump@example.com');
    const { rows } = await sql<{
      all: string;
    }>`select (select json_agg(l) from action_links l)::text || (select json_agg(o) from outbox o)::text || (select json_agg(e) from audit_events e)::text as all`.execute(
      database.db.kysely,
    );
    for (const secret of [ref, token, code, password, '$argon2id', 'Dump Person']) {
      expect(rows[0]?.all).not.toContain(secret);
      expect(rows[0]?.all).not.toContain(Buffer.from(secret).toString('hex'));
    }
    // Nor is the code found by trying: without the key, its MAC says nothing.
    expect((await link(ref)).code_mac?.equals(sha256(code))).toBe(false);
  });

  test('answers the same for an address that has an account, whose owner is told instead', async () => {
    const owner = await people.accounts.create(
      { email: 'Owner@example.com', password, verified: true, admin: false },
      'cli',
    );
    const unknown = await register('nobody@example.com');
    const known = await people.registration.register(
      { email: 'OWNER@example.com', password: 'another password altogether' },
      origin,
    );
    expect(known).toEqual({
      ref: expect.stringMatching(/^[\w-]{43}$/),
      pausedFor: unknown.pausedFor,
    });
    // To the address of the account, not to the one that was typed.
    expect(await people.mails('Owner@example.com')).toEqual([
      { template: 'registration_attempt', to: 'Owner@example.com' },
    ]);
    expect(await people.mails('OWNER@example.com')).toEqual([]);
    const [a, b] = await Promise.all([link(unknown.ref), link(known.ref)]);
    expect(Object.entries(a).map(([key, value]) => [key, value === null])).toEqual(
      Object.entries(b).map(([key, value]) => [key, value === null]),
    );
    expect(
      await people.accounts.checkCredentials('owner@example.com', 'another password altogether'),
    ).toMatchObject({ refusal: { reason: 'wrong_password' } });

    const waiting = (ref: string) => people.registration.findWaiting(ref);
    for (const ref of [known.ref, unknown.ref]) {
      const pausedFor = (await waiting(ref))?.pausedFor;
      expect(pausedFor).toBeGreaterThan(0);
      expect(pausedFor).toBeLessThanOrEqual(60);
    }
    expect((await waiting(known.ref))?.email).toBe('OWNER@example.com');
    for (const ref of [unknown.ref, known.ref]) {
      const answers = [];
      for (let i = 0; i < 6; i++)
        answers.push(
          (
            await people.registration.verifyCode(
              ref,
              ref === unknown.ref ? wrong((await proof('nobody@example.com')).code) : `0000000${i}`,
              origin,
            )
          ).status,
        );
      expect(answers).toEqual([
        'wrong_code',
        'wrong_code',
        'wrong_code',
        'wrong_code',
        'spent',
        'spent',
      ]);
    }
    await Promise.all([age(unknown.ref, 61), age(known.ref, 61)]);
    expect(await people.registration.resend(known.ref)).toEqual(
      await people.registration.resend(unknown.ref),
    );
    expect(await people.mails('Owner@example.com')).toHaveLength(2);
    expect(await people.audit(owner.id)).toContainEqual({
      type: 'account.registration',
      outcome: 'refused',
      reason: 'email_taken',
      actor: null,
      data: null,
    });
  });

  test('takes the same time for an address that has an account and one that has none', async () => {
    await people.accounts.create(
      { email: 'timed@example.com', password, verified: true, admin: false },
      'cli',
    );
    const times = new Map<string, number[]>([
      ['timed@example.com', []],
      ['untimed@example.com', []],
    ]);
    for (let round = 0; round < 15; round++) {
      for (const [email, list] of times) {
        const started = performance.now();
        await register(email);
        list.push(performance.now() - started);
      }
    }
    const [known = 0, unknown = 0] = [...times.values()].map(
      (list) => list.toSorted((a, b) => a - b)[7],
    );
    expect(unknown / known).toBeGreaterThan(0.4);
    expect(unknown / known).toBeLessThan(2.5);
  });

  test('that is refused sends nothing', async () => {
    await expect(
      people.registration.register({ email: 'x@example.com', password: 'password' }, origin),
    ).rejects.toMatchObject({ code: 'account_refused', problems: { password: 'too-short' } });
    expect(await people.mails('x@example.com')).toEqual([]);
  });

  test('of an address by two people: who proves it first has it, with the password chosen then', async () => {
    const theirs = await people.registration.register(
      { email: 'both@example.com', password: 'chosen by somebody else' },
      origin,
    );
    const first = await proof('both@example.com');
    const own = await register('both@example.com');
    const second = await proof('both@example.com');
    // A code works only where its own registration was begun.
    expect(await people.registration.verifyCode(theirs.ref, second.code, origin)).toEqual({
      status: 'wrong_code',
    });
    expect(await people.registration.verifyCode(own.ref, second.code, origin)).toMatchObject({
      status: 'verified',
    });
    expect(
      (await people.accounts.checkCredentials('both@example.com', password)).account,
    ).toBeDefined();
    expect(
      (await people.accounts.checkCredentials('both@example.com', 'chosen by somebody else'))
        .account,
    ).toBeUndefined();
    expect(
      await people.registration.verifyLink(first.token, origin, {
        password: 'chosen by somebody else',
      }),
    ).toEqual({
      status: 'used',
    });
    expect(
      (await people.accounts.checkCredentials('both@example.com', password)).account,
    ).toBeDefined();
  });
});

describe('a link and a code', () => {
  test('work once, also of fifty who use them at once', async () => {
    const before = await countAccounts();
    const { ref } = await register('fifty@example.com');
    const { token, code } = await proof('fifty@example.com');
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        i % 2 === 0
          ? people.registration.verifyLink(token, origin, { ref })
          : people.registration.verifyCode(ref, code, origin),
      ),
    );
    expect(results.filter(({ status }) => status === 'verified')).toHaveLength(1);
    expect(await countAccounts()).toBe(before + 1);
  });

  test('of a hundred guesses at once, five are looked at', async () => {
    const { ref } = await register('guessed@example.com');
    const { code, token } = await proof('guessed@example.com');
    const results = await Promise.all(
      Array.from({ length: 100 }, () => people.registration.verifyCode(ref, wrong(code), origin)),
    );
    expect(results.filter(({ status }) => status === 'wrong_code')).toHaveLength(4);
    expect(results.filter(({ status }) => status === 'spent')).toHaveLength(96);
    expect((await link(ref)).attempts).toBe(5);
    // The right one comes too late; the link was not guessed at, and works.
    expect(await people.registration.verifyCode(ref, code, origin)).toEqual({ status: 'spent' });
    expect(await people.registration.verifyLink(token, origin, { password })).toMatchObject({
      status: 'verified',
    });
  });

  test.each(['', ' ', '1234567', '123456789', 'abcdefgh', '0'.repeat(100_000)])(
    '%j is no code, and no error',
    async (code) => {
      const { ref } = await register('odd@example.com');
      expect(await people.registration.verifyCode(ref, code, origin)).toEqual({
        status: 'wrong_code',
      });
    },
  );

  test('die after a day', async () => {
    const { ref } = await register('late@example.com');
    const { token, code } = await proof('late@example.com');
    await age(ref, 86_401);
    expect(await people.registration.findLink(token)).toEqual({ status: 'expired' });
    expect(await people.registration.verifyLink(token, origin, { password })).toEqual({
      status: 'expired',
    });
    expect(await people.registration.verifyCode(ref, code, origin)).toEqual({ status: 'expired' });
    expect(await people.registration.resend(ref)).toBeUndefined();
    expect(await people.accounts.findByEmail('late@example.com')).toBeUndefined();
  });

  test('are sent again after a pause, and the old ones die', async () => {
    const { ref } = await register('again@example.com');
    const old = await proof('again@example.com');
    expect(await people.registration.resend(ref)).toMatchObject({
      sent: false,
      pausedFor: expect.any(Number),
    });
    expect(await people.mails('again@example.com')).toHaveLength(1);
    await people.registration.verifyCode(ref, wrong(old.code), origin);
    await age(ref, 60);
    const many = await Promise.all(
      Array.from({ length: 20 }, () => people.registration.resend(ref)),
    );
    expect(many.filter((one) => one?.sent)).toHaveLength(1);
    expect(await people.mails('again@example.com')).toHaveLength(2);
    const fresh = await proof('again@example.com');
    expect(fresh.token).not.toBe(old.token);
    expect(await people.registration.findLink(old.token)).toEqual({ status: 'expired' });
    expect(await people.registration.verifyLink(old.token, origin, { password })).toEqual({
      status: 'expired',
    });
    expect((await link(ref)).attempts).toBe(0);
    // A new code is the old one once in a hundred million times.
    expect(await people.registration.verifyCode(ref, old.code, origin)).toEqual({
      status: 'wrong_code',
    });
    expect(await people.registration.verifyCode(ref, fresh.code, origin)).toMatchObject({
      status: 'verified',
    });
  });

  test('that nobody ever sent are expired, not errors', async () => {
    for (const made of ['', 'x', 'A'.repeat(43), '\u0000', '../..']) {
      expect(await people.registration.findLink(made)).toEqual({ status: 'expired' });
      expect(await people.registration.verifyLink(made, origin, { password })).toEqual({
        status: 'expired',
      });
      expect(await people.registration.verifyCode(made, '12345678', origin)).toEqual({
        status: 'expired',
      });
      expect(await people.registration.findWaiting(made)).toBeUndefined();
    }
  });
});

describe('an account that is there but not confirmed', () => {
  const create = (email: string) =>
    people.accounts.create({ email, password, verified: false, admin: false }, 'cli');

  test('is confirmed by its newest mail; within the pause there is no second one', async () => {
    const account = await create('unconfirmed@example.com');
    const one = await people.registration.startVerification(account);
    expect(one.pausedFor).toBe(60);
    const first = await proof(account.email);
    const two = await people.registration.startVerification(account);
    expect(two.ref).toBe(one.ref);
    expect(two.pausedFor).toBeGreaterThan(50);
    expect(await people.mails(account.email)).toHaveLength(1);
    await age(one.ref, 60);
    await people.registration.startVerification(account);
    const second = await proof(account.email);
    expect(await people.registration.verifyLink(first.token, origin)).toEqual({
      status: 'expired',
    });
    expect(await people.registration.verifyLink(second.token, origin)).toMatchObject({
      status: 'verified',
      account: { id: account.id, emailVerified: true },
    });
    expect((await people.accounts.find(account.id))?.emailVerified).toBe(true);
  });

  test('is confirmed once: by one of twenty at once, and by nobody later', async () => {
    const account = await create('once@example.com');
    const { ref } = await people.registration.startVerification(account);
    const { token, code } = await proof(account.email);
    const results = await Promise.all(
      Array.from({ length: 20 }, () => people.registration.verifyLink(token, origin)),
    );
    expect(results.filter(({ status }) => status === 'verified')).toHaveLength(1);
    expect(await people.registration.verifyLink(token, origin)).toEqual({ status: 'used' });
    expect(await people.registration.verifyCode(ref, code, origin)).toEqual({ status: 'used' });
    expect(
      (await people.audit(account.id)).filter(({ type }) => type === 'account.email_verified'),
    ).toHaveLength(1);
  });

  test('is not confirmed by a link to an address that it no longer has', async () => {
    const account = await create('moved@example.com');
    const { ref } = await people.registration.startVerification(account);
    const { token, code } = await proof(account.email);
    await database.db.kysely
      .updateTable('accounts')
      .set({ email: 'elsewhere@example.com', email_key: 'elsewhere@example.com' })
      .where('id', '=', account.id)
      .execute();
    expect((await people.registration.verifyCode(ref, code, origin)).status).not.toBe('verified');
    expect((await people.registration.verifyLink(token, origin)).status).not.toBe('verified');
    expect((await people.accounts.find(account.id))?.emailVerified).toBe(false);
  });

  test('is not confirmed while it is disabled', async () => {
    const account = await create('disabled@example.com');
    await people.registration.startVerification(account);
    const { token } = await proof(account.email);
    await people.accounts.setDisabled(account.id, true, 'cli');
    expect((await people.registration.verifyLink(token, origin)).status).not.toBe('verified');
    expect((await people.accounts.find(account.id))?.emailVerified).toBe(false);
  });

  test('mails nothing when the transaction it was asked for in is rolled back', async () => {
    const account = await create('rolled@example.com');
    const failed = database.db.transaction(async (db) => {
      await people.registration.startVerification(account, db);
      throw new Error('rolled back');
    });
    await expect(failed).rejects.toThrow('rolled back');
    expect(await people.mails(account.email)).toEqual([]);
  });
});
