import { createHmac } from 'node:crypto';

/** What begins a subject of a sector: no account id and no client id begins so (`u_`, `c_`, `r_`, https URLs). */
const PREFIX = 'p_';

/**
 * Who a person is for others (OpenID Connect Core, section 8). A client with public subjects is told the account's id;
 * one with pairwise subjects a value that is the same within its sector and tells nothing outside of it.
 */
export class Subjects {
  readonly #key: Buffer;

  /** @param key never changes: another one makes everybody a stranger to every client with pairwise subjects. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  /** @param sector of the client; undefined where its subjects are public. */
  of(accountId: string, sector: string | undefined): string {
    if (sector === undefined) return accountId;
    // It would be the same for all of them.
    if (sector === '') throw new TypeError('a client with pairwise subjects has no sector');
    const mac = createHmac('sha256', this.#key).update(JSON.stringify([sector, accountId]));
    return `${PREFIX}${mac.digest('base64url')}`;
  }
}
