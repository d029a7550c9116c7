import { type Kysely, sql } from 'kysely';

/**
 * Requests that a program makes and a person answers elsewhere, while the program polls: device authorization (RFC 8628)
 * and CIBA.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table polled_requests (
      -- what our own pages know it by; it opens nothing
      id text primary key,
      kind text not null check (kind in ('device', 'ciba')),
      -- of the device code, or of auth_req_id
      id_hash bytea not null unique,
      -- of the normalised user code, which is too short for a plain hash
      user_code_mac bytea,
      -- of the token in the link of the mail
      link_hash bytea unique,
      client_id text not null references clients (id) on delete cascade,
      -- whom it asks, or who has answered it
      account_id text references accounts (id) on delete cascade,
      grant_id text,
      -- set where what it leads to ends with the session that it was answered in
      session_uid text,
      payload jsonb not null,
      -- what the engine keeps of the answer
      answer jsonb,
      -- what is shown or sent again: the user code, auth_req_id and the client's token for the ping; gone with the answer
      payload_sealed bytea,
      state text not null default 'pending' check (state in ('pending', 'approved', 'denied')),
      poll_interval integer not null default 5,
      polled_at timestamptz,
      -- whether the last poll came before its time
      polled_early boolean not null default false,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null,
      decided_at timestamptz,
      consumed_at timestamptz
    ) with (
      fillfactor = 80,
      autovacuum_vacuum_scale_factor = 0.03, autovacuum_vacuum_threshold = 500,
      autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000)`.execute(db);
  // Not unique: of two live codes that are the same by chance, neither is taken.
  await sql`
    create index polled_requests_user_code on polled_requests (user_code_mac) where user_code_mac is not null`.execute(
    db,
  );
  await sql`
    create index polled_requests_account on polled_requests (account_id) where account_id is not null`.execute(
    db,
  );
  await sql`create index polled_requests_client on polled_requests (client_id)`.execute(db);
  // Used ones stay longer, so that a late replay is seen: cleaning looks at them apart.
  await sql`
    create index polled_requests_expiry on polled_requests (expires_at) where consumed_at is null`.execute(
    db,
  );
  await sql`
    create index polled_requests_used on polled_requests (expires_at) where consumed_at is not null`.execute(
    db,
  );
}
