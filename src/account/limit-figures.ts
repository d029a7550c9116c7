/** So many in so many seconds, counted from the first. */
export interface Bucket {
  readonly points: number;
  readonly seconds: number;
}

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

/**
 * What may be tried how often. A bucket is named for what it counts by; the figures are those of one key. `address` is one
 * IPv4 address or a /64 of IPv6, `subnet` a /56, `site` a /48 or an IPv4 /24: what belongs to everybody is used up by no
 * subnet and no site alone.
 * A password of the policy's strength is worth 2^30 guesses at the least: the widest bucket leaves 1,200 a day for an
 * account. A code of six digits has three right values at a time: 60 a day leave a chance of 1 in 5,500 a day, for an
 * attacker who has the password already.
 */
export const limits = {
  /** Guesses at one account from one address: a person who has forgotten. */
  'password account+address': { points: 10, seconds: 15 * MINUTE },
  /** Guesses at any account from one address: one attacker against many people, or the two hundred of an office at nine. */
  'password address': { points: 300, seconds: 15 * MINUTE },
  /** Half of what an account has, so that its owner can sign in elsewhere while one site guesses. */
  'password account+site': { points: 25, seconds: HOUR },
  /** Guesses at one account from everywhere: many addresses against one person. */
  'password account': { points: 50, seconds: HOUR },
  'password subnet': { points: 300, seconds: 5 * MINUTE },
  'password site': { points: 600, seconds: 5 * MINUTE },
  /** Wrong guesses in all: many addresses against many people. */
  'password all': { points: 3_000, seconds: 5 * MINUTE },
  /** Guesses at one account from a device that has signed in to it before; nothing else counts for it. */
  'password account+device': { points: 10, seconds: 15 * MINUTE },
  /** Codes of a second factor, and recovery codes, in any interaction; each known device counts apart. */
  'factor account+device': { points: 10, seconds: 15 * MINUTE },
  'factor account+device, a day': { points: 60, seconds: DAY },
  'factor account+site': { points: 10, seconds: 15 * MINUTE },
  'factor account+site, a day': { points: 30, seconds: DAY },
  'factor account': { points: 20, seconds: 15 * MINUTE },
  'factor account, a day': { points: 60, seconds: DAY },
  /** Accounts asked for. */
  'register address': { points: 20, seconds: HOUR },
  'register subnet': { points: 60, seconds: HOUR },
  'register site': { points: 200, seconds: HOUR },
  'register all': { points: 1_000, seconds: HOUR },
  /** Emails to one mailbox, whose owner has to bear them, whoever asks for them. */
  'mail mailbox+site': { points: 5, seconds: HOUR },
  'mail mailbox+site, a day': { points: 10, seconds: DAY },
  'mail mailbox': { points: 8, seconds: HOUR },
  'mail mailbox, a day': { points: 15, seconds: DAY },
  'mail address': { points: 30, seconds: HOUR },
  /** User codes of devices: of 2.6e10 a few live, and what a right one gives is to sign somebody's device in. */
  'user code address': { points: 30, seconds: 15 * MINUTE },
  'user code account': { points: 20, seconds: 15 * MINUTE },
  'user code subnet': { points: 300, seconds: 5 * MINUTE },
  'user code site': { points: 600, seconds: 5 * MINUTE },
  'user code all': { points: 3_000, seconds: 5 * MINUTE },
  /** Emails in which an app asks a person for an answer (CIBA): of one app, and of all of them. */
  'asked mailbox+client': { points: 10, seconds: HOUR },
  'asked mailbox': { points: 20, seconds: HOUR },
  /** Codes from a verification email, by the address that types them; each email bounds its own besides. */
  'code address': { points: 30, seconds: HOUR },
  /** Documents of clients that were not asked for before: by the address that makes us call a host, by the host, and in all. */
  'document address': { points: 30, seconds: HOUR },
  'document host': { points: 120, seconds: HOUR },
  'document subnet': { points: 300, seconds: HOUR },
  'document site': { points: 1_200, seconds: HOUR },
  'document all': { points: 6_000, seconds: HOUR },
} as const satisfies Record<string, Bucket>;

export type LimitName = keyof typeof limits;
