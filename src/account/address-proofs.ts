import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { mailWrite } from '../email/email.service.ts';
import { equalBytes, randomToken, sha256 } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { readTypedCode } from '../lib/typed-code.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import type { Account } from './account.ts';
import type { LinkRow } from './link.store.ts';

const CODE_DIGITS = 8;

/** What is sealed until the address is proven. */
export interface Pending {
  readonly email: string;
  readonly key: string;
  readonly name: string | null;
  /** Rows of an older release have none. */
  readonly locale?: string | undefined;
  readonly passwordHash: string;
}

/** A link and its code, and their hashes. */
export interface Proof {
  readonly token: string;
  readonly tokenHash: Buffer;
  readonly code: string;
  readonly codeMac: Buffer;
}

/** The link and the code that prove an email address, and the sealed registration that waits for the proof. */
export class AddressProofs {
  readonly #sealer: Sealer;

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  /** A new link and code. Those for an address that has an account are never sent. */
  make(idHash: Buffer, isTaken: boolean): Proof {
    const token = randomToken();
    const code = String(randomInt(10 ** CODE_DIGITS)).padStart(CODE_DIGITS, '0');
    return {
      token,
      tokenHash: sha256(token),
      code,
      codeMac: isTaken ? randomBytes(32) : (this.#macs(idHash, code)[0] as Buffer),
    };
  }

  /**
   * Bound to its row; one for each master key, the current one first. The key is not in the database: eight digits are
   * easily found from a plain hash.
   */
  #macs(idHash: Buffer, code: string): Buffer[] {
    return this.#sealer
      .deriveEach('email code')
      .map((key) => createHmac('sha256', key).update(idHash).update(code).digest());
  }

  /** Whether the code is the one of the link, as `readTypedCode` reads it. */
  isCodeOf(link: Pick<LinkRow, 'id_hash' | 'code_mac'>, code: string): boolean {
    const { code_mac: kept } = link;
    return (
      kept !== null &&
      this.#macs(link.id_hash, readTypedCode(code)).some((mac) => equalBytes(kept, mac))
    );
  }

  /** The email with the link and the code, or, where the address has an account, the one that informs its owner. */
  mail(
    owner: Account | undefined,
    { email, locale }: { email: string; locale?: string | undefined },
    { token, code }: Proof,
  ): OutboxWrite {
    return mailWrite(
      this.#sealer,
      owner === undefined
        ? { template: 'verify_email', to: email, locale, token, code }
        : { template: 'registration_attempt', to: owner.email, locale: owner.locale },
    );
  }

  /** The name of an account's verification: the same for the same address, so that a second request finds the first. */
  refOf(account: { readonly id: string; readonly email: string }): string {
    return createHmac('sha256', this.#sealer.derive('verification'))
      .update(`${account.id} ${account.email}`)
      .digest('base64url');
  }

  seal(pending: Pending, idHash: Buffer) {
    return this.#sealer.seal(JSON.stringify(pending), place(idHash));
  }

  open(link: Pick<LinkRow, 'id_hash' | 'payload_sealed'>): Pending {
    return JSON.parse(
      this.#sealer.open(link.payload_sealed ?? Buffer.alloc(0), place(link.id_hash)).toString(),
    ) as Pending;
  }
}

const place = (idHash: Buffer) => `action_links:${idHash.toString('hex')}`;
