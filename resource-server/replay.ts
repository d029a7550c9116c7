import { Stopwatch } from './clock.ts';
import { Unavailable } from './errors.ts';

/** Remembers what was used, for as long as it could be used again; a bounded number of them. */
export class ReplayMemory {
  readonly #size: number;
  readonly #window: number;
  /** What was remembered in this window, and in the one before: the rest is past. */
  #current = new Set<string>();
  #previous = new Set<string>();
  #age = new Stopwatch();

  /** @param window how long a use must be remembered at least (milliseconds) */
  constructor(size: number, window: number) {
    this.#size = size;
    this.#window = window;
  }

  /**
   * True for the first use of a key, and for no other within the window.
   * @throws Unavailable where no more can be remembered: forgetting one would let it be used again
   */
  use(key: string): boolean {
    this.#turn();
    if (this.#current.has(key) || this.#previous.has(key)) return false;
    if (this.#current.size + this.#previous.size >= this.#size)
      throw new Unavailable(`more than ${this.#size} DPoP proofs at once: raise dpop.replaySize`);
    this.#current.add(key);
    return true;
  }

  #turn(): void {
    const { elapsed } = this.#age;
    if (elapsed < this.#window) return;
    this.#previous = elapsed < 2 * this.#window ? this.#current : new Set();
    this.#current = new Set();
    this.#age = new Stopwatch();
  }
}
