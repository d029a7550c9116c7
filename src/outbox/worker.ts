import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Sealer } from '../lib/seal.ts';
import { type Clockwork, DeliveryFailed, type OutboxHandler } from './outbox.ts';
import { onRing } from './bell.ts';
import * as store from './outbox.store.ts';

export interface WorkerOptions {
  readonly db: Database;
  readonly sealer: Sealer;
  readonly logger: Logger;
  /** By kind. Rows of other kinds are left to the processes that know them, as during an upgrade. */
  readonly handlers: Readonly<Record<string, OutboxHandler>>;
  /** Recurring jobs by their row's id, as in `clock:clean`. */
  readonly clockwork?: Readonly<Record<`clock:${string}`, Clockwork>> | undefined;
  /** Rows that are worked on at once. */
  readonly concurrency?: number;
  /**
   * A member of what rows are about. Of those that name the same there, two are worked on at once at the most, so that
   * whoever is slow to take them holds up no other.
   */
  readonly fairTo?: string;
  readonly pollMs?: number;
}

/** Tries, of which the last one is about half a day after the first: a mail server may be down for a night. */
const MAX_ATTEMPTS = 10;
const FIRST_PAUSE = 10;
const PAUSE_FACTOR = 3;
const LONGEST_PAUSE = 4 * 3_600;
/** Seconds after which another process may take a row: longer than an attempt may last. */
const LEASE = 60;
const ATTEMPT_MS = 40_000;
/** Places for rows that name the same (`fairTo`). */
const SHARE = 2;
/** Seconds until a recurring job that failed is tried again. */
const CLOCK_PAUSE = 60;

/**
 * Delivers the outbox: any number of workers in any number of processes, each row by one of them at a time, and at least
 * once. A row of a process that died is taken over when its lease ends.
 */
