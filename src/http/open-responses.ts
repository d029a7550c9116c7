import type { ServerResponse } from 'node:http';

const place = Symbol('place');

type Placed = ServerResponse & { [place]?: number };

/**
 * The answers under way. A list in which the last one fills a gap, and not a Set: each time that V8 makes room in a Set
 * that is filled and emptied all the time, what was in it stays until the next full collection, which doubled what
 * collecting took.
 */
export class OpenResponses {
  readonly #all: Placed[] = [];

  add(response: Placed): void {
    response[place] = this.#all.push(response) - 1;
  }

  delete(response: Placed): void {
    const at = response[place];
    if (at === undefined) return;
    delete response[place];
    const last = this.#all.pop();
    if (last === undefined || last === response) return;
    this.#all[at] = last;
    last[place] = at;
  }

  [Symbol.iterator](): Iterator<ServerResponse> {
    return this.#all.values();
  }
}
