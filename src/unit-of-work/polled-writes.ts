import type { PolledOutcome } from './polled-requests.ts';
import type { StatementBuilder } from './statement.ts';

/** How requests that are polled for go into the one statement of a commit (commit.ts). */

const columns = {
  id: 'text',
  kind: 'text',
  id_hash: 'bytea',
  user_code_mac: 'bytea',
  link_hash: 'bytea',
  client_id: 'text',
  account_id: 'text',
  payload: 'jsonb',
  payload_sealed: 'bytea',
  expires_at: 'timestamptz',
};

/**
 * An answer is the first one, in time, and of CIBA by the one who was asked; what it leads to is taken once. Gives what must
 * hold for the rest of the commit.
 */
export function addPolledGates(
  b: StatementBuilder,
  { answered, consumed }: PolledOutcome,
): string[] {
  const checks: string[] = [];
  answered.forEach(({ id, state, accountId, grantId, sessionUid, answer }, index) => {
    const account = b.param(accountId ?? null, 'text');
    b.add(
      `answered_${index}`,
      `update polled_requests set state = ${b.param(state, 'text')}, account_id = ${account},
         grant_id = ${b.param(grantId ?? null, 'text')}, session_uid = ${b.param(sessionUid ?? null, 'text')},
         answer = ${b.param(answer, 'jsonb')}, payload_sealed = null, decided_at = now()
       where id = ${b.param(id, 'text')} and state = 'pending' and expires_at > now()
         and (kind = 'device' or account_id = ${account}) and (select ok from live) returning 1`,
    );
    checks.push(`exists (select from answered_${index})`);
  });
  consumed.forEach((idHash, index) => {
    b.add(
      `taken_${index}`,
      `update polled_requests set consumed_at = now()
       where id_hash = ${b.param(idHash, 'bytea')} and state = 'approved' and consumed_at is null
         and (select ok from live) returning 1`,
    );
    checks.push(`exists (select from taken_${index})`);
  });
  return checks;
}

export function addPolledRequests(
  b: StatementBuilder,
  { added }: PolledOutcome,
  condition: string,
): void {
  if (added.length === 0) return;
  const rows = added.map((one) => ({
    id: one.id,
    kind: one.kind,
    id_hash: one.idHash,
    user_code_mac: one.userCodeMac,
    link_hash: one.linkHash,
    client_id: one.clientId,
    account_id: one.accountId,
    payload: one.payload,
    payload_sealed: one.secretsSealed,
    expires_at: one.expiresAt,
  }));
  b.insert('new_polled', 'polled_requests', columns, rows, condition);
}
