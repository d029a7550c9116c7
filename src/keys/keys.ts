import type { JWK } from 'jose';
import {
  maxAccessTokenTtl,
  type SigningAlg,
  signingAlgs,
} from '../resource-server/resource-server.ts';
import { lifetimeBounds } from '../lifetimes.ts';

/**
 * In the order in which they stand in the JWKS: RS256 first, which many clients assume, some of them without looking at
 * `alg`.
 */
export const algorithms: readonly SigningAlg[] = [
  'RS256',
  ...signingAlgs.filter((alg) => alg !== 'RS256'),
];

/** How long the JWKS may be cached (seconds). */
export const JWKS_MAX_AGE = 300;
/**
 * How long the next key is known to everybody before it signs (seconds). Gateways keep a JWKS for ten or twenty minutes
 * whatever it says of itself, and not all of them ask again for a kid that they don't know.
 */
export const KEY_LEAD = 3_600;
/** A process that has not heard of the keys for so long (seconds) signs nothing. */
export const KEY_SILENCE = 60;
/** Clocks that are off, and answers that are slow (seconds). */
const SLACK = 600;
/**
 * The longest life of anything that is signed (seconds): the most that can be set, not what is set just now, because what
 * was signed before a change lives on.
 */
export const LONGEST_TOKEN =
  Math.max(maxAccessTokenTtl, lifetimeBounds.accessToken.max, lifetimeBounds.idToken.max) + SLACK;
/** How long (seconds) an ID token says who signs out after its key was removed: as long as a session can live. */
export const HINT_LIFE = lifetimeBounds.sessionAbsolute.max + SLACK;
/** The longest life of a cookie that is signed (seconds). */
export const COOKIE_LIFE = lifetimeBounds.sessionAbsolute.max + SLACK;

export type KeyState = 'next' | 'current' | 'retiring' | 'removed';

/** A signing key or a cookie key, and what it is for now. */
export interface KeyInfo {
  readonly kid: string;
  /** `cookie` for a cookie key. */
  readonly alg: string;
  readonly state: KeyState;
  readonly createdAt: Date;
  readonly activeAt: Date;
  readonly retiredAt: Date | undefined;
  readonly removedAt: Date | undefined;
}

/** What signs and verifies at one moment. */
export interface KeySet {
  /**
   * What is published: the current key of each algorithm first, and it alone with its private part.
   */
  readonly jwks: { readonly keys: readonly JWK[] };
  /** Public keys that are published no more, and still tell whose an ID token was. */
  readonly hintKeys: readonly JWK[];
  /** The first one signs. */
  readonly cookieKeys: readonly string[];
  /** Milliseconds until the set changes by itself; Infinity if nothing waits. */
  readonly changesIn: number;
}

/** When a key begins and ceases to sign, and is gone: milliseconds from the reading by the database's clock. */
interface Life {
  readonly activeIn: number;
  readonly retiredIn: number;
  readonly removedIn: number;
}

export interface SigningKey extends Life {
  readonly alg: string;
  readonly publicJwk: JWK;
  /** Undefined once it signs nothing any more. */
  readonly privateJwk: JWK | undefined;
}

export interface CookieKey extends Life {
  readonly key: string;
}

/**
 * Everything that was read of the keys, with its times: a process goes from one key to the next on time, also while it
 * can't reach the database.
 */
export class LoadedKeys {
  readonly #signing: readonly SigningKey[];
  readonly #cookies: readonly CookieKey[];

  constructor(signing: readonly SigningKey[], cookies: readonly CookieKey[]) {
    this.#signing = signing;
    this.#cookies = cookies;
  }

  /** The keys, `elapsed` milliseconds after the reading. */
  at(elapsed: number): KeySet {
    const signing = sorted(this.#signing, elapsed);
    const published = signing.filter((key) => key.removedIn > elapsed);
    return {
      jwks: {
        keys: published.map((key) =>
          stateOf(key, elapsed) === 'current' ? (key.privateJwk ?? key.publicJwk) : key.publicJwk,
        ),
      },
      hintKeys: signing.filter((key) => key.removedIn <= elapsed).map((key) => key.publicJwk),
      cookieKeys: sorted(this.#cookies, elapsed)
        .filter((key) => key.removedIn > elapsed)
        .map(({ key }) => key),
      changesIn: Math.min(
        ...[...this.#signing, ...this.#cookies]
          .flatMap((key) => [key.activeIn, key.retiredIn, key.removedIn])
          .map((time) => time - elapsed)
          .filter((time) => time > 0),
        Number.POSITIVE_INFINITY,
      ),
    };
  }
}

const states: readonly KeyState[] = ['current', 'next', 'retiring', 'removed'];

function stateOf(life: Life, elapsed: number): KeyState {
  if (life.removedIn <= elapsed) return 'removed';
  if (life.retiredIn <= elapsed) return 'retiring';
  return life.activeIn <= elapsed ? 'current' : 'next';
}

/** What signs comes first; the rest in an order that all processes share. */
function sorted<Key extends Life & { readonly alg?: string }>(
  keys: readonly Key[],
  elapsed: number,
): Key[] {
  const order = algorithms as readonly (string | undefined)[];
  const rank = (key: Key) => states.indexOf(stateOf(key, elapsed));
  // What another release has made comes last.
  const place = ({ alg }: Key) => (order.includes(alg) ? order.indexOf(alg) : order.length);
  return keys.toSorted(
    (a, b) => rank(a) - rank(b) || place(a) - place(b) || b.activeIn - a.activeIn,
  );
}

/** The public members of a key. */
export function publicPart({ kty, kid, alg, use, n, e, crv, x, y }: JWK): JWK & { kty: string } {
  return Object.fromEntries(
    Object.entries({ kty, kid, alg, use, n, e, crv, x, y }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as unknown as JWK & { kty: string };
}
