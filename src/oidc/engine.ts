import { createLocalJWKSet, type JWK, type JWTVerifyGetKey } from 'jose';
import type { Middleware } from 'koa';
import compose from 'koa-compose';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type KeyService, type KeySet, JWKS_MAX_AGE } from './keys.service.ts';
import { noteServerError } from './middleware.ts';
import { createProvider, type ProviderOptions } from './provider.ts';

interface Generation {
  readonly provider: Provider;
  readonly run: Middleware;
  readonly verificationKeys: JWTVerifyGetKey;
}

/** Node's timers hold 31 bits of milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The provider that answers now. It reads its keys once, so a change of keys makes a new one; a request that began with
 * the old one ends with it.
 */
export class Engine {
  readonly #options: Omit<ProviderOptions, 'keys'>;
  readonly #keys: KeyService;
  #current: Generation | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Omit<ProviderOptions, 'keys'>, keys: KeyService) {
    this.#options = options;
    this.#keys = keys;
  }

  get provider(): Provider {
    return this.#generation.provider;
  }

  /** Verifies what the server itself has signed, with every key that is published. */
  get verificationKeys(): JWTVerifyGetKey {
    return this.#generation.verificationKeys;
  }

  /** Whether there are keys to sign with. */
  get isReady(): boolean {
    return this.#current !== undefined;
  }

  /** Reads the keys and answers with them from now on; and again when a next key's time has come. */
  async load(): Promise<void> {
    const keys = await this.#keys.load();
    this.#current = build({ ...this.#options, keys });
    clearTimeout(this.#timer);
    if (keys.changesAt !== undefined) {
      const wait = Math.min(Math.max(keys.changesAt.getTime() - Date.now(), 1_000), MAX_TIMER_MS);
      // What fails here is tried again with the next change, and by the watch on the topic `keys`.
      this.#timer = setTimeout(() => void this.load().catch(() => undefined), wait).unref();
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  middleware(): Middleware {
    return (ctx, next) => {
      const { provider, run } = this.#generation;
      ctx.app.keys = provider.keys ?? [];
      return run(ctx, next);
    };
  }

  get #generation(): Generation {
    if (this.#current === undefined) throw new TypeError('the engine was not loaded');
    return this.#current;
  }
}

function build(options: ProviderOptions): Generation {
  const provider = createProvider(options);
  provider.on('server_error', (ctx, error) => noteServerError(ctx, error));
  return {
    provider,
    run: compose<KoaContextWithOIDC>(provider.middleware as Middleware[]) as Middleware,
    verificationKeys: verifier(options.keys),
  };
}

function verifier({ jwks }: KeySet): JWTVerifyGetKey {
  return createLocalJWKSet({ keys: jwks.keys.map(publicOf) });
}

function publicOf({ kty, kid, alg, use, n, e, crv, x, y }: JWK): JWK {
  return Object.fromEntries(
    Object.entries({ kty, kid, alg, use, n, e, crv, x, y }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as unknown as JWK;
}

/** The JWKS may be cached for as long as a next key stands in it, twice over, before it signs. */
export function cacheJwks(): Middleware {
  return async (ctx, next) => {
    await next();
    if (ctx.path === '/jwks' && ctx.status === 200)
      ctx.set('Cache-Control', `public, max-age=${JWKS_MAX_AGE}`);
  };
}
