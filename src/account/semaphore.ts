import { AppError } from '../errors.ts';

/** Runs at most `places` pieces of work at once, in the order of their coming; at most `maxWaiting` wait. */
export class Semaphore {
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(places: number, maxWaiting: number) {
    this.#free = places;
    this.#maxWaiting = maxWaiting;
  }

  /** How many wait for a place. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** @throws AppError `busy` (429, to be tried again in two seconds) where too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new AppError('busy', 'Too many people are signing in right now.', {
          status: 429,
          retryAfter: 2,
        });
      }
      // Who leaves hands the place on, so that nobody who comes later slips in between.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
