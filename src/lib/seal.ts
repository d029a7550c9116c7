import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { AppError } from '../errors.ts';

const VERSION = 1;
const KEY_ID_BYTES = 8;
const IV_BYTES = 12;
const TAG_BYTES = 16;

interface MasterKey {
  readonly id: Buffer;
  readonly key: Buffer;
}

/**
 * Seals what must be read back (TOTP seeds, private keys, live links) with AES-256-GCM under a master key that
 * is kept outside the database. Each value is bound to its place by associated data, so that a row copied over
 * another does not open; each names its master key, so that the master key can be rotated: the first key given
 * seals, all of them open.
 */
export class Sealer {
  readonly #keys: readonly MasterKey[];
  /** Deriving costs 39 µs; purposes are a handful. */
  readonly #derived = new Map<string, Buffer>();

  /** @param keys 32 bytes each; the first one seals. */
  constructor(keys: readonly Buffer[]) {
    if (keys.length === 0) throw new AppError('master_key_missing', 'No master key was given.');
    this.#keys = keys.map((key) => {
      if (key.length !== 32) {
        throw new AppError('master_key_invalid', 'A master key must be exactly 32 bytes.');
      }
      return {
        id: createHash('sha256')
          .update('vouchsafe master key')
          .update(key)
          .digest()
          .subarray(0, KEY_ID_BYTES),
        key,
      };
    });
  }

  /** The identifier of the key that seals now, hex. It tells nothing of the key. */
  get keyId(): string {
    return this.#current.id.toString('hex');
  }

  /** Seals `plain` for the place named by `place` (table, row and column). */
  seal(plain: string | Uint8Array, place: string): Buffer {
    const { id, key } = this.#current;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    cipher.setAAD(Buffer.from(place));
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([Buffer.from([VERSION]), id, iv, cipher.getAuthTag(), body]);
  }

  /**
   * Opens what was sealed for the same place.
   * @throws AppError `unseal_failed` if it was sealed under an unknown master key, for another place, or was changed.
   */
  open(sealed: Uint8Array, place: string): Buffer {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const id = bytes.subarray(1, 1 + KEY_ID_BYTES);
    const master = this.#keys.find((candidate) => candidate.id.equals(id));
    if (bytes[0] !== VERSION || !master) {
      throw new AppError(
        'unseal_failed',
        `A value in ${place} was sealed under a master key that this server was not given.`,
      );
    }
    const ivEnd = 1 + KEY_ID_BYTES + IV_BYTES;
    try {
      const decipher = createDecipheriv(
        'aes-256-gcm',
        master.key,
        bytes.subarray(1 + KEY_ID_BYTES, ivEnd),
        {
          // Without it, Node takes a tag that was cut down to four bytes.
          authTagLength: TAG_BYTES,
        },
      );
      decipher.setAAD(Buffer.from(place));
      decipher.setAuthTag(bytes.subarray(ivEnd, ivEnd + TAG_BYTES));
      return Buffer.concat([decipher.update(bytes.subarray(ivEnd + TAG_BYTES)), decipher.final()]);
    } catch (cause) {
      throw new AppError('unseal_failed', `A value in ${place} could not be opened.`, { cause });
    }
  }

  /**
   * A 32-byte key for one purpose, derived from the master key named by `keyId` (default: the current one).
   * It lives in no table: a dump of the database does not hold it.
   * @throws AppError `unseal_failed` if that master key was not given.
   */
  derive(purpose: string, keyId = this.keyId): Buffer {
    const name = `${keyId} ${purpose}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const master = this.#keys.find((candidate) => candidate.id.toString('hex') === keyId);
    if (!master) {
      throw new AppError('unseal_failed', `The master key ${keyId} was not given to this server.`);
    }
    const key = Buffer.from(hkdfSync('sha256', master.key, 'vouchsafe', purpose, 32));
    this.#derived.set(name, key);
    return key;
  }

  /** The same for every master key that was given, the current one's first: to check what another one may have made. */
  deriveEach(purpose: string): Buffer[] {
    return this.#keys.map(({ id }) => this.derive(purpose, id.toString('hex')));
  }

  /** Whether the master key is one of those that were given. */
  has(keyId: string): boolean {
    return this.#keys.some((candidate) => candidate.id.toString('hex') === keyId);
  }

  get #current(): MasterKey {
    return this.#keys[0] as MasterKey;
  }
}
