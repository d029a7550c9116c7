import type { Statement } from '../db/database.ts';
import { addAlways, addOutcome } from './commit-writes.ts';
import { addPolledGates } from './polled-writes.ts';
import { StatementBuilder } from './statement.ts';
import type { Always, Outcome, SessionWrite } from './writes.ts';

/**
 * The one statement that commits a request. It is a chain of gates: families and accounts must be live, what is used
 * must not have been used, the session must not have ended; every insert hangs on the last of them. Who loses a race
 * has written nothing of its outcome, whatever isolation level the database runs at.
 */

export interface CommitRow {
  readonly live: boolean;
  readonly unused: boolean;
  /** The pushed request was not answered before; part of `unused`. */
  readonly pushed: boolean;
  readonly session_live: boolean;
  /** The browser's session id is the one that was written. */
  readonly session_kept: boolean;
}

export class LostRace extends Error {
  readonly row: CommitRow;
  constructor(row: CommitRow) {
    super('lost');
    this.row = row;
  }
}

export const isWon = (row: CommitRow) => row.live && row.unused && row.session_live;

/** Within it a repetition is the same client's own: of a code or a refresh token, and by a session id just changed. */
export const GRACE_SECONDS = 5;

/** The statement for what a request leaves behind, or undefined where it leaves nothing. */
export function commitStatement(
  outcome: Outcome | undefined,
  always: Always,
): Statement | undefined {
  const builder = new StatementBuilder();
  if (outcome !== undefined) {
    addGates(builder, outcome);
    addOutcome(builder, outcome);
  }
  addAlways(builder, always);
  if (builder.isEmpty || (outcome !== undefined && isEmpty(outcome) && isNothing(always)))
    return undefined;
  return builder.build(
    outcome === undefined
      ? 'true as live, true as unused, true as pushed, true as session_live, true as session_kept'
      : '(select ok from live) as live, (select ok from unused) as unused, (select ok from pushed) as pushed, (select ok from session_live) as session_live, (select kept from session_live) as session_kept',
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

function addGates(b: StatementBuilder, outcome: Outcome): void {
  addLive(b, outcome);
  addPushed(b, outcome.usedPushed);
  addUnused(b, outcome);
  addSession(b, outcome.session);
  b.add(
    'gate',
    'select live.ok and unused.ok and session_live.ok as ok from live, unused, session_live',
  );
}

/**
 * Sessions that tokens end with, families that get tokens, and accounts that get families must be live, and the consent
 * that they rest on unchanged; all stay so until the commit.
 */
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
  const begun = outcome.session?.exists === false ? outcome.session.uid : undefined;
  const bound = new Set(
    outcome.tokens
      .map((token) => token.sessionUid)
      .filter((uid) => uid !== undefined && uid !== begun),
  );
  const checks: string[] = [];
  // The account, its sessions, its families: in this order they are held by whoever ends them, so that nobody waits for a
  // deadlock.
  if (bound.size > 0)
    for (const { accountId } of outcome.tokens)
      if (accountId !== undefined) accounts.add(accountId);
  if (accounts.size > 0) {
    b.add(
      'live_accounts',
      `select id from accounts where ${b.among('id', [...accounts], 'text')} and disabled_at is null for share`,
    );
    checks.push(`(select count(*) from live_accounts) = ${accounts.size}`);
  }
  // Only a sign-out conflicts with this lock.
  if (bound.size > 0) {
    b.add(
      'live_sessions',
      `select uid from sessions where ${b.among('uid', [...bound], 'text')} and ended_at is null for key share`,
    );
    checks.push(`(select count(*) from live_sessions) = ${bound.size}`);
  }
  if (used.size > 0) {
    b.add(
      'live_families',
      `select g.id from grants g join accounts a on a.id = g.account_id
       where ${b.among('g.id', [...used], 'text')} and g.revoked_at is null and g.expires_at > now() and a.disabled_at is null for share of a, g`,
    );
    checks.push(`(select count(*) from live_families) = ${used.size}`);
  }
  if (outcome.usedConsent !== undefined) {
    const { id, version } = outcome.usedConsent;
    b.add(
      'used_consent',
      `update consents set last_used_at = now()
       where id = ${b.param(id, 'text')} and version = ${b.param(version, 'integer')} returning 1`,
    );
    checks.push('exists (select from used_consent)');
  }
  b.add('live', `select ${checks.length === 0 ? 'true' : checks.join(' and ')} as ok`);
}

/** A pushed request (RFC 9126) leads to one answer. It has no grace: the browser that repeats it has its answer. */
function addPushed(b: StatementBuilder, idHash: Buffer | undefined): void {
  if (idHash !== undefined)
    b.add(
      'used_pushed',
      `update pushed_requests set consumed_at = now(), payload = null
       where id_hash = ${b.param(idHash, 'bytea')} and consumed_at is null and (select ok from live) returning 1`,
    );
  b.add(
    'pushed',
    `select ${idHash === undefined ? 'true' : 'exists (select from used_pushed)'} as ok`,
  );
}

/** Single use: an update that finds its row only once, or again within its grace. */
function addUnused(b: StatementBuilder, outcome: Outcome): void {
  const checks: string[] = ['(select ok from pushed)'];
  if (outcome.polled !== undefined) checks.push(...addPolledGates(b, outcome.polled));
  outcome.consumed.forEach(({ idHash, graceSeconds, successor }, index) => {
    const grace =
      graceSeconds > 0
        ? `or (consumed_at > now() - make_interval(secs => ${b.param(graceSeconds, 'integer')})${unusedSuccessor(b, successor)})`
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
      `delete from interactions where ${b.among('id_hash', outcome.closedInteractions, 'bytea')} and (select ok from live) returning 1`,
    );
    checks.push(`(select count(*) from closed) = ${outcome.closedInteractions.length}`);
  }
  outcome.interactions
    .filter((one) => one.exists)
    .forEach(({ idHash, payload, expiresAt }, index) => {
      b.add(
        `changed_${index}`,
        `update interactions set payload = ${b.param(payload, 'jsonb')}, expires_at = ${b.param(expiresAt, 'timestamptz')}
         where id_hash = ${b.param(idHash, 'bytea')} and (select ok from live) returning 1`,
      );
      checks.push(`exists (select from changed_${index})`);
    });
  b.add('unused', `select ${checks.join(' and ')} as ok`);
}

/** Once the successor of a refresh token was used, its repetition is nobody's own. */
const unusedSuccessor = (b: StatementBuilder, idHash: Buffer | undefined) =>
  idHash === undefined
    ? ''
    : ` and not exists (select from tokens s where s.id_hash = ${b.param(idHash, 'bytea')} and s.consumed_at is not null)`;

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
