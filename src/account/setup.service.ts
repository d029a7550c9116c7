import { type Actor, type AuditOrigin, originOf } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { randomToken, sha256 } from '../lib/hash.ts';
import type { Account, AccountInput } from './account.ts';
import type { AccountService } from './account.service.ts';
import { hasAdministrator } from './account.store.ts';
import * as links from './link.store.ts';
import type { Passwords } from './passwords.service.ts';

/** Seconds for which a setup link is good. */
const SETUP_TTL = 3_600;
/** There is one row, so the newest link alone is good. */
const idHash = sha256('setup');

/** The first administrator: by a link that only who runs the server can make, and only while there is none. */
export class SetupService {
  readonly #db: Database;
  readonly #accounts: AccountService;
  readonly #passwords: Passwords;

  constructor(db: Database, accounts: AccountService, passwords: Passwords) {
    this.#db = db;
    this.#accounts = accounts;
    this.#passwords = passwords;
  }

  /** Whether there is no administrator yet. */
  async isNeeded(): Promise<boolean> {
    return !(await hasAdministrator(this.#db.kysely));
  }

  /**
   * The token of a new setup link, good for an hour; earlier ones die.
   * @throws AppError `already_set_up` (409) where there is an administrator
   */
  async issueSetupLink(actor: Actor): Promise<string> {
    const token = randomToken();
    await this.#db.transaction(async (db) => {
      if (await hasAdministrator(db)) throw alreadySetUp();
      await links.saveLink(
        db,
        { idHash, tokenHash: sha256(token), purpose: 'setup', ttlSeconds: SETUP_TTL },
        0,
      );
      await writeAudit(db, { type: 'setup.link_issued', outcome: 'success', ...originOf(actor) });
    });
    return token;
  }

  /** Whether the link still works. Nothing is used up. */
  async findSetupLink(token: string): Promise<'live' | 'used' | 'expired'> {
    const link = await links.findLink(this.#db.kysely, { tokenHash: sha256(token) });
    if (link === undefined || link.purpose !== 'setup') return 'expired';
    if (link.used) return 'used';
    return link.expired || !(await this.isNeeded()) ? 'expired' : 'live';
  }

  /**
   * Makes the first administrator, with a confirmed address: who holds the link is trusted with the whole server. Of two who
   * redeem one link at once, one wins. Refused input does not use the link up.
   * @throws AccountRefused `account_refused` (400); AppError `link_expired` (410), `email_taken` (409), `busy` (429)
   */
  async redeemSetupLink(token: string, input: AccountInput, origin: AuditOrigin): Promise<Account> {
    if ((await this.findSetupLink(token)) !== 'live') throw linkExpired();
    const { email, key, name, password } = this.#accounts.check(input);
    const passwordHash = await this.#passwords.hash(password);
    return this.#db.transaction(async (db) => {
      const link = await links.useLink(db, sha256(token), ['setup']);
      if (link === undefined || (await hasAdministrator(db))) throw linkExpired();
      return this.#accounts.insert(
        db,
        { email, key, name, locale: input.locale, passwordHash, verified: true, admin: true },
        origin,
      );
    });
  }
}

function alreadySetUp(): AppError {
  return new AppError('already_set_up', 'There is an administrator already.', { status: 409 });
}

function linkExpired(): AppError {
  return new AppError('link_expired', 'This link was used already, or it is too old.', {
    status: 410,
  });
}
