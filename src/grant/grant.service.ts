import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import * as store from './grant.store.ts';

export type { Family } from './grant.store.ts';

/** As many end in one statement: a million would take longer than any statement may. */
const BATCH = 10_000;

/**
 * Ends token families: every token of them is dead from this commit on, since each read of a token joins its family.
 * Gives how many were live.
 */
export function endFamilies(db: Db, filter: store.FamilyFilter, reason: string): Promise<number> {
  return store.revokeFamilies(db, filter, reason);
}

/**
 * Ends families of a client whose tokens end with this very transaction (`tokens_since`), as many as one statement
 * should; gives how many. The revocation feed tells of the client, and not of each of them.
 */
export function endClientFamilies(
  db: Db,
  clientId: string,
  reason: store.ClientReason,
): Promise<number> {
  return store.revokeClientFamilies(db, clientId, reason, BATCH);
}

/** Ends what `endClientFamilies` left, after its commit: their tokens are dead already. `ended` is what that gave. */
export async function endLeftClientFamilies(
  db: Database,
  clientId: string,
  reason: store.ClientReason,
  ended: number,
): Promise<number> {
  let [sum, last] = [ended, ended];
  while (last === BATCH) {
    last = await db.transaction((db) => endClientFamilies(db, clientId, reason));
    sum += last;
  }
  return sum;
}

/** Which families of a client end by themselves, and its other tokens not. */
export interface ClientFamilies {
  readonly clientId: string;
  /** Only those with refresh tokens. */
  readonly offline: boolean;
}

/**
 * Ends families of a client, as many as one statement should; gives how many. The revocation feed names each of their JWTs.
 */
export function endFamiliesOfClient(
  db: Db,
  which: ClientFamilies,
  reason: string,
): Promise<number> {
  return store.revokeFamiliesOfClient(db, which, reason, BATCH);
}

/** Ends what `endFamiliesOfClient` left, after its commit. `ended` is what that gave. */
export async function endLeftFamiliesOfClient(
  db: Database,
  which: ClientFamilies,
  reason: string,
  ended: number,
): Promise<void> {
  for (let last = ended; last === BATCH; )
    last = await db.transaction((tx) => endFamiliesOfClient(tx, which, reason));
}

/** The live token families of an account, the newest first. */
export function listFamilies(db: Database, accountId: string): Promise<store.Family[]> {
  return store.listFamilies(db.kysely, accountId);
}

/**
 * Ends one family, and gives it as it was.
 * @throws AppError `unknown_family` (404) where there is none that lives
 */
export function revokeFamily(db: Database, id: string, actor: string): Promise<store.Family> {
  return db.transaction(async (db) => {
    const family = await store.lockFamily(db, id);
    if (family === undefined)
      throw new AppError('unknown_family', `There is no token family ${id}, or it has ended.`, {
        status: 404,
      });
    await store.revokeFamilies(db, { id }, 'revoked_by_operator');
    await writeAudit(db, {
      type: 'family.revoked',
      outcome: 'success',
      accountId: family.accountId,
      clientId: family.clientId,
      grantId: id,
      actor,
      reason: 'revoked_by_operator',
    });
    return family;
  });
}
