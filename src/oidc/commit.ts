import type { Statement } from '../db/database.ts';
import type { AuditWrite } from '../audit/audit.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import type { Payload, SessionClientRecord, TokenKind } from './records.ts';
import { StatementBuilder } from './statement.ts';

/**
 * The one statement that commits a request. It is a chain of gates: families and accounts must be live, what is used
 * must not have been used, the session must not have ended; every insert hangs on the last of them. Who loses a race
 * has written nothing of its outcome, whatever isolation level the database runs at.
 */

export interface TokenWrite {
  readonly idHash: Buffer;
  readonly kind: TokenKind;
  readonly grantId: string | undefined;
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly sessionUid: string | undefined;
  readonly payload: Payload | undefined;
  readonly expiresAt: Date;
}

export interface FamilyWrite {
  readonly id: string;
  /** It is there already: only its payload and consent version change. */
  readonly exists: boolean;
  readonly accountId: string;
  readonly clientId: string;
  readonly sessionUid: string | undefined;
  readonly consentVersion: number | undefined;
  readonly payload: Payload;
  readonly offline: boolean;
  readonly keyId: string;
  readonly expiresAt: Date;
}

export interface SessionWrite {
  readonly uid: string;
  readonly exists: boolean;
  /** Found by its previous id: only its clients are written, the row stays. */
  readonly readOnly: boolean;
  /** Somebody signs in with this change: then it goes through only on the very id that was read. */
  readonly signIn: boolean;
  readonly loadedIdHash: Buffer;
  readonly idHash: Buffer;
  readonly accountId: string | undefined;
  readonly payload: Payload;
  readonly expiresAt: Date;
  readonly clients: Readonly<Record<string, SessionClientRecord>>;
  readonly removedClients: readonly string[];
}

export interface InteractionWrite {
  readonly idHash: Buffer;
  readonly payload: Payload;
  readonly expiresAt: Date;
}

/** What stands only if the request came out well. */
export interface Outcome {
  readonly consumed: readonly { readonly idHash: Buffer; readonly graceSeconds: number }[];
  readonly closedInteractions: readonly Buffer[];
  readonly interactions: readonly InteractionWrite[];
  readonly session: SessionWrite | undefined;
  readonly endedSession: string | undefined;
  readonly families: readonly FamilyWrite[];
  readonly tokens: readonly TokenWrite[];
  readonly deletedTokens: readonly Buffer[];
  readonly revokedJwts: readonly { readonly idHash: Buffer; readonly expiresAt: Date }[];
  readonly usedConsent: string | undefined;
  readonly audit: readonly AuditWrite[];
  readonly outbox: readonly OutboxWrite[];
}

/** What is written whatever came of the request. */
export interface Always {
  readonly killed: readonly { readonly grantId: string; readonly reason: string }[];
  readonly audit: readonly AuditWrite[];
}

export interface CommitRow {
  readonly live: boolean;
  readonly unused: boolean;
  readonly session_live: boolean;
  /** The browser's session id is the one that was written. */
  readonly session_kept: boolean;
}

const GRACE_SECONDS = 5;

const tokenColumns = {
  id_hash: 'bytea',
  kind: 'text',
  grant_id: 'text',
  client_id: 'text',
  account_id: 'text',
  session_uid: 'text',
  payload: 'jsonb',
  expires_at: 'timestamptz',
};
const familyColumns = {
  id: 'text',
  account_id: 'text',
  client_id: 'text',
  session_uid: 'text',
  consent_version: 'integer',
  payload: 'jsonb',
  offline: 'boolean',
  key_id: 'text',
  expires_at: 'timestamptz',
};
const auditColumns = {
  id: 'text',
  type: 'text',
  outcome: 'text',
  account_id: 'text',
  client_id: 'text',
  grant_id: 'text',
  actor: 'text',
  request_id: 'text',
  reason: 'text',
  data: 'jsonb',
};
const auditPeopleColumns = {
  event_id: 'text',
  account_id: 'text',
  address: 'text',
  user_agent: 'text',
  email: 'text',
};

