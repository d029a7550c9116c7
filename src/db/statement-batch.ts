import { type Deadline, refuseLate, withoutDeadline } from '../lib/deadline.ts';
import { isUnavailable } from './sql-state.ts';

/**
 * As many go into one statement. With more, those that wait together would be answered together and ask again together,
 * and the database and we would each stand idle while the other works.
 */
const MOST = 8;

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly deadline: Deadline | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gives the results in the order of the items; what fails has done nothing.
 * @param deadline the first of the requests' own, where nothing may be done after it
 */
type Run<Item, Result> = (
  items: readonly Item[],
  deadline: Deadline | undefined,
) => Promise<readonly Result[]>;

/**
 * Does in one statement what several requests ask for in one turn of the event loop: nobody waits longer for it, and a busy
 * server asks less often. Where it fails because of one of them, each is done by itself.
 */
export class StatementBatch<Item, Result> {
  readonly #run: Run<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];

  constructor(run: Run<Item, Result>) {
    this.#run = run;
  }

  /** @param deadline after which the request is given up, where nothing may be done for it then */
  do(item: Item, deadline?: Deadline): Promise<Result> {
    return new Promise((resolve, reject) => {
      refuseLate(deadline);
      this.#waiting.push({ item, deadline, resolve, reject });
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
      const results = await withoutDeadline(() =>
        this.#run(
          batch.map(({ item }) => item),
          firstOf(batch),
        ),
      );
      batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
    } catch (error) {
      // A request that has waited for the database does not wait a second time.
      if (batch.length === 1 || isUnavailable(error)) batch.forEach(({ reject }) => reject(error));
      else for (const one of batch) void this.#runFor([one]);
    }
  }
}

function firstOf(batch: readonly Waiting<unknown, never>[]): Deadline | undefined {
  let first: Deadline | undefined;
  for (const { deadline } of batch)
    if (deadline !== undefined && (first === undefined || deadline.msLeft < first.msLeft))
      first = deadline;
  return first;
}
