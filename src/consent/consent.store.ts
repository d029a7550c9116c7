import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Permissions } from '../db/schema.ts';
import type { Consent } from './consent.ts';

interface ConsentRow {
  readonly id: string;
  readonly account_id: string;
  readonly client_id: string;
  readonly granted: Permissions;
  readonly rejected: Permissions;
  readonly version: number;
  readonly shown: Record<string, unknown> | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly last_used_at: Date;
}

function toConsent(row: ConsentRow): Consent {
  return {
    id: row.id,
    accountId: row.account_id,
    clientId: row.client_id,
    granted: row.granted,
    rejected: row.rejected,
    version: row.version,
    shown: row.shown as Consent['shown'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastUsedAt: row.last_used_at,
  };
}

export interface ConsentInsert {
  readonly id: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly granted: Permissions;
  readonly rejected: Permissions;
  readonly shown: Consent['shown'];
}

/**
 * Notes with the decision that somebody uses a client that has registered itself: what nobody uses is cleaned away. Once a
 * day is enough, so that people who decide about the same client at once seldom wait for each other.
 */
const using = (db: Db, clientId: string) =>
  db.with('used', (one) =>
    one
      .updateTable('clients')
      .set({ used_at: sql<Date>`now()` })
      .where('id', '=', clientId)
      .where('registered_by', 'is not', null)
      .where((eb) =>
        eb.or([eb('used_at', 'is', null), eb('used_at', '<', sql<Date>`now() - interval '1 day'`)]),
      )
      .returning('id'),
  );

/** Inserts the first decision, or gives undefined where there is one already. */
export async function insertConsent(db: Db, consent: ConsentInsert): Promise<Consent | undefined> {
  const row = await using(db, consent.clientId)
    .insertInto('consents')
    .values({
      id: consent.id,
      account_id: consent.accountId,
      client_id: consent.clientId,
      granted: JSON.stringify(consent.granted),
      rejected: JSON.stringify(consent.rejected),
      shown: consent.shown && JSON.stringify(consent.shown),
      version: 1,
    })
    .onConflict((conflict) => conflict.columns(['account_id', 'client_id']).doNothing())
    .returningAll()
    .executeTakeFirst();
  return row && toConsent(row);
}

/** The consent, held until the transaction ends: decisions in two tabs are taken one after the other. */
export async function lockConsent(
  db: Db,
  accountId: string,
  clientId: string,
): Promise<Consent | undefined> {
  const row = await db
    .selectFrom('consents')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('client_id', '=', clientId)
    .forUpdate()
    .executeTakeFirst();
  return row && toConsent(row);
}

export async function updateConsent(
  db: Db,
  id: string,
  decided: Pick<Consent, 'granted' | 'rejected' | 'shown'>,
): Promise<Consent> {
  const row = await db
    .updateTable('consents')
    .set({
      granted: JSON.stringify(decided.granted),
      rejected: JSON.stringify(decided.rejected),
      shown: decided.shown && JSON.stringify(decided.shown),
      version: sql<number>`version + 1`,
      updated_at: sql<Date>`now()`,
      last_used_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toConsent(row);
}

/** Deletes the consent; gives whether there was one. */
export async function deleteConsent(db: Db, accountId: string, clientId: string): Promise<boolean> {
  const result = await db
    .deleteFrom('consents')
    .where('account_id', '=', accountId)
    .where('client_id', '=', clientId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** What the account has decided, the newest first. */
export async function listConsents(db: Db, accountId: string): Promise<Consent[]> {
  const rows = await db
    .selectFrom('consents')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
  return rows.map(toConsent);
}
