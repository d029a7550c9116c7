import type { Database, Db } from '../db/database.ts';
import { type AuditEvent, auditWrite } from './audit.ts';

/** Writes an event in the transaction of the change that it tells of. Requests write theirs through the unit of work. */
export async function writeAudit(db: Db, event: AuditEvent): Promise<void> {
  const write = auditWrite(event);
  await db
    .insertInto('audit_events')
    .values({
      id: write.id,
      type: write.type,
      outcome: write.outcome,
      account_id: write.accountId ?? null,
      client_id: write.clientId ?? null,
      grant_id: write.grantId ?? null,
      actor: write.actor ?? null,
      request_id: write.requestId ?? null,
      reason: write.reason ?? null,
      data: write.data === undefined ? null : JSON.stringify(write.data),
    })
    .execute();
  if (write.address === undefined && write.userAgent === undefined && write.email === undefined)
    return;
  await db
    .insertInto('audit_people')
    .values({
      event_id: write.id,
      account_id: write.accountId ?? null,
      address: write.address ?? null,
      user_agent: write.userAgent ?? null,
      email: write.email ?? null,
    })
    .execute();
}

/**
 * The same where no change goes with it: whole or not at all, and again where its month was given a partition while it
 * waited, which would refuse it otherwise.
 */
export function noteAudit(db: Database, event: AuditEvent): Promise<void> {
  return db.transaction((trx) => writeAudit(trx, event));
}
