import { withoutDeadline } from '../lib/deadline.ts';
import { isUnavailable } from './sql-state.ts';

/**
 * As many go into one statement. With more, those that wait together would be answered together and ask again together,
 * and the database and we would each stand idle while the other works.
 */
const MOST = 8;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does in one statement what several requests ask for in one turn of the event loop: nobody waits longer for it, and a busy
 * server asks less often. Where it fails because of one of them, each is done by itself.
 */
export class StatementBatch<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly Result[]>;
  #waiting: Waiting<Item, Result>[] = [];

  /** @param run gives the results in the order of the items; what fails has done nothing. */
  constructor(run: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.#run = run;
  }

  do(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === MOST) this.#send();
      else if (this.#waiting.length === 1) setImmediate(() => this.#send());
    });
  }

  /** What came in full has left already. */
  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length > 0) void this.#runFor(waiting);
  }

  async #runFor(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await withoutDeadline(() => this.#run(batch.map(({ item }) => item)));
      batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
    } catch (error) {
      // Whoever has waited for the database does not wait a second time.
      if (batch.length === 1 || isUnavailable(error)) batch.forEach(({ reject }) => reject(error));
      else for (const one of batch) void this.#runFor([one]);
    }
  }
}
