/** Keys of one window, some megabytes at most. */
const MOST_KEYS = 50_000;

/**
 * Counts by key in windows of a fixed length, in the memory of this process. Bounded: a window with too many keys ends
 * early, and everybody starts again. Ending one drops a whole map, so nothing is cleaned up key by key.
 */
export class WindowCounts {
  readonly #ms: number;
  readonly #mostKeys: number;
  #counts = new Map<string, number>();
  #endsAt = 0;

  /** @param seconds the length of a window, which begins with the first count after the last one. */
  constructor(seconds: number, mostKeys = MOST_KEYS) {
    this.#ms = seconds * 1000;
    this.#mostKeys = mostKeys;
  }

  /** Counts one, or takes one back with -1; gives the count so far. */
  add(key: string, by: 1 | -1 = 1): number {
    const now = performance.now();
    if (now >= this.#endsAt || this.#counts.size >= this.#mostKeys) {
      this.#counts = new Map();
      this.#endsAt = now + this.#ms;
    }
    const count = Math.max(0, (this.#counts.get(key) ?? 0) + by);
    this.#counts.set(key, count);
    return count;
  }

  /** Until the window ends; at least 1. */
  get secondsLeft(): number {
    return Math.max(1, Math.ceil((this.#endsAt - performance.now()) / 1000));
  }
}
