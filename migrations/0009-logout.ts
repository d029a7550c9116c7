import { type Kysely, sql } from 'kysely';

/** What leaves later may say what it is about in ids alone, written by the very statement that causes it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table outbox add column about jsonb`.execute(db);
}