export class OutboxWorker {
  readonly #options: WorkerOptions;
  readonly #kinds: string[];
  /** With whom each is about, where that is asked. */
  readonly #running = new Map<Promise<void>, unknown>();
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #ended: (() => void) | undefined;
  #taking: Promise<void> | undefined;
  #again = false;
  #isStarted = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#kinds = [...Object.keys(options.handlers), ...Object.keys(options.clockwork ?? {})];
  }

  /** Makes the rows of the recurring jobs where there are none, and begins to look for due rows. */
  async start(): Promise<void> {
    await store.insertClockwork(
      this.#options.db.kysely,
      Object.keys(this.#options.clockwork ?? {}),
    );
    this.#isStarted = true;
    this.#ended = onRing(() => this.nudge());
    this.nudge();
  }

  /** Looks at once, and not at the next poll. */
  nudge(): void {
    if (!this.#isStarted) return;
    if (this.#taking !== undefined) this.#again = true;
    else this.#schedule(0);
  }

  /** Takes nothing new, and waits for what is under way; recurring jobs end at their next stop. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    this.#ended?.();
    clearTimeout(this.#timer);
    this.#stopping.abort();
    await this.#taking;
    await Promise.all(this.#running.keys());
  }

  /** Takes what is due now, once, and waits for it; gives how many rows there were. */
  async runDue(): Promise<number> {
    const taken = await this.#take();
    await Promise.all(this.#running.keys());
    return taken;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#poll(), ms).unref();
  }

  #poll(): void {
    this.#again = false;
    this.#taking = this.#take()
      .then(
        (taken) => (taken > 0 || this.#again ? 0 : (this.#options.pollMs ?? 1_000)),
        (err: unknown) => {
          this.#options.logger.error({ error: describe(err) }, 'the outbox could not be read');
          return 5_000;
        },
      )
      .then((pause) => {
        this.#taking = undefined;
        // With every place taken, who is done first looks again.
        if (this.#isStarted && this.#free > 0) this.#schedule(pause);
      });
  }

  get #free(): number {
    return (this.#options.concurrency ?? 4) - this.#running.size;
  }

  async #take(): Promise<number> {
    const { db, fairTo } = this.#options;
    if (fairTo === undefined)
      return this.#free <= 0
        ? 0
        : this.#begin(await store.takeDue(db.kysely, this.#kinds, this.#free, LEASE));
    // One by one: each may be the last of its share.
    let taken = 0;
    while (this.#free > 0 && !this.#stopping.signal.aborted) {
      const served = { member: fairTo, names: this.#served() };
      const rows = await store.takeDue(db.kysely, this.#kinds, 1, LEASE, served);
      if (rows.length === 0) break;
      taken += this.#begin(rows);
    }
    return taken;
  }

  #begin(rows: readonly store.TakenRow[]): number {
    const { fairTo } = this.#options;
    for (const row of rows) {
      const run = this.#work(row).finally(() => {
        const hadToWait = this.#free <= 0 || fairTo !== undefined;
        this.#running.delete(run);
        if (hadToWait) this.nudge();
      });
      this.#running.set(run, fairTo === undefined ? undefined : row.about?.[fairTo]);
    }
    return rows.length;
  }

  /** Those who have their share of the places. */
  #served(): string[] {
    const names = [...this.#running.values()].filter((name) => typeof name === 'string');
    return [...new Set(names)].filter(
      (name) => names.filter((other) => other === name).length >= SHARE,
    );
  }

  /** Never throws: what can't even be noted is found again when the lease ends. */
  async #work(row: store.TakenRow): Promise<void> {
    try {
      const clock = this.#options.clockwork?.[row.kind as `clock:${string}`];
      await (clock === undefined ? this.#deliver(row) : this.#tick(row, clock));
    } catch (err) {
      this.#options.logger.error(
        { outbox: row.id, kind: row.kind, error: describe(err) },
        'the outbox could not be written',
      );
    }
  }

  async #tick(row: store.TakenRow, clock: Clockwork): Promise<void> {
    const { db, logger } = this.#options;
    const signal = AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS), this.#stopping.signal]);
    try {
      // Stopped between the taking and the running: the next worker begins with it.
      const more = signal.aborted || (await clock.run(signal));
      await store.settleLater(db.kysely, row, more ? 0 : clock.everySeconds, null);
    } catch (err) {
      logger.error({ kind: row.kind, error: describe(err) }, 'a recurring job failed');
      await store.settleLater(
        db.kysely,
        row,
        Math.min(CLOCK_PAUSE, clock.everySeconds),
        describe(err),
      );
    }
  }

  async #deliver(row: store.TakenRow): Promise<void> {
    const { db, logger, sealer, handlers } = this.#options;
    const about = { outbox: row.id, kind: row.kind, attempt: row.attempts };
    try {
      const handler = handlers[row.kind] as OutboxHandler;
      const payload: unknown =
        row.payload_sealed === null
          ? (row.about ?? undefined)
          : JSON.parse(sealer.open(row.payload_sealed, `outbox:${row.id}`).toString());
      const signal = AbortSignal.timeout(ATTEMPT_MS);
      await Promise.race([
        handler(payload, { id: row.id, attempt: row.attempts, signal }),
        rejected(signal),
      ]);
    } catch (err) {
      const isLast =
        row.attempts >= MAX_ATTEMPTS || (err instanceof AppError && err.code === 'undeliverable');
      logger[isLast ? 'error' : 'warn'](
        { ...about, error: describe(err) },
        isLast ? 'a delivery was given up' : 'a delivery failed',
      );
      if (isLast) await store.settleDead(db.kysely, row, describe(err));
      else await store.settleLater(db.kysely, row, pauseAfter(row.attempts), describe(err));
      return;
    }
    await store.settleDone(db.kysely, row);
  }
}

/** Seconds until the next try, a quarter more or less, so that what failed together does not come back together. */
function pauseAfter(attempts: number): number {
  return (
    Math.min(LONGEST_PAUSE, FIRST_PAUSE * PAUSE_FACTOR ** (attempts - 1)) *
    (0.75 + Math.random() / 2)
  );
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener(
      'abort',
      () => reject(new AppError('delivery_timeout', 'The delivery took too long.')),
      { once: true },
    );
  });
}

/** What went wrong, without the error's message: those of mail servers and databases hold email addresses and values. */
function describe(error: unknown): string {
  if (error instanceof DeliveryFailed) return `${error.code} ${error.host} ${error.detail}`;
  if (error instanceof AppError) return error.code;
  if (!(error instanceof Error)) return 'unknown';
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
  return [error.name, code, responseCode]
    .filter((part) => typeof part === 'string' || typeof part === 'number')
    .join(' ');
}
