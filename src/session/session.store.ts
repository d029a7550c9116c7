import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { fromEpoch } from '../lib/time.ts';
import type { Session, SessionFilter } from './session.ts';

interface SessionPayload {
  readonly loginTs?: number;
  readonly acr?: string;
  readonly amr?: string[];
}

/** The live sessions of an account, the one last seen first. */
export async function listSessions(db: Db, accountId: string): Promise<Session[]> {
  const rows = await db
    .selectFrom('sessions')
    .select(['uid', 'payload', 'created_at', 'last_seen_at', 'expires_at'])
    .where('account_id', '=', accountId)
    .where('ended_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .orderBy('last_seen_at', 'desc')
    .orderBy('uid')
    .execute();
  return rows.map((row) => {
    const { loginTs, acr, amr } = row.payload as SessionPayload;
    return {
      uid: row.uid,
      accountId,
      authTime: loginTs === undefined ? undefined : fromEpoch(loginTs),
      acr,
      amr: amr ?? [],
      createdAt: row.created_at,
      lastSeenAt: row.last_seen_at,
      expiresAt: row.expires_at,
    };
  });
}

/** Ends the sessions; gives how many were live. */
export async function endSessions(db: Db, filter: SessionFilter): Promise<number> {
  let query = db
    .updateTable('sessions')
    .set({ ended_at: sql<Date>`now()` })
    .where('account_id', '=', filter.accountId)
    .where('ended_at', 'is', null);
  if ('sessionUid' in filter) query = query.where('uid', '=', filter.sessionUid);
  else if (filter.exceptSession !== undefined)
    query = query.where('uid', '<>', filter.exceptSession);
  const result = await query.executeTakeFirst();
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
