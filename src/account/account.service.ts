import { type Actor, type AuditOrigin, originOf } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { type Mail, mailWrite } from '../email/email.service.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { insertOutbox } from '../outbox/outbox.service.ts';
import { endSessions } from '../session/session.service.ts';
import type { Account, AccountInput } from './account.ts';
import {
  checkAccount,
  type CheckedAccount,
  checkWithoutPassword,
  type NewAccount,
} from './account-input.ts';
import * as store from './account.store.ts';
import { type EmailAddress, readEmail } from './email-address.ts';
import { checkCredentials, type CredentialCheck } from './password-check.ts';
import type { Passwords } from './passwords.service.ts';

export type { CheckedAccount } from './account-input.ts';

export interface AccountOptions {
  /** With a second factor for everyone 8 characters are enough, else 15 (NIST SP 800-63B-4, section 3.1.1.2). */
  readonly requireSecondFactor: 'everyone' | 'administrators';
  /** The brand's name: a word that passwords must not rest on. */
  readonly brandName: string;
}

/** Finds, creates, changes and disables accounts, and checks their passwords. */
export class AccountService {
  readonly #db: Database;
  readonly #passwords: Passwords;
  readonly #sealer: Sealer;
  readonly #options: AccountOptions;

  constructor(db: Database, passwords: Passwords, sealer: Sealer, options: AccountOptions) {
    this.#db = db;
    this.#passwords = passwords;
    this.#sealer = sealer;
    this.#options = options;
  }

  /** The fewest characters of a password. */
  get passwordMinimum(): number {
    return this.#options.requireSecondFactor === 'everyone' ? 8 : 15;
  }

  async find(id: string, db: Db = this.#db.kysely): Promise<Account | undefined> {
    return (await store.findAccount(db, { id }))?.account;
  }

  /** The account of an address, in whichever spelling it is written. */
  async findByEmail(email: string, db: Db = this.#db.kysely): Promise<Account | undefined> {
    const address = readEmail(email);
    return typeof address === 'string'
      ? undefined
      : (await store.findAccount(db, { emailKey: address.key }))?.account;
  }

