import { z } from 'zod';
import { hasPrivatePart, isOfKnownType, isUsableKey, type Jwk } from '../../client/client.ts';
import { AppError } from '../../errors.ts';
import type { Outbound } from '../../outbound/outbound.service.ts';

/** Milliseconds for which keys are taken without another look. */
const CURRENT = 5 * 60_000;
/** The same while their host gives no other answer. */
const USABLE = 60 * 60_000;
/** After a failure their host is let alone for so long. */
const REST = 30_000;
/** Whatever is asked for it, a host is asked so often in a while at the most. */
const MOST = 3;
const WHILE = 60_000;
/** Of a request that waits for it. */
const TIMEOUT = 3_000;
const MAX_LENGTH = 128 * 1024;
const MAX_SETS = 2_000;

const jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(50) });

interface KeySet {
  readonly keys: readonly Jwk[];
  readonly at: number;
}

/** What is known of one address. */
interface Known {
  set?: KeySet;
  asking?: Promise<void>;
  failedAt: number;
  /** When it was asked, the last times. */
  asked: readonly number[];
}

/**
 * The keys that clients publish (`jwks_uri`), by their address. What is there is kept, and what is not there is remembered
 * as well: whoever sends us assertions of a client, good ones or bad ones, makes us ask its host a few times a minute, and
 * not at all for a while after it gave no answer. A key that is new is there as soon as something is signed with it.
 */
export class ClientKeySets {
  readonly #outbound: Pick<Outbound, 'fetch'>;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();

  /** @param clock milliseconds that never go back */
  constructor(outbound: Pick<Outbound, 'fetch'>, clock = () => performance.now()) {
    this.#outbound = outbound;
    this.#clock = clock;
  }

  /** What was there last, the same object for as long as nothing else was; nothing where that is too long ago. */
  find(uri: string): readonly Jwk[] | undefined {
    return this.#isWithin(uri, USABLE) ? this.#known.get(uri)?.set?.keys : undefined;
  }

  /** Whether what is known needs no other look yet. */
  isCurrent(uri: string): boolean {
    return this.#isWithin(uri, CURRENT);
  }

  /** Whether the host may be asked now. */
  mayAsk(uri: string): boolean {
    const known = this.#known.get(uri);
    if (known === undefined || known.asking !== undefined) return true;
    const now = this.#clock();
    const asked = known.asked.filter((at) => at > now - WHILE);
    return now - known.failedAt >= REST && asked.length < MOST;
  }

  /** Asks the host, if it may be asked; who asks at the same moment waits for the same answer. It never fails. */
  async ask(uri: string): Promise<void> {
    if (!this.mayAsk(uri)) return;
    const known = this.#known.get(uri) ?? this.#add(uri);
    known.asking ??= this.#read(uri, known).finally(() => delete known.asking);
    await known.asking;
  }

  async #read(uri: string, known: Known): Promise<void> {
    const at = this.#clock();
    known.asked = [...known.asked.filter((one) => one > at - WHILE), at];
    try {
      known.set = { keys: await fetchKeys(this.#outbound, uri), at };
    } catch {
      known.failedAt = this.#clock();
    }
  }

  #add(uri: string): Known {
    const known = { failedAt: -REST, asked: [] };
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_SETS && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(uri, known);
    return known;
  }

  #isWithin(uri: string, age: number): boolean {
    const set = this.#known.get(uri)?.set;
    return set !== undefined && this.#clock() - set.at < age;
  }
}

async function fetchKeys(outbound: Pick<Outbound, 'fetch'>, uri: string): Promise<Jwk[]> {
  const response = await outbound.fetch(uri, {
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(TIMEOUT),
  });
  // A redirect is no answer either: it could lead anywhere.
  if (response.status !== 200) {
    await response.body?.cancel();
    throw unusable();
  }
  const text = await response.text();
  if (text.length > MAX_LENGTH) throw unusable();
  const { keys } = jwks.parse(JSON.parse(text));
  if (keys.some(hasPrivatePart)) throw unusable();
  // What is of another kind, or can't be read, is of no use to us and may be to others (RFC 7517, section 5).
  return keys.filter((key) => isOfKnownType(key) && isUsableKey(key));
}

function unusable(): AppError {
  return new AppError('outbound_answer', 'There is no JWK Set of public keys.');
}
