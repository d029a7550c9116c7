import { type CertificateSource, fromConnection } from './certificate.ts';
import type { ResourceDescription } from './protected-resource-metadata.ts';

export interface ResourceServerOptions {
  /** The issuer, as its metadata and its tokens spell it. */
  readonly issuer: string;
  /** What tokens for this API name as their audience: the identifier that it is registered by. */
  readonly audience: string;
  /** With these the issuer is asked about tokens that only it can read; without them such tokens are refused. */
  readonly clientId?: string | undefined;
  readonly clientSecret?: string | undefined;

  /**
   * How JWTs are looked at: `verify` their signature here, and follow the revocation feed, or `introspect` them, as if
   * they were opaque. `verify` unless told.
   */
  readonly jwt?: 'verify' | 'introspect' | undefined;
  /** Signing algorithms that are taken, all of them asymmetric: ES256, RS256, PS256 and EdDSA unless told. */
  readonly algorithms?: readonly string[] | undefined;
  /** Takes tokens whose `typ` is JWT beside at+jwt, for APIs that are registered so. */
  readonly acceptTypJwt?: boolean | undefined;
  /** By how many seconds the issuer's clock and this one may differ: 5 unless told, 30 at the most. */
  readonly clockTolerance?: number | undefined;

  readonly introspection?:
    | {
        /** How long an answer is kept (seconds): 5 unless told; with 0 the issuer is asked about every call. */
        readonly cacheTtl?: number | undefined;
        /** How many answers are kept: 10,000 unless told. */
        readonly cacheSize?: number | undefined;
      }
    | undefined;

  /** `false` where the issuer has no feed: then a JWT is good until it ends, whatever becomes of it. */
  readonly revocationFeed?:
    | false
    | {
        /** Between two polls (seconds): 1 unless told. */
        readonly pollInterval?: number | undefined;
        /** How long what was heard last is good for (seconds): 30 unless told. */
        readonly maxAge?: number | undefined;
        /**
         * What becomes of JWTs when that is over: `refuse` them with 503, `introspect` them, or `accept` them by what
         * was heard last. `refuse` unless told.
         */
        readonly whenStale?: 'refuse' | 'introspect' | 'accept' | undefined;
        /** How many revocations are kept: 1,000,000 unless told. */
        readonly size?: number | undefined;
      }
    | undefined;

  readonly dpop?:
    | {
        /** Tokens that are bound to no key are refused. */
        readonly required?: boolean | undefined;
        /** For proofs: ES256, RS256, PS256 and EdDSA unless told. */
        readonly algorithms?: readonly string[] | undefined;
        /** How old a proof may be (seconds): 60 unless told. */
        readonly maxAge?: number | undefined;
        /** Proofs must hold a nonce of ours, made with this secret of 32 bytes or more; processes share it. */
        readonly nonceSecret?: string | Uint8Array | undefined;
        /** How long a nonce is good for (seconds): 300 unless told. */
        readonly nonceLifetime?: number | undefined;
        /** How many proofs are remembered, so that none is used twice: 500,000 unless told. */
        readonly replaySize?: number | undefined;
      }
    | undefined;

  /**
   * What stands before a request's path in the addresses that callers know: the origin, and the prefix that a proxy
   * takes away, if any. The origin of the audience unless told; the `Host` header is never asked.
   */
  readonly publicUrl?: string | undefined;
  /**
   * Where the client certificate of a request is to be had, where TLS ends at a proxy: in a header that nobody but the
   * proxy can set. The connection's own unless told.
   */
  readonly clientCertificate?: CertificateSource | undefined;

  /** The name of the realm in challenges. */
  readonly realm?: string | undefined;
  /** What the metadata of this API says of it. */
  readonly metadata?: ResourceDescription | undefined;
  /** Where that metadata stands, if something else serves it. */
  readonly metadataUrl?: string | undefined;

  /** An issuer without TLS is taken on another host than this one too. */
  readonly allowHttp?: boolean | undefined;
  /** How long the issuer may take for an answer (seconds): 3 unless told. */
  readonly timeout?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
  /** Hears why tokens can't be judged now: the issuer is away, its answer is malformed, our credentials are wrong. */
  readonly onError?: ((error: Error) => void) | undefined;
}

export type ParsedOptions = ReturnType<typeof parseOptions>;

const asymmetric = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
  'Ed25519',
];
const defaultAlgorithms = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'];

/**
 * Seconds. The feed tells of a token for a minute after its end: so long may one of an issuer whose clock is ahead by this
 * be taken past it by this again, and no longer, or what was revoked would live again.
 */
const MOST_TOLERANCE = 30;

/** @throws TypeError where an option is missing, or can't be meant */
export function parseOptions(options: ResourceServerOptions) {
  checkNames(options);
  const { issuer, audience, clientId, clientSecret, introspection, revocationFeed, dpop } = options;
  checkIssuer(issuer, options.allowHttp ?? false);
  if (typeof audience !== 'string' || audience === '') throw new TypeError('audience is missing');
  if ((clientId === undefined) !== (clientSecret === undefined))
    throw new TypeError('clientId and clientSecret go together');
  if (options.jwt === 'introspect' && clientId === undefined)
    throw new TypeError('to introspect takes clientId and clientSecret');
  return {
    issuer,
    audience,
    credentials:
      clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret },
    jwt: oneOf('jwt', options.jwt ?? 'verify', ['verify', 'introspect']),
    algorithms: parseAlgorithms('algorithms', options.algorithms),
    acceptTypJwt: options.acceptTypJwt ?? false,
    clockTolerance: seconds('clockTolerance', options.clockTolerance, 5, 0, MOST_TOLERANCE),
    cacheTtl: seconds('introspection.cacheTtl', introspection?.cacheTtl, 5),
    cacheSize: count('introspection.cacheSize', introspection?.cacheSize, 10_000),
    feed: revocationFeed === false ? undefined : parseFeed(revocationFeed, clientId !== undefined),
    dpop: parseDpop(dpop),
    publicUrl: parsePublicUrl(options.publicUrl, audience),
    clientCertificate: options.clientCertificate ?? fromConnection,
    realm: options.realm,
    metadata: options.metadata ?? {},
    metadataUrl: options.metadataUrl,
    fetcher: {
      fetch: options.fetch ?? fetch,
      timeout: seconds('timeout', options.timeout, 3) * 1_000,
    },
    onError: options.onError,
  };
}

