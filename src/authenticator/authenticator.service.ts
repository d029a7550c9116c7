import { createHmac } from 'node:crypto';
import type { Account } from '../account/account.ts';
import { type AccountService, endAccess } from '../account/account.service.ts';
import { type Actor, type AuditOrigin, originOf } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { type Mail, mailWrite } from '../email/email.service.ts';
import { AppError } from '../errors.ts';
import { sha256 } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { insertOutbox } from '../outbox/outbox.service.ts';
import type { Authenticator, ConfirmedTotp, TotpSecret } from './authenticator.ts';
import * as store from './authenticator.store.ts';
import {
  findLateStep,
  findStep,
  newRecoveryCode,
  newTotpSecret,
  normalizeRecoveryCode,
} from './totp.ts';

const RECOVERY_CODES = 10;
/** Characters (code points) of a device's name. */
const LABEL_MAX = 40;

/** Second factors: authenticator apps and recovery codes. Guesses are limited by the caller (`consumeFactorGuess`). */
export class AuthenticatorService {
  readonly #db: Database;
  readonly #accounts: AccountService;
  readonly #sealer: Sealer;

  constructor(db: Database, accounts: AccountService, sealer: Sealer) {
    this.#db = db;
    this.#accounts = accounts;
    this.#sealer = sealer;
  }

  list(accountId: string, db: Db = this.#db.kysely): Promise<Authenticator[]> {
    return store.listAuthenticators(db, accountId);
  }

  async hasSecondFactor(accountId: string, db: Db = this.#db.kysely): Promise<boolean> {
    return (await this.list(accountId, db)).length > 0;
  }

  /** A new seed. Nothing keeps it but the caller (sealed), until it is confirmed and enrolled. */
  newTotpSecret(issuer: string, email: string): TotpSecret {
    return newTotpSecret(issuer, email);
  }

  /** The seed as a confirmed one if the code is its code, one step of thirty seconds to either side; else undefined. */
  async confirmTotp(secret: string, code: string): Promise<ConfirmedTotp | undefined> {
    const step = await findStep(secret, code);
    return step === undefined ? undefined : { secret, step };
  }

  /**
   * Enrols an authenticator app in the transaction; a mail tells the owner. The code that confirmed it is used up. Doing
   * it twice does it once.
   * @throws AppError `invalid_label` (400), `unknown_account` (404)
   */
  async enrolTotp(
    db: Db,
    accountId: string,
    { secret, step }: ConfirmedTotp,
    label: string,
    origin: AuditOrigin,
  ): Promise<Authenticator> {
    const device = checkLabel(label);
    const { email, locale } = await this.#hold(db, accountId);
    // One row a seed: a form that is posted twice must not give every code a second life.
    const key = this.#sealer.derive('authenticator id');
    const id = createHmac('sha256', key)
      .update(`${accountId} ${secret}`)
      .digest('base64url')
      .slice(0, 22);
    const secretSealed = this.#sealer.seal(secret, `authenticators:${id}`);
    const made = {
      id,
      kind: 'totp',
      label: device,
      createdAt: new Date(),
      lastUsedAt: undefined,
    } as const;
    const totp = { id, accountId, label: device, secretSealed, usedStep: step };
    if (!(await store.insertTotp(db, totp))) return made;
    const data = { authenticator: id, kind: 'totp' };
    await writeAudit(db, {
      type: 'authenticator.added',
      outcome: 'success',
      accountId,
      data,
      ...origin,
    });
    await this.#tell(db, { template: 'second_factor_added', to: email, locale, device, at: now() });
    return made;
  }

