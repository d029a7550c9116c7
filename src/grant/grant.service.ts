import type { Db } from '../db/database.ts';
import { type FamilyFilter, revokeFamilies } from './grant.store.ts';

/**
 * Ends token families: every token of them is dead from this commit on, since each read of a token joins its family.
 * Gives how many were live.
 */
export function endFamilies(db: Db, filter: FamilyFilter, reason: string): Promise<number> {
  return revokeFamilies(db, filter, reason);
}
