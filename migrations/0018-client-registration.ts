import { type Kysely, sql } from 'kysely';

/** Clients that register themselves: what they came by, what APIs open to them, and the tokens that let them manage themselves. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table clients
      -- null: by the operator; by whom else: anybody, the holder of an initial access token, or a metadata document at its id
      add column registered_by text check (registered_by in ('anybody', 'token', 'document')),
      -- when a person decided about it for the first time, or the last time that counts
      add column used_at timestamptz,
      add column deleted_at timestamptz`.execute(db);
  // What the quotas count, and what cleaning finds its rows by.
  await sql`
    create index clients_unused on clients (created_at) where registered_by is not null and used_at is null`.execute(
    db,
  );
  await sql`create index clients_used on clients (used_at) where registered_by is not null`.execute(
    db,
  );
  await sql`create index clients_deleted on clients (deleted_at) where deleted_at is not null`.execute(
    db,
  );
  await sql`
    alter table resource_server_scopes add column open boolean not null default false`.execute(db);
  await sql`
    create table initial_access_tokens (
      id text primary key,
      token_hash bytea not null unique,
      name text not null,
      -- {identifier: [scope]}: what clients of this token may ask for besides what is open to all
      apis jsonb not null,
      uses_left integer not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index initial_access_tokens_expiry on initial_access_tokens (expires_at)`.execute(
    db,
  );
  await sql`
    create table client_registrations (
      client_id text primary key references clients (id) on delete cascade,
      -- of the registration access token (RFC 7592); null once it may manage nothing any more
      token_hash bytea unique,
      -- from where it came: a keyed hash of the network address
      registered_from_mac bytea,
      initial_access_token_id text
    )`.execute(db);
  // Whoever registers without being known waits for the one before: so are quotas counted.
  await sql`insert into instance (key, value) values ('anybody_registers', '') on conflict do nothing`.execute(
    db,
  );
}
