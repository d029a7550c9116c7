import type { ColumnType, Generated, JSONColumnType } from 'kysely';

/** The row types, table by table, as the migrations make them. */

type Now = ColumnType<Date, Date | undefined, Date>;

export interface AccountsTable {
  id: string;
  email: string;
  email_key: string;
  email_verified_at: Date | null;
  name: string | null;
  locale: string | null;
  password_hash: string | null;
  password_changed_at: Date | null;
  admin: Generated<boolean>;
  roles: Generated<string[]>;
  disabled_at: Date | null;
  created_at: Now;
  updated_at: Now;
}

export interface AuthenticatorsTable {
  id: string;
  account_id: string;
  kind: 'totp';
  label: string;
  secret_sealed: Buffer;
  last_used_step: Generated<number>;
  created_at: Now;
  last_used_at: Date | null;
}

export interface RecoveryCodesTable {
  account_id: string;
  code_hash: Buffer;
  used_at: Date | null;
}

export interface ActionLinksTable {
  id_hash: Buffer;
  token_hash: Buffer;
  purpose: 'verify_email' | 'register' | 'setup';
  account_id: string | null;
  email: string | null;
  code_mac: Buffer | null;
  attempts: Generated<number>;
  payload_sealed: Buffer | null;
  sent_at: Now;
  created_at: Now;
  expires_at: Date;
  used_at: Date | null;
}

export interface ResourceServersTable {
  id: string;
  identifier: string;
  name: string;
  token_format: 'opaque' | 'jwt';
  access_token_ttl: number;
  signing_alg: string;
  token_typ: Generated<'at+jwt' | 'JWT'>;
  plain_typ_until: ColumnType<Date | null, never, Date | null>;
  created_at: Now;
  updated_at: Now;
}

export interface DetailTypesTable {
  type: string;
  resource_server_id: string;
  schema: JSONColumnType<Record<string, unknown>>;
  words: JSONColumnType<Record<string, unknown>>;
  remember: boolean;
  machines: boolean;
  version: Generated<number>;
  created_at: Now;
  updated_at: Now;
}

export interface ResourceServerScopesTable {
  resource_server_id: string;
  scope: string;
  verb: Generated<string | null>;
  description: string;
  position: number;
  open: Generated<boolean>;
}

export interface ClientsTable {
  id: string;
  name: string;
  type: 'web' | 'spa' | 'native' | 'machine' | 'device' | 'resource_server';
  metadata: JSONColumnType<Record<string, unknown>>;
  settings: ColumnType<Record<string, unknown>, string | undefined, string>;
  resource_server_id: string | null;
  first_party: Generated<boolean>;
  verified: Generated<boolean>;
  developer: string | null;
  disabled_at: Date | null;
  tokens_since: Date | null;
  registered_by: 'anybody' | 'token' | 'document' | null;
  used_at: Date | null;
  deleted_at: Date | null;
  said: ColumnType<Record<string, unknown> | null, string | null | undefined, string | null>;
  demanded: ColumnType<Record<string, unknown>, string | undefined, string>;
  revision: Generated<number>;
  created_at: Now;
  updated_at: Now;
}

export interface EndedPermissionsTable {
  permission: string;
  ended_at: Date;
}

export interface InitialAccessTokensTable {
  id: string;
  token_hash: Buffer;
  name: string;
  apis: JSONColumnType<Record<string, string[]>>;
  uses_left: number;
  created_at: Now;
  expires_at: Date;
}

export interface ClientRegistrationsTable {
  client_id: string;
  token_hash: Buffer | null;
  /** Of a token that was asked for and not used yet. */
  next_token_hash: ColumnType<Buffer | null, Buffer | null | undefined>;
  registered_from_mac: Buffer | null;
  initial_access_token_id: string | null;
}

export interface ClientSecretsTable {
  id: string;
  client_id: string;
  secret_hash: Buffer;
  last_four: string;
  created_at: Now;
  expires_at: Date | null;
}

export interface ClientScopesTable {
  client_id: string;
  resource_server_id: string;
  scope: string;
}

