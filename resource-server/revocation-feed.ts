import { Stopwatch } from './clock.ts';
import type { Discovery } from './discovery.ts';
import { Unavailable } from './errors.ts';
import { type Fetcher, fetchDocument } from './fetch-document.ts';
import type { IssuerKeys } from './keys.ts';
import { isInTime, type PageRules, Revocations, verifyPage } from './revocations.ts';
import { SingleFlight } from './single-flight.ts';

export interface FeedRules extends PageRules {
  /** Between two polls (seconds). */
  readonly pollInterval: number;
  /** How many revocations are kept. */
  readonly size: number;
}

/** All is read anew so often (milliseconds): what matters no more is forgotten, and what went astray is found. */
const FROM_THE_START = 3_600_000;
/** More pages than this at once are no feed. */
const MOST_PAGES = 10_000;
const MOST_BYTES = 8 * 1024 * 1024;
/** What has ended is looked for so often (milliseconds). */
const DROP_ENDED = 10_000;

interface Followed {
  readonly revocations: Revocations;
  readonly cursor: string;
  /** Since all was read. */
  readonly began: Stopwatch;
  /** When the oldest page of the last poll was signed: somebody on the way may have kept it. */
  readonly issuedAt: number;
}

/** Follows the issuer's revocation feed, from the first question on until it is closed. */
export class RevocationFeed {
  readonly #rules: FeedRules;
  readonly #discovery: Discovery;
  readonly #keys: IssuerKeys;
  readonly #fetcher: Fetcher;
  readonly #onError: (error: unknown) => void;
  readonly #polling = new SingleFlight(() => this.#poll());
  #followed: Followed | undefined;
  /** Since the beginning of the last poll that told everything up to then. */
  #age = new Stopwatch();
  #failed: { readonly error: unknown; readonly since: Stopwatch } | undefined;
  /** The feed did not go on from the cursor: the next poll asks for everything. */
  #lost = false;
  #dropped = new Stopwatch();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    rules: FeedRules,
    discovery: Discovery,
    keys: IssuerKeys,
    fetcher: Fetcher,
    onError: (error: unknown) => void,
  ) {
    this.#rules = rules;
    this.#discovery = discovery;
    this.#keys = keys;
    this.#fetcher = fetcher;
    this.#onError = onError;
  }

  /**
   * All that the feed has told, no older than the rules allow. The first question waits for the feed; so does one that
   * comes after the timers of the process stood still.
   * @throws Unavailable where the feed can't be followed
   */
  async current(): Promise<Revocations> {
    const { maxAge } = this.#rules;
    if (this.#mustWait()) await this.#polling.run().catch(() => undefined);
    this.#schedule();
    const followed = this.#followed;
    if (
      followed !== undefined &&
      this.#age.elapsed <= maxAge * 1_000 &&
      isInTime(followed.issuedAt, this.#rules)
    )
      return followed.revocations;
    throw new Unavailable('the revocation feed can’t be followed', { cause: this.#failed?.error });
  }

  #mustWait(): boolean {
    const { maxAge, pollInterval } = this.#rules;
    if (this.#followed === undefined)
      return this.#failed === undefined || this.#failed.since.elapsed > 1_000 * pollInterval;
    // While the issuer is away nobody waits for each try: what is known serves as long as it may.
    return this.#failed === undefined && this.#age.elapsed > 2_000 * Math.min(pollInterval, maxAge);
  }

  /** What the feed told last, however long ago. */
  get last(): Revocations | undefined {
    return this.#followed?.revocations;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** The next poll. Its timer keeps no process alive. */
  #schedule(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      void this.#polling
        .run()
        .catch(() => undefined)
        .finally(() => {
          this.#timer = undefined;
          this.#schedule();
        });
    }, 1_000 * this.#rules.pollInterval).unref();
  }

  async #poll(): Promise<void> {
    const age = new Stopwatch();
    try {
      this.#followed = await this.#follow();
    } catch (error) {
      if (error instanceof LostCursor) this.#lost = true;
      if (this.#failed === undefined) this.#onError(error);
      this.#failed = { error, since: new Stopwatch() };
      throw error;
    }
    this.#age = age;
    this.#lost = false;
    this.#failed = undefined;
    if (this.#dropped.elapsed > DROP_ENDED) {
      this.#dropped = age;
      this.#followed.revocations.dropEnded();
    }
  }

  async #follow(): Promise<Followed> {
    const { size, clockTolerance } = this.#rules;
    const known = this.#followed;
    const isNew = known === undefined || this.#lost || known.began.elapsed > FROM_THE_START;
    const began = isNew ? new Stopwatch() : known.began;
    // What is read anew replaces what is known when it is whole.
    const revocations = isNew ? new Revocations(size, clockTolerance) : known.revocations;
    let cursor = isNew ? undefined : known.cursor;
    let issuedAt = Number.POSITIVE_INFINITY;
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const page = await this.#readPage(cursor);
      revocations.add(page);
      issuedAt = Math.min(issuedAt, page.issuedAt);
      if (!page.more) return { revocations, cursor: page.cursor, began, issuedAt };
      if (page.cursor === cursor) throw new LostCursor('the revocation feed does not go on');
      cursor = page.cursor;
    }
    throw new LostCursor('the revocation feed does not end');
  }

  async #readPage(cursor: string | undefined) {
    const { revocationsEndpoint } = await this.#discovery.get();
    if (revocationsEndpoint === undefined)
      throw new Unavailable(
        'the issuer names no revocations_endpoint: set revocationFeed to false if it has none',
      );
    const url = new URL(revocationsEndpoint);
    if (cursor !== undefined) url.searchParams.set('since', cursor);
    const { status, text } = await fetchDocument(this.#fetcher, url.href, {
      headers: { accept: 'application/secevent+jwt' },
      cache: 'no-store',
      maxBytes: MOST_BYTES,
    });
    if (status === 400 || status === 404 || status === 410)
      throw new LostCursor(`${revocationsEndpoint} answers ${status}`);
    if (status !== 200) throw new Unavailable(`${revocationsEndpoint} answers ${status}`);
    return verifyPage(text.trim(), this.#keys, this.#rules);
  }
}

/** The feed does not go on from where it was left. */
class LostCursor extends Unavailable {}
