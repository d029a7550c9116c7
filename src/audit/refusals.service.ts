import type { Database } from '../db/database.ts';
import { addressKey } from '../lib/client-address.ts';
import { type AuditEvent, auditWrite } from './audit.ts';
import { noteAudit } from './audit.service.ts';

/** What is kept of an event: nothing that a caller chooses the length of, as of a User-Agent. */
type Kept = Pick<
  AuditEvent,
  'type' | 'outcome' | 'reason' | 'accountId' | 'clientId' | 'grantId' | 'address' | 'data'
>;

interface Counted {
  readonly event: Kept;
  readonly since: Date;
  /** Refusals that were not written one by one. */
  count: number;
}

/** Of one minute; more are counted together, without what tells them apart. */
const MOST_KEYS = 10_000;

/** What the refusals of a request may be that nobody has to prove anything for, so that anybody can cause them without end. */
const sampledTypes = new Set<AuditEvent['type']>([
  'client.authentication',
  'client.registration',
  'request.refused',
  'token.refused',
]);

/** No limit bounds how often anybody causes these: never worth a row each. */
const neverWritten = new Set([
  'busy',
  'password_too_long',
  'registration_full',
  'too_many_attempts',
  'too_many_requests',
  'temporarily_unavailable',
]);

/**
 * Keeps refusals from filling the audit. Of those that are alike (type, reason, client and network address) the first one
 * of a minute is written as it is, with its request; the others are counted, and become one row with their count when the
 * minute is over. Refusals of unknown clients, of requests that came too often, and of passwords that are too long to be
 * hashed are only counted. A process that is killed loses the counts of that minute.
 */
export class RefusalCounts {
  readonly #db: Database;
  #counts = new Map<string, Counted>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Whether the caller writes the event by itself; it is counted here otherwise. */
  readonly take = (event: AuditEvent): boolean => {
    if (event.outcome !== 'refused') return true;
    const isNeverWritten = neverWritten.has(event.reason ?? '');
    if (!isNeverWritten && !sampledTypes.has(event.type)) return true;
    const isOnlyCounted = isNeverWritten || isOfUnknownClient(event);
    const { type, outcome, reason, accountId, clientId, grantId, address, data } = event;
    const from = address && addressKey(address);
    const key = JSON.stringify([type, reason, accountId, clientId, grantId, from, data]);
    const known = this.#counts.get(key);
    if (known !== undefined) {
      known.count += 1;
      return false;
    }
    if (this.#counts.size >= MOST_KEYS) {
      this.#countTogether({ type, outcome, reason });
      return false;
    }
    const kept = { type, outcome, reason, accountId, clientId, grantId, address, data };
    this.#counts.set(key, { event: kept, since: new Date(), count: isOnlyCounted ? 1 : 0 });
    return !isOnlyCounted;
  };

  /** Writes the event or counts it, where no request's commit does. */
  async note(event: AuditEvent): Promise<void> {
    if (this.take(event)) await noteAudit(this.#db, event);
  }

  /** Writes what was counted, in one statement. What can't be written now is kept for the next time. */
  async flush(): Promise<void> {
    const counts = this.#counts;
    this.#counts = new Map();
    const rows = [...counts.values()].filter(({ count }) => count > 0).map(rowOf);
    if (rows.length === 0) return;
    try {
      await this.#db.run({
        name: 'refusals_flush',
        text: flushText,
        values: [JSON.stringify(rows)],
        writes: true,
      });
    } catch (error) {
      for (const [key, { event, since, count }] of counts) this.#putBack(key, event, since, count);
      throw error;
    }
  }

  #putBack(key: string, event: Kept, since: Date, count: number): void {
    const known = this.#counts.get(key);
    if (known !== undefined) known.count += count;
    else if (count > 0 && this.#counts.size < MOST_KEYS)
      this.#counts.set(key, { event, since, count });
  }

  #countTogether(event: Kept): void {
    const key = JSON.stringify([event.type, event.reason]);
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { event, since: new Date(), count: 1 });
    else known.count += 1;
  }
}

/** No client is named where there is none by that name. */
function isOfUnknownClient({ type, reason, clientId }: AuditEvent): boolean {
  return (
    clientId === undefined && (type === 'client.authentication' || reason === 'invalid_client')
  );
}

function rowOf({ event, since, count }: Counted) {
  const { id, type, outcome, reason, accountId, clientId, grantId, address } = auditWrite(event);
  return {
    id,
    type,
    outcome,
    reason,
    account_id: accountId,
    client_id: clientId,
    grant_id: grantId,
    data: { ...event.data, count, since: since.toISOString() },
    address,
  };
}

/** Written by hand, so that the parameters of ten thousand rows are one. */
const flushText = `
with counted as (
  select * from jsonb_to_recordset($1::jsonb) as r (id text, type text, outcome text, reason text,
    account_id text, client_id text, grant_id text, data jsonb, address text)
),
events as (
  insert into audit_events (id, type, outcome, reason, account_id, client_id, grant_id, data)
  select id, type, outcome, reason, account_id, client_id, grant_id, data from counted
)
insert into audit_people (event_id, account_id, address)
select id, account_id, address from counted where address is not null`;
