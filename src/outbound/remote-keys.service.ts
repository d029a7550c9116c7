import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose';
import { AppError } from '../errors.ts';
import type { Outbound } from './outbound.service.ts';

/** So long (milliseconds) a document counts as it was read. */
const FRESH = 300_000;
/** So long it counts while no newer one can be had: a key that its owner took away verifies nothing for longer. */
const LAST = 3_600_000;
/** So often a document is asked for at the most, whatever signatures name: also one that could not be had. */
const AGAIN = 30_000;
const MAX_BODY = 128 * 1024;
const MOST_KEYS = 100;
const MOST_DOCUMENTS = 1_000;

const privateParts = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];

/** What one document held, and when it was read. */
interface Document {
  readonly find: JWTVerifyGetKey;
  readonly readAt: number;
}

interface Entry {
  document: Document | undefined;
  askedAt: number;
  asking: Promise<void> | undefined;
}

/**
 * Public keys at addresses that somebody else has named (`jwks_uri`). What was read is kept, and asked for anew when it is
 * old or a signature names a key that is not in it; nobody can make us ask more than twice a minute, and questions at the
 * same time are one. While an address does not answer, what it said before counts for an hour.
 */
export class RemoteKeys {
  readonly #outbound: Outbound;
  readonly #clock: () => number;
  readonly #entries = new Map<string, Entry>();

  /** @param clock milliseconds that never go back; only tests give one. */
  constructor(outbound: Outbound, clock: () => number = () => performance.now()) {
    this.#outbound = outbound;
    this.#clock = clock;
  }

  /**
   * Finds the key of a signature in the document at the address.
   * @throws AppError `keys_unavailable` where it can't be had; jose's errors where the key is not in it, or not told apart
   */
  keysAt(uri: string): JWTVerifyGetKey {
    return async (header, token) => {
      const known = await this.#get(uri, undefined);
      try {
        return await known.find(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
        const newer = await this.#get(uri, known);
        if (newer === known) throw error;
        return newer.find(header, token);
      }
    };
  }

  /** The document; `lacking` is one that was not enough, so that a newer one is asked for. */
  async #get(uri: string, lacking: Document | undefined): Promise<Document> {
    const entry = this.#entryOf(uri);
    const isOld = (age: number) =>
      entry.document === undefined || this.#clock() - entry.document.readAt > age;
    const isWanted = isOld(FRESH) || (lacking !== undefined && entry.document === lacking);
    if (isWanted && (entry.asking !== undefined || this.#clock() - entry.askedAt >= AGAIN)) {
      entry.asking ??= this.#ask(uri, entry).finally(() => (entry.asking = undefined));
      await entry.asking;
    }
    if (entry.document === undefined || isOld(LAST))
      throw new AppError('keys_unavailable', 'The keys could not be had from where they are.');
    return entry.document;
  }

  #entryOf(uri: string): Entry {
    const entry = this.#entries.get(uri) ?? {
      document: undefined,
      askedAt: Number.NEGATIVE_INFINITY,
      asking: undefined,
    };
    // The longest unused one leaves first.
    this.#entries.delete(uri);
    this.#entries.set(uri, entry);
    if (this.#entries.size > MOST_DOCUMENTS)
      this.#entries.delete(this.#entries.keys().next().value as string);
    return entry;
  }

  /** Whatever goes wrong, what was known before stays. */
  async #ask(uri: string, entry: Entry): Promise<void> {
    entry.askedAt = this.#clock();
    try {
      const response = await this.#outbound.fetch(uri, { headers: { accept: 'application/json' } });
      if (response.status !== 200) {
        await response.body?.cancel();
        return;
      }
      const text = await response.text();
      if (text.length > MAX_BODY) return;
      entry.document = {
        find: createLocalJWKSet({ keys: publicKeys(JSON.parse(text)) }),
        readAt: entry.askedAt,
      };
    } catch {
      // Whom it concerns hears of it: `keys_unavailable`.
    }
  }
}

/** Public keys alone, of the kinds that sign: of a shared secret nobody could tell who has signed with it. */
function publicKeys(document: unknown): JWK[] {
  const { keys } = document as { keys?: unknown };
  if (!Array.isArray(keys) || keys.length > MOST_KEYS) throw new TypeError('no JWK Set');
  return (keys as unknown[]).filter(
    (key): key is JWK =>
      typeof key === 'object' &&
      key !== null &&
      ['RSA', 'EC', 'OKP'].includes(String((key as JWK).kty)) &&
      !privateParts.some((part) => part in key),
  );
}
