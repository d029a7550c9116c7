import { type Kysely, sql } from 'kysely';

/** What a gateway asks about: the rules of an API, and the roles of people that they may name. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table accounts add column roles text[] not null default '{}'`.execute(db);
  await sql`
    create table gateway_rules (
      id text primary key,
      resource_server_id text not null references resource_servers (id) on delete cascade,
      -- the first rule that fits decides; written under a lock of the API's row
      position integer not null,
      -- empty for any
      methods text[] not null,
      path text not null,
      -- all of them are needed
      scopes text[] not null,
      -- one of them is needed; empty for none
      roles text[] not null,
      -- nobody is asked for a token
      public boolean not null,
      created_at timestamptz not null default now()
    )`.execute(db);
  await sql`create index gateway_rules_resource_server on gateway_rules (resource_server_id)`.execute(
    db,
  );
}
