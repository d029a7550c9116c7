import { Stopwatch } from './clock.ts';
import { Unavailable } from './errors.ts';
import { type Fetcher, fetchDocument, parseObject } from './fetch-document.ts';
import { SingleFlight } from './single-flight.ts';

/** What is needed of the issuer's metadata (RFC 8414). */
export interface IssuerMetadata {
  readonly jwksUri: string | undefined;
  readonly introspectionEndpoint: string | undefined;
  readonly revocationsEndpoint: string | undefined;
}

/** How long metadata is good for (milliseconds); older is still used while the issuer is away. */
const FRESH = 3_600_000;
/** Between two tries where one failed (milliseconds): whoever calls meanwhile hears the same at once. */
const COOLDOWN = 1_000;

/** The issuer's metadata, read when it is first needed. */
export class Discovery {
  readonly #issuer: string;
  readonly #fetcher: Fetcher;
  readonly #reading = new SingleFlight(() => this.#read());
  #known: IssuerMetadata | undefined;
  #age = new Stopwatch();
  #failed: { readonly error: unknown; readonly since: Stopwatch } | undefined;

  constructor(issuer: string, fetcher: Fetcher) {
    this.#issuer = issuer;
    this.#fetcher = fetcher;
  }

  /** @throws Unavailable where it was never read and can't be read now */
  async get(): Promise<IssuerMetadata> {
    if (this.#known === undefined) {
      if (this.#isCoolingDown()) throw this.#failed?.error;
      return this.#reading.run();
    }
    // What is known serves while it is read anew, and while it can't be.
    if (this.#age.elapsed > FRESH && !this.#isCoolingDown())
      this.#reading.run().catch(() => undefined);
    return this.#known;
  }

  #isCoolingDown(): boolean {
    return this.#failed !== undefined && this.#failed.since.elapsed < COOLDOWN;
  }

  async #read(): Promise<IssuerMetadata> {
    const age = new Stopwatch();
    try {
      this.#known = await this.#fetch();
    } catch (error) {
      this.#failed = { error, since: new Stopwatch() };
      throw error;
    }
    this.#age = age;
    this.#failed = undefined;
    return this.#known;
  }

  async #fetch(): Promise<IssuerMetadata> {
    for (const url of wellKnownUrls(this.#issuer)) {
      const { status, text } = await fetchDocument(this.#fetcher, url, {
        headers: { accept: 'application/json' },
        maxBytes: 256 * 1024,
      });
      if (status === 200) return this.#parse(url, parseObject(url, text));
      if (status >= 500) throw new Unavailable(`${url} answers ${status}`);
    }
    throw new Unavailable(`${this.#issuer} serves no metadata`);
  }

  #parse(url: string, metadata: Record<string, unknown>): IssuerMetadata {
    // Another's metadata would name another's keys (RFC 8414, section 3.3).
    if (metadata['issuer'] !== this.#issuer)
      throw new Unavailable(`${url} is the metadata of another issuer than ${this.#issuer}`);
    const endpoint = (name: string): string | undefined => {
      const value = metadata[name];
      if (value === undefined) return undefined;
      if (typeof value !== 'string' || !URL.canParse(value))
        throw new Unavailable(`${url} names no URL as its ${name}`);
      const { protocol } = new URL(value);
      if (protocol !== 'https:' && protocol !== new URL(this.#issuer).protocol)
        throw new Unavailable(`${url} names a ${name} without TLS`);
      return value;
    };
    return {
      jwksUri: endpoint('jwks_uri'),
      introspectionEndpoint: endpoint('introspection_endpoint'),
      revocationsEndpoint: endpoint('revocations_endpoint'),
    };
  }
}

/** Where an issuer's metadata is looked for: as RFC 8414, section 3.1 says, and as OpenID Connect Discovery does. */
function wellKnownUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
}