  /**
   * The accounts in the order of their email addresses, `limit` at a time: those whose address holds `text`, in whichever
   * case. `next` is the `after` of the next page, where there is one.
   */
  async list(search: {
    readonly text?: string | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  }): Promise<{ readonly accounts: readonly Account[]; readonly next: string | undefined }> {
    const { limit, after } = search;
    const key = after === undefined ? undefined : readEmail(after);
    const found = await store.listAccounts(this.#db.kysely, {
      text: search.text?.normalize('NFKC').toLowerCase(),
      after: typeof key === 'object' ? key.key : after,
      limit: limit + 1,
    });
    const accounts = found.slice(0, limit);
    return { accounts, next: found.length > limit ? accounts.at(-1)?.email : undefined };
  }

  /** Sets the language of emails to the user; apps with access to `locale` get it too. */
  setLocale(id: string, locale: string): Promise<void> {
    return store.updateLocale(this.#db.kysely, id, locale);
  }

  /** Gets the account and locks its row until the transaction ends, so that changes to it happen one after the other. */
  hold(db: Db, id: string): Promise<Account | undefined> {
    return store.lockAccount(db, id);
  }

  /**
   * Checks what somebody chose for an account.
   * @throws AccountRefused `account_refused` (400) with every problem, field by field.
   */
  check(input: AccountInput): CheckedAccount {
    return checkAccount(input, {
      minimum: this.passwordMinimum,
      context: [this.#options.brandName],
    });
  }

  /**
   * Creates an account. With `admin`, its owner gets an email.
   * @throws AccountRefused `account_refused` (400); AppError `email_taken` (409), `busy` (429)
   */
  async create(input: NewAccount, actor: Actor): Promise<Account> {
    const checked =
      input.password === undefined
        ? checkWithoutPassword(input)
        : this.check({ ...input, password: input.password });
    const passwordHash =
      checked.password === undefined ? undefined : await this.#passwords.hash(checked.password);
    return this.#db.transaction((db) =>
      this.insert(
        db,
        {
          email: checked.email,
          key: checked.key,
          name: checked.name,
          passwordHash,
          verified: input.verified,
          admin: input.admin,
        },
        originOf(actor),
      ),
    );
  }

  /**
   * Inserts an account in a transaction; the input is checked and the password hashed already.
   * @throws AppError `email_taken` (409)
   */
  async insert(
    db: Db,
    input: EmailAddress &
      Pick<store.AccountInsert, 'name' | 'locale' | 'passwordHash' | 'verified' | 'admin'>,
    origin: AuditOrigin,
  ): Promise<Account> {
    const account = await store.insertAccount(db, {
      ...input,
      id: `u_${randomToken(16)}`,
      emailKey: input.key,
    });
    if (account === undefined)
      throw new AppError('email_taken', `There is an account for ${input.email} already.`, {
        status: 409,
      });
    const data = input.admin ? { admin: true } : undefined;
    await writeAudit(db, {
      type: 'account.created',
      outcome: 'success',
      accountId: account.id,
      data,
      ...origin,
    });
    if (input.admin) {
      const { email: to, locale } = account;
      await this.#tell(db, { template: 'administrator_created', to, locale });
    }
    return account;
  }

  /**
   * The account of an email address and its password. Known and unknown addresses take the same time. Limits are consumed
   * before. A hash of an older cost is replaced.
   * @param counted counts the guess while the account is read; if it throws, the password is not checked.
   * @throws AppError `busy` (429)
   */
  checkCredentials(
    email: string,
    password: string,
    counted?: Promise<void>,
  ): Promise<CredentialCheck> {
    return checkCredentials(this.#db, this.#passwords, { email, password, counted });
  }

  /**
   * Disables (in the same commit every session and token family ends) or enables.
   * @param emailOrId an address or an account id.
   * @throws AppError `unknown_account` (404), `last_administrator` (409)
   */
  async setDisabled(emailOrId: string, disabled: boolean, actor: Actor): Promise<Account> {
    const known = await this.get(emailOrId);
    return this.#db.transaction(async (db) => {
      // Always locked in the same order, so that two administrators can't disable each other at the same time.
      const administrators = known.admin ? await store.lockAdministrators(db) : [];
      if (disabled && administrators.length === 1 && administrators[0] === known.id) {
        throw new AppError(
          'last_administrator',
          'This is the last administrator: make another one first.',
          { status: 409 },
        );
      }
      const account = await store.setDisabled(db, known.id, disabled);
      if (account === undefined) throw unknownAccount(emailOrId);
      if (disabled) await endAccess(db, account.id, 'account_disabled');
      await writeAudit(db, {
        type: disabled ? 'account.disabled' : 'account.enabled',
        outcome: 'success',
        accountId: account.id,
        ...originOf(actor),
      });
      return account;
    });
  }

  /**
   * Replaces the roles of the account; the next gateway request uses them.
   * @param emailOrId an address or an account id.
   * @throws AppError `unknown_account` (404)
   */
  async setRoles(emailOrId: string, roles: readonly string[], actor: Actor): Promise<Account> {
    const known = await this.get(emailOrId);
    const distinct = [...new Set(roles)].sort();
    return this.#db.transaction(async (db) => {
      const account = await store.setRoles(db, known.id, distinct);
      if (account === undefined) throw unknownAccount(emailOrId);
      await writeAudit(db, {
        type: 'account.roles_changed',
        outcome: 'success',
        accountId: account.id,
        data: { roles: distinct },
        ...originOf(actor),
      });
      return account;
    });
  }

  /**
   * Signs the account out everywhere: ends every session and token family in one commit, and returns how many were live.
   * @param emailOrId an address or an account id.
   * @throws AppError `unknown_account` (404)
   */
  async signOut(
    emailOrId: string,
    actor: Actor,
  ): Promise<{ account: Account; sessions: number; families: number }> {
    const account = await this.get(emailOrId);
    return this.#db.transaction(async (db) => {
      await store.lockAccount(db, account.id);
      const ended = await endSessions(db, account.id, 'signed_out_everywhere');
      await writeAudit(db, {
        type: 'account.signed_out',
        outcome: 'success',
        accountId: account.id,
        data: ended,
        ...originOf(actor),
      });
      return { account, ...ended };
    });
  }

  /**
   * @param emailOrId an address or an account id.
   * @throws AppError `unknown_account` (404)
   */
  async get(emailOrId: string): Promise<Account> {
    const account = emailOrId.includes('@')
      ? await this.findByEmail(emailOrId)
      : await this.find(emailOrId);
    if (account === undefined) throw unknownAccount(emailOrId);
    return account;
  }

  async #tell(db: Db, mail: Mail): Promise<void> {
    await insertOutbox(db, mailWrite(this.#sealer, mail));
  }
}

/**
 * Ends every session and token family of the account in the transaction. Its row is held first: a sign-in that commits
 * at the same time is either ended with the others, or finds what has changed.
 */
export async function endAccess(db: Db, accountId: string, reason: string): Promise<void> {
  await store.lockAccount(db, accountId);
  await endSessions(db, accountId, reason);
}

function unknownAccount(emailOrId: string): AppError {
  return new AppError('unknown_account', `There is no account ${emailOrId}.`, { status: 404 });
}
