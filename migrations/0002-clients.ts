import { type Kysely, sql } from 'kysely';

/** Resource servers with their scopes, clients with their secrets, and who may ask for what, API by API. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table resource_servers (
      id text primary key,
      identifier text not null unique,
      name text not null,
      token_format text not null check (token_format in ('opaque', 'jwt')),
      access_token_ttl integer not null,
      signing_alg text not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table resource_server_scopes (
      resource_server_id text not null references resource_servers (id) on delete cascade,
      scope text not null,
      description text not null,
      position integer not null,
      primary key (resource_server_id, scope)
    )`.execute(db);
  await sql`
    create table clients (
      id text primary key,
      name text not null,
      type text not null check (type in ('web', 'spa', 'native', 'machine', 'device', 'resource_server')),
      -- client metadata as RFC 7591 names it; never a secret
      metadata jsonb not null,
      -- set for the credentials with which an API introspects
      resource_server_id text references resource_servers (id) on delete cascade,
      first_party boolean not null default false,
      verified boolean not null default false,
      developer text,
      disabled_at timestamptz,
      -- no token from before lives: what was disabled does not come back with the client
      tokens_since timestamptz,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table client_secrets (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      secret_hash bytea not null,
      last_four text not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz
    )`.execute(db);
  await sql`create index client_secrets_client on client_secrets (client_id)`.execute(db);
  await sql`
    create table client_scopes (
      client_id text not null references clients (id) on delete cascade,
      resource_server_id text not null,
      scope text not null,
      primary key (client_id, resource_server_id, scope),
      foreign key (resource_server_id, scope)
        references resource_server_scopes (resource_server_id, scope) on delete cascade
    )`.execute(db);
  // One row a topic, raised in the transaction of each change: how caches in other processes learn of it.
  await sql`
    create table config_versions (
      topic text primary key,
      version bigint not null
    )`.execute(db);
  await sql`insert into config_versions (topic, version) values ('clients', 1), ('resource_servers', 1), ('keys', 1)`.execute(
    db,
  );
}
