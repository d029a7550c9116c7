import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { endSessions, listSessions } from '../../src/session/session.service.ts';
import type { SessionFilter } from '../../src/session/session.ts';
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

const end = (filter: SessionFilter) =>
  t.db.transaction((db) => endSessions(db, filter, 'ended_by_test'));
const live = async (accountId: string) =>
  (await listSessions(t.db.kysely, accountId)).map(({ uid }) => uid).sort();

test('the live sessions of an account are listed, the one last seen first', async () => {
  const { accountId, one, two } = await twoSessions();
  await t.db.kysely
    .updateTable('sessions')
    .set({
      last_seen_at: new Date(Date.now() + 1_000),
      payload: JSON.stringify({ loginTs: 1_795_000_000, acr: 'a', amr: ['pwd'] }),
    })
    .where('uid', '=', two.sessionUid)
    .execute();
  const sessions = await listSessions(t.db.kysely, accountId);
  expect(sessions.map(({ uid }) => uid)).toEqual([two.sessionUid, one.sessionUid]);
  expect(sessions[0]).toMatchObject({
    accountId,
    authTime: new Date(1_795_000_000_000),
    acr: 'a',
    amr: ['pwd'],
  });
  expect(sessions[1]).toMatchObject({ authTime: undefined, acr: undefined, amr: [] });

  await t.db.kysely
    .updateTable('sessions')
    .set({ expires_at: new Date(Date.now() - 1_000) })
    .where('uid', '=', one.sessionUid)
    .execute();
  expect(await live(accountId)).toEqual([two.sessionUid]);
});

test('all of them end, with every family', async () => {
  const { accountId, one, two } = await twoSessions();
  expect(await end({ accountId })).toBe(2);
  expect(await live(accountId)).toEqual([]);
  for (const each of [one, two])
    expect(await people.ended(each)).toEqual({
      session: true,
      family: true,
      reason: 'ended_by_test',
    });
  expect(await end({ accountId })).toBe(0);
});

test('all others end, and this one stays with what began in it', async () => {
  const { accountId, one, two } = await twoSessions();
  expect(await end({ accountId, exceptSession: one.sessionUid })).toBe(1);
  expect(await live(accountId)).toEqual([one.sessionUid]);
  expect(await people.ended(one)).toMatchObject({ session: false, family: false });
  expect(await people.ended(two)).toMatchObject({ session: true, family: true });
});

test('one ends, and only where it is the account’s own', async () => {
  const { accountId, one, two } = await twoSessions();
  const stranger = await people.signedIn('stranger@example.com');
  expect(await end({ accountId: stranger.id, sessionUid: one.sessionUid })).toBe(0);
  expect(await people.ended(one)).toMatchObject({ session: false, family: false });
  expect(await end({ accountId, sessionUid: one.sessionUid })).toBe(1);
  expect(await people.ended(one)).toMatchObject({ session: true, family: true });
  expect(await people.ended(two)).toMatchObject({ session: false, family: false });
});
