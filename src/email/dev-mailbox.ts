import type { Letter, Mailer } from './email.ts';

const MOST = 100;

/** A letter that was not sent but kept. */
export interface KeptLetter extends Letter {
  readonly at: Date;
}

/**
 * Keeps the last hundred letters instead of sending them, for a server that has no mail and that only its own machine
 * can reach. They are in the memory of the process whose worker delivered them, and nowhere else.
 */
export class DevMailbox implements Mailer {
  readonly #letters: KeptLetter[] = [];

  send(letter: Letter): Promise<void> {
    this.#letters.unshift({ ...letter, at: new Date() });
    this.#letters.length = Math.min(this.#letters.length, MOST);
    return Promise.resolve();
  }

  /** The newest first. */
  list(): readonly KeptLetter[] {
    return [...this.#letters];
  }
}
