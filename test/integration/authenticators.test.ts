import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { generate } from 'otplib';
import type { ConfirmedTotp } from '../../src/authenticator/authenticator.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, password, type People, unusedCodes } from '../support/people.ts';

let database: TestDatabase;
let people: People;
let count = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
});

afterAll(() => database.drop());

const now = () => Math.floor(Date.now() / 1000);
const codeAt = (secret: string, steps: number) => generate({ secret, epoch: now() + 30 * steps });

async function newAccount() {
  count += 1;
  return people.accounts.create(
    { email: `person${count}@example.com`, password, verified: true, admin: false },
    'cli',
  );
}

/** An account with an app whose newest used step is `ago` steps back. */
async function enrolled(ago = 10) {
  const account = await newAccount();
  const { secret } = people.authenticators.newTotpSecret('Example ID', account.email);
  const step = Math.floor(now() / 30) - ago;
  const { id } = await database.db.transaction((db) =>
    people.authenticators.enrolTotp(db, account.id, { secret, step }, 'Phone', {}),
  );
  return { account, secret, id };
}

const row = (id: string) =>
  database.db.kysely
    .selectFrom('authenticators')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();

describe('enrolling an app', () => {
  test('takes a right code, keeps the seed sealed for its row, and tells the owner', async () => {
    const account = await newAccount();
    const { secret } = people.authenticators.newTotpSecret('Example ID', account.email);
    expect(await people.authenticators.hasSecondFactor(account.id)).toBe(false);
    const code = await codeAt(secret, 0);
    expect(
      await people.authenticators.confirmTotp(
        secret,
        String((Number(code) + 1) % 1_000_000).padStart(6, '0'),
      ),
    ).toBeUndefined();
    const confirmed = (await people.authenticators.confirmTotp(secret, code)) as ConfirmedTotp;
    const { id } = await database.db.transaction((db) =>
      people.authenticators.enrolTotp(db, account.id, confirmed, ' My  phone ', { requestId: 'r' }),
    );

    expect(await people.authenticators.list(account.id)).toMatchObject([
      { id, kind: 'totp', label: 'My phone', lastUsedAt: undefined },
    ]);
    expect(await people.authenticators.hasSecondFactor(account.id)).toBe(true);
    const { secret_sealed: sealed, last_used_step: used } = await row(id);
    expect(sealed.includes(Buffer.from(secret))).toBe(false);
    expect(people.sealer.open(sealed, `authenticators:${id}`).toString()).toBe(secret);
    expect(() => people.sealer.open(sealed, 'authenticators:other')).toThrow('could not be opened');
    expect(used).toBe(confirmed.step);
    expect(await people.mails(account.email)).toMatchObject([
      { template: 'second_factor_added', device: 'My phone' },
    ]);
    expect((await people.audit(account.id)).at(-1)).toMatchObject({
      type: 'authenticator.added',
      outcome: 'success',
      data: { authenticator: id, kind: 'totp' },
    });

    // The code that confirmed it signs nobody in.
    expect(await people.authenticators.verifyTotp(account.id, code)).toBeUndefined();
  });

  test.each(['', ' ', 'x'.repeat(41), 'a\u0000b'])(
    'refuses the name %j, and leaves nothing',
    async (label) => {
      const account = await newAccount();
      const { secret } = people.authenticators.newTotpSecret('Example ID', account.email);
      const enrolling = database.db.transaction((db) =>
        people.authenticators.enrolTotp(db, account.id, { secret, step: 1 }, label, {}),
      );
      await expect(enrolling).rejects.toMatchObject({ code: 'invalid_label', status: 400 });
      expect(await people.authenticators.list(account.id)).toEqual([]);
      expect(await people.mails(account.email)).toEqual([]);
    },
  );
});

describe('enrolling', () => {
  test('one seed twenty times at once enrols it once: no code of it works twice', async () => {
    const account = await newAccount();
    const { secret } = people.authenticators.newTotpSecret('Example ID', account.email);
    const enrol = () =>
      database.db.transaction((db) =>
        people.authenticators.enrolTotp(db, account.id, { secret, step: 1 }, 'Phone', {}),
      );
    const made = await Promise.all(Array.from({ length: 20 }, enrol));
    expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    expect(await people.authenticators.list(account.id)).toHaveLength(1);
    expect(await people.mails(account.email)).toHaveLength(1);
    const code = await codeAt(secret, 0);
    expect(await people.authenticators.verifyTotp(account.id, code)).toBeDefined();
    expect(await people.authenticators.verifyTotp(account.id, code)).toBeUndefined();
  });

  test('for nobody is refused', async () => {
    const enrolling = database.db.transaction((db) =>
      people.authenticators.enrolTotp(
        db,
        'u_nobody',
        { secret: 'A'.repeat(32), step: 1 },
        'Phone',
        {},
      ),
    );
    await expect(enrolling).rejects.toMatchObject({ code: 'unknown_account', status: 404 });
  });
});

