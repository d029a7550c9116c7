import type { Database } from '../db/database.ts';
import { prepared, preparedRows } from './statement.ts';
import type {
  AccountRecord,
  ConsentRecord,
  FamilyRecord,
  Payload,
  SessionClientRecord,
  SessionRecord,
  TokenKind,
  TokenWorth,
} from './records.ts';

/**
 * The reads of the protocol: each is one round trip and brings along all that the request will ask for next. They are
 * written as SQL because the joins are the point.
 */

const account = (
  a: string,
  as: string,
) => `case when ${a}.id is null then null else jsonb_build_object(
  'id', ${a}.id, 'email', ${a}.email, 'emailVerified', ${a}.email_verified_at is not null, 'name', ${a}.name, 'locale', ${a}.locale,
  'admin', ${a}.admin, 'disabled', ${a}.disabled_at is not null, 'updatedAt', extract(epoch from ${a}.updated_at)) end as ${as}`;

const family = (
  g: string,
  as: string,
) => `case when ${g}.id is null then null else jsonb_build_object(
  'id', ${g}.id, 'accountId', ${g}.account_id, 'clientId', ${g}.client_id, 'sessionUid', ${g}.session_uid,
  'consentVersion', ${g}.consent_version, 'keyId', ${g}.key_id, 'payload', ${g}.payload, 'createdAt', extract(epoch from ${g}.created_at),
  'expiresAt', extract(epoch from ${g}.expires_at), 'revoked', ${g}.revoked_at is not null) end as ${as}`;

const consent = (
  c: string,
  as: string,
) => `case when ${c}.id is null then null else jsonb_build_object(
  'id', ${c}.id, 'accountId', ${c}.account_id, 'clientId', ${c}.client_id, 'granted', ${c}.granted, 'rejected', ${c}.rejected,
  'version', ${c}.version) end as ${as}`;

const session = (
  s: string,
  as: string,
) => `case when ${s}.uid is null then null else jsonb_build_object(
  'uid', ${s}.uid, 'accountId', ${s}.account_id, 'payload', ${s}.payload, 'createdAt', extract(epoch from ${s}.created_at),
  'expiresAt', extract(epoch from ${s}.expires_at), 'clients', (
    select coalesce(jsonb_object_agg(sc.client_id, jsonb_strip_nulls(jsonb_build_object(
      'sid', sc.sid, 'grantId', sc.grant_id, 'persistsLogout', case when sc.persists_logout then true end))), '{}')
    from session_clients sc where sc.session_uid = ${s}.uid)) end as ${as}`;

/** The session of a token needs no clients: the family says to which session it belongs. */
const boundSession = (
  s: string,
  as: string,
) => `case when ${s}.uid is null then null else jsonb_build_object(
  'uid', ${s}.uid, 'accountId', ${s}.account_id, 'payload', ${s}.payload, 'createdAt', extract(epoch from ${s}.created_at),
  'expiresAt', extract(epoch from ${s}.expires_at), 'clients', '{}'::jsonb) end as ${as}`;

/** A token rests on its client, its family and its account: where one of them is gone, it is worth nothing to anybody. */
const standing = `(c.id is not null and c.disabled_at is null and (c.tokens_since is null or t.issued_at > c.tokens_since)
  and (t.grant_id is null or (g.id is not null and g.revoked_at is null))
  and (t.account_id is null or (a.id is not null and a.disabled_at is null)))`;

/** It stands, its time and that of its family is not over, it was not used up, and the session that it ends with lives. */
const live = `(${standing} and t.consumed_at is null and t.expires_at > now()
  and (t.grant_id is null or (g.expires_at > now() and g.client_id = t.client_id and g.account_id is not distinct from t.account_id))
  and (t.session_uid is null
    or coalesce(s.expires_at > now() and s.account_id = t.account_id and g.session_uid = t.session_uid, false)))`;

