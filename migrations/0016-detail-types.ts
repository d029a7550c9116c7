import { type Kysely, sql } from 'kysely';

/** What an API's clients may ask for beyond scopes (RFC 9396): types of authorization details, and the words for them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table detail_types (
      -- one API's alone, so that a detail says by its type which API it is for
      type text primary key,
      resource_server_id text not null references resource_servers (id) on delete cascade,
      schema jsonb not null,
      words jsonb not null,
      -- what was allowed once is not asked again for exactly the same
      remember boolean not null,
      -- machines may ask for it on their own behalf
      machines boolean not null,
      -- raised with each change: the schema is compiled once for each
      version integer not null default 1,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index detail_types_resource_server on detail_types (resource_server_id)`.execute(
    db,
  );
}
