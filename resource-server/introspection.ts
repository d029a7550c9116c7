import type { LiveToken } from './auth.ts';
import { BoundedCache } from './bounded-cache.ts';
import { epochSeconds, Stopwatch } from './clock.ts';
import type { Discovery } from './discovery.ts';
import { Refusal, Unavailable } from './errors.ts';
import { type Fetcher, fetchDocument, parseObject } from './fetch-document.ts';
import { sha256 } from './hash.ts';
import { isFor, readClaims } from './token-claims.ts';

export interface IntrospectionRules {
  readonly issuer: string;
  readonly audience: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** How long an answer is kept (seconds); with 0 the issuer is asked about every call. */
  readonly cacheTtl: number;
  /** How many answers are kept. */
  readonly cacheSize: number;
}

/** So long at most is it kept that a token is not good (seconds): a token may begin to be good, as after a race. */
const NEGATIVE_TTL = 2;

/** Asks the issuer what tokens are worth (RFC 7662), and keeps its answers for a moment. */
export class Introspection {
  readonly #rules: IntrospectionRules;
  readonly #discovery: Discovery;
  readonly #fetcher: Fetcher;
  /** By the hash of the token: nothing here can be presented to anybody. */
  readonly #live: BoundedCache<LiveToken>;
  /** Apart from the others: however many tokens are made up, they drive out none that is live. */
  readonly #refused: BoundedCache<Refusal>;
  readonly #asked = new Map<string, Promise<LiveToken>>();

  constructor(rules: IntrospectionRules, discovery: Discovery, fetcher: Fetcher) {
    this.#rules = rules;
    this.#discovery = discovery;
    this.#fetcher = fetcher;
    this.#live = new BoundedCache(rules.cacheSize);
    this.#refused = new BoundedCache(rules.cacheSize);
  }

  /**
   * A token that the issuer has called live, for this API, no longer ago than the cache's time.
   * @throws Refusal where it is none; Unavailable where the issuer does not tell
   */
  async introspect(token: string): Promise<LiveToken> {
    // What is answered to one who asked earlier may be older than this call.
    if (this.#rules.cacheTtl === 0) return this.#ask(token);
    const key = sha256(token);
    const refused = this.#refused.get(key);
    if (refused !== undefined) throw refused;
    const known = this.#live.get(key);
    if (known !== undefined) return checkInTime(known);
    const pending = this.#asked.get(key);
    if (pending !== undefined) return pending;
    const asking = this.#askAndKeep(key, token).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }

  async #askAndKeep(key: string, token: string): Promise<LiveToken> {
    const age = new Stopwatch();
    const { cacheTtl } = this.#rules;
    try {
      const live = await this.#ask(token);
      const left = live.expiresAt.getTime() - Date.now();
      this.#live.set(key, live, Math.min(cacheTtl * 1_000, left), age);
      return live;
    } catch (error) {
      if (error instanceof Refusal)
        this.#refused.set(key, error, Math.min(cacheTtl, NEGATIVE_TTL) * 1_000, age);
      throw error;
    }
  }

  async #ask(token: string): Promise<LiveToken> {
    const { introspectionEndpoint: url } = await this.#discovery.get();
    if (url === undefined) throw new Unavailable('the issuer names no introspection_endpoint');
    const { status, text } = await fetchDocument(this.#fetcher, url, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        authorization: basic(this.#rules),
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }).toString(),
      maxBytes: 256 * 1024,
    });
    if (status === 401)
      throw new Unavailable(`${url} does not know clientId and clientSecret: they are wrong`);
    if (status !== 200) throw new Unavailable(`${url} answers ${status}`);
    return this.#read(parseObject(url, text));
  }

  /** The issuer tells an API of tokens for it alone; that is checked all the same (RFC 7662, section 4). */
  #read(answer: Record<string, unknown>): LiveToken {
    const { issuer, audience } = this.#rules;
    const { active, iss = issuer, aud, nbf, token_type: type } = answer;
    if (active !== true)
      throw new Refusal('invalid_token', 'the token has ended, or is not for this API');
    if (!isFor(audience, aud)) throw new Refusal('invalid_token', 'the token is not for this API');
    const isEarly = nbf !== undefined && !(typeof nbf === 'number' && nbf <= epochSeconds());
    // A refresh token has no type (RFC 7662, section 2.2): it is for the token endpoint alone.
    const isAccessToken = typeof type === 'string' && /^(?:bearer|dpop)$/i.test(type);
    if (iss !== issuer || isEarly || !isAccessToken)
      throw new Refusal('invalid_token', 'this is no access token');
    return checkInTime(readClaims('opaque', answer));
  }
}

function checkInTime(token: LiveToken): LiveToken {
  if (token.expiresAt.getTime() <= Date.now())
    throw new Refusal('invalid_token', 'the token has ended');
  return token;
}

/** Credentials as RFC 6749, section 2.3.1 has them: each encoded as in a form. */
function basic({ clientId, clientSecret }: IntrospectionRules): string {
  const encode = (text: string) => new URLSearchParams({ text }).toString().slice('text='.length);
  const pair = `${encode(clientId)}:${encode(clientSecret)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}
