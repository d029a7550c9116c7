import type { Database } from '../db/database.ts';
import {
  account,
  consent,
  family,
  type RawAccount,
  type RawFamily,
  type RawSession,
  session,
  toAccount,
  toFamily,
  toSession,
} from './read-parts.ts';
import { prepared } from './statement.ts';
import type {
  AccountRecord,
  ConsentRecord,
  FamilyRecord,
  Payload,
  SessionRecord,
} from './records.ts';

/**
 * The reads of the protocol, but for tokens (token-reads.ts): each is one round trip and brings along all that the request
 * will ask for next. They are written as SQL because the joins are the point.
 */

const readSession =
  prepared(`select s.id_hash, (s.id_hash <> $1) as by_previous_id, ${session('s', 'session')},
  ${account('a', 'account')}, ${family('g', 'family')}, ${consent('c', 'consent')}
  from sessions s
  left join accounts a on a.id = s.account_id
  left join session_clients sc on sc.session_uid = s.uid and sc.client_id = $2
  left join grants g on g.id = sc.grant_id
  left join consents c on c.account_id = s.account_id and c.client_id = $2
  where (s.id_hash = $1 or (s.previous_id_hash = $1 and s.previous_until > now())) and s.ended_at is null`);

const readSessionByUid =
  prepared(`select s.id_hash, false as by_previous_id, ${session('s', 'session')}, ${account('a', 'account')},
  null as family, null as consent
  from sessions s left join accounts a on a.id = s.account_id where s.uid = $1 and s.ended_at is null`);

const readFamily = prepared(`select ${family('g', 'family')}, ${account('a', 'account')}
  from grants g left join accounts a on a.id = g.account_id where g.id = $1`);

const readAccount = prepared(`select ${account('a', 'account')} from accounts a where a.id = $1`);

const readConsent = prepared(
  `select ${consent('c', 'consent')} from consents c where c.account_id = $1 and c.client_id = $2`,
);

/** With it come the session it started from, who is signing in, and what that person decided for the client. */
const readInteraction =
  prepared(`select i.payload, i.progress, i.expires_at <= now() as expired, s.id_hash, ${session('s', 'session')},
  ${account('a', 'account')}, ${consent('c', 'consent')}
  from interactions i
  left join sessions s on s.uid = i.payload->'session'->>'uid' and s.ended_at is null
  left join accounts a on a.id = coalesce(i.payload->'result'->'login'->>'accountId', s.account_id)
  left join consents c on c.account_id = a.id and c.client_id = i.payload->'params'->>'client_id'
  where i.id_hash = $1`);

export interface SessionRead {
  readonly session: SessionRecord;
  readonly account: AccountRecord | undefined;
  readonly family: FamilyRecord | undefined;
  readonly consent: ConsentRecord | undefined;
}

export interface InteractionRead {
  readonly payload: Payload;
  readonly progress: Payload | undefined;
  /** By the database's clock. */
  readonly expired: boolean;
  readonly session: SessionRecord | undefined;
  readonly account: AccountRecord | undefined;
  readonly consent: ConsentRecord | undefined;
}

interface SessionRow {
  id_hash: Buffer;
  by_previous_id: boolean;
  session: RawSession;
  account: RawAccount | null;
  family: RawFamily | null;
  consent: ConsentRecord | null;
}

function toSessionRead(row: SessionRow | undefined): SessionRead | undefined {
  const found = row && toSession(row.session, row.id_hash, row.by_previous_id);
  if (row === undefined || found === undefined) return undefined;
  return {
    session: found,
    account: toAccount(row.account),
    family: toFamily(row.family),
    consent: row.consent ?? undefined,
  };
}

/** The session that answers to an id, with what the person decided for the client and the family it has there. */
export async function findSession(
  db: Database,
  idHash: Buffer,
  clientId: string | undefined,
): Promise<SessionRead | undefined> {
  const [row] = await db.run<SessionRow>(readSession(idHash, clientId ?? ''));
  return toSessionRead(row);
}

export async function findSessionByUid(
  db: Database,
  uid: string,
): Promise<SessionRead | undefined> {
  const [row] = await db.run<SessionRow>(readSessionByUid(uid));
  return toSessionRead(row);
}

export async function findFamily(
  db: Database,
  id: string,
): Promise<{ family: FamilyRecord; account: AccountRecord | undefined } | undefined> {
  const [row] = await db.run<{ family: RawFamily; account: RawAccount | null }>(readFamily(id));
  const found = row && toFamily(row.family);
  return row && found ? { family: found, account: toAccount(row.account) } : undefined;
}

export async function findAccount(db: Database, id: string): Promise<AccountRecord | undefined> {
  const [row] = await db.run<{ account: RawAccount }>(readAccount(id));
  return row && toAccount(row.account);
}

export async function findConsent(
  db: Database,
  accountId: string,
  clientId: string,
): Promise<ConsentRecord | undefined> {
  const [row] = await db.run<{ consent: ConsentRecord }>(readConsent(accountId, clientId));
  return row?.consent;
}

export async function findInteraction(
  db: Database,
  idHash: Buffer,
): Promise<InteractionRead | undefined> {
  const [row] = await db.run<{
    payload: Payload;
    progress: Payload | null;
    expired: boolean;
    id_hash: Buffer | null;
    session: RawSession | null;
    account: RawAccount | null;
    consent: ConsentRecord | null;
  }>(readInteraction(idHash));
  if (row === undefined) return undefined;
  return {
    payload: row.payload,
    progress: row.progress ?? undefined,
    expired: row.expired,
    session: toSession(row.session, row.id_hash ?? Buffer.alloc(0), false),
    account: toAccount(row.account),
    consent: row.consent ?? undefined,
  };
}