/** The statement for what a request leaves behind, or undefined where it leaves nothing. */
export function commitStatement(
  outcome: Outcome | undefined,
  always: Always,
): Statement | undefined {
  const builder = new StatementBuilder();
  const gates = outcome === undefined ? undefined : addGates(builder, outcome);
  if (outcome !== undefined) addOutcome(builder, outcome);
  addAlways(builder, always);
  if (builder.isEmpty || (outcome !== undefined && isEmpty(outcome) && isNothing(always)))
    return undefined;
  return builder.build(
    gates === undefined
      ? 'true as live, true as unused, true as session_live, true as session_kept'
      : '(select ok from live) as live, (select ok from unused) as unused, (select ok from session_live) as session_live, (select kept from session_live) as session_kept',
  );
}

function isNothing(always: Always): boolean {
  return always.killed.length === 0 && always.audit.length === 0;
}

function isEmpty(outcome: Outcome): boolean {
  return Object.values(outcome).every(
    (value) => value === undefined || (Array.isArray(value) && value.length === 0),
  );
}

function addGates(b: StatementBuilder, outcome: Outcome): true {
  addLive(b, outcome);
  addUnused(b, outcome);
  addSession(b, outcome.session);
  b.add(
    'gate',
    'select live.ok and unused.ok and session_live.ok as ok from live, unused, session_live',
  );
  return true;
}

/** Families that get tokens, and accounts that get families, must be live, and stay so until the commit. */
function addLive(b: StatementBuilder, outcome: Outcome): void {
  const fresh = new Set(
    outcome.families.filter((family) => !family.exists).map((family) => family.id),
  );
  const used = new Set(
    outcome.tokens.map((token) => token.grantId).filter((id) => id !== undefined && !fresh.has(id)),
  );
  const accounts = new Set(
    outcome.families.filter((family) => !family.exists).map((family) => family.accountId),
  );
  if (outcome.session?.signIn && outcome.session.accountId !== undefined)
    accounts.add(outcome.session.accountId);
  const checks: string[] = [];
  if (used.size > 0) {
    b.add(
      'live_families',
      `select g.id from grants g join accounts a on a.id = g.account_id
       where g.id = any(${b.param([...used], 'text[]')}) and g.revoked_at is null and g.expires_at > now() and a.disabled_at is null for share of g, a`,
    );
    checks.push(`(select count(*) from live_families) = ${used.size}`);
  }
  if (accounts.size > 0) {
    b.add(
      'live_accounts',
      `select id from accounts where id = any(${b.param([...accounts], 'text[]')}) and disabled_at is null for share`,
    );
    checks.push(`(select count(*) from live_accounts) = ${accounts.size}`);
  }
  b.add('live', `select ${checks.length === 0 ? 'true' : checks.join(' and ')} as ok`);
}

/** Single use: an update that finds its row only once, or again within its grace. */
function addUnused(b: StatementBuilder, outcome: Outcome): void {
  const checks: string[] = [];
  outcome.consumed.forEach(({ idHash, graceSeconds }, index) => {
    const grace =
      graceSeconds > 0
        ? `or consumed_at > now() - make_interval(secs => ${b.param(graceSeconds, 'integer')})`
        : '';
    b.add(
      `used_${index}`,
      `update tokens set consumed_at = coalesce(consumed_at, now())
       where id_hash = ${b.param(idHash, 'bytea')} and (consumed_at is null ${grace}) and (select ok from live) returning 1`,
    );
    checks.push(`exists (select from used_${index})`);
  });
  if (outcome.closedInteractions.length > 0) {
    b.add(
      'closed',
      `delete from interactions where id_hash = any(${b.param(outcome.closedInteractions, 'bytea[]')}) and (select ok from live) returning 1`,
    );
    checks.push(`(select count(*) from closed) = ${outcome.closedInteractions.length}`);
  }
  b.add('unused', `select ${checks.length === 0 ? 'true' : checks.join(' and ')} as ok`);
}

