import {
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWSHeaderParameters,
  type LocalJWKSet,
} from 'jose';
import { Stopwatch } from './clock.ts';
import type { Discovery } from './discovery.ts';
import { Unavailable } from './errors.ts';
import { type Fetcher, fetchDocument, maxAgeOf, parseObject } from './fetch-document.ts';
import { SingleFlight } from './single-flight.ts';

/** Milliseconds. */
const DEFAULT_FRESH = 300_000;
const LEAST_FRESH = 10_000;
const MOST_FRESH = 86_400_000;
/** So long are keys used that can't be read again, because the issuer is away. */
const MOST_STALE = 86_400_000;
/** At the soonest after one reading begins the next, however many unknown keys are named. */
const COOLDOWN = 10_000;
/** After a reading that failed. */
const RETRY = 1_000;

interface Keys {
  readonly text: string;
  readonly find: LocalJWKSet;
  readonly age: Stopwatch;
  readonly fresh: number;
}

/**
 * The issuer's keys: kept as long as its answer allows, read again where a token names one that is not known, and kept
 * on while the issuer is away.
 */
export class IssuerKeys {
  readonly #discovery: Discovery;
  readonly #fetcher: Fetcher;
  readonly #reading = new SingleFlight(() => this.#read());
  #keys: Keys | undefined;
  #tried: { readonly since: Stopwatch; readonly error: unknown } | undefined;

  constructor(discovery: Discovery, fetcher: Fetcher) {
    this.#discovery = discovery;
    this.#fetcher = fetcher;
  }

  /**
   * The key that the header names by its `kid` and `alg`. Nothing else in a header is followed.
   * @throws Unavailable where the keys can't be read; jose's JWKSNoMatchingKey where there is none such
   */
  readonly find = async (
    header: JWSHeaderParameters,
    token: FlattenedJWSInput,
  ): ReturnType<LocalJWKSet> => {
    const named = { alg: header.alg, kid: header.kid } as JWSHeaderParameters;
    const keys = await this.#current();
    try {
      return await keys.find(named, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || keys.age.elapsed < COOLDOWN) throw error;
      // Where they can't be read again nobody knows whether the key is a new one.
      const read = await this.#readAgain();
      if (read === undefined) throw unavailable(this.#tried?.error);
      return read.find(named, token);
    }
  };

  async #current(): Promise<Keys> {
    const keys = this.#keys;
    if (keys !== undefined && keys.age.elapsed < keys.fresh) return keys;
    // While the issuer is away nobody waits for each try: what is known serves as long as it may.
    const wasAway = this.#tried !== undefined;
    const reading = this.#readAgain();
    const isUsable = keys !== undefined && keys.age.elapsed < MOST_STALE;
    if (isUsable && wasAway) return keys;
    const read = await reading;
    if (read !== undefined) return read;
    if (isUsable) return keys;
    throw unavailable(this.#tried?.error);
  }

  /** Undefined where it can't be read, or was tried in vain a moment ago. */
  async #readAgain(): Promise<Keys | undefined> {
    if (this.#tried !== undefined && this.#tried.since.elapsed < RETRY) return undefined;
    try {
      return await this.#reading.run();
    } catch {
      return undefined;
    }
  }

  async #read(): Promise<Keys> {
    const age = new Stopwatch();
    try {
      const { jwksUri: url } = await this.#discovery.get();
      if (url === undefined) throw new Unavailable('the issuer names no jwks_uri');
      const { status, headers, text } = await fetchDocument(this.#fetcher, url, {
        headers: { accept: 'application/json, application/jwk-set+json' },
        maxBytes: 256 * 1024,
      });
      if (status !== 200) throw new Unavailable(`${url} answers ${status}`);
      this.#keys = {
        text,
        // The same text is the same keys, which need not be imported again.
        find: this.#keys?.text === text ? this.#keys.find : parseKeys(url, text),
        age,
        fresh: Math.min(Math.max(maxAgeOf(headers) ?? DEFAULT_FRESH, LEAST_FRESH), MOST_FRESH),
      };
      this.#tried = undefined;
      return this.#keys;
    } catch (error) {
      this.#tried = { since: new Stopwatch(), error };
      throw error;
    }
  }
}

const unavailable = (cause: unknown): Unavailable =>
  cause instanceof Unavailable ? cause : new Unavailable('the keys can’t be read', { cause });

function parseKeys(url: string, text: string): LocalJWKSet {
  try {
    return createLocalJWKSet(parseObject(url, text) as unknown as JSONWebKeySet);
  } catch (cause) {
    throw new Unavailable(`${url} answers with no JWK Set`, { cause });
  }
}
