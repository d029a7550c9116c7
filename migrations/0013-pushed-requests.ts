import { type Kysely, sql } from 'kysely';

/** Authorization requests that clients pushed (RFC 9126), by the hash of what stands for them in `request_uri`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // No foreign key: what a client that is gone has pushed is found by nobody, and goes within hours.
  await sql`
    create table pushed_requests (
      id_hash bytea primary key,
      client_id text not null,
      -- null once it was used, or is over
      payload jsonb,
      expires_at timestamptz not null,
      consumed_at timestamptz
    )`.execute(db);
  await sql`create index pushed_requests_expiry on pushed_requests (expires_at)`.execute(db);
  await sql`
    create index pushed_requests_over on pushed_requests (expires_at) where payload is not null`.execute(
    db,
  );
  await sql`
    create index pushed_requests_used on pushed_requests (consumed_at) where consumed_at is not null`.execute(
    db,
  );
  await sql`
    alter table pushed_requests set (
      autovacuum_vacuum_scale_factor = 0.03, autovacuum_vacuum_threshold = 500,
      autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000)`.execute(db);
  // Those of before there was such a thing. Releases that know nothing of it pass over it.
  await sql`
    update clients set metadata = '{"require_pushed_authorization_requests": true, "authorization_signed_response_alg": "ES256"}'::jsonb || metadata
    where settings->>'profile' = 'fapi2' and metadata->'grant_types' @> '"authorization_code"'`.execute(
    db,
  );
}
