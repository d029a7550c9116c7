import { type Kysely, sql } from 'kysely';

/**
 * The verb before a scope's words on the consent page, as its API team says it: "see", "change". Null for scopes that
 * were registered without one, and for those that an earlier release inserts.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table resource_server_scopes add column verb text`.execute(db);
}