/** An address is told only where the person let the client have it, and the client may still. */
const username = `case when 'email' = any(string_to_array(g.payload->'openid'->>'scope', ' '))
  and (c.metadata->>'scope' is null or 'email' = any(string_to_array(c.metadata->>'scope', ' '))) then a.email end`;

const tokenColumns = `t.kind, t.payload, t.grant_id, t.client_id, t.account_id, t.session_uid,
  ${live} as live, ${username} as username, nullif(a.roles, '{}') as roles`;

const tokenJoins = `left join grants g on g.id = t.grant_id
  left join accounts a on a.id = t.account_id
  left join clients c on c.id = t.client_id
  left join sessions s on s.uid = t.session_uid and s.ended_at is null`;

const readToken = prepared(`select ${tokenColumns}, ${standing} as standing,
  extract(epoch from now() - t.consumed_at)::float8 as consumed_age,
  ${account('a', 'account')}, ${family('g', 'family')}, ${boundSession('s', 'session')}
  from tokens t ${tokenJoins} where t.id_hash = $1`);

/** Of each of several tokens what it is worth, found one by one by primary key whatever the planner thinks of their number. */
const readLiveTokens = preparedRows(
  (places) => `select ids.place, found.*
  from (values ${places.map((place) => `($${place + 1}::bytea, ${place})`).join(', ')}) as ids (id_hash, place)
  cross join lateral (select ${tokenColumns} from tokens t ${tokenJoins} where t.id_hash = ids.id_hash limit 1) found`,
);

const readMachineJwt = prepared(`select
  exists (select from clients where id = $2 and disabled_at is null
    and (tokens_since is null or to_timestamp($3) > tokens_since)) as client_live,
  exists (select from revoked_tokens where id_hash = $1) as revoked`);

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
  prepared(`select i.payload, i.progress, i.expires_at, s.id_hash, ${session('s', 'session')},
  ${account('a', 'account')}, ${consent('c', 'consent')}
  from interactions i
  left join sessions s on s.uid = i.payload->'session'->>'uid' and s.ended_at is null
  left join accounts a on a.id = coalesce(i.payload->'result'->'login'->>'accountId', s.account_id)
  left join consents c on c.account_id = a.id and c.client_id = i.payload->'params'->>'client_id'
  where i.id_hash = $1`);

interface RawFamily
  extends Omit<FamilyRecord, 'createdAt' | 'expiresAt' | 'sessionUid' | 'consentVersion'> {
  createdAt: number;
  expiresAt: number;
  sessionUid: string | null;
  consentVersion: number | null;
}
interface RawAccount extends Omit<AccountRecord, 'name' | 'locale' | 'updatedAt'> {
  name: string | null;
  locale: string | null;
  updatedAt: number;
}
interface RawSession {
  uid: string;
  accountId: string | null;
  payload: Payload;
  createdAt: number;
  expiresAt: number;
  clients: Record<string, SessionClientRecord>;
}

const date = (seconds: number) => new Date(seconds * 1000);

const toAccount = (raw: RawAccount | null): AccountRecord | undefined =>
  raw === null
    ? undefined
    : {
        ...raw,
        name: raw.name ?? undefined,
        locale: raw.locale ?? undefined,
        updatedAt: date(raw.updatedAt),
      };

const toFamily = (raw: RawFamily | null): FamilyRecord | undefined =>
  raw === null
    ? undefined
    : {
        ...raw,
        sessionUid: raw.sessionUid ?? undefined,
        consentVersion: raw.consentVersion ?? undefined,
        createdAt: date(raw.createdAt),
        expiresAt: date(raw.expiresAt),
      };

const toSession = (
  raw: RawSession | null,
  idHash: Buffer,
  byPreviousId: boolean,
): SessionRecord | undefined =>
  raw === null
    ? undefined
    : {
        ...raw,
        idHash,
        byPreviousId,
        accountId: raw.accountId ?? undefined,
        createdAt: date(raw.createdAt),
        expiresAt: date(raw.expiresAt),
      };

