import type { Schema } from './schema.ts';

/** Complete by its type: a table that is missing here does not compile. */
const tables: Readonly<Record<keyof Schema, true>> = {
  accounts: true,
  authenticators: true,
  recovery_codes: true,
  action_links: true,
  resource_servers: true,
  resource_server_scopes: true,
  detail_types: true,
  clients: true,
  ended_permissions: true,
  client_secrets: true,
  initial_access_tokens: true,
  client_registrations: true,
  client_scopes: true,
  gateway_rules: true,
  exchange_rules: true,
  trusted_issuers: true,
  trusted_subjects: true,
  config_versions: true,
  consents: true,
  sessions: true,
  grants: true,
  session_clients: true,
  tokens: true,
  polled_requests: true,
  token_sources: true,
  revoked_tokens: true,
  replays: true,
  interactions: true,
  pushed_requests: true,
  signing_keys: true,
  cookie_keys: true,
  subject_keys: true,
  audit_events: true,
  audit_people: true,
  outbox: true,
  rate_limits: true,
  instance: true,
};

/** The tables of migrations describe the database, not what is in it. */
export const migrationTables: readonly string[] = ['kysely_migration', 'kysely_migration_lock'];

/**
 * Every table of the server, without those of migrations and without partitions. Other programs may have tables in the same
 * schema: whatever looks up tables in the catalog keeps to this list.
 */
export const ourTables: readonly string[] = Object.keys(tables);