describe('a code', () => {
  test('is right once, also of a hundred at once', async () => {
    const { account, secret, id } = await enrolled();
    const code = await codeAt(secret, 0);
    const results = await Promise.all(
      Array.from({ length: 100 }, () => people.authenticators.verifyTotp(account.id, code)),
    );
    expect(results.filter((result) => result !== undefined)).toEqual([{ id }]);
    expect(await people.authenticators.verifyTotp(account.id, code)).toBeUndefined();
    expect((await row(id)).last_used_at).not.toBeNull();
  });

  test('of the step before is refused after a newer one was used, and taken before', async () => {
    const { account, secret, id } = await enrolled();
    const [before, current, after] = await Promise.all([
      codeAt(secret, -1),
      codeAt(secret, 0),
      codeAt(secret, 1),
    ]);
    expect(await people.authenticators.verifyTotp(account.id, before)).toEqual({ id });
    expect(await people.authenticators.verifyTotp(account.id, current)).toEqual({ id });
    expect(await people.authenticators.verifyTotp(account.id, before)).toBeUndefined();
    expect(await people.authenticators.verifyTotp(account.id, current)).toBeUndefined();
    expect(await people.authenticators.verifyTotp(account.id, after)).toEqual({ id });
    for (const used of [before, current, after])
      expect(await people.authenticators.verifyTotp(account.id, used)).toBeUndefined();
  });

  test('two steps away is wrong', async () => {
    const { account, secret } = await enrolled();
    // Far enough that a step which begins meanwhile changes nothing.
    for (const steps of [-4, -3, 3, 4])
      expect(
        await people.authenticators.verifyTotp(account.id, await codeAt(secret, steps)),
      ).toBeUndefined();
  });

  test('is right for its own account alone, and for whichever of its apps', async () => {
    const one = await enrolled();
    const other = await enrolled();
    expect(
      await people.authenticators.verifyTotp(other.account.id, await codeAt(one.secret, 0)),
    ).toBeUndefined();
    const { secret } = people.authenticators.newTotpSecret('Example ID', one.account.email);
    const second = await database.db.transaction((db) =>
      people.authenticators.enrolTotp(db, one.account.id, { secret, step: 0 }, 'Tablet', {}),
    );
    expect(await people.authenticators.verifyTotp(one.account.id, await codeAt(secret, 0))).toEqual(
      { id: second.id },
    );
    expect(
      await people.authenticators.verifyTotp(one.account.id, await codeAt(one.secret, 0)),
    ).toEqual({ id: one.id });
  });

  test('is read with spaces; anything else is wrong, and no error', async () => {
    const { account, secret, id } = await enrolled();
    for (const typed of ['', '12345', '1234567', 'abcdef', '\u0000', '9'.repeat(100_000)])
      expect(await people.authenticators.verifyTotp(account.id, typed)).toBeUndefined();
    const code = await codeAt(secret, 0);
    expect(
      await people.authenticators.verifyTotp(account.id, ` ${code.slice(0, 3)} ${code.slice(3)} `),
    ).toEqual({ id });
    expect(await people.authenticators.verifyTotp('u_nobody', code)).toBeUndefined();
  });

  test('of a seed that was copied over from another row opens nothing', async () => {
    const mine = await enrolled();
    const victim = await enrolled();
    await sql`update authenticators set secret_sealed = (select secret_sealed from authenticators where id = ${mine.id}) where id = ${victim.id}`.execute(
      database.db.kysely,
    );
    await expect(
      people.authenticators.verifyTotp(victim.account.id, await codeAt(mine.secret, 0)),
    ).rejects.toMatchObject({ code: 'unseal_failed' });
  });
});

