import {
  type CryptoKey,
  createLocalJWKSet,
  importJWK,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  SignJWT,
} from 'jose';
import type { Context, Middleware } from 'koa';
import compose from 'koa-compose';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { AppError, unavailable } from '../errors.ts';
import { withoutDeadline } from '../lib/deadline.ts';

import {
  JWKS_MAX_AGE,
  KEY_SILENCE,
  type KeySet,
  type LoadedKeys,
  publicPart,
} from '../keys/keys.ts';
import type { KeyService } from '../keys/keys.service.ts';
import { noteServerError } from './middleware.ts';
import { createProvider, type ProviderOptions } from './provider.ts';

/** A provider with the keys of one time. */
interface Generation {
  readonly keys: string;
  readonly provider: Provider;
  readonly run: Middleware;
  readonly jwks: JSONWebKeySet;
  readonly verificationKeys: JWTVerifyGetKey;
  readonly sign: Sign;
}

/** Gives a JWS over the claims, its header with this `typ`, by the current ES256 key. */
type Sign = (claims: Record<string, unknown>, typ: string) => Promise<string>;

/** What was read last, and when by both clocks of this process. */
interface Reading {
  readonly keys: LoadedKeys;
  readonly at: number;
  readonly date: number;
}

/** Changes are heard of within a second (VersionWatch); this is for the times, and for what was not heard. */
const REFRESH_MS = 20_000;
const SILENCE_MS = KEY_SILENCE * 1_000;

/** The two times that tests set. */
interface EngineTimes {
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
  readonly refreshMs?: number;
}

/**
 * The provider that answers now. It reads its keys once, so a change of keys makes a new one; a request that began with
 * the old one ends with it. What was read of the keys holds their times, so that each takes its turn on time, also while
 * the database can't be reached; a process that has not heard of it for a minute signs nothing.
 */
