import { createHmac } from 'node:crypto';
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sealer } from '../lib/seal.ts';
import { addressKey } from '../lib/client-address.ts';
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
  /** Guesses at any account from one address: one attacker against many people, or the two hundred of an office at nine. */
  'password address': { points: 300, seconds: 15 * MINUTE },
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
  /** User codes of devices: of 2.6e10 a few live, and what a right one gives is to sign somebody's device in. */
  'user code address': { points: 30, seconds: 15 * MINUTE },
  'user code account': { points: 20, seconds: 15 * MINUTE },
  'user code all': { points: 3_000, seconds: 5 * MINUTE },
  /** Mails in which an app asks a person for an answer (CIBA): of one app, and of all of them. */
  'asked mailbox+client': { points: 10, seconds: HOUR },
  'asked mailbox': { points: 20, seconds: HOUR },
  /** Codes from a verification mail, by the address that types them; each mail bounds its own besides. */
  'code address': { points: 30, seconds: HOUR },
  /** Documents of clients that nobody has asked for before: by who makes us call a host, by the host, and in all. */
  'document address': { points: 30, seconds: HOUR },
  'document host': { points: 120, seconds: HOUR },
  'document all': { points: 6_000, seconds: HOUR },
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

export interface MailRequest {
  /** To which the mail goes. */
  readonly email: string;
  /** The network address of the client that asks for it. */
  readonly address: string;
}

export interface UserCodeGuess {
  /** The network address of the browser in which it is typed. */
  readonly address: string;
  /** Who is signed in there. */
  readonly accountId: string | undefined;
}

type Take = readonly [LimitName, string];

/**
 * The narrow buckets are filled by what one client does itself, its very own first; the wide ones by everybody, with what
 * was let through.
 */
interface Buckets {
  readonly narrow: readonly Take[];
  readonly wide: readonly Take[];
}

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
    await this.#consume(passwordBuckets(guess));
  }

  /**
   * Gives back what a guess has cost that was right. The person's own bucket starts anew; of the wider ones only this
   * guess's point comes back, or an attacker would wipe them out by signing in to an account of his own.
   */
  async forgivePasswordGuess(guess: PasswordGuess): Promise<void> {
    const { narrow, wide } = passwordBuckets(guess);
    const [own, ...shared] = narrow;
    await Promise.all([
      this.#reset(own === undefined ? [] : [own]),
      this.#giveBack([...shared, ...wide]),
    ]);
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
    const { narrow, wide } = factorBuckets(guess);
    await this.#reset([...narrow, ...wide]);
  }

  /**
   * Counts a registration, and the mail that it sends; whether or not the address has an account.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeRegistration({ email, address }: MailRequest): Promise<void> {
    const { narrow, wide } = mailBuckets({ email, address });
    // One after the other: of many at once, each would take the last point of one bucket and miss that of the other.
    await this.#consume({ narrow: [['register address', addressKey(address)]], wide: [] });
    await this.#consume({ narrow, wide: [['register all', ''], ...wide] });
  }

  /**
   * Counts a mail that somebody has asked for, as when it is sent again.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeMail(request: MailRequest): Promise<void> {
    await this.#consume(mailBuckets(request));
  }

  /**
   * Counts a guess at the code of a verification mail.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeCodeGuess(address: string): Promise<void> {
    await this.#consume({ narrow: [['code address', addressKey(address)]], wide: [] });
  }

  /**
   * Counts a guess at the code that a device shows.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeUserCodeGuess(guess: UserCodeGuess): Promise<void> {
    await this.#consume(userCodeBuckets(guess));
  }

  /** The code was right: only this guess's points come back, or one's own codes would wipe out all others. */
  async forgiveUserCodeGuess(guess: UserCodeGuess): Promise<void> {
    const { narrow, wide } = userCodeBuckets(guess);
    await this.#giveBack([...narrow, ...wide]);
  }

  /**
   * Counts a mail in which an app asks a person for an answer; whether or not the address has an account.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeAsking(clientId: string, email: string): Promise<void> {
    const who = mailboxKey(email);
    await this.#consume({
      narrow: [['asked mailbox+client', `${who} ${clientId}`]],
      wide: [['asked mailbox', who]],
    });
  }

  /**
   * Counts a call of ours to a host that somebody has named as a client's.
   * @param address of who made us call, where that is known
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeDocument(host: string, address: string | undefined): Promise<void> {
    await this.#consume({
      narrow: address === undefined ? [] : [['document address', addressKey(address)]],
      wide: [
        ['document host', host],
        ['document all', ''],
      ],
    });
  }

  /**
   * Takes a point from each bucket, the client's own first: what they refuse never touches what belongs to others besides,
   * not even for a moment, or a burst from one address would refuse everybody else's guesses while it lasts.
   */
  async #consume({ narrow, wide }: Buckets): Promise<void> {
    const own = await this.#takeAll(narrow);
    const shared = own === 0 ? await this.#takeAll(wide) : 0;
    if (own + shared === 0) return;
    if (shared > 0) await this.#giveBack(wide);
    throw new AppError('too_many_attempts', 'Too many tries. Wait a while, then try again.', {
      status: 429,
      retryAfter: Math.max(own, shared),
    });
  }

  /** Takes from all at once; gives the seconds until the last of the empty ones has points again, or 0. */
  async #takeAll(takes: readonly Take[]): Promise<number> {
    return Math.max(0, ...(await Promise.all(takes.map((take) => this.#take(take)))));
  }

  /** Gives 0 where there was a point left, else the seconds until there are points again. */
  async #take([name, key]: Take): Promise<number> {
    try {
      await this.#limiter(name).consume(this.#hashed(name, key));
      return 0;
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      return Math.max(1, Math.ceil(refused.msBeforeNext / 1000));
    }
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

function passwordBuckets({ account, address, knownDevice }: PasswordGuess): Buckets {
  const who = mailboxKey(account);
  if (knownDevice !== undefined) {
    return { narrow: [['password account+device', `${who} ${knownDevice}`]], wide: [] };
  }
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

function factorBuckets({ accountId, knownDevice }: FactorGuess): Buckets {
  const who = knownDevice === undefined ? accountId : `${accountId} ${knownDevice}`;
  return { narrow: [['factor account', who]], wide: [['factor account, a day', who]] };
}

function userCodeBuckets({ address, accountId }: UserCodeGuess): Buckets {
  return {
    narrow: [
      ['user code address', addressKey(address)],
      ...(accountId === undefined ? [] : [['user code account', accountId] as const]),
    ],
    wide: [['user code all', '']],
  };
}

/** Whether two network addresses are counted as one: as a rule, the same household's. */
export function sameNetwork(one: string, other: string): boolean {
  return addressKey(one) === addressKey(other);
}

function mailBuckets({ email, address }: MailRequest): Buckets {
  const who = mailboxKey(email);
  return {
    narrow: [['mail address', addressKey(address)]],
    wide: [
      ['mail mailbox', who],
      ['mail mailbox, a day', who],
    ],
  };
}

/** One for all spellings and aliases of an address. What is no address counts as itself. */
function mailboxKey(email: string): string {
  const address = readEmail(email);
  return typeof address === 'string'
    ? email.trim().toLowerCase().slice(0, 254)
    : aliasKey(address.key);
}