describe('recovery codes', () => {
  const generateFor = async (id: string) => {
    const codes = people.authenticators.newRecoveryCodes();
    await database.db.transaction((db) =>
      people.authenticators.storeRecoveryCodes(db, id, codes, {}),
    );
    return codes;
  };

  test('are ten, hashed, told by mail, and each works once however it is typed', async () => {
    const account = await newAccount();
    const codes = await generateFor(account.id);
    expect(new Set(codes).size).toBe(10);
    const { rows } = await sql<{
      all: string;
    }>`select json_agg(r)::text as all from recovery_codes r`.execute(database.db.kysely);
    for (const code of codes) expect(rows[0]?.all).not.toContain(code.replaceAll('-', ''));
    expect(await people.mails(account.email)).toMatchObject([
      { template: 'recovery_codes_regenerated', replaced: false },
    ]);
    expect(JSON.stringify(await people.mails(account.email))).not.toContain(codes[0]);
    expect(await unusedCodes(database.db, account.id)).toBe(10);

    expect(await people.authenticators.useRecoveryCode(account.id, codes[0] as string, {})).toEqual(
      { remaining: 9 },
    );
    expect(
      await people.authenticators.useRecoveryCode(account.id, codes[0] as string, {}),
    ).toBeUndefined();
    expect(
      await people.authenticators.useRecoveryCode(
        account.id,
        ` ${(codes[1] as string).toLowerCase().replaceAll('-', ' ')} `,
        {},
      ),
    ).toEqual({ remaining: 8 });
    for (const wrong of [
      '',
      '-',
      'AAAA-AAAA-AAAA-AAAA',
      `${codes[2]}0`,
      (codes[2] as string).slice(1),
      'x'.repeat(100_000),
    ]) {
      expect(await people.authenticators.useRecoveryCode(account.id, wrong, {})).toBeUndefined();
    }
    expect(
      (await people.audit(account.id))
        .filter(({ type }) => type === 'recovery_codes.used')
        .map(({ data }) => data),
    ).toEqual([{ remaining: 9 }, { remaining: 8 }]);
  });

  test('are used by one of fifty at once', async () => {
    const { id } = await newAccount();
    const [code = ''] = await generateFor(id);
    const results = await Promise.all(
      Array.from({ length: 50 }, () => people.authenticators.useRecoveryCode(id, code, {})),
    );
    expect(results.filter((result) => result !== undefined)).toEqual([{ remaining: 9 }]);
  });

  test('are ten, however often they are made at once', async () => {
    const { id } = await newAccount();
    await Promise.all(Array.from({ length: 10 }, () => generateFor(id)));
    expect(await unusedCodes(database.db, id)).toBe(10);
  });

  test('work for their own account alone, and not once there are new ones', async () => {
    const [one, other] = [await newAccount(), await newAccount()];
    const [code = '', second = ''] = await generateFor(one.id);
    await generateFor(other.id);
    expect(await people.authenticators.useRecoveryCode(other.id, code, {})).toBeUndefined();
    await people.authenticators.useRecoveryCode(one.id, code, {});
    const fresh = await generateFor(one.id);
    expect(await unusedCodes(database.db, one.id)).toBe(10);
    for (const old of [code, second])
      expect(await people.authenticators.useRecoveryCode(one.id, old, {})).toBeUndefined();
    expect(await people.authenticators.useRecoveryCode(one.id, fresh[9] as string, {})).toEqual({
      remaining: 9,
    });
  });
});

describe('a reset', () => {
  test('takes every factor away, ends sessions and families, is audited, and told by mail', async () => {
    const person = await people.signedIn('reset@example.com');
    const { secret } = people.authenticators.newTotpSecret('Example ID', 'reset@example.com');
    const [code = ''] = await database.db.transaction(async (db) => {
      await people.authenticators.enrolTotp(db, person.id, { secret, step: 0 }, 'Phone', {});
      const codes = people.authenticators.newRecoveryCodes();
      await people.authenticators.storeRecoveryCodes(db, person.id, codes, {});
      return codes;
    });
    await people.authenticators.reset(person.id, {
      actor: 'u_admin',
      requestId: 'r9',
      address: '192.0.2.9',
      userAgent: 'Test',
    });

    expect(await people.authenticators.hasSecondFactor(person.id)).toBe(false);
    expect(await unusedCodes(database.db, person.id)).toBe(0);
    expect(
      await people.authenticators.verifyTotp(person.id, await codeAt(secret, 0)),
    ).toBeUndefined();
    expect(await people.authenticators.useRecoveryCode(person.id, code, {})).toBeUndefined();
    expect(await people.ended(person)).toEqual({
      session: true,
      family: true,
      reason: 'factor_reset',
    });
    expect((await people.mails('reset@example.com')).map(({ template }) => template)).toContain(
      'second_factor_reset',
    );
    expect((await people.audit(person.id)).at(-1)).toEqual({
      type: 'account.factor_reset',
      outcome: 'success',
      actor: 'u_admin',
      reason: null,
      data: { removed: 1 },
    });
    const { rows } = await sql<{
      address: string;
    }>`select p.address from audit_people p join audit_events e on e.id = p.event_id where e.request_id = 'r9'`.execute(
      database.db.kysely,
    );
    expect(rows).toEqual([{ address: '192.0.2.9' }]);
  });

  test('of nobody changes nothing', async () => {
    await expect(people.authenticators.reset('u_nobody', 'cli')).rejects.toMatchObject({
      code: 'unknown_account',
      status: 404,
    });
    expect(await people.audit('u_nobody')).toEqual([]);
  });
});
