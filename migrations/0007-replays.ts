import { type Kysely, sql } from 'kysely';

/** The ids of client assertions and DPoP proofs that were used, for as long as they could be used again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table replays (
      id_hash bytea primary key,
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index replays_expiry on replays (expires_at)`.execute(db);
}
