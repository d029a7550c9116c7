import { Stopwatch } from './clock.ts';

/** The same is told once in this time (milliseconds), however many calls it befalls. */
const AGAIN = 10_000;
const MOST = 100;

/** Tells an operator's function of what goes wrong, in bounds, and lets nothing that it throws reach a call. */
export class Reports {
  readonly #tell: ((error: Error) => void) | undefined;
  readonly #told = new Map<string, Stopwatch>();

  constructor(tell: ((error: Error) => void) | undefined) {
    this.#tell = tell;
  }

  report(error: unknown): void {
    if (this.#tell === undefined) return;
    const told = error instanceof Error ? error : new Error(String(error));
    const since = this.#told.get(told.message);
    if (since !== undefined && since.elapsed < AGAIN) return;
    if (this.#told.size >= MOST) this.#told.clear();
    this.#told.set(told.message, new Stopwatch());
    try {
      this.#tell(told);
    } catch {
      // What is done with a report is no part of the call.
    }
  }
}
