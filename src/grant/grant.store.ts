import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/** Which families: one by its id, those of an account (with one client or with all), or what a session gave. */
export type FamilyFilter =
  | { readonly id: string }
  | { readonly accountId: string; readonly clientId?: string }
  | { readonly sessionUid: string; readonly offline: boolean };

/** Why a family ended with its client; the index that the revocation feed reads leaves these words out. */
export type ClientReason = 'client_disabled' | 'client_tokens_revoked';

export interface Family {
  readonly id: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly sessionUid: string | undefined;
  /** It keeps its tokens when the browser signs out. */
  readonly offline: boolean;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Ends the families in one statement, and with them every token; gives how many. */
export async function revokeFamilies(
  db: Db,
  filter: FamilyFilter,
  reason: string,
): Promise<number> {
  let query = db
    .updateTable('grants')
    .set({ revoked_at: sql<Date>`now()`, revoked_reason: reason })
    .where('revoked_at', 'is', null);
  if ('id' in filter) query = query.where('id', '=', filter.id);
  else if ('sessionUid' in filter)
    query = query
      .where('session_uid', '=', filter.sessionUid)
      .where('offline', '=', filter.offline);
  else {
    query = query.where('account_id', '=', filter.accountId);
    if (filter.clientId !== undefined) query = query.where('client_id', '=', filter.clientId);
  }
  const result = await query.executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/**
 * Ends as many as `most` families of a client whose tokens have ended (`tokens_since`): with no such time, none, since
 * nobody would tell of them. Gives how many.
 */
export async function revokeClientFamilies(
  db: Db,
  clientId: string,
  reason: ClientReason,
  most: number,
): Promise<number> {
  const result = await sql`
    update grants set revoked_at = now(), revoked_reason = ${reason}
    where id = any(array(
      select g.id from grants g join clients c on c.id = g.client_id
      where g.client_id = ${clientId} and g.revoked_at is null and c.tokens_since >= g.created_at
      order by g.id limit ${most}))
      and revoked_at is null`.execute(db);
  return Number(result.numAffectedRows ?? 0n);
}

/**
 * Ends as many as `most` live families of a client, in the order of their ids; gives how many.
 * @param before only those that began by then, as `clock` gives it
 */
export async function revokeFamiliesOfClient(
  db: Db,
  { clientId, offline }: { readonly clientId: string; readonly offline: boolean },
  reason: string,
  most: number,
  before: string | undefined,
): Promise<number> {
  const began = before === undefined ? sql`` : sql`and g.created_at <= ${before}::timestamptz`;
  const result = await sql`
    update grants set revoked_at = now(), revoked_reason = ${reason}
    where id = any(array(
      select g.id from grants g
      where g.client_id = ${clientId} and g.revoked_at is null and (g.offline or not ${offline}::boolean) ${began}
      order by g.id limit ${most}))
      and revoked_at is null`.execute(db);
  return Number(result.numAffectedRows ?? 0n);
}

/** The database's time, not rounded: every family that was seen before began by then. */
export async function clock(db: Db): Promise<string> {
  const { rows } = await sql<{ at: string }>`select clock_timestamp()::text as at`.execute(db);
  return (rows[0] as { at: string }).at;
}

/** The live families of an account, the newest first. */
export async function listFamilies(db: Db, accountId: string): Promise<Family[]> {
  const rows = await live(db).where('account_id', '=', accountId).execute();
  return rows.map(toFamily);
}

/** The family by its id, held until the transaction ends; undefined where it is not live. */
export async function lockFamily(db: Db, id: string): Promise<Family | undefined> {
  const row = await live(db).where('id', '=', id).forUpdate().executeTakeFirst();
  return row && toFamily(row);
}

const live = (db: Db) =>
  db
    .selectFrom('grants')
    .select(['id', 'account_id', 'client_id', 'session_uid', 'offline', 'created_at', 'expires_at'])
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .orderBy('created_at', 'desc')
    .orderBy('id');

interface FamilyRow {
  id: string;
  account_id: string;
  client_id: string;
  session_uid: string | null;
  offline: boolean;
  created_at: Date;
  expires_at: Date;
}

const toFamily = (row: FamilyRow): Family => ({
  id: row.id,
  accountId: row.account_id,
  clientId: row.client_id,
  sessionUid: row.session_uid ?? undefined,
  offline: row.offline,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
});
