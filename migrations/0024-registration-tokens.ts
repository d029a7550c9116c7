import { type Kysely, sql } from 'kysely';

/** A registration access token that replaces another one: the old one serves until the new one is used. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table client_registrations add column next_token_hash bytea unique`.execute(db);
  // The quota of an address, and the unused twin that a repeated registration replaces, are found by it.
  await sql`
    create index client_registrations_from on client_registrations (registered_from_mac)
    where registered_from_mac is not null`.execute(db);
}
