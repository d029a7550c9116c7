import type { AuditWrite } from '../audit/audit.ts';
import type { StatementBuilder } from './statement.ts';

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

/** Events, and beside each what is personal of it: erasure removes that row alone. */
export function addAudit(
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
