import { type Kysely, sql } from 'kysely';

/** The key from which pairwise subjects are derived: one for the whole installation, and for as long as it lives. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table subject_keys (
      id text primary key,
      key_sealed bytea not null,
      created_at timestamptz not null default now()
    )`.execute(db);
}