export interface GatewayRulesTable {
  id: string;
  resource_server_id: string;
  position: number;
  methods: string[];
  path: string;
  scopes: string[];
  roles: string[];
  public: boolean;
  created_at: Now;
}

export interface ExchangeRulesTable {
  id: string;
  client_id: string;
  source_id: string;
  target_id: string;
  scopes: string[];
  impersonation: boolean;
  actors: string[];
  created_at: Now;
}

export interface TrustedIssuersTable {
  id: string;
  issuer: string;
  jwks: ColumnType<Record<string, unknown> | null, string | null, string | null>;
  jwks_uri: string | null;
  algs: string[];
  max_life: number;
  reusable: boolean;
  created_at: Now;
}

export interface TrustedSubjectsTable {
  id: string;
  issuer_id: string;
  subject: string;
  client_id: string;
  resource_server_id: string;
  scopes: string[];
  public: boolean;
  created_at: Now;
}

export interface ConfigVersionsTable {
  topic: 'clients' | 'resource_servers' | 'keys' | 'exchange_rules' | 'trusted_issuers';
  version: number;
}

/**
 * What a person allowed, or turned down: identity scopes, single claims, and API scopes by the API's identifier; and of
 * authorization details those that are not asked again for exactly the same.
 */
export interface Permissions {
  scopes: string[];
  claims: string[];
  resources: Record<string, string[]>;
  details?: { readonly type: string; readonly [member: string]: unknown }[];
}

export interface ConsentsTable {
  id: string;
  account_id: string;
  client_id: string;
  granted: JSONColumnType<Permissions>;
  rejected: JSONColumnType<Permissions>;
  version: number;
  shown: ColumnType<Record<string, unknown> | null, string | null | undefined, string | null>;
  created_at: Now;
  updated_at: Now;
  last_used_at: Now;
}

export interface SessionsTable {
  uid: string;
  id_hash: Buffer;
  previous_id_hash: Buffer | null;
  previous_until: Date | null;
  account_id: string | null;
  payload: JSONColumnType<Record<string, unknown>>;
  created_at: Now;
  last_seen_at: Now;
  expires_at: Date;
  ended_at: Date | null;
}

export interface GrantsTable {
  id: string;
  account_id: string;
  client_id: string;
  session_uid: string | null;
  consent_version: number | null;
  payload: JSONColumnType<Record<string, unknown>>;
  offline: Generated<boolean>;
  key_id: string;
  created_at: Now;
  expires_at: Date;
  revoked_at: Date | null;
  revoked_reason: string | null;
}

export interface SessionClientsTable {
  session_uid: string;
  client_id: string;
  sid: string;
  grant_id: string | null;
  persists_logout: Generated<boolean>;
}

export interface TokensTable {
  id_hash: Buffer;
  kind: string;
  grant_id: string | null;
  client_id: string;
  account_id: string | null;
  session_uid: string | null;
  payload: JSONColumnType<Record<string, unknown>> | null;
  issued_at: Now;
  expires_at: Date;
  consumed_at: Date | null;
  generation: Generated<number>;
}

export interface TokenSourcesTable {
  id_hash: Buffer;
  source_hash: Buffer;
  client_id: string;
  issued_at: Date;
  expires_at: Date;
}

export interface PolledRequestsTable {
  id: string;
  kind: 'device' | 'ciba';
  id_hash: Buffer;
  user_code_mac: Buffer | null;
  link_hash: Buffer | null;
  client_id: string;
  account_id: string | null;
  grant_id: string | null;
  session_uid: string | null;
  payload: JSONColumnType<Record<string, unknown>>;
  answer: JSONColumnType<Record<string, unknown>> | null;
  payload_sealed: Buffer | null;
  state: Generated<'pending' | 'approved' | 'denied'>;
  poll_interval: Generated<number>;
  polled_at: Date | null;
  polled_early: Generated<boolean>;
  created_at: Now;
  expires_at: Date;
  decided_at: Date | null;
  consumed_at: Date | null;
}

