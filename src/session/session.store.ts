import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ClientLogout } from './session.ts';

/** Locks those that have not ended until the end of the transaction, in one order for everybody; gives their uids. */
export async function lockLiveSessions(
  db: Db,
  of: { readonly accountId: string } | { readonly uid: string },
): Promise<string[]> {
  const query = db
    .selectFrom('sessions')
    .select('uid')
    .where('ended_at', 'is', null)
    .orderBy('uid')
    .forUpdate();
  const rows = await ('uid' in of
    ? query.where('uid', '=', of.uid)
    : query.where('account_id', '=', of.accountId)
  ).execute();
  return rows.map((row) => row.uid);
}

/** However many they are: as a list they would be a parameter each, of which a statement has 65,535 at the most. */
const among = (column: string, uids: readonly string[]) =>
  sql<boolean>`${sql.ref(column)} = any(${uids}::text[])`;

/** Ends the sessions, which are locked. */
export async function endSessions(db: Db, uids: readonly string[]): Promise<void> {
  await db
    .updateTable('sessions')
    .set({ ended_at: sql<Date>`now()` })
    .where(among('uid', uids))
    .execute();
}

/** The clients of the sessions that want to hear of their end (OpenID Connect Back-Channel Logout 1.0). */
export async function listLogouts(db: Db, uids: readonly string[]): Promise<ClientLogout[]> {
  const rows = await db
    .selectFrom('session_clients')
    .innerJoin('sessions', 'sessions.uid', 'session_clients.session_uid')
    .innerJoin('clients', 'clients.id', 'session_clients.client_id')
    .select(['session_clients.client_id', 'session_clients.sid', 'sessions.account_id'])
    .where(among('sessions.uid', uids))
    .where('clients.disabled_at', 'is', null)
    .where(sql<boolean>`clients.metadata->>'backchannel_logout_uri' is not null`)
    .execute();
  return rows.flatMap(({ client_id: clientId, sid, account_id: accountId }) =>
    accountId === null ? [] : [{ clientId, accountId, sid }],
  );
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
