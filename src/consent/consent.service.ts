import type { AuditOrigin } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { endFamilies } from '../grant/grant.service.ts';
import { randomToken } from '../lib/hash.ts';
import {
  type Consent,
  type Decision,
  isNarrower,
  mergeDecision,
  noPermissions,
} from './consent.ts';
import * as store from './consent.store.ts';

/** What people decided for apps: one consent an account and client. */
export class ConsentService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Takes a decision into the consent, in the caller's transaction. Where it takes something back, the client's token
   * families end in the same commit: they hold what was granted before.
   */
  async decide(db: Db, accountId: string, clientId: string, decision: Decision): Promise<Consent> {
    const nothing = { granted: noPermissions, rejected: noPermissions };
    const first = { ...mergeDecision(nothing, decision), shown: decision.shown ?? null };
    const inserted = await store.insertConsent(db, {
      id: randomToken(16),
      accountId,
      clientId,
      ...first,
    });
    if (inserted !== undefined) return inserted;
    const before = await store.lockConsent(db, accountId, clientId);
    // Removed between the two statements: the person decided twice at the same moment, and one of the two must be said again.
    if (before === undefined)
      throw new AppError('consent_removed', 'This was taken back meanwhile.', { status: 409 });
    const merged = {
      ...mergeDecision(decision.isAfresh === true ? nothing : before, decision),
      shown: decision.shown ?? before.shown,
    };
    if (isNarrower(merged.granted, before.granted))
      await endFamilies(db, { accountId, clientId }, 'consent_narrowed');
    return store.updateConsent(db, before.id, merged);
  }

  /**
   * Takes back what an app was allowed: the consent is gone and the app's token families have ended, in one commit.
   * Gives whether there was anything to take back.
   */
  async remove(accountId: string, clientId: string, origin: AuditOrigin = {}): Promise<boolean> {
    return (await this.takeBack(accountId, clientId, origin)) !== undefined;
  }

  /** The same; gives what there was: whether something had been decided, and how many families were live. */
  takeBack(
    accountId: string,
    clientId: string,
    origin: AuditOrigin,
  ): Promise<{ decided: boolean; families: number } | undefined> {
    return this.#db.transaction(async (db) => {
      const decided = await store.deleteConsent(db, accountId, clientId);
      const families = await endFamilies(db, { accountId, clientId }, 'consent_removed');
      if (!decided && families === 0) return undefined;
      await writeAudit(db, {
        type: 'consent.removed',
        outcome: 'success',
        accountId,
        clientId,
        ...origin,
      });
      return { decided, families };
    });
  }

  listForAccount(accountId: string): Promise<Consent[]> {
    return store.listConsents(this.#db.kysely, accountId);
  }
}
