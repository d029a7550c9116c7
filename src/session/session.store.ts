import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/** Ends the sessions; gives how many were live. */
export async function endSessions(db: Db, accountId: string): Promise<number> {
  const result = await db
    .updateTable('sessions')
    .set({ ended_at: sql<Date>`now()` })
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/**
 * Ends the sign-ins of an account that have come part of the way, or have come to their end and wait for the browser to
 * take them up. Few do this, so that no index is kept for it.
 */
export async function endWaitingSignIns(db: Db, accountId: string): Promise<void> {
  await db
    .deleteFrom('interactions')
    .where(
      sql<boolean>`${accountId} in (progress->>'accountId', payload#>>'{result,login,accountId}', payload#>>'{lastSubmission,login,accountId}')`,
    )
    .execute();
}
