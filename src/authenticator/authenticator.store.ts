import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Authenticator } from './authenticator.ts';

export async function listAuthenticators(db: Db, accountId: string): Promise<Authenticator[]> {
  const rows = await db
    .selectFrom('authenticators')
    .select(['id', 'kind', 'label', 'created_at', 'last_used_at'])
    .where('account_id', '=', accountId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    label: row.label,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at ?? undefined,
  }));
}

export function listTotpSeeds(
  db: Db,
  accountId: string,
): Promise<{ id: string; secret_sealed: Buffer; last_used_step: number }[]> {
  return db
    .selectFrom('authenticators')
    .select(['id', 'secret_sealed', 'last_used_step'])
    .where('account_id', '=', accountId)
    .where('kind', '=', 'totp')
    .orderBy('created_at')
    .execute();
}

/** Inserts the app; gives false, and changes nothing, where it is there already. */
export async function insertTotp(
  db: Db,
  totp: {
    readonly id: string;
    readonly accountId: string;
    readonly label: string;
    readonly secretSealed: Buffer;
    readonly usedStep: number;
  },
): Promise<boolean> {
  const result = await db
    .insertInto('authenticators')
    .values({
      id: totp.id,
      account_id: totp.accountId,
      kind: 'totp',
      label: totp.label,
      secret_sealed: totp.secretSealed,
      last_used_step: totp.usedStep,
      last_used_at: null,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/**
 * Uses a time step up, in one statement: of several who show the same code at once one gets true, and no step is taken
 * after a newer one.
 */
export async function useStep(db: Db, id: string, step: number): Promise<boolean> {
  const rows = await db
    .updateTable('authenticators')
    .set({ last_used_step: step, last_used_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('last_used_step', '<', step)
    .returning('id')
    .execute();
  return rows.length > 0;
}

/** Deletes every factor of the account; gives how many authenticators there were. */
export async function deleteFactors(db: Db, accountId: string): Promise<number> {
  await db.deleteFrom('recovery_codes').where('account_id', '=', accountId).execute();
  const result = await db
    .deleteFrom('authenticators')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** Replaces all codes of the account; gives whether there were any. */
export async function replaceRecoveryCodes(
  db: Db,
  accountId: string,
  hashes: readonly Buffer[],
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('recovery_codes')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
  await db
    .insertInto('recovery_codes')
    .values(hashes.map((hash) => ({ account_id: accountId, code_hash: hash, used_at: null })))
    .execute();
  return numDeletedRows > 0n;
}

/** Uses a code up; of several who show it at once, one gets true. */
export async function useRecoveryCode(db: Db, accountId: string, hash: Buffer): Promise<boolean> {
  const rows = await db
    .updateTable('recovery_codes')
    .set({ used_at: sql<Date>`now()` })
    .where('account_id', '=', accountId)
    .where('code_hash', '=', hash)
    .where('used_at', 'is', null)
    .returning('account_id')
    .execute();
  return rows.length > 0;
}

export async function countRecoveryCodes(db: Db, accountId: string): Promise<number> {
  const row = await db
    .selectFrom('recovery_codes')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('account_id', '=', accountId)
    .where('used_at', 'is', null)
    .executeTakeFirstOrThrow();
  return row.count;
}
