import { type Kysely, sql } from 'kysely';

/** Which clients may exchange which tokens (RFC 8693), whose assertions are taken (RFC 7523), and what a token was made from. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table exchange_rules (
      id text primary key,
      client_id text not null references clients (id) on delete cascade,
      -- the API that the token is for, and the one that the new token is for
      source_id text not null references resource_servers (id) on delete cascade,
      target_id text not null references resource_servers (id) on delete cascade,
      scopes text[] not null,
      -- the new token need not name who acts
      impersonation boolean not null,
      -- other clients whose tokens may stand for who acts
      actors text[] not null,
      created_at timestamptz not null default now(),
      unique (client_id, source_id, target_id)
    )`.execute(db);
  await sql`create index exchange_rules_source on exchange_rules (source_id)`.execute(db);
  await sql`create index exchange_rules_target on exchange_rules (target_id)`.execute(db);
  await sql`
    create table trusted_issuers (
      id text primary key,
      issuer text not null unique,
      -- one of the two
      jwks jsonb,
      jwks_uri text,
      algs text[] not null,
      -- seconds from the issue of an assertion to its end
      max_life integer not null,
      -- an assertion may be shown again until it ends
      reusable boolean not null,
      created_at timestamptz not null default now(),
      check ((jwks is null) <> (jwks_uri is null))
    )`.execute(db);
  await sql`
    create table trusted_subjects (
      id text primary key,
      issuer_id text not null references trusted_issuers (id) on delete cascade,
      -- with * at its end it stands for every subject that begins so
      subject text not null,
      client_id text not null references clients (id) on delete cascade,
      resource_server_id text not null references resource_servers (id) on delete cascade,
      scopes text[] not null,
      -- a client that has nothing to authenticate with may use it
      public boolean not null,
      created_at timestamptz not null default now(),
      unique (issuer_id, subject, client_id, resource_server_id)
    )`.execute(db);
  await sql`create index trusted_subjects_client on trusted_subjects (client_id)`.execute(db);
  await sql`create index trusted_subjects_resource_server on trusted_subjects (resource_server_id)`.execute(
    db,
  );
  await sql`insert into config_versions (topic, version) values ('exchange_rules', 1), ('trusted_issuers', 1)`.execute(
    db,
  );
  // How many exchanges are behind a token: what it was made from stands in token_sources.
  await sql`alter table tokens add column generation smallint not null default 0`.execute(db);
  // Every token that another was made from, to the first; it ends with each of them, and with each of their clients.
  await sql`
    create table token_sources (
      id_hash bytea not null,
      source_hash bytea not null,
      client_id text not null,
      issued_at timestamptz not null,
      -- of the token that was made
      expires_at timestamptz not null,
      primary key (id_hash, source_hash)
    )`.execute(db);
  await sql`create index token_sources_source on token_sources (source_hash)`.execute(db);
  await sql`create index token_sources_client on token_sources (client_id)`.execute(db);
  await sql`create index token_sources_expiry on token_sources (expires_at)`.execute(db);
  // Opaque tokens that were revoked one by one stand here as well, for what was made from them: nobody is told of these.
  await sql`alter table revoked_tokens add column opaque boolean not null default false`.execute(
    db,
  );
}