export class Engine {
  readonly #options: Omit<ProviderOptions, 'keys'>;
  readonly #keys: KeyService;
  readonly #clock: () => number;
  readonly #refreshMs: number;
  #reading: Reading | undefined;
  #current: Generation | undefined;
  #changesAt = 0;
  #running: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(
    options: Omit<ProviderOptions, 'keys'>,
    keys: KeyService,
    { clock = () => performance.now(), refreshMs = REFRESH_MS }: EngineTimes = {},
  ) {
    this.#options = options;
    this.#keys = keys;
    this.#clock = clock;
    this.#refreshMs = refreshMs;
  }

  get provider(): Provider {
    return this.#generation.provider;
  }

  /** Verifies what the server itself has signed, with every key that is published. */
  get verificationKeys(): JWTVerifyGetKey {
    return this.#generation.verificationKeys;
  }

  /**
   * Signs what the server itself tells, as everything else that it signs.
   * @throws AppError `unavailable` where the current keys are not known
   */
  sign(claims: Record<string, unknown>, typ: string): Promise<string> {
    return this.isReady ? this.#generation.sign(claims, typ) : Promise.reject(unavailable());
  }

  /** What is published comes from this: another object after each change of keys, undefined while they are not known. */
  get publication(): object | undefined {
    return this.isReady ? this.#generation : undefined;
  }

  /** Whether there are keys to sign with, and they are known to be the right ones. */
  get isReady(): boolean {
    return this.#reading !== undefined && !this.#isSilent(this.#reading);
  }

  /** Reads the keys and answers with them from now on. One that is under way may have begun too early: another follows it. */
  load(): Promise<void> {
    this.#waiting ??= (this.#running ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.#waiting = undefined;
        this.#running = withoutDeadline(() => this.#read()).finally(() => {
          this.#running = undefined;
        });
        return this.#running;
      });
    return this.#waiting;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /**
   * Holds back whatever might sign, in a process that has not heard of the keys for too long, until it has; 503 if it
   * can't. What is published already may still be told, for nobody to keep.
   */
  keepFresh(): Middleware {
    return async (ctx, next) => {
      const reading = this.#reading;
      if (reading !== undefined && this.#isSilent(reading) && !isPublic(ctx.path)) {
        await (this.#running ?? this.load()).catch((error: unknown) => {
          throw unavailable(error);
        });
      }
      return next();
    };
  }

  middleware(): Middleware {
    return async (ctx, next) => {
      const generation = this.#generation;
      ctx.app.keys = generation.provider.keys as string[];
      await generation.run(ctx, next);
      if (routeOf(ctx) === 'jwks' && ctx.status === 200) this.#publish(ctx, generation);
      // Nothing is of no type (RFC 7009, section 2.2): oidc-client-ts takes a revocation for failed that says otherwise.
      if (ctx.body === '') ctx.remove('Content-Type');
    };
  }

  /** The engine knows keys besides that are published no more. */
  #publish(ctx: Context, { jwks }: Generation): void {
    ctx.body = jwks;
    ctx.type = 'application/jwk-set+json; charset=utf-8';
    ctx.set('Cache-Control', this.isReady ? `public, max-age=${JWKS_MAX_AGE}` : 'no-cache');
  }

  async #read(): Promise<void> {
    // Taken before the question, so that no key is ever thought younger than it is.
    const [at, date] = [this.#clock(), Date.now()];
    try {
      this.#reading = { keys: await this.#keys.read(), at, date };
      this.#turn(this.#reading);
    } finally {
      this.#readLater();
    }
  }

  /** Also after a reading that failed: a process that is not ready gets no requests that would ask for another one. */
  #readLater(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped || this.#reading === undefined) return;
    this.#timer = setTimeout(() => void this.load().catch(() => undefined), this.#refreshMs);
    this.#timer.unref();
  }

  get #generation(): Generation {
    if (this.#reading === undefined) throw new TypeError('the engine was not loaded');
    return this.#clock() < this.#changesAt && this.#current !== undefined
      ? this.#current
      : this.#turn(this.#reading);
  }

  /** A new provider where the keys are not those of the current one. */
  #turn({ keys, at }: Reading): Generation {
    const now = this.#clock();
    const set = keys.at(now - at);
    const name = nameOf(set);
    if (this.#current?.keys !== name) this.#current = build({ ...this.#options, keys: set }, name);
    this.#changesAt = now + set.changesIn;
    return this.#current;
  }

  /** A process that was suspended has missed what only the calendar knows. */
  #isSilent({ at, date }: Reading): boolean {
    return Math.max(this.#clock() - at, Date.now() - date) > SILENCE_MS;
  }
}

function build(options: ProviderOptions, keys: string): Generation {
  const provider = createProvider(options);
  provider.on('server_error', (ctx, error) => {
    noteServerError(ctx, error);
    if (error instanceof AppError && error.code === 'key_waits') ctx.state.unavailable = error;
  });
  const jwks = { keys: options.keys.jwks.keys.map(publicPart) };
  return {
    keys,
    provider,
    run: compose<KoaContextWithOIDC>(provider.middleware as Middleware[]) as Middleware,
    jwks,
    verificationKeys: createLocalJWKSet(jwks),
    sign: signer(options.keys),
  };
}

function signer({ jwks }: KeySet): Sign {
  const jwk = jwks.keys.find(({ alg, d }) => alg === 'ES256' && d !== undefined);
  let key: Promise<CryptoKey | Uint8Array> | undefined;
  return async (claims, typ) => {
    if (jwk === undefined) throw unavailable();
    key ??= importJWK(jwk, 'ES256');
    const header = { alg: 'ES256', kid: jwk.kid as string, typ };
    return new SignJWT(claims).setProtectedHeader(header).sign(await key);
  };
}

/** The same for the same keys in the same places. */
function nameOf({ jwks, hintKeys, cookieKeys }: KeySet): string {
  const signing = jwks.keys.map(({ kid, d }) => [kid, d !== undefined]);
  return JSON.stringify([signing, hintKeys.map(({ kid }) => kid), cookieKeys]);
}

const routeOf = (ctx: Context) =>
  (ctx as unknown as { oidc?: { readonly route?: string } }).oidc?.route;

const isPublic = (path: string) => /^\/(jwks$|\.well-known\/)/.test(path);
