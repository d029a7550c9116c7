import { type Kysely, sql } from 'kysely';

/** What cleaning finds its rows by, and how soon the room that they leave is used again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Used up, and not yet emptied: a few minutes' worth.
  await sql`
    create index tokens_used on tokens (consumed_at) where consumed_at is not null and payload is not null`.execute(
    db,
  );
  await sql`create index grants_ended on grants (revoked_at) where revoked_at is not null`.execute(
    db,
  );
  await sql`create index outbox_done on outbox (done_at) where done_at is not null`.execute(db);
  await sql`create index outbox_dead on outbox (dead_at) where dead_at is not null`.execute(db);
  // By itself PostgreSQL waits until a fifth of a table is dead.
  for (const table of [
    'tokens',
    'grants',
    'sessions',
    'session_clients',
    'interactions',
    'revoked_tokens',
    'action_links',
    'rate_limits',
    'outbox',
  ]) {
    await sql`
      alter table ${sql.table(table)} set (
        autovacuum_vacuum_scale_factor = 0.03, autovacuum_vacuum_threshold = 500,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_limit = 2000)`.execute(db);
  }
}
