import { createHmac } from 'node:crypto';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sealer } from '../lib/seal.ts';
import { addressKey } from './client-address.ts';
import { aliasKey, readEmail } from './email-address.ts';

/** So many in so many seconds, counted from the first. */
interface Bucket {
  readonly points: number;
  readonly seconds: number;
}

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

/**
 * What may be tried how often. A bucket is named for what it counts by; the figures are those of one key.
 * A password of the policy's strength is worth 2^30 guesses at the least: the widest bucket leaves 1,200 a day for an
 * account. A code of six digits has three right values at a time: 60 a day leave a chance of 1 in 5,500 a day, for who
 * has the password already.
 */
export const limits = {
  /** Guesses at one account from one address: a person who has forgotten. */
  'password account+address': { points: 10, seconds: 15 * MINUTE },
  /** Guesses at one account from everywhere: many addresses against one person. */
  'password account': { points: 50, seconds: HOUR },
  /** Guesses at any account from one address: one attacker against many people; an office shares an address, too. */
  'password address': { points: 100, seconds: 15 * MINUTE },
  /** Wrong guesses in all: many addresses against many people. */
  'password all': { points: 3_000, seconds: 5 * MINUTE },
  /** Guesses at one account from a device that has signed in to it before; nothing else counts for it. */
  'password account+device': { points: 10, seconds: 15 * MINUTE },
  /** Codes of a second factor, and recovery codes, in whatever interaction; each known device counts apart. */
  'factor account': { points: 10, seconds: 15 * MINUTE },
  'factor account, a day': { points: 60, seconds: DAY },
  /** Accounts asked for from one address. */
  'register address': { points: 20, seconds: HOUR },
  'register all': { points: 1_000, seconds: HOUR },
  /** Mails to one mailbox: whoever asks for them, they are one person's to bear. */
  'mail mailbox': { points: 5, seconds: HOUR },
  'mail mailbox, a day': { points: 15, seconds: DAY },
  'mail address': { points: 30, seconds: HOUR },
  /** Codes from a verification mail, by the address that types them; each mail bounds its own besides. */
  'code address': { points: 30, seconds: HOUR },
} as const satisfies Record<string, Bucket>;

export type LimitName = keyof typeof limits;

export interface PasswordGuess {
  /** The address as it was typed, or its key. */
  readonly account: string;
  /** The client's network address. */
  readonly address: string;
  /**
   * An id that this browser was given when it signed in to this very account, proven by a cookie of ours. Strangers can't
   * have one, so that whatever they do, they never lock the owner's own devices out.
   */
  readonly knownDevice: string | undefined;
}

export interface FactorGuess {
  readonly accountId: string;
  /** As for a password. */
  readonly knownDevice: string | undefined;
}

type Take = readonly [LimitName, string];

/**
 * Limits where people's secrets are guessed, counted in the database for all processes together. A guess is counted
 * before it is looked at, in a statement of its own: a hundred at once count as a hundred. Keys are HMACs, so that a
 * dump does not tell who was tried from where.
 */
export class Limits {
  readonly #limiters: ReadonlyMap<LimitName, RateLimiterPostgres>;
  readonly #key: Buffer;

