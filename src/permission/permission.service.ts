import type { Database, Db } from '../db/database.ts';
import {
  type CarriedPermissions,
  carriedBy,
  type EndedPermission,
  PERMISSION_LAG,
} from './permission.ts';
import * as store from './permission.store.ts';

export type { CarriedPermissions, EndedPermission } from './permission.ts';

/**
 * Takes permissions away, in the transaction of the change that does: from its commit on, every token that carries one of them
 * is dead, also JWTs, by the revocation feed. The caller raises the version of a topic, by which other processes learn of it.
 * @param clientIds the clients that lose something: what others have made from their tokens by exchange ends as well
 */
export async function endPermissions(
  db: Db,
  ended: readonly EndedPermission[],
  clientIds: readonly string[],
): Promise<void> {
  if (ended.length === 0) return;
  await store.insertEnded(db, ended);
  await store.endMadeFrom(db, clientIds);
}

/** Takes scopes of an API, or all of it, out of consents and token families; in commits of its own, and safe to repeat. */
export function forgetDecided(
  db: Database,
  identifier: string,
  scopes?: readonly string[],
): Promise<void> {
  return store.forgetDecided(db.kysely, identifier, scopes);
}

/** What was taken away within the life of a token: little, so that all of it is kept in memory. */
export class EndedPermissions {
  readonly #db: Database;
  #all: Promise<ReadonlyMap<string, number>> | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Reads everything again, at once, so that no request has to wait for it: call it when the version of `clients` or
   * `resource_servers` has risen.
   */
  refresh(): void {
    this.#all = undefined;
    // A failure is found again by the request that asks next.
    void this.load().catch(() => undefined);
  }

  /** Whether the token carries something that was taken away after it was issued, so that it is dead. */
  async endsToken(token: CarriedPermissions & { readonly issuedAt: number }): Promise<boolean> {
    const ended = await this.load();
    if (ended.size === 0) return false;
    return carriedBy(token).some((text) => {
      const at = ended.get(text);
      return at !== undefined && token.issuedAt <= at + PERMISSION_LAG;
    });
  }

  /** Reads what has ended, if it was not read since the last change. */
  async load(): Promise<ReadonlyMap<string, number>> {
    const reading = (this.#all ??= store.listEnded(this.#db.kysely));
    try {
      return await reading;
    } catch (error) {
      if (this.#all === reading) this.#all = undefined;
      throw error;
    }
  }
}
