import { isDecided } from '../db/decided-clients.ts';
import type { Schema } from '../db/schema.ts';
import type { Topic } from '../db/versions.ts';

/**
 * What ends a row, and how long it stays after that. An index leads with `ended` under the condition `where`, so that
 * the oldest are found without a look at the others.
 */
export interface Rule {
  /** The table, or a join that begins with it. Its alias is `r`. */
  readonly from: string;
  readonly key: string;
  /** The moment from which `after` counts. */
  readonly ended: string;
  readonly type: 'timestamptz' | 'bigint';
  /** An interval. */
  readonly after: string;
  readonly where?: string;
  /** What becomes of the row; it is deleted unless told. */
  readonly set?: string;
  /** What caches are told of the change. */
  readonly raises?: Topic;
}

const rule = (
  from: string,
  key: string,
  ended: string,
  after: string,
  more: Partial<Rule> = {},
): Rule => ({ from: `${from} r`, key, ended: `r.${ended}`, type: 'timestamptz', after, ...more });

/** Past what clocks differ by, and past what a request may take. For so long the revocation feed tells of what has ended. */
const SOON = '1 minute';
/** Longer than the longest grace of a refresh token. */
const PAST_GRACE = '150 seconds';
/** For what answers otherwise once it is gone: "this has ended" is a better answer than "there is no such thing". */
const A_WHILE = '10 minutes';

/**
 * Nothing of a family that has ended lives again, and a replay has nothing left to end: its tokens need not wait for their
 * time. JWTs do, since the revocation feed tells of them.
 */
const ofEndedFamilies = (ended: 'revoked_at' | 'expires_at'): Rule => ({
  from: 'tokens r join grants g on g.id = r.grant_id',
  key: 'id_hash',
  ended: `g.${ended}`,
  type: 'timestamptz',
  after: A_WHILE,
  where: `g.${ended} is not null and r.kind <> 'jwt'`,
});

/** Every read of a token joins its family. Looked up one by one, whatever the planner thinks of their number. */
const withoutTokens = `(select t.id_hash from tokens t where t.grant_id = r.id limit 1) is null`;

/**
 * A JWT that was bound to a session is dead with it, and the revocation feed learns so from the session's row. Only what
 * is bound keeps one: an hour's worth, as a rule.
 */
const withoutBoundJwts = `(select t.id_hash from grants g join tokens t on t.grant_id = g.id
  where g.session_uid = r.uid and t.session_uid = r.uid and t.kind = 'jwt' limit 1) is null`;

/** No user has decided anything about the client, and nothing of it lives. */
const withoutDecisions = `(select n.id from consents n where n.client_id = r.id limit 1) is null
  and (select g.id from grants g where g.client_id = r.id limit 1) is null`;

/**
 * For each table what keeps it from growing for ever: the rules by which its rows go, in the order in which they are
 * followed, or in words why there are no more rows than there should be. A new table has to say so here.
 */
