import { type RawBuilder, sql } from 'kysely';
import type { JWK } from 'jose';
import type { Db } from '../db/database.ts';
import { COOKIE_LIFE, HINT_LIFE, type KeyInfo, type KeyState, LONGEST_TOKEN } from './keys.ts';

/** The two tables of keys: what they have in common is how a key comes and goes. */
type KeyTable = 'signing_keys' | 'cookie_keys';

const inSeconds = (seconds: number) => sql<Date>`now() + make_interval(secs => ${seconds})`;
const millisecondsTo = (time: RawBuilder<unknown>) =>
  sql<number>`coalesce((extract(epoch from ${time} - now()) * 1000)::float8, 'infinity'::float8)`;
const cookieRemovedAt = sql<Date | null>`retired_at + make_interval(secs => ${COOKIE_LIFE})`;
const stateAt = (removedAt: RawBuilder<unknown>) =>
  sql<KeyState>`case when ${removedAt} <= now() then 'removed' when retired_at <= now() then 'retiring' when active_at > now() then 'next' else 'current' end`;

/** One at a time changes keys; everybody else waits for the commit. */
export async function lockKeys(db: Db): Promise<void> {
  await db
    .selectFrom('config_versions')
    .select('topic')
    .where('topic', '=', 'keys')
    .forUpdate()
    .execute();
}

const times = (removedAt: RawBuilder<unknown>) => [
  millisecondsTo(sql`active_at`).as('activeIn'),
  millisecondsTo(sql`retired_at`).as('retiredIn'),
  millisecondsTo(removedAt).as('removedIn'),
];

export function readSigningKeys(db: Db) {
  return (
    db
      .selectFrom('signing_keys')
      .select(['kid', 'alg', 'public_jwk'])
      .select(times(sql`removed_at`))
      // Not read where it signs nothing any more, whether or not it was erased by now.
      .select(
        sql<Buffer | null>`case when erased_at is null and (retired_at is null or retired_at > now()) then private_sealed end`.as(
          'private_sealed',
        ),
      )
      .where(
        sql<boolean>`(removed_at is null or removed_at > now() - make_interval(secs => ${HINT_LIFE}))`,
      )
      .execute()
  );
}

export function readCookieKeys(db: Db) {
  return db
    .selectFrom('cookie_keys')
    .select(['id', 'key_sealed'])
    .select(times(cookieRemovedAt))
    .where('removed_at', 'is', null)
    .where(
      sql<boolean>`(retired_at is null or retired_at > now() - make_interval(secs => ${COOKIE_LIFE}))`,
    )
    .execute();
}

/** Every key that there is, those that sign first. */
export async function listKeys(db: Db, table: KeyTable): Promise<KeyInfo[]> {
  const signing = table === 'signing_keys';
  const removedAt = signing ? sql<Date | null>`removed_at` : cookieRemovedAt;
  const { rows } = await sql<{
    kid: string;
    alg: string;
    state: KeyState;
    created_at: Date;
    active_at: Date;
    retired_at: Date | null;
    removed_at: Date | null;
  }>`select ${sql.ref(signing ? 'kid' : 'id')} as kid, ${signing ? sql`alg` : sql`'cookie'`} as alg,
       ${stateAt(removedAt)} as state, created_at, active_at, retired_at, ${removedAt} as removed_at
     from ${sql.table(table)} order by active_at desc, alg, kid`.execute(db);
  return rows.map((row) => ({
    kid: row.kid,
    alg: row.alg,
    state: row.state,
    createdAt: row.created_at,
    activeAt: row.active_at,
    retiredAt: row.retired_at ?? undefined,
    removedAt: row.removed_at ?? undefined,
  }));
}

/** What signs now for longer than `days`, and has no successor yet: algorithms, and `cookie` for the cookie keys. */
export async function findDue(db: Db, days: number): Promise<string[]> {
  const { rows } = await sql<{ alg: string }>`
    select alg from signing_keys where retired_at is null
    group by alg having max(active_at) < now() - make_interval(days => ${days})
    union all
    select 'cookie' from cookie_keys where retired_at is null and removed_at is null
    having max(active_at) < now() - make_interval(days => ${days})`.execute(db);
  return rows.map(({ alg }) => alg);
}

