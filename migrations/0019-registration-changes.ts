import { type Kysely, sql } from 'kysely';

/**
 * What changed in a registration after people had allowed it, what an operator demands of a client that registered itself, and
 * which permissions were taken away lately.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table clients
      -- what the client itself registered: {name, type, metadata}; null where metadata is just that
      add column said jsonb,
      -- what an operator demands of it, laid over what it registered: metadata is the result
      add column demanded jsonb not null default '{}',
      -- raised with each change that users have to allow again
      add column revision integer not null default 0`.execute(db);
  // What users were shown of the client when they decided; null for decisions from before.
  await sql`alter table consents add column shown jsonb`.execute(db);
  // Tokens from before that carry one of these are dead. It names client, API, kind and name, one a line.
  await sql`
    create table ended_permissions (
      permission text primary key,
      ended_at timestamptz not null
    )`.execute(db);
  await sql`create index ended_permissions_ended on ended_permissions (ended_at)`.execute(db);
}
