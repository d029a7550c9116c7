import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage } from 'node:http';

/** Nobody waits longer than this for the first byte of an answer: then it is 503. */
const ANSWER_MS = 5_000;

/** What was begun in a request and outlives it by this much belongs to no request any more. */
const FORGOTTEN_MS = 60_000;

/** The time by which a request must be answered. Everything that it waits for shares it. */
export class Deadline {
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  #at = this.startedAt + ANSWER_MS;
  #isOver = false;
  #giveUp: ((error: Error) => void) | undefined;

  /** Milliseconds that are left; negative once the time is up, and endless once the request is answered. */
  get msLeft(): number {
    if (this.#isOver) return Number.POSITIVE_INFINITY;
    const left = this.#at - performance.now();
    return left < -FORGOTTEN_MS ? Number.POSITIVE_INFINITY : left;
  }

  /** Starts the time again: what came before was the client's own, as a body that arrives slowly. */
  restart(): void {
    this.#at = performance.now() + ANSWER_MS;
  }

  /**
   * The same as `withinDeadline` without a timer of its own: the listener looks at all its requests several times a second
   * (`check`). For thousands of requests a second, of which none is late.
   * @throws DeadlineError when the time is up
   */
  bound<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      work().then(resolve, reject);
    });
  }

  /** Ends what `bound` waits for where the time is up. */
  check(): void {
    if (this.msLeft <= 0) this.#giveUp?.(new DeadlineError());
  }

  /** The request is answered. What goes on behind it is bounded by nothing of it, unless it was given up. */
  end(): void {
    if (this.msLeft > 0) this.#isOver = true;
  }

  /** The client hung up, so `check` is not called any more. What `bound` waits for still ends when the time is up. */
  abandon(): void {
    const left = this.msLeft;
    if (this.#giveUp === undefined || !Number.isFinite(left)) return;
    setTimeout(() => this.check(), Math.max(left, 0) + 1).unref();
  }
}

/** A request has waited as long as it may. By its SQLSTATE (query_canceled) it counts as a database that can't be reached: 503. */
class DeadlineError extends Error {
  readonly code = '57014';

  constructor() {
    super('Query read timeout: the request has waited as long as it may');
    this.name = 'DeadlineError';
  }
}

const storage = new AsyncLocalStorage<Deadline | undefined>();

/** Runs `work` as a request that must be answered by the deadline. */
export function withDeadline<T>(deadline: Deadline, work: () => T): T {
  return storage.run(deadline, work);
}

/** Work that several requests share, or that outlives one: it is done to its end, whichever of them began it. */
export function withoutDeadline<T>(work: () => T): T {
  return storage.getStore() === undefined ? work() : storage.run(undefined, work);
}

const ofRequest = Symbol('deadline');

type Timed = IncomingMessage & { [ofRequest]?: Deadline };

/** The deadline of a request, which it gets when it comes. */
export function deadlineOf(request: IncomingMessage): Deadline | undefined {
  return (request as Timed)[ofRequest];
}

export function setDeadline(request: IncomingMessage, deadline: Deadline): void {
  (request as Timed)[ofRequest] = deadline;
}

/** Timers of the same length share a list: lengths are rounded up to this. */
const ROUND_MS = 50;

/**
 * Refuses what a request that was given up would still begin.
 * @throws DeadlineError when the time is up
 */
export function refuseLate(deadline: Deadline | undefined): void {
  if (deadline !== undefined && deadline.msLeft <= 0) throw new DeadlineError();
}

/**
 * Waits for `work` no longer than the request may; what comes of it later is nobody's.
 * @param onLate gets what `work` gives too late.
 * @throws DeadlineError when the time is up, without beginning `work` where it was up before
 */
export async function withinDeadline<T>(
  work: () => Promise<T>,
  onLate?: (late: T) => void,
): Promise<T> {
  const left = storage.getStore()?.msLeft ?? Number.POSITIVE_INFINITY;
  if (left <= 0) throw new DeadlineError();
  const pending = work();
  if (left === Number.POSITIVE_INFINITY) return pending;
  return new Promise<T>((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(
      () => {
        isLate = true;
        reject(new DeadlineError());
      },
      Math.ceil(left / ROUND_MS) * ROUND_MS,
    );
    pending.then(
      (value) => {
        clearTimeout(timer);
        if (isLate) onLate?.(value);
        else resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error as Error);
      },
    );
  });
}
