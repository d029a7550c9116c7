import { z } from 'zod';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { OutboxHandler } from '../outbox/outbox.ts';
import { insertOutbox, openOutboxWrite } from '../outbox/outbox.service.ts';
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

/** The kind of outbox row for families that a change left to be ended. */
export const LEFT_FAMILIES = 'families';

const leftSchema = z.object({
  clientId: z.string(),
  offline: z.boolean(),
  reason: z.string(),
  /** Those that began later are not meant: the change allows them. */
  before: z.string(),
});

/**
 * Ends families of a client, in the transaction of the change that causes it. The revocation feed names each of their JWTs. What
 * is too much for one statement is left to a row of the outbox in the same commit, so that no crash keeps it alive.
 * @param before as `LEFT_FAMILIES` has it; now by default
 */
export async function endFamiliesOfClient(
  db: Db,
  which: ClientFamilies,
  reason: string,
  before?: string,
): Promise<void> {
  if ((await store.revokeFamiliesOfClient(db, which, reason, BATCH, before)) < BATCH) return;
  const left: z.output<typeof leftSchema> = {
    ...which,
    reason,
    before: before ?? (await store.clock(db)),
  };
  await insertOutbox(db, openOutboxWrite(LEFT_FAMILIES, left));
}

/** Ends what `endFamiliesOfClient` left: as many in one delivery, which leaves the rest to the next row. */
export function createFamilyEnding(db: Database): OutboxHandler {
  return async (about) => {
    const { before, reason, ...which } = leftSchema.parse(about);
    await db.transaction((tx) => endFamiliesOfClient(tx, which, reason, before));
  };
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
