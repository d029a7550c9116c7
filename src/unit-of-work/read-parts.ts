import type {
  AccountRecord,
  FamilyRecord,
  Payload,
  SessionClientRecord,
  SessionRecord,
} from './records.ts';

/** What the reads of the protocol have in common: each record as one column of jsonb, and how it is read from there. */

export const account = (
  a: string,
  as: string,
) => `case when ${a}.id is null then null else jsonb_build_object(
  'id', ${a}.id, 'email', ${a}.email, 'emailVerified', ${a}.email_verified_at is not null, 'name', ${a}.name, 'locale', ${a}.locale,
  'admin', ${a}.admin, 'roles', ${a}.roles, 'disabled', ${a}.disabled_at is not null, 'updatedAt', extract(epoch from ${a}.updated_at)) end as ${as}`;

export const family = (
  g: string,
  as: string,
) => `case when ${g}.id is null then null else jsonb_build_object(
  'id', ${g}.id, 'accountId', ${g}.account_id, 'clientId', ${g}.client_id, 'sessionUid', ${g}.session_uid,
  'consentVersion', ${g}.consent_version, 'keyId', ${g}.key_id, 'payload', ${g}.payload, 'createdAt', extract(epoch from ${g}.created_at),
  'expiresAt', extract(epoch from ${g}.expires_at), 'expired', ${g}.expires_at <= now(), 'revoked', ${g}.revoked_at is not null) end as ${as}`;

export const consent = (
  c: string,
  as: string,
) => `case when ${c}.id is null then null else jsonb_build_object(
  'id', ${c}.id, 'accountId', ${c}.account_id, 'clientId', ${c}.client_id, 'granted', ${c}.granted, 'rejected', ${c}.rejected,
  'version', ${c}.version, 'shown', ${c}.shown) end as ${as}`;

export const session = (
  s: string,
  as: string,
) => `case when ${s}.uid is null then null else jsonb_build_object(
  'uid', ${s}.uid, 'accountId', ${s}.account_id, 'payload', ${s}.payload, 'createdAt', extract(epoch from ${s}.created_at),
  'expiresAt', extract(epoch from ${s}.expires_at), 'expired', ${s}.expires_at <= now(), 'clients', (
    select coalesce(jsonb_object_agg(sc.client_id, jsonb_strip_nulls(jsonb_build_object(
      'sid', sc.sid, 'grantId', sc.grant_id, 'persistsLogout', case when sc.persists_logout then true end))), '{}')
    from session_clients sc where sc.session_uid = ${s}.uid)) end as ${as}`;

/** The session of a token needs no clients: the family says to which session it belongs. */
const boundSession = (
  s: string,
  as: string,
) => `case when ${s}.uid is null then null else jsonb_build_object(
  'uid', ${s}.uid, 'accountId', ${s}.account_id, 'payload', ${s}.payload, 'createdAt', extract(epoch from ${s}.created_at),
  'expiresAt', extract(epoch from ${s}.expires_at), 'expired', ${s}.expires_at <= now(), 'clients', '{}'::jsonb) end as ${as}`;

export interface RawFamily
  extends Omit<FamilyRecord, 'createdAt' | 'expiresAt' | 'sessionUid' | 'consentVersion'> {
  createdAt: number;
  expiresAt: number;
  sessionUid: string | null;
  consentVersion: number | null;
}
export interface RawAccount extends Omit<AccountRecord, 'name' | 'locale' | 'updatedAt'> {
  name: string | null;
  locale: string | null;
  updatedAt: number;
}
export interface RawSession {
  uid: string;
  accountId: string | null;
  payload: Payload;
  createdAt: number;
  expiresAt: number;
  expired: boolean;
  clients: Record<string, SessionClientRecord>;
}

const date = (seconds: number) => new Date(seconds * 1000);

export const toAccount = (raw: RawAccount | null): AccountRecord | undefined =>
  raw === null
    ? undefined
    : {
        ...raw,
        name: raw.name ?? undefined,
        locale: raw.locale ?? undefined,
        updatedAt: date(raw.updatedAt),
      };

export const toFamily = (raw: RawFamily | null): FamilyRecord | undefined =>
  raw === null
    ? undefined
    : {
        ...raw,
        sessionUid: raw.sessionUid ?? undefined,
        consentVersion: raw.consentVersion ?? undefined,
        createdAt: date(raw.createdAt),
        expiresAt: date(raw.expiresAt),
      };

export const toSession = (
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

/** The account, the family and the session that a token or a polled request belongs to, each in a column of its name. */
export const ownerColumns = `${account('a', 'account')}, ${family('g', 'family')}, ${boundSession('s', 'session')}`;

export interface OwnerRow {
  account: RawAccount | null;
  family: RawFamily | null;
  session: RawSession | null;
}

export interface Owners {
  readonly account: AccountRecord | undefined;
  readonly family: FamilyRecord | undefined;
  readonly session: SessionRecord | undefined;
}

export const toOwners = (row: OwnerRow): Owners => ({
  account: toAccount(row.account),
  family: toFamily(row.family),
  session: toSession(row.session, Buffer.alloc(0), false),
});
