import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, password, type People, refusals } from '../support/people.ts';

let database: TestDatabase;
let people: People;

beforeEach(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
});

afterEach(() => database.drop());

const input = (email = 'root@example.com') => ({ email, password, name: 'Root' });
const countAdmins = async () =>
  (await database.db.kysely.selectFrom('accounts').select('id').where('admin', '=', true).execute())
    .length;

test('a setup link makes one confirmed administrator, once', async () => {
  expect(await people.setup.isNeeded()).toBe(true);
  const token = await people.setup.issueSetupLink('cli');
  expect(await people.setup.findSetupLink(token)).toBe('live');
  const account = await people.setup.redeemSetupLink(token, input(), { requestId: 'r1' });
  expect(account).toMatchObject({
    email: 'root@example.com',
    name: 'Root',
    admin: true,
    emailVerified: true,
  });
  expect((await people.accounts.checkCredentials('root@example.com', password)).account?.id).toBe(
    account.id,
  );
  expect(await people.mails('root@example.com')).toEqual([
    { template: 'administrator_created', to: 'root@example.com' },
  ]);
  expect(await people.audit(account.id)).toEqual([
    {
      type: 'account.created',
      outcome: 'success',
      actor: null,
      reason: null,
      data: { admin: true },
    },
  ]);

  expect(await people.setup.isNeeded()).toBe(false);
  expect(await people.setup.findSetupLink(token)).toBe('used');
  await expect(
    people.setup.redeemSetupLink(token, input('second@example.com'), {}),
  ).rejects.toMatchObject({ code: 'link_expired', status: 410 });
  await expect(people.setup.issueSetupLink('cli')).rejects.toMatchObject({
    code: 'already_set_up',
    status: 409,
  });
  expect(await countAdmins()).toBe(1);
});

test('of twenty who redeem it at once, one gets it', async () => {
  const token = await people.setup.issueSetupLink('cli');
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) =>
      people.setup.redeemSetupLink(token, input(`root${i}@example.com`), {}),
    ),
  );
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  expect(refusals(results)).toEqual(['link_expired']);
  expect(await database.db.kysely.selectFrom('accounts').select('id').execute()).toHaveLength(1);
});

test('the newest link alone is good, also of ten that were made at once', async () => {
  const old = await people.setup.issueSetupLink('cli');
  const tokens = await Promise.all(
    Array.from({ length: 10 }, () => people.setup.issueSetupLink('cli')),
  );
  const states = await Promise.all(
    [old, ...tokens].map((token) => people.setup.findSetupLink(token)),
  );
  expect(states.filter((state) => state === 'live')).toHaveLength(1);
  expect(states[0]).toBe('expired');
  await expect(people.setup.redeemSetupLink(old, input(), {})).rejects.toMatchObject({
    code: 'link_expired',
  });
  expect(await countAdmins()).toBe(0);
});

test('it is good for an hour, and not once there is an administrator by other means', async () => {
  const token = await people.setup.issueSetupLink('cli');
  await database.db.kysely
    .updateTable('action_links')
    .set({ expires_at: sql<Date>`expires_at - interval '3599 seconds'` })
    .execute();
  expect(await people.setup.findSetupLink(token)).toBe('live');
  await database.db.kysely
    .updateTable('action_links')
    .set({ expires_at: sql<Date>`expires_at - interval '2 seconds'` })
    .execute();
  expect(await people.setup.findSetupLink(token)).toBe('expired');
  await expect(people.setup.redeemSetupLink(token, input(), {})).rejects.toMatchObject({
    code: 'link_expired',
  });

  const fresh = await people.setup.issueSetupLink('cli');
  await people.accounts.create(
    { email: 'cli@example.com', password, verified: true, admin: true },
    'cli',
  );
  expect(await people.setup.findSetupLink(fresh)).toBe('expired');
  await expect(people.setup.redeemSetupLink(fresh, input(), {})).rejects.toMatchObject({
    code: 'link_expired',
  });
});

test('what is refused does not use it up', async () => {
  await people.accounts.create(
    { email: 'taken@example.com', password, verified: true, admin: false },
    'cli',
  );
  const token = await people.setup.issueSetupLink('cli');
  await expect(
    people.setup.redeemSetupLink(token, { email: 'x', password: 'short' }, {}),
  ).rejects.toMatchObject({ problems: { email: 'malformed', password: 'too-short' } });
  await expect(
    people.setup.redeemSetupLink(token, input('Taken@example.com'), {}),
  ).rejects.toMatchObject({ code: 'email_taken' });
  expect(await people.setup.findSetupLink(token)).toBe('live');
  expect(await people.setup.redeemSetupLink(token, input(), {})).toMatchObject({ admin: true });
});

test('it opens nothing else, and nothing else opens it', async () => {
  const token = await people.setup.issueSetupLink('cli');
  expect(await people.registration.findLink(token)).toEqual({ status: 'expired' });
  expect((await people.registration.verifyLink(token, {})).status).toBe('expired');
  expect(await people.registration.verifyCode('setup', '00000000', {})).toEqual({
    status: 'expired',
  });
  expect(await people.registration.resend('setup')).toBeUndefined();
  expect(await people.registration.findWaiting('setup')).toBeUndefined();
  await people.registration.register({ email: 'eve@example.com', password }, {});
  const [mail] = await people.mails('eve@example.com');
  if (mail?.template !== 'verify_email') throw new Error('no mail');
  expect(await people.setup.findSetupLink(mail.token)).toBe('expired');
  await expect(people.setup.redeemSetupLink(mail.token, input(), {})).rejects.toMatchObject({
    code: 'link_expired',
  });
  const { rows } = await sql<{
    all: string;
  }>`select json_agg(l)::text as all from action_links l`.execute(database.db.kysely);
  expect(rows[0]?.all).not.toContain(token);
});