export async function insertSigningKey(
  db: Db,
  key: { kid: string; alg: string; publicJwk: JWK; privateSealed: Buffer },
  activeInSeconds: number,
): Promise<void> {
  await db
    .insertInto('signing_keys')
    .values({
      kid: key.kid,
      alg: key.alg,
      public_jwk: JSON.stringify(key.publicJwk),
      private_sealed: key.privateSealed,
      active_at: inSeconds(activeInSeconds),
      retired_at: null,
      removed_at: null,
      erased_at: null,
    })
    .execute();
}

export async function insertCookieKey(
  db: Db,
  key: { id: string; keySealed: Buffer },
  activeInSeconds: number,
): Promise<void> {
  await db
    .insertInto('cookie_keys')
    .values({
      id: key.id,
      key_sealed: key.keySealed,
      active_at: inSeconds(activeInSeconds),
      retired_at: null,
      removed_at: null,
    })
    .execute();
}

/** What signs for `alg` (or the cookies) ceases to in so many seconds, and goes once nothing lives that it signed. */
export async function retire(db: Db, alg: string, inSecondsFromNow: number): Promise<void> {
  const retiredAt = inSeconds(inSecondsFromNow);
  if (alg === 'cookie') {
    await sql`update cookie_keys set retired_at = ${retiredAt} where retired_at is null and removed_at is null`.execute(
      db,
    );
    return;
  }
  // A longer life than may be set was written by nobody of ours; it is looked at all the same.
  await sql`
    update signing_keys set retired_at = ${retiredAt}, removed_at = ${retiredAt} + make_interval(secs =>
      greatest(${LONGEST_TOKEN}, (select max(access_token_ttl) from resource_servers)))
    where alg = ${alg} and retired_at is null`.execute(db);
}

/** What was to cease signing goes on: its successor is gone. */
export async function unretire(db: Db, alg: string): Promise<void> {
  if (alg === 'cookie')
    await sql`update cookie_keys set retired_at = null where retired_at > now()`.execute(db);
  else
    await sql`update signing_keys set retired_at = null, removed_at = null where alg = ${alg} and retired_at > now()`.execute(
      db,
    );
}

/** What waits to sign for `alg` (or the cookies) signs from now on; gives its kid, if anything waited. */
export async function bringForward(db: Db, alg: string): Promise<string | undefined> {
  const { rows } = await (alg === 'cookie'
    ? sql<{
        kid: string;
      }>`update cookie_keys set active_at = now() where active_at > now() and removed_at is null returning id as kid`
    : sql<{
        kid: string;
      }>`update signing_keys set active_at = now() where alg = ${alg} and active_at > now() returning kid`
  ).execute(db);
  return rows[0]?.kid;
}

export async function deleteKey(db: Db, { alg, kid }: KeyInfo): Promise<void> {
  if (alg === 'cookie') await db.deleteFrom('cookie_keys').where('id', '=', kid).execute();
  else await db.deleteFrom('signing_keys').where('kid', '=', kid).execute();
}

/** Keys that sign nothing any more, and whose private part is still there. */
export function findToErase(db: Db) {
  return db
    .selectFrom('signing_keys')
    .select(['kid', 'alg', 'public_jwk'])
    .where('erased_at', 'is', null)
    .where(sql<boolean>`retired_at <= now()`)
    .execute();
}

/** Puts `placeholder` in the place of the private part. */
export async function erase(db: Db, kid: string, placeholder: Buffer): Promise<boolean> {
  const result = await db
    .updateTable('signing_keys')
    .set({ private_sealed: placeholder, erased_at: sql<Date>`now()` })
    .where('kid', '=', kid)
    .where('erased_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Deletes what verifies nothing any more; gives what that was. */
export async function deleteEnded(db: Db): Promise<{ kid: string; alg: string }[]> {
  const { rows } = await sql<{ kid: string; alg: string }>`
    with signing as (
      delete from signing_keys where removed_at < now() - make_interval(secs => ${HINT_LIFE}) returning kid, alg),
    cookies as (
      delete from cookie_keys where retired_at < now() - make_interval(secs => ${COOKIE_LIFE}) returning id as kid, 'cookie' as alg)
    select kid, alg from signing union all select kid, alg from cookies`.execute(db);
  return rows;
}