export const retention: Readonly<Record<keyof Schema, readonly Rule[] | string>> = {
  tokens: [
    rule('tokens', 'id_hash', 'expires_at', SOON, { where: `r.kind <> 'code'` }),
    // A late replay of a code is to be seen.
    rule('tokens', 'id_hash', 'expires_at', '1 day', { where: `r.kind = 'code'` }),
    ofEndedFamilies('revoked_at'),
    ofEndedFamilies('expires_at'),
    // A used refresh token stays as long as it would have lived, so that a replay is seen; that takes no more than its family.
    rule('tokens', 'id_hash', 'consumed_at', PAST_GRACE, {
      where: 'r.consumed_at is not null and r.payload is not null',
      set: 'payload = null',
    }),
  ],
  token_sources: [rule('token_sources', 'id_hash', 'expires_at', SOON)],
  grants: [
    rule('grants', 'id', 'expires_at', A_WHILE, { where: withoutTokens }),
    rule('grants', 'id', 'revoked_at', A_WHILE, {
      where: `r.revoked_at is not null and ${withoutTokens}`,
    }),
  ],
  interactions: [rule('interactions', 'id_hash', 'expires_at', SOON)],
  pushed_requests: [
    rule('pushed_requests', 'id_hash', 'consumed_at', A_WHILE, {
      where: 'r.consumed_at is not null',
    }),
    // It starts nothing any more. Anybody may push for a public client: what was asked for takes no room for hours.
    rule('pushed_requests', 'id_hash', 'expires_at', SOON, {
      where: 'r.payload is not null',
      set: 'payload = null',
    }),
    // A sign-in that it started may end hours later, and has to find it unused.
    rule('pushed_requests', 'id_hash', 'expires_at', '6 hours'),
  ],
  polled_requests: [
    rule('polled_requests', 'id', 'expires_at', A_WHILE, { where: 'r.consumed_at is null' }),
    // A late replay is to be seen.
    rule('polled_requests', 'id', 'expires_at', '1 day', { where: 'r.consumed_at is not null' }),
  ],
  sessions: [
    rule('sessions', 'uid', 'expires_at', A_WHILE, { where: withoutBoundJwts }),
    rule('sessions', 'uid', 'ended_at', A_WHILE, {
      where: `r.ended_at is not null and ${withoutBoundJwts}`,
    }),
  ],
  session_clients: 'go with their session',
  revoked_tokens: [rule('revoked_tokens', 'id_hash', 'expires_at', SOON)],
  // They bring their own margin, and live a few minutes.
  replays: [rule('replays', 'id_hash', 'expires_at', '5 seconds')],
  action_links: [rule('action_links', 'id_hash', 'expires_at', A_WHILE)],
  rate_limits: [rule('rate_limits', 'key', 'expire', SOON, { type: 'bigint' })],
  outbox: [
    rule('outbox', 'id', 'done_at', '1 day', { where: 'r.done_at is not null' }),
    rule('outbox', 'id', 'dead_at', '30 days', { where: 'r.dead_at is not null' }),
    // What nobody here delivers: mails of a server without mail, kinds of another release.
    rule('outbox', 'id', 'due_at', '30 days', {
      where: `r.done_at is null and r.dead_at is null and r.kind not like 'clock:%'`,
    }),
  ],
  audit_events: 'by month: see audit-months.ts',
  audit_people: 'by month: see audit-months.ts',
  accounts: 'one for each person',
  authenticators: 'a few for each account, and go with it',
  recovery_codes: 'ten for each account, and go with it',
  // Those of a client that was deleted go before it, in batches: a client may have had a million of them.
  consents: [
    {
      from: 'consents r join clients g on g.id = r.client_id',
      key: 'id',
      ended: 'g.deleted_at',
      type: 'timestamptz',
      after: SOON,
      where: 'g.deleted_at is not null',
    },
  ],
  clients: [
    // What has never been used, of those that nobody here has registered.
    rule('clients', 'id', 'created_at', '1 day', {
      where: `r.registered_by is not null and r.used_at is null and r.registered_by <> 'token'
        and r.disabled_at is null and not ${isDecided('r')}`,
      raises: 'clients',
    }),
    // What everybody has taken back.
    rule('clients', 'id', 'used_at', '30 days', {
      where: `r.registered_by is not null and r.registered_by <> 'token' and r.disabled_at is null
        and not ${isDecided('r')} and ${withoutDecisions}`,
      raises: 'clients',
    }),
    // The revocation feed tells of it for as long as a token of it might live: a day.
    rule('clients', 'id', 'deleted_at', '25 hours', {
      where: `r.deleted_at is not null and ${withoutDecisions}`,
    }),
  ],
  initial_access_tokens: [rule('initial_access_tokens', 'id', 'expires_at', '1 day')],
  client_registrations: 'go with their client',
  ended_permissions: [
    // Past the life of every token that carries one.
    rule('ended_permissions', 'permission', 'ended_at', '25 hours', { raises: 'clients' }),
  ],
  client_secrets: 'two for each client at the most, and go with it',
  client_scopes: 'go with their client',
  resource_servers: 'registered',
  resource_server_scopes: 'go with their API',
  gateway_rules: 'go with their API',
  detail_types: 'go with their API',
  exchange_rules: 'one for each client and two APIs, and go with any of them',
  trusted_issuers: 'registered',
  trusted_subjects: 'go with their issuer, their client and their API',
  config_versions: 'one for each topic',
  signing_keys: 'a few a year',
  cookie_keys: 'a few a year',
  subject_keys: 'one',
  instance: 'a handful',
};
