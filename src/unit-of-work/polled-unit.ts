import type { Database } from '../db/database.ts';
import { sha256 } from '../lib/hash.ts';
import { findAskedRequest } from './polled-reads.ts';
import type {
  AskedRequest,
  NewPolledRequest,
  PolledAnswer,
  PolledOutcome,
} from './polled-requests.ts';

/** What a request of ours reads and writes of requests that are polled for. */
export class PolledUnit {
  readonly #db: Database;
  readonly #asked = new Map<string, Promise<AskedRequest | undefined>>();
  readonly #added: NewPolledRequest[] = [];
  readonly #answered = new Map<string, PolledAnswer>();
  readonly #consumed: Buffer[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  /** By what our own pages know it by, read once. */
  find(id: string): Promise<AskedRequest | undefined> {
    let pending = this.#asked.get(id);
    if (pending === undefined) {
      pending = findAskedRequest(this.#db, id);
      this.#asked.set(id, pending);
    }
    return pending;
  }

  /** What was found by another way is not read again. */
  remember(request: AskedRequest): void {
    this.#asked.set(request.id, Promise.resolve(request));
  }

  add(request: NewPolledRequest): void {
    this.#added.push(request);
  }

  answer(answer: PolledAnswer): void {
    this.#answered.set(answer.id, answer);
  }

  /** Takes the answer to the token endpoint, once. */
  consume(id: string): void {
    this.#consumed.push(sha256(id));
  }

  get outcome(): PolledOutcome | undefined {
    if (this.#added.length + this.#answered.size + this.#consumed.length === 0) return undefined;
    return {
      added: this.#added,
      answered: [...this.#answered.values()],
      consumed: this.#consumed,
    };
  }
}
