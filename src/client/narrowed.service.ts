import type { Database, Db } from '../db/database.ts';
import {
  endClientFamilies,
  endFamiliesOfClient,
  endLeftClientFamilies,
  endLeftFamiliesOfClient,
} from '../grant/grant.service.ts';
import { CLOCK_SLACK } from '../lib/time.ts';
import { endPermissions } from '../permission/permission.service.ts';
import type { Narrowing } from './client-narrowing.ts';
import * as store from './client.store.ts';

/** Ends what a client was given beyond what it may have now. */

/** What ended in the commit of a change, so that the rest can follow after it. */
export interface Ended {
  readonly clientId: string;
  readonly reason: 'client_narrowed' | 'client_tokens_revoked' | 'client_weakened';
  /** Of a reason other than `client_tokens_revoked`: only families with refresh tokens. */
  readonly offline: boolean;
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
    const reason = 'client_tokens_revoked';
    const count = await endClientFamilies(db, clientId, reason);
    return { clientId, reason, offline: false, count };
  }
  if (families === 'none') return undefined;
  return endFamilies(db, { clientId, offline: families === 'offline' }, 'client_narrowed');
}

/** Ends the families of a client that proves less of itself than when they began. */
export function endOfWeaker(db: Db, clientId: string): Promise<Ended> {
  return endFamilies(db, { clientId, offline: false }, 'client_weakened');
}

async function endFamilies(
  db: Db,
  which: Pick<Ended, 'clientId' | 'offline'>,
  reason: 'client_narrowed' | 'client_weakened',
): Promise<Ended> {
  return { ...which, reason, count: await endFamiliesOfClient(db, which, reason) };
}

/** After the commit: ends the families that were too many for one statement. */
export async function endLeft(db: Database, ended: Ended | undefined): Promise<void> {
  if (ended === undefined) return;
  const { clientId, count, reason } = ended;
  if (reason === 'client_tokens_revoked') await endLeftClientFamilies(db, clientId, reason, count);
  else await endLeftFamiliesOfClient(db, ended, reason, count);
}
