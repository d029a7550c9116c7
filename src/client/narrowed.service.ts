import type { Database, Db } from '../db/database.ts';
import {
  endClientFamilies,
  endFamiliesOfClient,
  endLeftClientFamilies,
} from '../grant/grant.service.ts';
import { CLOCK_SLACK } from '../lib/time.ts';
import { endPermissions } from '../permission/permission.service.ts';
import type { Narrowing } from './client-narrowing.ts';
import * as store from './client.store.ts';

/** Ends what a client was given beyond what it may have now. */

/** Every token of a client ended in the commit of a change; the rest of its families follows after it. */
export interface Ended {
  readonly clientId: string;
  /** As many families ended in that commit. */
  readonly count: number;
}

/** In the transaction of the change. Rows are held in the order of everybody else: families come last. */
export async function endNarrowed(
  db: Db,
  clientId: string,
  { ended, everything, families }: Narrowing,
): Promise<Ended | undefined> {
  await endPermissions(db, ended, [clientId]);
  if (everything) {
    await store.endTokens(db, clientId, CLOCK_SLACK);
    return { clientId, count: await endClientFamilies(db, clientId, 'client_tokens_revoked') };
  }
  if (families !== 'none')
    await endFamiliesOfClient(db, { clientId, offline: families === 'offline' }, 'client_narrowed');
  return undefined;
}

/** Ends the families of a client that proves less of itself than when they began. */
export function endOfWeaker(db: Db, clientId: string): Promise<void> {
  return endFamiliesOfClient(db, { clientId, offline: false }, 'client_weakened');
}

/** After the commit: ends the families that were too many for one statement. Their tokens are dead already. */
export async function endLeft(db: Database, ended: Ended | undefined): Promise<void> {
  if (ended !== undefined)
    await endLeftClientFamilies(db, ended.clientId, 'client_tokens_revoked', ended.count);
}