  /** @param figures other figures than `limits`, bucket by bucket. */
  constructor(db: Database, sealer: Sealer, figures: Partial<Record<LimitName, Bucket>> = {}) {
    this.#key = sealer.derive('rate limits');
    const all = Object.entries({ ...limits, ...figures }) as [LimitName, Bucket][];
    this.#limiters = new Map(
      all.map(([name, { points, seconds }]) => [
        name,
        new RateLimiterPostgres({
          storeClient: db.pool,
          storeType: 'pool',
          tableName: 'rate_limits',
          tableCreated: true,
          // Cleaning is the outbox's clockwork, not a timer of each limiter.
          clearExpiredByTimeout: false,
          keyPrefix: '',
          points,
          duration: seconds,
        }),
      ]),
    );
  }

  /**
   * Counts a guess at a password.
   * @throws AppError `too_many_attempts` (429), with the seconds to wait
   */
  async consumePasswordGuess(guess: PasswordGuess): Promise<void> {
    const { narrow, wide } = passwordBuckets(guess);
    const [refused, others] = await Promise.all([this.#take(narrow), this.#take(wide)]);
    if (refused === 0 && others === 0) return;
    // Who is refused for what he did himself must not use up what belongs to others besides.
    if (refused > 0) await this.#giveBack(wide);
    throw tooMany(Math.max(refused, others));
  }

  /**
   * Gives back what a guess has cost that was right. The person's own bucket starts anew; of the wider ones only this
   * guess's point comes back, or an attacker would wipe them out by signing in to an account of his own.
   */
  async forgivePasswordGuess(guess: PasswordGuess): Promise<void> {
    const { narrow, wide } = passwordBuckets(guess);
    const [own, ...shared] = narrow as [Take, ...Take[]];
    await Promise.all([this.#reset([own]), this.#giveBack([...shared, ...wide])]);
  }

  /**
   * Counts a guess at a second factor of the account, or at a recovery code, in whichever interaction it is made. Who has
   * stolen a password must not be able to lock the owner's own devices out, so that each counts apart.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeFactorGuess(guess: FactorGuess): Promise<void> {
    await this.#consume(factorBuckets(guess));
  }

  /** The second factor was right: its buckets start anew. */
  async forgiveFactorGuess(guess: FactorGuess): Promise<void> {
    await this.#reset(factorBuckets(guess));
  }

  /**
   * Counts a registration, and the mail that it sends. The answer is the same whether or not the address has an account.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeRegistration({ email, address }: { email: string; address: string }): Promise<void> {
    const asked: Take[] = [
      ['register address', addressKey(address)],
      ['register all', ''],
    ];
    await this.#consume([...asked, ...mailBuckets(email, address)]);
  }

  /**
   * Counts a mail that somebody has asked for, as when it is sent again.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeMail({ email, address }: { email: string; address: string }): Promise<void> {
    await this.#consume(mailBuckets(email, address));
  }

  /**
   * Counts a guess at the code of a verification mail.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeCodeGuess(address: string): Promise<void> {
    await this.#consume([['code address', addressKey(address)]]);
  }

  async #consume(takes: readonly Take[]): Promise<void> {
    const seconds = await this.#take(takes);
    if (seconds > 0) throw tooMany(seconds);
  }

  /** Takes a point from each at once; gives the seconds until the last of the empty ones has points again, or 0. */
  async #take(takes: readonly Take[]): Promise<number> {
    const waits = takes.map(async ([name, key]) => {
      try {
        await this.#limiter(name).consume(this.#hashed(name, key));
        return 0;
      } catch (refused) {
        if (!(refused instanceof RateLimiterRes)) throw refused;
        return Math.max(1, Math.ceil(refused.msBeforeNext / 1000));
      }
    });
    return Math.max(0, ...(await Promise.all(waits)));
  }

  async #giveBack(takes: readonly Take[]): Promise<void> {
    await Promise.all(
      takes.map(([name, key]) => this.#limiter(name).reward(this.#hashed(name, key))),
    );
  }

  async #reset(takes: readonly Take[]): Promise<void> {
    await Promise.all(
      takes.map(([name, key]) => this.#limiter(name).delete(this.#hashed(name, key))),
    );
  }

  #limiter(name: LimitName): RateLimiterPostgres {
    return this.#limiters.get(name) as RateLimiterPostgres;
  }

  #hashed(name: LimitName, key: string): string {
    return createHmac('sha256', this.#key).update(`${name} ${key}`).digest('base64url');
  }
}

/** The narrow buckets are filled by what this client does itself, its own first; the wide ones by everybody. */
function passwordBuckets({ account, address, knownDevice }: PasswordGuess): {
  narrow: Take[];
  wide: Take[];
} {
  const who = mailboxKey(account);
  if (knownDevice !== undefined)
    return { narrow: [['password account+device', `${who} ${knownDevice}`]], wide: [] };
  const whence = addressKey(address);
  return {
    narrow: [
      ['password account+address', `${who} ${whence}`],
      ['password address', whence],
    ],
    wide: [
      ['password account', who],
      ['password all', ''],
    ],
  };
}

function factorBuckets({ accountId, knownDevice }: FactorGuess): Take[] {
  const who = knownDevice === undefined ? accountId : `${accountId} ${knownDevice}`;
  return [
    ['factor account', who],
    ['factor account, a day', who],
  ];
}

function mailBuckets(email: string, address: string): Take[] {
  const who = mailboxKey(email);
  return [
    ['mail mailbox', who],
    ['mail mailbox, a day', who],
    ['mail address', addressKey(address)],
  ];
}

/** One for all spellings and aliases of an address. What is no address counts as itself. */
function mailboxKey(email: string): string {
  const address = readEmail(email);
  return typeof address === 'string'
    ? email.trim().toLowerCase().slice(0, 254)
    : aliasKey(address.key);
}

function tooMany(seconds: number): AppError {
  return new AppError('too_many_attempts', 'Too many tries. Wait a while, then try again.', {
    status: 429,
    retryAfter: seconds,
  });
}
