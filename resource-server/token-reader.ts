import type { LiveToken } from './auth.ts';
import { BoundedCache } from './bounded-cache.ts';
import { Stopwatch } from './clock.ts';
import { Discovery } from './discovery.ts';
import { Refusal, Unavailable } from './errors.ts';
import { sha256 } from './hash.ts';
import { Introspection } from './introspection.ts';
import { isJwt, type JwtRules, type VerifiedJwt, verifyJwt } from './jwt.ts';
import { IssuerKeys } from './keys.ts';
import type { ParsedOptions } from './options.ts';
import type { Reports } from './reports.ts';
import { RevocationFeed } from './revocation-feed.ts';
import type { Revocations } from './revocations.ts';

/**
 * A signature that was good is looked at no more for so long (milliseconds): apps call often with one token. It is a
 * fraction of the time for which keys are kept, and says nothing of when the token ends, or whether it was revoked.
 */
const VERIFIED_TTL = 10_000;
const MOST_VERIFIED = 10_000;

/** Tells what a token is worth, by its signature and the revocation feed, or by asking the issuer. */
export class TokenReader {
  readonly #jwtRules: JwtRules;
  readonly #verifiesJwts: boolean;
  readonly #whenStale: 'refuse' | 'introspect' | 'accept';
  readonly #discovery: Discovery;
  readonly #keys: IssuerKeys;
  readonly #introspection: Introspection | undefined;
  readonly #feed: RevocationFeed | undefined;
  /** By the hash of the token: nothing here can be presented to anybody. */
  readonly #verified = new BoundedCache<VerifiedJwt>(MOST_VERIFIED);

  constructor(options: ParsedOptions, reports: Reports) {
    const { issuer, audience, algorithms, clockTolerance, credentials, feed, fetcher } = options;
    this.#jwtRules = options;
    this.#verifiesJwts = options.jwt === 'verify';
    this.#whenStale = feed?.whenStale ?? 'refuse';
    this.#discovery = new Discovery(issuer, fetcher);
    this.#keys = new IssuerKeys(this.#discovery, fetcher);
    const { cacheTtl, cacheSize } = options;
    this.#introspection =
      credentials &&
      new Introspection(
        { issuer, audience, ...credentials, cacheTtl, cacheSize },
        this.#discovery,
        fetcher,
      );
    this.#feed =
      feed &&
      new RevocationFeed(
        { issuer, algorithms, clockTolerance, ...feed },
        this.#discovery,
        this.#keys,
        fetcher,
        (error) => reports.report(error),
      );
  }

  /**
   * Reads what is otherwise read when it is first needed.
   * @throws Unavailable where the issuer is away
   */
  async start(): Promise<void> {
    await this.#discovery.get();
    if (this.#verifiesJwts) await this.#feed?.current();
  }

  /**
   * A live token of the issuer for this API.
   * @throws Refusal where it is none; Unavailable where that can't be told now
   */
  async read(token: string): Promise<LiveToken> {
    if (this.#verifiesJwts && isJwt(token)) return this.#verify(token);
    return this.#ask(token);
  }

  close(): void {
    this.#feed?.close();
  }

  async #ask(token: string): Promise<LiveToken> {
    if (this.#introspection === undefined)
      throw new Refusal('invalid_token', 'the token is none that can be read here');
    return this.#introspection.introspect(token);
  }

  async #verify(jwt: string): Promise<LiveToken> {
    const { token, jti, issuedAt } = await this.#verifySignature(jwt);
    if (this.#feed === undefined) return token;
    let revocations: Revocations;
    try {
      revocations = await this.#feed.current();
    } catch (error) {
      if (!(error instanceof Unavailable) || this.#whenStale === 'refuse') throw error;
      if (this.#whenStale === 'introspect') return this.#ask(jwt);
      // By nothing at all nobody is let through.
      if (this.#feed.last === undefined) throw error;
      revocations = this.#feed.last;
    }
    if (revocations.has({ jti, issuedAt, token }))
      throw new Refusal('invalid_token', 'the token was revoked');
    return token;
  }

  async #verifySignature(jwt: string): Promise<VerifiedJwt> {
    const key = sha256(jwt);
    const known = this.#verified.get(key);
    if (known === undefined) {
      const age = new Stopwatch();
      const verified = await verifyJwt(jwt, this.#keys, this.#jwtRules);
      this.#verified.set(key, verified, VERIFIED_TTL, age);
      return verified;
    }
    const end = known.token.expiresAt.getTime() + 1_000 * this.#jwtRules.clockTolerance;
    if (end <= Date.now()) throw new Refusal('invalid_token', 'the token has ended');
    return known;
  }
}