/** Every option, and for those that are groups, every option in it. */
const names: Record<keyof ResourceServerOptions, readonly string[] | undefined> = {
  issuer: undefined,
  audience: undefined,
  clientId: undefined,
  clientSecret: undefined,
  jwt: undefined,
  algorithms: undefined,
  acceptTypJwt: undefined,
  clockTolerance: undefined,
  introspection: ['cacheTtl', 'cacheSize'],
  revocationFeed: ['pollInterval', 'maxAge', 'whenStale', 'size'],
  dpop: ['required', 'algorithms', 'maxAge', 'nonceSecret', 'nonceLifetime', 'replaySize'],
  publicUrl: undefined,
  clientCertificate: undefined,
  realm: undefined,
  metadata: ['scopes', 'name', 'documentation', 'policy', 'termsOfService'],
  metadataUrl: undefined,
  allowHttp: undefined,
  timeout: undefined,
  fetch: undefined,
  onError: undefined,
};

/** A misspelt option is a mistake, and not one that is silently not in force. */
function checkNames(options: ResourceServerOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(names, name)) throw new TypeError(`there is no option named ${name}`);
    const inner = names[name as keyof ResourceServerOptions];
    if (inner === undefined || typeof value !== 'object' || value === null) continue;
    const unknown = Object.keys(value as object).find((one) => !inner.includes(one));
    if (unknown !== undefined) throw new TypeError(`there is no option named ${name}.${unknown}`);
  }
}

function checkIssuer(issuer: string, allowHttp: boolean): void {
  if (typeof issuer !== 'string' || !URL.canParse(issuer)) throw new TypeError('issuer is no URL');
  const { protocol, hostname, search, hash } = new URL(issuer);
  if (search !== '' || hash !== '') throw new TypeError('issuer has a query or a fragment');
  const isLocal = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && (isLocal || allowHttp)))
    throw new TypeError('issuer is not https: whoever is on the way could name keys of their own');
}

function parseFeed(
  input: Exclude<ResourceServerOptions['revocationFeed'], false>,
  hasCredentials: boolean,
) {
  const whenStale = oneOf('revocationFeed.whenStale', input?.whenStale ?? 'refuse', [
    'refuse',
    'introspect',
    'accept',
  ]);
  if (whenStale === 'introspect' && !hasCredentials)
    throw new TypeError('to introspect takes clientId and clientSecret');
  return {
    pollInterval: seconds('revocationFeed.pollInterval', input?.pollInterval, 1, 0.05),
    maxAge: seconds('revocationFeed.maxAge', input?.maxAge, 30, 1),
    size: count('revocationFeed.size', input?.size, 1_000_000),
    whenStale,
  };
}

function parseDpop(input: ResourceServerOptions['dpop']) {
  const secret = input?.nonceSecret;
  if (secret !== undefined && Buffer.byteLength(secret) < 32)
    throw new TypeError('dpop.nonceSecret is shorter than 32 bytes');
  return {
    isOffered: input !== undefined,
    required: input?.required ?? false,
    algorithms: parseAlgorithms('dpop.algorithms', input?.algorithms),
    maxAge: seconds('dpop.maxAge', input?.maxAge, 60, 1),
    nonceSecret: secret,
    nonceLifetime: seconds('dpop.nonceLifetime', input?.nonceLifetime, 300, 1),
    replaySize: count('dpop.replaySize', input?.replaySize, 500_000),
  };
}

/** Without a slash at its end; undefined where callers' addresses can't be told. */
function parsePublicUrl(input: string | undefined, audience: string): string | undefined {
  const url = input ?? audience;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    if (input !== undefined) throw new TypeError('publicUrl is no web address');
    return undefined;
  }
  const { origin, pathname } = new URL(url);
  return input === undefined ? origin : `${origin}${pathname.replace(/\/$/, '')}`;
}

function parseAlgorithms(name: string, input: readonly string[] | undefined): readonly string[] {
  const algorithms = input ?? defaultAlgorithms;
  const refused = algorithms.find((algorithm) => !asymmetric.includes(algorithm));
  if (refused !== undefined || algorithms.length === 0)
    throw new TypeError(`${name}: ${refused ?? 'none'} is no asymmetric signing algorithm`);
  return algorithms;
}

function seconds(
  name: string,
  input: number | undefined,
  otherwise: number,
  least = 0,
  most = 86_400,
): number {
  const value = input ?? otherwise;
  if (!Number.isFinite(value) || value < least || value > most)
    throw new TypeError(`${name} is a number of seconds, ${least} to ${most}`);
  return value;
}

function count(name: string, input: number | undefined, otherwise: number): number {
  const value = input ?? otherwise;
  if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${name} is a number above 0`);
  return value;
}

function oneOf<const Value extends string>(
  name: string,
  value: string,
  values: readonly Value[],
): Value {
  const found = values.find((one) => one === value);
  if (found === undefined) throw new TypeError(`${name} is one of ${values.join(', ')}`);
  return found;
}
