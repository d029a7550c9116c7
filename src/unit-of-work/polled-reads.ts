import type { Database } from '../db/database.ts';
import type { AskedRequest, PolledKind, PolledRead } from './polled-requests.ts';
import { ownerColumns, type OwnerRow, toOwners } from './read-parts.ts';
import type { Payload } from './records.ts';
import { prepared } from './statement.ts';

/**
 * A poll is one statement: it counts itself while nothing is answered, and brings what was asked for with all that stands
 * behind the answer. Of polls at once each sees the one before it, whichever process they come to. A second of what a
 * client has to wait may get lost on the way.
 */
const early = `polled_at > now() - make_interval(secs => poll_interval - 1)`;
const poll = prepared(`with polled as (
    update polled_requests set polled_at = now(), polled_early = coalesce(${early}, false),
      poll_interval = case when ${early} then least(poll_interval + 5, 60) else poll_interval end
    where id_hash = $1 and kind = $2 and client_id = $3 and state = 'pending' and expires_at > now()
    returning polled_early)
  select r.client_id, r.account_id, r.grant_id, r.payload, r.answer, r.created_at, r.expires_at, r.expires_at <= now() as expired,
    coalesce((select polled_early from polled), false) as early,
    extract(epoch from now() - r.consumed_at)::float8 as consumed_age,
    ${ownerColumns}
  from polled_requests r
  left join accounts a on a.id = r.account_id
  left join grants g on g.id = r.grant_id
  left join sessions s on s.uid = r.session_uid and s.ended_at is null
  where r.id_hash = $1 and r.kind = $2`);

const askedColumns = `r.id, r.kind, r.client_id, r.account_id, r.payload, r.payload_sealed,
  (r.state = 'pending' and r.expires_at > now()) as pending, r.created_at, r.expires_at, r.expires_at <= now() as expired`;

const readAsked = prepared(`select ${askedColumns} from polled_requests r where r.id = $1`);

/** Only what can still be answered, of a client that is not disabled. */
const open = `join clients c on c.id = r.client_id and c.disabled_at is null
  where r.state = 'pending' and r.expires_at > now()`;
const readByUserCode = prepared(
  `select ${askedColumns} from polled_requests r ${open} and r.user_code_mac = any($1::bytea[]) limit 2`,
);
const readByLink = prepared(
  `select ${askedColumns} from polled_requests r ${open} and r.link_hash = $1 and r.account_id is not null`,
);

interface PollRow extends OwnerRow {
  client_id: string;
  account_id: string | null;
  grant_id: string | null;
  payload: Payload;
  answer: Payload | null;
  created_at: Date;
  expires_at: Date;
  expired: boolean;
  early: boolean;
  consumed_age: number | null;
}

export interface Poll {
  readonly idHash: Buffer;
  readonly kind: PolledKind;
  /** Who asks: nobody else's polls count. */
  readonly clientId: string;
}

/** Counts a poll, and gives what was asked for; undefined where there is no such request. */
export async function pollRequest(
  db: Database,
  { idHash, kind, clientId }: Poll,
): Promise<PolledRead | undefined> {
  const [row] = await db.run<PollRow>(poll(idHash, kind, clientId));
  if (row === undefined) return undefined;
  return {
    clientId: row.client_id,
    accountId: row.account_id ?? undefined,
    grantId: row.grant_id ?? undefined,
    payload: row.payload,
    answer: row.answer ?? undefined,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    expired: row.expired,
    isEarly: row.early,
    consumedAge: row.consumed_age ?? undefined,
    ...toOwners(row),
  };
}

interface AskedRow {
  id: string;
  kind: PolledKind;
  client_id: string;
  account_id: string | null;
  payload: Payload;
  payload_sealed: Buffer | null;
  pending: boolean;
  created_at: Date;
  expires_at: Date;
  expired: boolean;
}

const toAsked = (row: AskedRow): AskedRequest => ({
  id: row.id,
  kind: row.kind,
  clientId: row.client_id,
  accountId: row.account_id ?? undefined,
  payload: row.payload,
  secretsSealed: row.payload_sealed ?? undefined,
  isPending: row.pending,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  expired: row.expired,
});

/** The request by what our own pages know it by, whatever has become of it. */
export async function findAskedRequest(
  db: Database,
  id: string,
): Promise<AskedRequest | undefined> {
  const [row] = await db.run<AskedRow>(readAsked(id));
  return row && toAsked(row);
}

/** The one request with the user code that can still be answered. */
export async function findRequestByUserCode(
  db: Database,
  macs: readonly Buffer[],
): Promise<AskedRequest | undefined> {
  const [row, another] = await db.run<AskedRow>(readByUserCode([...macs]));
  return row && another === undefined ? toAsked(row) : undefined;
}

/** The request that the link in a mail is about, if it can still be answered. */
export async function findRequestByLink(
  db: Database,
  linkHash: Buffer,
): Promise<AskedRequest | undefined> {
  const [row] = await db.run<AskedRow>(readByLink(linkHash));
  return row && toAsked(row);
}
