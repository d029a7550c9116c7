import { randomToken, sha256 } from '../lib/hash.ts';
import type { PushedRequestWrite } from './writes.ts';

/** What a request writes of pushed requests, and by what names it knows them. */
export class PushedRequests {
  /** Names for this request alone, of what is known by its hash. */
  readonly #handles = new Map<string, Buffer>();
  #added: PushedRequestWrite | undefined;
  #used: Buffer | undefined;

  get added(): PushedRequestWrite | undefined {
    return this.#added;
  }

  /** The hash of the one that the answer of this request uses up. */
  get used(): Buffer | undefined {
    return this.#used;
  }

  add(id: string, write: Omit<PushedRequestWrite, 'idHash'>): void {
    this.#added = { ...write, idHash: sha256(id) };
  }

  use(id: string): void {
    this.#used = this.hashOf(id);
  }

  hashOf(id: string): Buffer {
    return this.#handles.get(id) ?? sha256(id);
  }

  /** Whether this request knows it by its hash alone: from the row of an interaction, and never from who asks. */
  isHandle(id: string): boolean {
    return this.#handles.has(id);
  }

  handleFor(idHash: Buffer): string {
    const handle = randomToken(32);
    this.#handles.set(handle, idHash);
    return handle;
  }
}
