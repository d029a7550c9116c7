import { type Kysely, sql } from 'kysely';

/** The end of a key: a signing key's private part goes as soon as it signs nothing, and cookie keys retire as well. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // The private part is gone since then.
  await sql`alter table signing_keys add column erased_at timestamptz`.execute(db);
  // Signs no more, still verifies. `removed_at` of a cookie key hides it from the release before, and stays empty.
  await sql`alter table cookie_keys add column retired_at timestamptz`.execute(db);
}
