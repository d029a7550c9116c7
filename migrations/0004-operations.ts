import { type Kysely, sql } from 'kysely';

/** Keys, the audit, the outbox, limits, and what the instance knows of itself. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table signing_keys (
      kid text primary key,
      alg text not null,
      public_jwk jsonb not null,
      private_sealed bytea not null,
      created_at timestamptz not null default now(),
      -- signs from then on; published before
      active_at timestamptz not null,
      -- signs no more, still published
      retired_at timestamptz,
      -- published no more
      removed_at timestamptz
    )`.execute(db);
  await sql`
    create table cookie_keys (
      id text primary key,
      key_sealed bytea not null,
      created_at timestamptz not null default now(),
      active_at timestamptz not null,
      removed_at timestamptz
    )`.execute(db);
  // By month: a month is dropped whole when the retention has passed.
  await sql`
    create table audit_events (
      id text not null,
      at timestamptz not null default now(),
      type text not null,
      outcome text not null check (outcome in ('success', 'refused')),
      account_id text,
      client_id text,
      grant_id text,
      actor text,
      request_id text,
      reason text,
      data jsonb,
      primary key (id, at)
    ) partition by range (at)`.execute(db);
  await sql`create index audit_events_account on audit_events (account_id, at)`.execute(db);
  await sql`create table audit_events_rest partition of audit_events default`.execute(db);
  // What is personal stands beside the event, so that erasing it leaves the event.
  await sql`
    create table audit_people (
      event_id text not null,
      at timestamptz not null default now(),
      account_id text,
      address text,
      user_agent text,
      email text,
      primary key (event_id, at)
    ) partition by range (at)`.execute(db);
  await sql`create index audit_people_account on audit_people (account_id)`.execute(db);
  await sql`create table audit_people_rest partition of audit_people default`.execute(db);
  await sql`
    create table outbox (
      id text primary key,
      kind text not null,
      -- null for clockwork, and once delivered: payloads hold live links
      payload_sealed bytea,
      due_at timestamptz not null default now(),
      leased_until timestamptz,
      attempts integer not null default 0,
      last_error text,
      created_at timestamptz not null default now(),
      done_at timestamptz,
      dead_at timestamptz
    )`.execute(db);
  await sql`create index outbox_due on outbox (due_at) where done_at is null and dead_at is null`.execute(
    db,
  );
  await sql`
    create table rate_limits (
      key varchar(255) primary key,
      points integer not null default 0,
      expire bigint
    )`.execute(db);
  await sql`create index rate_limits_expiry on rate_limits (expire)`.execute(db);
  await sql`
    create table instance (
      key text primary key,
      value text not null
    )`.execute(db);
}
