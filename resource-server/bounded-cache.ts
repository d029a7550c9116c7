import type { Stopwatch } from './clock.ts';

interface Kept<Value> {
  readonly value: Value;
  readonly age: Stopwatch;
  readonly ttl: number;
}

/** Keeps a bounded number of values, each for its own time; the one that was put in first goes first. */
export class BoundedCache<Value> {
  readonly #size: number;
  readonly #kept = new Map<string, Kept<Value>>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string): Value | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (kept.age.elapsed < kept.ttl) return kept.value;
    this.#kept.delete(key);
    return undefined;
  }

  /** @param ttl milliseconds, from when `age` began */
  set(key: string, value: Value, ttl: number, age: Stopwatch): void {
    this.#kept.delete(key);
    if (ttl <= 0 || this.#size <= 0) return;
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= this.#size && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, { value, age, ttl });
  }
}
