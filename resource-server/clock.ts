/** Seconds since 1970, as in the claims of a token. */
export const epochSeconds = (): number => Date.now() / 1_000;

/**
 * Tells how much time has passed, at least: by the clock on the wall, which goes on while the machine sleeps, and by the
 * steady one, which cannot be set back.
 */
export class Stopwatch {
  readonly #wall = Date.now();
  readonly #steady = performance.now();

  /** Milliseconds. */
  get elapsed(): number {
    return Math.max(Date.now() - this.#wall, performance.now() - this.#steady);
  }
}
