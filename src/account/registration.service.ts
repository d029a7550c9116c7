import type { AuditOrigin } from '../audit/audit.ts';
import { noteAudit, writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { equalBytes, randomToken, sha256 } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { insertOutbox } from '../outbox/outbox.service.ts';
import type { Account, AccountInput } from './account.ts';
import type { AccountService } from './account.service.ts';
import { verifyEmail } from './account.store.ts';
import { AddressProofs, type Pending } from './address-proofs.ts';
import { readEmail } from './email-address.ts';
import * as links from './link.store.ts';
import type { Passwords } from './passwords.service.ts';

/** Seconds for which a link and its code are good. */
const LINK_TTL = 86_400;
/** Seconds between two mails of one verification. */
const RESEND_PAUSE = 60;
/** Guesses at one code; a new mail brings a new code, and as many guesses again. */
const CODE_ATTEMPTS = 5;

/** What the page that waits for the code keeps: `ref` names the verification, and is useless without the code. */
export interface Waiting {
  readonly ref: string;
  /** Seconds until the mail may be asked for again. */
  readonly pausedFor: number;
}

/** Proves that the user who opens the link is the one who registered: by the browser's `ref`, or by the password. */
export interface RegistrantProof {
  readonly ref?: string | undefined;
  readonly password?: string | undefined;
}

export type Verification =
  | { readonly status: 'verified'; readonly account: Account }
  /** The code is wrong; there are guesses left. */
  | { readonly status: 'wrong_code' }
  /** A registration's link, in another browser, without the password that was chosen. */
  | { readonly status: 'wrong_password' }
  /** No guess is left: the user needs a new email. */
  | { readonly status: 'spent' }
  /** The link or code was used before, or its address has been confirmed in another way. */
  | { readonly status: 'used' }
  /** It is too old, was replaced by a newer email, or never existed. */
  | { readonly status: 'expired' };

type FoundLink =
  | {
      readonly status: 'live';
      readonly email: string;
      readonly needsPassword: boolean;
      readonly isSameBrowser: boolean;
    }
  | { readonly status: 'used' | 'expired' };

/**
 * Self-registration and the proof of an address. There is no account before the proof: an attacker can't hold
 * someone else's address, or prepare an account with a known password until its owner confirms it. Neither the answer nor
 * its time shows whether an address has an account: only the email differs.
 */
export class RegistrationService {
  readonly #db: Database;
  readonly #accounts: AccountService;
  readonly #passwords: Passwords;
  readonly #proofs: AddressProofs;

  constructor(db: Database, accounts: AccountService, passwords: Passwords, sealer: Sealer) {
    this.#db = db;
    this.#accounts = accounts;
    this.#passwords = passwords;
    this.#proofs = new AddressProofs(sealer);
  }

  /**
   * Takes a registration, and sends the link and the code to the address. Where the address has an account, the email
   * informs its owner instead. Limits are consumed before (`consumeRegistration`).
   * @throws AccountRefused `account_refused` (400); AppError `busy` (429)
   */
  async register(input: AccountInput, origin: AuditOrigin): Promise<Waiting> {
    const { email, key, name, password } = this.#accounts.check(input);
    const pending: Pending = {
      email,
      key,
      name: name ?? null,
      locale: input.locale,
      passwordHash: await this.#passwords.hash(password),
    };
    const ref = randomToken();
    const idHash = sha256(ref);
    await this.#db.transaction(async (db) => {
      const owner = await this.#accounts.findByEmail(email, db);
      const sent = this.#proofs.make(idHash, owner !== undefined);
      const payloadSealed = this.#proofs.seal(pending, idHash);
      await links.saveLink(
        db,
        { ...sent, idHash, purpose: 'register', email, payloadSealed, ttlSeconds: LINK_TTL },
        0,
      );
      await insertOutbox(db, this.#proofs.mail(owner, { email, locale: input.locale }, sent));
      const refused =
        owner === undefined ? undefined : { reason: 'email_taken', accountId: owner.id };
      await writeAudit(db, {
        type: 'account.registration',
        outcome: refused ? 'refused' : 'success',
        ...refused,
        ...origin,
      });
    });
    return { ref, pausedFor: RESEND_PAUSE };
  }

  /**
   * Sends a link and a code to the address of an account that is not confirmed yet. Within the pause since the last email,
   * nothing is sent and the last one stays valid. Earlier links of the account become invalid. Commits by itself if `db`
   * is not given.
   */
  async startVerification(account: Account, db?: Db): Promise<Waiting> {
    if (db === undefined)
      return this.#db.transaction((own) => this.startVerification(account, own));
    const ref = this.#proofs.refOf(account);
    const idHash = sha256(ref);
    const sent = this.#proofs.make(idHash, false);
    const link = {
      ...sent,
      idHash,
      purpose: 'verify_email',
      accountId: account.id,
      email: account.email,
      ttlSeconds: LINK_TTL,
    } as const;
    if (await links.saveLink(db, link, RESEND_PAUSE)) {
      await insertOutbox(db, this.#proofs.mail(undefined, account, sent));
      return { ref, pausedFor: RESEND_PAUSE };
    }
    return {
      ref,
      pausedFor: (await links.findLink(db, { idHash }, RESEND_PAUSE))?.paused_for ?? 0,
    };
  }

  /** The address to confirm, and the seconds until another email can be requested; undefined where nothing waits. */
  async findWaiting(ref: string): Promise<{ email: string; pausedFor: number } | undefined> {
    const link = await links.findLink(this.#db.kysely, { idHash: sha256(ref) }, RESEND_PAUSE);
    if (link === undefined || link.used || link.expired || link.email === null) return undefined;
    return { email: link.email, pausedFor: link.paused_for };
  }

  /**
   * Whether a registration with this email address and password waits under `ref`. Limits are consumed
   * before (`consumePasswordGuess`); an address that has an account already gets the same answer.
   * @throws AppError `busy` (429)
   */
  async isRegistering(ref: string, email: string, password: string): Promise<boolean> {
    const link = await links.findLink(this.#db.kysely, { idHash: sha256(ref) });
    if (link === undefined || link.purpose !== 'register' || link.used || link.expired)
      return false;
    const typed = readEmail(email);
    const pending = this.#proofs.open(link);
    if (typeof typed === 'string' || typed.key !== pending.key) return false;
    return this.#passwords.verify(pending.passwordHash, password);
  }

  /** Sends a new link and code that replace the old ones. `sent` is false within the pause; undefined where nothing waits. */
  async resend(ref: string): Promise<{ sent: boolean; pausedFor: number } | undefined> {
    const idHash = sha256(ref);
    const done = await this.#db.transaction(async (db) => {
      const waiting = await links.findLink(db, { idHash });
      if (waiting?.email === undefined || waiting.email === null) return false;
      const { email } = waiting;
      const known = await this.#accounts.findByEmail(email, db);
      const isNew = waiting.purpose === 'register';
      const owner = isNew ? known : undefined;
      const sent = this.#proofs.make(idHash, owner !== undefined);
      const renewed = await links.renewLink(db, {
        ...sent,
        idHash,
        ttlSeconds: LINK_TTL,
        pauseSeconds: RESEND_PAUSE,
      });
      if (renewed === undefined) return false;
      const { locale } = isNew ? this.#proofs.open(waiting) : (known ?? {});
      await insertOutbox(db, this.#proofs.mail(owner, { email, locale }, sent));
      return true;
    });
    if (done) return { sent: true, pausedFor: RESEND_PAUSE };
    const waiting = await this.findWaiting(ref);
    return waiting && { sent: false, pausedFor: waiting.pausedFor };
  }

  /**
   * What the link's page shows before its button is pressed. Uses nothing up.
   * @param ref the one that the browser keeps
   * @returns `isSameBrowser`: whether the link was sent for that `ref`
   */
  async findLink(token: string, ref?: string): Promise<FoundLink> {
    const link = await links.findLink(this.#db.kysely, { tokenHash: sha256(token) });
    if (link === undefined || link.purpose === 'setup' || link.email === null)
      return { status: 'expired' };
    if (link.used) return { status: 'used' };
    if (link.expired) return { status: 'expired' };
    const isSameBrowser = isRefOf(link, ref);
    const needsPassword = isRegistration(link) && !isSameBrowser;
    return { status: 'live', email: link.email, needsPassword, isSameBrowser };
  }

  /**
   * Uses the link up: confirms the address, and makes an account of a registration. Commits by itself. The owner of the
   * mailbox may not be the one who registered: a stranger's password would open the account that the owner confirmed. So a
   * registration requires the `ref` of the browser that started it, or the password that was chosen there. Limits are
   * consumed before (`consumeCodeGuess`) where a password is checked.
   * @throws AppError `busy` (429)
   */
  async verifyLink(
    token: string,
    origin: AuditOrigin,
    proof: RegistrantProof = {},
  ): Promise<Verification> {
    const tokenHash = sha256(token);
    const link = await links.findLink(this.#db.kysely, { tokenHash });
    const isLive = link !== undefined && !link.used && !link.expired;
    const isProven =
      isLive &&
      (!isRegistration(link) ||
        isRefOf(link, proof.ref) ||
        (await this.#isChosen(link, proof.password)));
    if (isLive && !isProven) {
      await noteAudit(this.#db, {
        type: 'account.email_verified',
        outcome: 'refused',
        reason: 'wrong_password',
        ...origin,
      });
      return { status: 'wrong_password' };
    }
    return this.#redeem(tokenHash, origin);
  }

  /** Whether the password is the one that the registration was made with. */
  #isChosen(link: links.LinkState, password = ''): Promise<boolean> {
    return this.#passwords.verify(this.#proofs.open(link).passwordHash, password);
  }

  /**
   * The same by the code from the email, as `readTypedCode` reads it. Each guess is counted in a commit of its own before
   * it is checked; five for each email.
   */
  async verifyCode(ref: string, code: string, origin: AuditOrigin): Promise<Verification> {
    const idHash = sha256(ref);
    const link = await links.countAttempt(this.#db.kysely, idHash, CODE_ATTEMPTS);
    if (link === undefined) {
      const state = await links.findLink(this.#db.kysely, { idHash });
      if (state === undefined || state.purpose === 'setup' || state.expired)
        return { status: 'expired' };
      return { status: state.used ? 'used' : 'spent' };
    }
    if (this.#proofs.isCodeOf(link, code)) return this.#redeem(link.token_hash, origin);
    await noteAudit(this.#db, {
      type: 'account.email_verified',
      outcome: 'refused',
      reason: 'wrong_code',
      accountId: link.account_id ?? undefined,
      ...origin,
    });
    return { status: link.attempts < CODE_ATTEMPTS ? 'wrong_code' : 'spent' };
  }

  async #redeem(tokenHash: Buffer, origin: AuditOrigin): Promise<Verification> {
    const account = await this.#db.transaction(async (db) => {
      const link = await links.useLink(db, tokenHash, ['register', 'verify_email']);
      if (link === undefined) return undefined;
      const found = await this.#confirm(db, link, origin);
      if (found !== undefined)
        await writeAudit(db, {
          type: 'account.email_verified',
          outcome: 'success',
          accountId: found.id,
          ...origin,
        });
      return found;
    });
    if (account !== undefined) return { status: 'verified', account };
    const state = await links.findLink(this.#db.kysely, { tokenHash });
    return { status: state?.used ? 'used' : 'expired' };
  }

  /** The account whose address is now proven; undefined where its address has changed, or has an account by now. */
  async #confirm(db: Db, link: links.LinkRow, origin: AuditOrigin): Promise<Account | undefined> {
    if (link.account_id !== null) return verifyEmail(db, link.account_id, link.email ?? '');
    const pending = this.#proofs.open(link);
    try {
      return await this.#accounts.insert(
        db,
        { ...pending, name: pending.name ?? undefined, verified: true, admin: false },
        origin,
      );
    } catch (error) {
      if (error instanceof AppError && error.code === 'email_taken') return undefined;
      throw error;
    }
  }
}

/** Only registrations are bound to a browser: confirming an address does not change an existing account's password. */
const isRegistration = ({ purpose }: Pick<links.LinkState, 'purpose'>) => purpose === 'register';

const isRefOf = (link: Pick<links.LinkState, 'id_hash'>, ref: string | undefined) =>
  ref !== undefined && equalBytes(link.id_hash, sha256(ref));
