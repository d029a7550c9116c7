import { type Kysely, sql } from 'kysely';

/** JWTs with the plain `typ` that an API asked for before it asked for the other are out, and stay good. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table resource_servers add column plain_typ_until timestamptz`.execute(db);
}
