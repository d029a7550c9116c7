import { type Kysely, sql } from 'kysely';

/** What people decided (consents), what a session gave a client (grants: token families), sessions, tokens, interactions. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table consents (
      id text primary key,
      account_id text not null references accounts (id) on delete cascade,
      client_id text not null references clients (id) on delete cascade,
      -- {scopes, claims, resources: {identifier: [scope]}}, and the same of what was turned down
      granted jsonb not null,
      rejected jsonb not null,
      version integer not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      last_used_at timestamptz not null default now(),
      unique (account_id, client_id)
    )`.execute(db);
  await sql`create index consents_client on consents (client_id)`.execute(db);
  await sql`
    create table sessions (
      uid text primary key,
      id_hash bytea not null unique,
      -- the id before the last change, answered for a few seconds and never written through
      previous_id_hash bytea unique,
      previous_until timestamptz,
      account_id text references accounts (id) on delete cascade,
      payload jsonb not null,
      created_at timestamptz not null default now(),
      last_seen_at timestamptz not null default now(),
      expires_at timestamptz not null,
      ended_at timestamptz
    )`.execute(db);
  await sql`create index sessions_account on sessions (account_id)`.execute(db);
  await sql`create index sessions_expiry on sessions (expires_at)`.execute(db);
  await sql`create index sessions_ended on sessions (ended_at) where ended_at is not null`.execute(
    db,
  );
  await sql`
    create table grants (
      id text primary key,
      account_id text not null references accounts (id) on delete cascade,
      client_id text not null references clients (id) on delete cascade,
      session_uid text,
      consent_version integer,
      payload jsonb not null,
      -- keeps its tokens when the browser signs out (offline_access)
      offline boolean not null default false,
      -- the master key from which the family's successor ids are derived
      key_id text not null,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      revoked_at timestamptz,
      revoked_reason text
    )`.execute(db);
  await sql`create index grants_account on grants (account_id, client_id)`.execute(db);
  await sql`create index grants_client on grants (client_id)`.execute(db);
  await sql`create index grants_session on grants (session_uid)`.execute(db);
  await sql`create index grants_expiry on grants (expires_at)`.execute(db);
  await sql`
    create table session_clients (
      session_uid text not null references sessions (uid) on delete cascade,
      client_id text not null references clients (id) on delete cascade,
      sid text not null,
      grant_id text,
      persists_logout boolean not null default false,
      primary key (session_uid, client_id)
    )`.execute(db);
  // No foreign keys here: it is the hottest table, and every read joins the family, the account and the client.
  await sql`
    create table tokens (
      id_hash bytea primary key,
      kind text not null,
      grant_id text,
      client_id text not null,
      account_id text,
      session_uid text,
      -- null for the slim row of a JWT access token
      payload jsonb,
      issued_at timestamptz not null default now(),
      expires_at timestamptz not null,
      consumed_at timestamptz
    )`.execute(db);
  await sql`create index tokens_grant on tokens (grant_id) where grant_id is not null`.execute(db);
  // Codes stay longer than they live, so that late replays are seen: cleaning looks at them apart.
  await sql`create index tokens_expiry on tokens (expires_at) where kind <> 'code'`.execute(db);
  await sql`create index tokens_code_expiry on tokens (expires_at) where kind = 'code'`.execute(db);
  // JWT access tokens of machines leave no row; those that were revoked stand here until they expire.
  await sql`
    create table revoked_tokens (
      id_hash bytea primary key,
      revoked_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index revoked_tokens_expiry on revoked_tokens (expires_at)`.execute(db);
  await sql`
    create table interactions (
      id_hash bytea primary key,
      payload jsonb not null,
      -- how far a sign-in has come; it becomes a session only when every factor is done
      progress jsonb,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index interactions_expiry on interactions (expires_at)`.execute(db);
}
