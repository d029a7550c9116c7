import { createHmac } from 'node:crypto';
import type { SelfRegistered } from '../client/self-registered.service.ts';
import type { Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { addressKey } from '../lib/client-address.ts';
import type { Sealer } from '../lib/seal.ts';
import * as store from './client-registration.store.ts';

/** How many unused clients there may be that registered without a token. */
export interface Quota {
  readonly perAddress: number;
  readonly inAll: number;
}

/** The quota of registrations without a token. Clients count until they are used for the first time. */
export class AddressQuota {
  readonly #quota: Quota;
  readonly #addressKey: Buffer;

  constructor({ quota, sealer }: { readonly quota: Quota; readonly sealer: Sealer }) {
    this.#quota = quota;
    this.#addressKey = sealer.derive('registering addresses');
  }

  /** A keyed hash, so that a stolen dump does not show who registered from which address. */
  keyOf(address: string): Buffer {
    return createHmac('sha256', this.#addressKey).update(addressKey(address)).digest();
  }

  /**
   * Where the quota is full, a registration replaces the oldest unused client with the same metadata from the same address.
   * A program that forgets its client and registers again thus does not lock out a shared address. Returns whether it did.
   * @throws AppError `registration_full` (429)
   */
  async makeRoom(db: Db, from: Buffer, prepared: SelfRegistered): Promise<boolean> {
    const full = await this.findFull(db, from);
    if (full === undefined) return false;
    if (!(await store.deleteOldestTwin(db, from, prepared))) throw full;
    await raiseVersion(db, 'clients');
    return true;
  }

  /** Why the address can't register another client; undefined where it can. */
  async findFull(db: Db, from: Buffer): Promise<AppError | undefined> {
    const { perAddress, inAll } = this.#quota;
    const { here, all } = await store.countUnused(db, from);
    if (here < perAddress && all < inAll) return undefined;
    return new AppError(
      'registration_full',
      here < perAddress
        ? 'Too many registered clients are unused. Try again later.'
        : 'Too many clients registered from this address are unused. Use one of them, or try again tomorrow.',
      { status: 429, retryAfter: 3_600 },
    );
  }
}