/** The session is only ever changed where it has not ended. */
function addSession(b: StatementBuilder, session: SessionWrite | undefined): void {
  const before = '(select live.ok and unused.ok from live, unused)';
  if (session === undefined) {
    b.add('session_live', 'select true as ok, true as kept');
    return;
  }
  if (session.readOnly) {
    b.add(
      'session_row',
      `select uid from sessions where uid = ${b.param(session.uid, 'text')} and ended_at is null for share`,
    );
    b.add(
      'session_live',
      `select exists (select from session_row) and ${session.signIn ? 'false' : 'true'} as ok, false as kept`,
    );
    return;
  }
  const uid = b.param(session.uid, 'text');
  const id = b.param(session.idHash, 'bytea');
  const account = b.param(session.accountId ?? null, 'text');
  const payload = b.param(session.payload, 'jsonb');
  const expires = b.param(session.expiresAt, 'timestamptz');
  if (!session.exists) {
    b.add(
      'session_row',
      `insert into sessions (uid, id_hash, account_id, payload, expires_at)
       select ${uid}, ${id}, ${account}, ${payload}, ${expires} where ${before} returning true as kept`,
    );
  } else {
    const loaded = b.param(session.loadedIdHash, 'bytea');
    const mine = `id_hash = ${loaded}`;
    // Without a sign-in, what a sign-in in another tab wrote meanwhile stays.
    const change = session.signIn
      ? `account_id = ${account}, payload = ${payload}, id_hash = ${id}, previous_id_hash = null, previous_until = null`
      : `payload = (payload - 'state') || jsonb_strip_nulls(jsonb_build_object('state', ${payload}->'state')),
         id_hash = case when ${mine} then ${id} else id_hash end,
         previous_id_hash = case when ${mine} and ${id} <> ${loaded} then ${loaded} else previous_id_hash end,
         previous_until = case when ${mine} and ${id} <> ${loaded} then now() + make_interval(secs => ${GRACE_SECONDS}) else previous_until end`;
    b.add(
      'session_row',
      `update sessions set ${change}, expires_at = ${expires}, last_seen_at = now()
       where uid = ${uid} and ended_at is null ${session.signIn ? `and ${mine}` : `and account_id is not distinct from ${account}`} and ${before}
       returning (id_hash = ${id}) as kept`,
    );
  }
  b.add(
    'session_live',
    'select exists (select from session_row) as ok, coalesce((select kept from session_row), false) as kept',
  );
}

function addOutcome(b: StatementBuilder, outcome: Outcome): void {
  const ok = '(select ok from gate)';
  addSessionClients(b, outcome.session, ok);
  if (outcome.endedSession !== undefined) {
    const uid = b.param(outcome.endedSession, 'text');
    b.add(
      'ended',
      `update sessions set ended_at = now() where uid = ${uid} and ended_at is null and ${ok} returning 1`,
    );
    b.add(
      'ended_families',
      `update grants set revoked_at = now(), revoked_reason = 'signed_out'
       where session_uid = ${uid} and not offline and revoked_at is null and ${ok} returning 1`,
    );
  }
  const fresh = outcome.families.filter((family) => !family.exists);
  if (fresh.length > 0) {
    const rows = fresh.map((family) => ({
      id: family.id,
      account_id: family.accountId,
      client_id: family.clientId,
      session_uid: family.sessionUid,
      consent_version: family.consentVersion,
      payload: family.payload,
      offline: family.offline,
      key_id: family.keyId,
      expires_at: family.expiresAt,
    }));
    b.insert('new_families', 'grants', familyColumns, rows, ok);
  }
  outcome.families
    .filter((family) => family.exists)
    .forEach((family, index) => {
      b.add(
        `family_${index}`,
        `update grants set payload = ${b.param(family.payload, 'jsonb')}, consent_version = ${b.param(family.consentVersion ?? null, 'integer')},
         offline = offline or ${b.param(family.offline, 'boolean')}
         where id = ${b.param(family.id, 'text')} and revoked_at is null and ${ok} returning 1`,
      );
    });
  if (outcome.tokens.length > 0) {
    const rows = outcome.tokens.map((token) => ({
      id_hash: token.idHash,
      kind: token.kind,
      grant_id: token.grantId,
      client_id: token.clientId,
      account_id: token.accountId,
      session_uid: token.sessionUid,
      payload: token.payload,
      expires_at: token.expiresAt,
    }));
    // A repeated refresh within the grace derives the same successor.
    b.insert('new_tokens', 'tokens', tokenColumns, rows, ok, 'on conflict (id_hash) do nothing');
  }
  if (outcome.deletedTokens.length > 0) {
    b.add(
      'deleted_tokens',
      `delete from tokens where id_hash = any(${b.param(outcome.deletedTokens, 'bytea[]')}) and ${ok} returning 1`,
    );
  }
  if (outcome.revokedJwts.length > 0) {
    const rows = outcome.revokedJwts.map((jwt) => ({
      id_hash: jwt.idHash,
      expires_at: jwt.expiresAt,
    }));
    b.insert(
      'revoked_jwts',
      'revoked_tokens',
      { id_hash: 'bytea', expires_at: 'timestamptz' },
      rows,
      ok,
      'on conflict (id_hash) do nothing',
    );
  }
  if (outcome.interactions.length > 0) {
    const rows = outcome.interactions.map((one) => ({
      id_hash: one.idHash,
      payload: one.payload,
      expires_at: one.expiresAt,
    }));
    b.insert(
      'new_interactions',
      'interactions',
      { id_hash: 'bytea', payload: 'jsonb', expires_at: 'timestamptz' },
      rows,
      ok,
      'on conflict (id_hash) do update set payload = excluded.payload, expires_at = excluded.expires_at',
    );
  }
  if (outcome.usedConsent !== undefined) {
    b.add(
      'used_consent',
      `update consents set last_used_at = now() where id = ${b.param(outcome.usedConsent, 'text')} and ${ok} returning 1`,
    );
  }
  addAudit(b, 'outcome', outcome.audit, ok);
  if (outcome.outbox.length > 0) {
    const rows = outcome.outbox.map((one) => ({
      id: one.id,
      kind: one.kind,
      payload_sealed: one.payloadSealed,
      due_at: one.dueAt,
    }));
    b.insert(
      'new_outbox',
      'outbox',
      { id: 'text', kind: 'text', payload_sealed: 'bytea', due_at: 'timestamptz' },
      rows,
      ok,
    );
  }
}