export interface RevokedTokensTable {
  id_hash: Buffer;
  revoked_at: Now;
  expires_at: Date;
  opaque: Generated<boolean>;
}

export interface ReplaysTable {
  id_hash: Buffer;
  expires_at: Date;
}

export interface PushedRequestsTable {
  id_hash: Buffer;
  client_id: string;
  payload: JSONColumnType<Record<string, unknown>> | null;
  expires_at: Date;
  consumed_at: Date | null;
}

export interface InteractionsTable {
  id_hash: Buffer;
  payload: JSONColumnType<Record<string, unknown>>;
  progress: JSONColumnType<Record<string, unknown>> | null;
  created_at: Now;
  expires_at: Date;
}

export interface SigningKeysTable {
  kid: string;
  alg: string;
  public_jwk: JSONColumnType<Record<string, unknown>>;
  private_sealed: Buffer;
  created_at: Now;
  active_at: Date;
  retired_at: Date | null;
  removed_at: Date | null;
  erased_at: Date | null;
}

export interface SubjectKeysTable {
  id: string;
  key_sealed: Buffer;
  created_at: Now;
}

export interface CookieKeysTable {
  id: string;
  key_sealed: Buffer;
  created_at: Now;
  active_at: Date;
  retired_at: Date | null;
  removed_at: Date | null;
}

export interface AuditEventsTable {
  id: string;
  at: Now;
  type: string;
  outcome: 'success' | 'refused';
  account_id: string | null;
  client_id: string | null;
  grant_id: string | null;
  actor: string | null;
  request_id: string | null;
  reason: string | null;
  data: JSONColumnType<Record<string, unknown>> | null;
}

export interface AuditPeopleTable {
  event_id: string;
  at: Now;
  account_id: string | null;
  address: string | null;
  user_agent: string | null;
  email: string | null;
}

export interface OutboxTable {
  id: string;
  kind: string;
  payload_sealed: Buffer | null;
  about: ColumnType<Record<string, unknown> | null, string | null | undefined, string | null>;
  due_at: Now;
  leased_until: Date | null;
  attempts: Generated<number>;
  last_error: string | null;
  created_at: Now;
  done_at: Date | null;
  dead_at: Date | null;
}

export interface RateLimitsTable {
  key: string;
  points: Generated<number>;
  expire: number | null;
}

export interface InstanceTable {
  key: string;
  value: string;
}

export interface Schema {
  accounts: AccountsTable;
  authenticators: AuthenticatorsTable;
  recovery_codes: RecoveryCodesTable;
  action_links: ActionLinksTable;
  resource_servers: ResourceServersTable;
  resource_server_scopes: ResourceServerScopesTable;
  detail_types: DetailTypesTable;
  clients: ClientsTable;
  ended_permissions: EndedPermissionsTable;
  client_secrets: ClientSecretsTable;
  initial_access_tokens: InitialAccessTokensTable;
  client_registrations: ClientRegistrationsTable;
  client_scopes: ClientScopesTable;
  gateway_rules: GatewayRulesTable;
  exchange_rules: ExchangeRulesTable;
  trusted_issuers: TrustedIssuersTable;
  trusted_subjects: TrustedSubjectsTable;
  config_versions: ConfigVersionsTable;
  consents: ConsentsTable;
  sessions: SessionsTable;
  grants: GrantsTable;
  session_clients: SessionClientsTable;
  tokens: TokensTable;
  polled_requests: PolledRequestsTable;
  token_sources: TokenSourcesTable;
  revoked_tokens: RevokedTokensTable;
  replays: ReplaysTable;
  interactions: InteractionsTable;
  pushed_requests: PushedRequestsTable;
  signing_keys: SigningKeysTable;
  cookie_keys: CookieKeysTable;
  subject_keys: SubjectKeysTable;
  audit_events: AuditEventsTable;
  audit_people: AuditPeopleTable;
  outbox: OutboxTable;
  rate_limits: RateLimitsTable;
  instance: InstanceTable;
}