export interface SessionRead {
  readonly session: SessionRecord;
  readonly account: AccountRecord | undefined;
  readonly family: FamilyRecord | undefined;
  readonly consent: ConsentRecord | undefined;
}

export interface TokenRead extends TokenWorth {
  /** What it rests on is there: see `standing`. */
  readonly standing: boolean;
  /** Seconds since it was used up, by the database's clock; undefined while it was not. */
  readonly consumedAge: number | undefined;
  readonly account: AccountRecord | undefined;
  readonly family: FamilyRecord | undefined;
  readonly session: SessionRecord | undefined;
}

export interface InteractionRead {
  readonly payload: Payload;
  readonly progress: Payload | undefined;
  readonly expiresAt: Date;
  readonly session: SessionRecord | undefined;
  readonly account: AccountRecord | undefined;
  readonly consent: ConsentRecord | undefined;
}

interface TokenRow {
  kind: TokenKind;
  payload: Payload | null;
  grant_id: string | null;
  client_id: string;
  account_id: string | null;
  session_uid: string | null;
  live: boolean;
  username: string | null;
  roles: string[] | null;
}

function toTokenWorth(row: TokenRow): TokenWorth {
  return {
    token: {
      kind: row.kind,
      payload: row.payload ?? undefined,
      grantId: row.grant_id ?? undefined,
      clientId: row.client_id,
      accountId: row.account_id ?? undefined,
      sessionUid: row.session_uid ?? undefined,
    },
    live: row.live,
    username: row.username ?? undefined,
    roles: row.roles ?? [],
  };
}

/** A token of any kind by the hash of its id, with its family, account, client status and session. */
export async function findToken(db: Database, idHash: Buffer): Promise<TokenRead | undefined> {
  const [row] = await db.read<
    TokenRow & {
      standing: boolean;
      consumed_age: number | null;
      account: RawAccount | null;
      family: RawFamily | null;
      session: RawSession | null;
    }
  >(readToken(idHash));
  if (row === undefined) return undefined;
  return {
    ...toTokenWorth(row),
    standing: row.standing,
    consumedAge: row.consumed_age ?? undefined,
    account: toAccount(row.account),
    family: toFamily(row.family),
    session: toSession(row.session, Buffer.alloc(0), false),
  };
}

/** What tokens are worth, in the order of their hashes: one read for all of them. */
export async function findTokenWorths(
  db: Database,
  idHashes: readonly Buffer[],
): Promise<(TokenWorth | undefined)[]> {
  const rows = await db.read<TokenRow & { place: number }>(
    readLiveTokens(idHashes.length, [...idHashes]),
  );
  const worths: (TokenWorth | undefined)[] = idHashes.map(() => undefined);
  for (const row of rows) worths[row.place] = toTokenWorth(row);
  return worths;
}

/** Whether a machine's JWT access token stands: it has no row, only a place in the denylist once revoked. */
export async function isMachineJwtLive(
  db: Database,
  idHash: Buffer,
  { clientId, issuedAt }: { readonly clientId: string; readonly issuedAt: number },
): Promise<boolean> {
  const [row] = await db.read<{ client_live: boolean; revoked: boolean }>(
    readMachineJwt(idHash, clientId, issuedAt),
  );
  return row?.client_live === true && !row.revoked;
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
    expires_at: Date;
    id_hash: Buffer | null;
    session: RawSession | null;
    account: RawAccount | null;
    consent: ConsentRecord | null;
  }>(readInteraction(idHash));
  if (row === undefined) return undefined;
  return {
    payload: row.payload,
    progress: row.progress ?? undefined,
    expiresAt: row.expires_at,
    session: toSession(row.session, row.id_hash ?? Buffer.alloc(0), false),
    account: toAccount(row.account),
    consent: row.consent ?? undefined,
  };
}