/** Merged, never overwritten: two tabs would lose a client otherwise. */
function addSessionClients(
  b: StatementBuilder,
  session: SessionWrite | undefined,
  ok: string,
): void {
  if (session === undefined) return;
  const rows = Object.entries(session.clients).map(([clientId, one]) => ({
    session_uid: session.uid,
    client_id: clientId,
    sid: one.sid,
    grant_id: one.grantId,
    persists_logout: one.persistsLogout ?? false,
  }));
  if (rows.length > 0) {
    const columns = {
      session_uid: 'text',
      client_id: 'text',
      sid: 'text',
      grant_id: 'text',
      persists_logout: 'boolean',
    };
    b.insert(
      'session_clients_written',
      'session_clients',
      columns,
      rows,
      ok,
      'on conflict (session_uid, client_id) do update set grant_id = excluded.grant_id, persists_logout = excluded.persists_logout',
    );
  }
  if (session.removedClients.length > 0) {
    b.add(
      'session_clients_removed',
      `delete from session_clients where session_uid = ${b.param(session.uid, 'text')}
       and client_id = any(${b.param(session.removedClients, 'text[]')}) and ${ok} returning 1`,
    );
  }
}

function addAlways(b: StatementBuilder, always: Always): void {
  always.killed.forEach(({ grantId, reason }, index) => {
    b.add(
      `killed_${index}`,
      `update grants set revoked_at = now(), revoked_reason = ${b.param(reason, 'text')}
       where id = ${b.param(grantId, 'text')} and revoked_at is null returning 1`,
    );
  });
  addAudit(b, 'always', always.audit, 'true');
}

function addAudit(
  b: StatementBuilder,
  name: string,
  events: readonly AuditWrite[],
  condition: string,
): void {
  if (events.length === 0) return;
  const rows = events.map((event) => ({
    id: event.id,
    type: event.type,
    outcome: event.outcome,
    account_id: event.accountId,
    client_id: event.clientId,
    grant_id: event.grantId,
    actor: event.actor,
    request_id: event.requestId,
    reason: event.reason,
    data: event.data,
  }));
  b.insert(`${name}_audit`, 'audit_events', auditColumns, rows, condition);
  const people = events
    .filter(
      (event) =>
        event.address !== undefined || event.userAgent !== undefined || event.email !== undefined,
    )
    .map((event) => ({
      event_id: event.id,
      account_id: event.accountId,
      address: event.address,
      user_agent: event.userAgent,
      email: event.email,
    }));
  if (people.length > 0)
    b.insert(`${name}_audit_people`, 'audit_people', auditPeopleColumns, people, condition);
}
