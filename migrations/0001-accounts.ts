import { type Kysely, sql } from 'kysely';

/** Accounts, their authenticators, and the one-time links that act on them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table accounts (
      id text primary key,
      email text not null,
      -- the form in which addresses are compared: one account for all spellings of an address
      email_key text not null unique,
      email_verified_at timestamptz,
      name text,
      locale text,
      password_hash text,
      password_changed_at timestamptz,
      admin boolean not null default false,
      disabled_at timestamptz,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    )`.execute(db);
  await sql`
    create table authenticators (
      id text primary key,
      account_id text not null references accounts (id) on delete cascade,
      kind text not null check (kind in ('totp')),
      label text not null,
      secret_sealed bytea not null,
      -- the newest time step that was accepted: no code of it or of an earlier one is taken again
      last_used_step bigint not null default 0,
      created_at timestamptz not null default now(),
      last_used_at timestamptz
    )`.execute(db);
  await sql`create index authenticators_account on authenticators (account_id)`.execute(db);
  await sql`
    create table recovery_codes (
      account_id text not null references accounts (id) on delete cascade,
      code_hash bytea not null,
      used_at timestamptz,
      primary key (account_id, code_hash)
    )`.execute(db);
  await sql`
    create table action_links (
      -- SHA-256 of the name by which a page that waits for the code knows it; it stays when a new link is sent
      id_hash bytea primary key,
      -- SHA-256 of the token in the newest link
      token_hash bytea not null unique,
      purpose text not null check (purpose in ('verify_email', 'register', 'setup')),
      account_id text references accounts (id) on delete cascade,
      email text,
      -- a short code for another device: an HMAC, since eight digits could be found from a plain hash
      code_mac bytea,
      attempts integer not null default 0,
      -- a registration that waits: it becomes an account with the proof that the address is the person's
      payload_sealed bytea,
      sent_at timestamptz not null default now(),
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      used_at timestamptz
    )`.execute(db);
  await sql`create index action_links_account on action_links (account_id)`.execute(db);
  await sql`create index action_links_expiry on action_links (expires_at)`.execute(db);
}
