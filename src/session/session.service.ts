import type { Db } from '../db/database.ts';
import { endFamilies } from '../grant/grant.service.ts';
import type { Session, SessionFilter } from './session.ts';
import * as store from './session.store.ts';

/** The browsers in which the account is signed in, the one last seen first. */
export function listSessions(db: Db, accountId: string): Promise<Session[]> {
  return store.listSessions(db, accountId);
}

/**
 * Ends sessions from outside of their own browser, and with them every token family that began there or, for all of an
 * account's, anywhere: unlike signing out, this is for browsers that somebody else may have in hand. With all of them end
 * the sign-ins that are under way, or a browser would get a session later for what it proved before. Gives how many
 * sessions were live. Run it in a transaction.
 */
export async function endSessions(db: Db, filter: SessionFilter, reason: string): Promise<number> {
  const ended = await store.endSessions(db, filter);
  if (!('sessionUid' in filter)) {
    await store.endWaitingSignIns(db, filter.accountId);
    await endFamilies(db, filter, reason);
  }
  // Only those of a session that is the account's own.
  else if (ended > 0) await endFamilies(db, { sessionUid: filter.sessionUid }, reason);
  return ended;
}
