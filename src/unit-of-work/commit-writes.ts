import { isReplay, REPLAY_MAIL } from '../email/email.ts';
import { addAudit } from './audit-writes.ts';
import { addPolledRequests } from './polled-writes.ts';
import { Expression, type StatementBuilder } from './statement.ts';
import type { Always, Outcome, SessionWrite, TokenWrite } from './writes.ts';

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
const pushedColumns = {
  id_hash: 'bytea',
  client_id: 'text',
  payload: 'jsonb',
  expires_at: 'timestamptz',
};
const outboxColumns = { id: 'text', kind: 'text', payload_sealed: 'bytea', about: 'jsonb' };

/** Every write of the outcome hangs on the last gate. */
export function addOutcome(b: StatementBuilder, outcome: Outcome): void {
  const ok = '(select ok from gate)';
  addSessionClients(b, outcome.session, ok);
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
      payload: tokenPayload(b, token, outcome.session),
      generation: outcome.sources?.generation,
      expires_at: token.expiresAt,
    }));
    // A repeated refresh within the grace derives the same successor.
    const columns =
      outcome.sources === undefined ? tokenColumns : { ...tokenColumns, generation: 'smallint' };
    b.insert('new_tokens', 'tokens', columns, rows, ok, 'on conflict (id_hash) do nothing');
  }
  addSources(b, outcome, ok);
  if (outcome.deletedTokens.length > 0) {
    b.add(
      'deleted_tokens',
      `delete from tokens where ${b.among('id_hash', outcome.deletedTokens, 'bytea')} and ${ok} returning 1`,
    );
  }
  if (outcome.revokedTokens.length > 0) {
    const rows = outcome.revokedTokens.map((token) => ({
      id_hash: token.idHash,
      expires_at: token.expiresAt,
      opaque: token.opaque,
    }));
    b.insert(
      'revoked_tokens_written',
      'revoked_tokens',
      { id_hash: 'bytea', expires_at: 'timestamptz', opaque: 'boolean' },
      rows,
      ok,
      'on conflict (id_hash) do nothing',
    );
  }
  if (outcome.pushed !== undefined) {
    const { idHash, clientId, payload, expiresAt } = outcome.pushed;
    const row = { id_hash: idHash, client_id: clientId, payload, expires_at: expiresAt };
    b.insert('new_pushed', 'pushed_requests', pushedColumns, [row], ok);
  }
  if (outcome.polled !== undefined) addPolledRequests(b, outcome.polled, ok);
  addOutbox(b, outcome.outbox, ok);
  const started = outcome.interactions.filter((one) => !one.exists);
  if (started.length > 0) {
    const rows = started.map((one) => ({
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
    );
  }
  addAudit(b, 'outcome', outcome.audit, ok);
}

function addOutbox(b: StatementBuilder, writes: Outcome['outbox'], ok: string): void {
  if (writes.length === 0) return;
  const rows = writes.map(({ id, kind, payloadSealed, about }) => ({
    id,
    kind,
    payload_sealed: payloadSealed,
    about,
  }));
  b.insert('new_outbox', 'outbox', outboxColumns, rows, ok);
}

/** A token rests on what it was made from, and on what that was made from, to the first. */
function addSources(b: StatementBuilder, { sources, tokens }: Outcome, ok: string): void {
  if (sources === undefined) return;
  tokens.forEach((token, index) => {
    const [id, end] = [b.param(token.idHash, 'bytea'), b.param(token.expiresAt, 'timestamptz')];
    const direct = sources.tokens.map(
      ({ idHash, clientId, issuedAt }) =>
        `select ${b.param(idHash, 'bytea')} as source_hash, ${b.param(clientId, 'text')} as client_id, ${b.param(issuedAt, 'timestamptz')} as issued_at`,
    );
    const isDirect = b.among(
      'id_hash',
      sources.tokens.map(({ idHash }) => idHash),
      'bytea',
    );
    const earlier = `select source_hash, client_id, issued_at from token_sources where ${isDirect}`;
    b.add(
      `token_sources_${index}`,
      `insert into token_sources (id_hash, source_hash, client_id, issued_at, expires_at)
       select ${id}, v.source_hash, v.client_id, v.issued_at, ${end} from (${[...direct, earlier].join(' union all ')}) v where ${ok}
       on conflict (id_hash, source_hash) do nothing returning 1`,
    );
  });
}

/**
 * Two tabs may bring a client into a session at once: its name there, which it is told in ID tokens and at the end, is that
 * of the first.
 */
function tokenPayload(
  b: StatementBuilder,
  { payload, clientId }: TokenWrite,
  session: SessionWrite | undefined,
): TokenWrite['payload'] | Expression {
  if (payload?.sid === undefined || session?.clients[clientId] === undefined) return payload;
  const client = b.param(clientId, 'text');
  return new Expression(
    `jsonb_set(${b.param(payload, 'jsonb')}, '{sid}', to_jsonb((select sid from session_clients_written where client_id = ${client})))`,
  );
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
      'client_id, sid',
    );
  }
  if (session.removedClients.length > 0) {
    b.add(
      'session_clients_removed',
      `delete from session_clients where session_uid = ${b.param(session.uid, 'text')}
       and ${b.among('client_id', session.removedClients, 'text')} and ${ok} returning 1`,
    );
  }
}

/** What is written whatever came of the request hangs on nothing. */
export function addAlways(b: StatementBuilder, always: Always): void {
  always.killed.forEach(({ grantId, reason }, index) => {
    b.add(
      `killed_${index}`,
      `update grants set revoked_at = now(), revoked_reason = ${b.param(reason, 'text')}
       where id = ${b.param(grantId, 'text')} and revoked_at is null returning account_id, client_id`,
    );
    if (isReplay(reason)) addReplayMail(b, index, reason);
  });
  addAudit(b, 'always', always.audit, 'true');
}

/**
 * Tells the account's owner of a family that this very statement has ended: of each app once in an hour at the most,
 * however many of its tokens are replayed.
 */
function addReplayMail(b: StatementBuilder, index: number, reason: string): void {
  b.add(
    `told_${index}`,
    `insert into outbox (id, kind, about)
     select 'replay_' || encode(sha256(convert_to(
         concat_ws(' ', account_id, client_id, floor(extract(epoch from now()) / 3600)), 'UTF8')), 'hex'),
       ${b.param(REPLAY_MAIL, 'text')}, jsonb_build_object('accountId', account_id, 'clientId', client_id,
         'reason', ${b.param(reason, 'text')}, 'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
     from killed_${index} on conflict (id) do nothing returning 1`,
  );
}
