import type { Db } from '../db/database.ts';
import { endFamilies } from '../grant/grant.service.ts';
import { insertAllOutbox, insertOutbox, openOutboxWrite } from '../outbox/outbox.service.ts';
import { type ClientLogout, LOGOUT } from './session.ts';
import * as store from './session.store.ts';

/**
 * Ends every session of an account, and with them all of its token families: unlike signing out, this is for browsers
 * that somebody else may have in hand. With them end the sign-ins that are under way, or a browser would get a session
 * later for what it proved before. The clients are told. Gives how many of both were live. Run it in a transaction
 * that holds the account's row.
 */
export async function endSessions(
  db: Db,
  accountId: string,
  reason: string,
): Promise<{ readonly sessions: number; readonly families: number }> {
  const live = await store.lockLiveSessions(db, { accountId });
  await endLocked(db, live);
  await store.endWaitingSignIns(db, accountId);
  return { sessions: live.length, families: await endFamilies(db, { accountId }, reason) };
}

/**
 * Signs one browser out: its session has ended, and with it its families that were not given `offline_access`. The clients
 * are told, of whichever kind theirs are. Does nothing to a session that has ended before. Run it in a transaction.
 */
export async function signOut(db: Db, uid: string): Promise<void> {
  // A request that adds a family to the session holds its row until the commit, so every family added before is found below.
  const live = await store.lockLiveSessions(db, { uid });
  if (live.length === 0) return;
  await endLocked(db, live);
  await endFamilies(db, { sessionUid: uid, offline: false }, 'signed_out');
}

/** Tells a client, if it wants to know, that its part in a session has ended; in the commit that ends it. */
export async function notifyClient(db: Db, logout: ClientLogout): Promise<void> {
  await insertOutbox(db, openOutboxWrite(LOGOUT, { ...logout }));
}

async function endLocked(db: Db, uids: readonly string[]): Promise<void> {
  if (uids.length === 0) return;
  await store.endSessions(db, uids);
  const logouts = await store.listLogouts(db, uids);
  await insertAllOutbox(
    db,
    logouts.map((logout) => openOutboxWrite(LOGOUT, { ...logout })),
  );
}
