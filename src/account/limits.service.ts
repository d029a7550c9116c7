import { createHmac } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sealer } from '../lib/seal.ts';
import { networkKeys } from '../lib/client-address.ts';
import * as buckets from './limit-buckets.ts';
import { type Bucket, type LimitName, limits } from './limit-figures.ts';
import { returnPoints, takePoints } from './limits.store.ts';

export type { FactorGuess } from './limit-buckets.ts';

/**
 * Limits where people's secrets are guessed, counted in the database for all processes together. A guess is counted
 * before it is looked at, in a statement of its own: a hundred at once count as a hundred. Keys are HMACs, so that a
 * dump does not tell who was tried from where. What is limited elsewhere, and why there, is in docs/decisions/0028.
 */
export class Limits {
  readonly #db: Database;
  readonly #figures: Readonly<Record<LimitName, Bucket>>;
  readonly #key: Buffer;

  /** @param figures other figures than `limits`, bucket by bucket. */
  constructor(db: Database, sealer: Sealer, figures: Partial<Record<LimitName, Bucket>> = {}) {
    this.#db = db;
    this.#key = sealer.derive('rate limits');
    this.#figures = { ...limits, ...figures };
  }

  /**
   * Counts a guess at a password.
   * @throws AppError `too_many_attempts` (429), with the seconds to wait
   */
  async consumePasswordGuess(guess: buckets.PasswordGuess): Promise<void> {
    await this.#consume(buckets.passwordBuckets(guess));
  }

  /**
   * Gives back what a right guess has cost. The person's own bucket starts again; of the wider ones only this
   * guess's point comes back, or an attacker would wipe them out by signing in to an account of his own.
   */
  async forgivePasswordGuess(guess: buckets.PasswordGuess): Promise<void> {
    await this.#forgive(buckets.passwordBuckets(guess));
  }

  /** Gives back what a guess has cost others that was never compared with a hash: it has told its sender nothing. */
  async returnPasswordGuess(guess: buckets.PasswordGuess): Promise<void> {
    await this.#return(buckets.passwordBuckets(guess).shared);
  }

  /**
   * Counts a guess at a second factor of the account, or at a recovery code, in any interaction. An attacker with a stolen
   * password must not be able to lock the owner's own devices out, so each of them counts apart.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeFactorGuess(guess: buckets.FactorGuess): Promise<void> {
    await this.#consume(buckets.factorBuckets(guess));
  }

  /** The second factor was right: its own buckets start again, and the shared ones get this point back. */
  async forgiveFactorGuess(guess: buckets.FactorGuess): Promise<void> {
    const { own, shared } = buckets.factorBuckets(guess);
    await returnPoints(this.#db, this.#keys(own), this.#keys(shared));
  }

  /**
   * Counts a registration, and the email that it sends; whether or not the address has an account.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeRegistration(request: buckets.MailRequest): Promise<void> {
    await this.#consume(buckets.registrationBuckets(request));
  }

  /**
   * Counts an email that somebody has asked for, as when it is sent again.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeMail(request: buckets.MailRequest): Promise<void> {
    await this.#consume(buckets.mailBuckets(request));
  }

  /**
   * Counts a guess at the code of a verification email.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeCodeGuess(address: string): Promise<void> {
    await this.#consume({ own: [['code address', networkKeys(address)[0]]], shared: [] });
  }

  /**
   * Counts a guess at the code that a device shows.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeUserCodeGuess(guess: buckets.UserCodeGuess): Promise<void> {
    await this.#consume(buckets.userCodeBuckets(guess));
  }

  /** The code was right: only this guess's points come back, or one's own codes would wipe out all others. */
  async forgiveUserCodeGuess(guess: buckets.UserCodeGuess): Promise<void> {
    const { own, shared } = buckets.userCodeBuckets(guess);
    await this.#return([...own, ...shared]);
  }

  /**
   * Counts an email in which an app asks a person for an answer; whether or not the address has an account.
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeAsking(clientId: string, email: string): Promise<void> {
    await this.#consume(buckets.askingBuckets(clientId, email));
  }

  /**
   * Counts a call of ours to a host that somebody has named as a client's.
   * @param address of the client that makes us call, where that is known
   * @throws AppError `too_many_attempts` (429)
   */
  async consumeDocument(host: string, address: string | undefined): Promise<void> {
    await this.#consume(buckets.documentBuckets(host, address));
  }

  /**
   * Takes a point from each bucket, the client's own first: what they refuse never touches what belongs to others besides,
   * not even for a moment, or a burst from one address would refuse everybody else's guesses while it lasts.
   */
  async #consume({ own, shared }: buckets.Buckets): Promise<void> {
    const takes = [...own, ...shared];
    const empty = await takePoints(
      this.#db,
      takes.map(([name, key]) => ({ key: this.#hashed(name, key), ...this.#figures[name] })),
    );
    if (empty === undefined) return;
    const taken = takes.slice(own.length, empty.place);
    await this.#return(taken);
    throw new AppError('too_many_attempts', 'Too many tries. Wait a while, then try again.', {
      status: 429,
      retryAfter: empty.seconds,
    });
  }

  async #forgive({ own, shared }: buckets.Buckets): Promise<void> {
    await returnPoints(
      this.#db,
      this.#keys(own.slice(0, 1)),
      this.#keys([...own.slice(1), ...shared]),
    );
  }

  async #return(takes: readonly buckets.Take[]): Promise<void> {
    await returnPoints(this.#db, [], this.#keys(takes));
  }

  #keys(takes: readonly buckets.Take[]): string[] {
    return takes.map(([name, key]) => this.#hashed(name, key));
  }

  #hashed(name: LimitName, key: string): string {
    return createHmac('sha256', this.#key).update(`${name} ${key}`).digest('base64url');
  }
}
