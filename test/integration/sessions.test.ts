import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { endSessions } from '../../src/session/session.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, type People } from '../support/people.ts';

let t: TestDatabase;
let people: People;

beforeAll(async () => {
  t = await createTestDatabase();
  people = createPeople(t.db);
});

afterAll(() => t?.drop());

let count = 0;
/** An account with two sessions, each with a family that has `offline_access`. */
async function twoSessions() {
  const one = await people.signedIn(`person${++count}@example.com`);
  const two = await people.signedIn(`other${count}@example.com`);
  for (const table of ['sessions', 'grants'] as const) {
    await t.db.kysely
      .updateTable(table)
      .set({ account_id: one.id })
      .where('account_id', '=', two.id)
      .execute();
  }
  return { accountId: one.id, one, two };
}

const end = (accountId: string) =>
  t.db.transaction((db) => endSessions(db, accountId, 'ended_by_test'));
const live = async (accountId: string) => {
  const rows = await t.db.kysely
    .selectFrom('sessions')
    .select('uid')
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .execute();
  return rows.map(({ uid }) => uid);
};

test('all of them end, with every family', async () => {
  const { accountId, one, two } = await twoSessions();
  expect(await end(accountId)).toEqual({ sessions: 2, families: 2 });
  expect(await live(accountId)).toEqual([]);
  for (const each of [one, two])
    expect(await people.ended(each)).toEqual({
      session: true,
      family: true,
      reason: 'ended_by_test',
    });
  expect(await end(accountId)).toEqual({ sessions: 0, families: 0 });
});

test('a stranger’s stay', async () => {
  const { accountId } = await twoSessions();
  const stranger = await people.signedIn('stranger@example.com');
  expect(await end(accountId)).toEqual({ sessions: 2, families: 2 });
  expect(await people.ended(stranger)).toMatchObject({ session: false, family: false });
});