  /**
   * Whether the code is right and was not used; it is used up then, and with it every earlier one. A commit of its own: of
   * a hundred at once with one code, one is true. Gives the authenticator, or undefined.
   */
  async verifyTotp(accountId: string, code: string): Promise<{ readonly id: string } | undefined> {
    for (const { id, secret_sealed } of await store.listTotpSeeds(this.#db.kysely, accountId)) {
      const secret = this.#sealer.open(secret_sealed, `authenticators:${id}`).toString();
      const step = await findStep(secret, code);
      if (step !== undefined && (await store.useStep(this.#db.kysely, id, step))) return { id };
    }
    return undefined;
  }

  /**
   * Whether a code that `verifyTotp` refused was right within the last five minutes, as from a phone whose clock is slow.
   * A code that was used, or is older than one that was, is not told apart from a wrong one. The caller has counted the
   * guess.
   */
  async isLateCode(accountId: string, code: string): Promise<boolean> {
    for (const seed of await store.listTotpSeeds(this.#db.kysely, accountId)) {
      const secret = this.#sealer.open(seed.secret_sealed, `authenticators:${seed.id}`).toString();
      const step = await findLateStep(secret, code);
      if (step !== undefined && step > seed.last_used_step) return true;
    }
    return false;
  }

  /** The same for a seed that is being enrolled. */
  async isLateFor(secret: string, code: string): Promise<boolean> {
    return (await findLateStep(secret, code)) !== undefined;
  }

  /** Ten codes of 80 bits, in groups of four. Nothing keeps them but the caller, until they are stored. */
  newRecoveryCodes(): string[] {
    return Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
  }

  /**
   * Replaces the recovery codes, in the transaction; only their hashes are kept. An email tells the owner.
   * @throws AppError `unknown_account` (404)
   */
  async storeRecoveryCodes(
    db: Db,
    accountId: string,
    codes: readonly string[],
    origin: AuditOrigin,
  ): Promise<void> {
    const { email, locale } = await this.#hold(db, accountId);
    const replaced = await store.replaceRecoveryCodes(db, accountId, codes.map(hashRecoveryCode));
    await writeAudit(db, {
      type: 'recovery_codes.generated',
      outcome: 'success',
      accountId,
      ...origin,
    });
    const about = { to: email, locale, at: now(), replaced };
    await this.#tell(db, { template: 'recovery_codes_regenerated', ...about });
  }

  /**
   * Uses a recovery code up, however it is typed; gives how many are left, or undefined where it is wrong or was used. A
   * commit of its own.
   */
  useRecoveryCode(
    accountId: string,
    code: string,
    origin: AuditOrigin,
  ): Promise<{ readonly remaining: number } | undefined> {
    const hash = hashRecoveryCode(code);
    return this.#db.transaction(async (db) => {
      if (!(await store.useRecoveryCode(db, accountId, hash))) return undefined;
      const remaining = await store.countRecoveryCodes(db, accountId);
      await writeAudit(db, {
        type: 'recovery_codes.used',
        outcome: 'success',
        accountId,
        data: { remaining },
        ...origin,
      });
      return { remaining };
    });
  }

  /**
   * Takes every factor away; in the same commit sessions and token families end, and a mail tells the owner.
   * @throws AppError `unknown_account` (404)
   */
  async reset(accountId: string, actor: Actor): Promise<void> {
    await this.#db.transaction(async (db) => {
      const { email, locale } = await this.#hold(db, accountId);
      await endAccess(db, accountId, 'factor_reset');
      const removed = await store.deleteFactors(db, accountId);
      await writeAudit(db, {
        type: 'account.factor_reset',
        outcome: 'success',
        accountId,
        data: { removed },
        ...originOf(actor),
      });
      await this.#tell(db, { template: 'second_factor_reset', to: email, locale, at: now() });
    });
  }

  /** Changes of an account's factors come one after the other: two at once would leave the codes of both. */
  async #hold(db: Db, accountId: string): Promise<Account> {
    const account = await this.#accounts.hold(db, accountId);
    if (account !== undefined) return account;
    throw new AppError('unknown_account', `There is no account ${accountId}.`, { status: 404 });
  }

  async #tell(db: Db, mail: Mail): Promise<void> {
    await insertOutbox(db, mailWrite(this.#sealer, mail));
  }
}

const now = () => new Date().toISOString();

const hashRecoveryCode = (code: string) => sha256(normalizeRecoveryCode(code));

function checkLabel(label: string): string {
  const name = label.normalize('NFC').trim().replace(/\s+/gu, ' ');
  if (name === '' || Array.from(name).length > LABEL_MAX || /[\p{Cc}\p{Cs}]/u.test(name)) {
    throw new AppError('invalid_label', `A device's name has 1 to ${LABEL_MAX} characters.`, {
      status: 400,
    });
  }
  return name;
}
