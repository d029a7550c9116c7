import { type Kysely, sql } from 'kysely';

/** How tokens are made, API by API and client by client. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // The `typ` in the header of JWT access tokens: `JWT` for decoders that know nothing of RFC 9068.
  await sql`
    alter table resource_servers
      add column token_typ text not null default 'at+jwt' check (token_typ in ('at+jwt', 'JWT'))`.execute(
    db,
  );
  // Policy of ours (lifetimes, rotation, default API …), read through one schema that knows the defaults.
  await sql`alter table clients add column settings jsonb not null default '{}'`.execute(db);
}
