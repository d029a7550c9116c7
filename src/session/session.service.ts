import type { Db } from '../db/database.ts';
import { endFamilies } from '../grant/grant.service.ts';
import * as store from './session.store.ts';

/**
 * Ends every session of an account, and with them all of its token families: unlike signing out, this is for browsers
 * that somebody else may have in hand. With them end the sign-ins that are under way, or a browser would get a session
 * later for what it proved before. Gives how many sessions were live. Run it in a transaction.
 */
export async function endSessions(db: Db, accountId: string, reason: string): Promise<number> {
  const ended = await store.endSessions(db, accountId);
  await store.endWaitingSignIns(db, accountId);
  await endFamilies(db, { accountId }, reason);
  return ended;
}
