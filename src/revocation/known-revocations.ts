import { isOver, type Revocation } from './revocation.ts';

interface Known extends Revocation {
  /** When this process learned of it: milliseconds of the database's clock. */
  readonly seen: number;
}

export interface Page {
  readonly revocations: readonly Revocation[];
  readonly more: boolean;
}

/** More than so many at once are put in their places together. */
const MANY = 500;

/** What a process knows to be revoked: all of it in the order of its keys, and what is new. */
export class KnownRevocations {
  readonly #all = new Map<string, Known>();
  /** In the order in which they came. */
  readonly #recent = new Map<string, Known>();
  #keys: string[] = [];

  get size(): number {
    return this.#all.size;
  }

  /** `seen` is when each was learned of. What is known already, and says nothing new, stays where it is. */
  add(revocations: readonly (Revocation & { readonly seen: number })[]): void {
    const fresh: string[] = [];
    for (const { key, time, seen } of revocations) {
      const known = this.#all.get(key);
      if (known !== undefined && known.time >= time) continue;
      if (known === undefined) fresh.push(key);
      const entry = { key, time, seen };
      this.#all.set(key, entry);
      this.#recent.delete(key);
      this.#recent.set(key, entry);
    }
    if (fresh.length > MANY) this.#keys = merged(this.#keys, fresh.sort());
    else for (const key of fresh) this.#keys.splice(this.#placeOf(key), 0, key);
  }

  /** Forgets what nobody would take any more, and what is not new any more since `recentSince`. */
  forget(now: number, recentSince: number): void {
    for (const [key, { seen }] of this.#recent) if (seen < recentSince) this.#recent.delete(key);
    const over = [...this.#all.values()].filter((one) => isOver(one, now));
    if (over.length === 0) return;
    for (const { key } of over) {
      this.#all.delete(key);
      this.#recent.delete(key);
    }
    this.#keys = this.#keys.filter((key) => this.#all.has(key));
  }

  /** As many as `most` of all that is revoked, from behind the key `after`. */
  pageOfAll(after: string, most: number): Page {
    let start = this.#placeOf(after);
    if (this.#keys[start] === after) start += 1;
    const keys = this.#keys.slice(start, start + most);
    return {
      revocations: keys.map((key) => this.#all.get(key) as Known),
      more: start + keys.length < this.#keys.length,
    };
  }

  /** The same of what was learned of since, which is not before what `forget` was last told. */
  pageOfRecent(since: number, after: string, most: number): Page {
    const isOnPage = ({ seen, key }: Known) => seen > since && key > after;
    const few = [...take(this.#recent.values(), isOnPage, most + 1)];
    if (few.length <= most) return { revocations: few, more: false };
    // Anybody may ask, and as often as there are cursors: so many are not sorted each time, but found in their order.
    const found = [...take(this.#inOrder(after), isOnPage, most + 1)];
    return { revocations: found.slice(0, most), more: found.length > most };
  }

  /** What is new in the order of its keys, from `after` on. */
  *#inOrder(after: string): Generator<Known> {
    for (let place = this.#placeOf(after); place < this.#keys.length; place++) {
      const recent = this.#recent.get(this.#keys[place] as string);
      if (recent !== undefined) yield recent;
    }
  }

  /** The first place whose key is not less. */
  #placeOf(key: string): number {
    let [low, high] = [0, this.#keys.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The first `most` of them that are asked for. */
function* take<T>(all: Iterable<T>, isAskedFor: (one: T) => boolean, most: number): Generator<T> {
  let left = most;
  for (const one of all) {
    if (!isAskedFor(one)) continue;
    yield one;
    left -= 1;
    if (left === 0) return;
  }
}

/** Both in their order become one: in a long list a few new ones are not worth sorting all of it. */
function merged(some: readonly string[], others: readonly string[]): string[] {
  const all: string[] = [];
  let next = 0;
  for (const one of some) {
    while (next < others.length && (others[next] as string) < one)
      all.push(others[next++] as string);
    all.push(one);
  }
  return [...all, ...others.slice(next)];
}
