import type { Context, Middleware } from 'koa';
import {
  type LimitedEndpoint,
  type RequestLimitFigures,
  requestLimits,
} from '../config-traffic.ts';
import { AppError } from '../errors.ts';
import { NetworkCounts } from '../lib/network-counts.ts';
import { WindowCounts } from '../lib/window-counts.ts';
import type { RequestState } from './request.ts';

const MINUTE = 60;

/**
 * Limits on requests, counted in the memory of this process: nobody's secret is guessed by them, so they cost the database
 * nothing (docs/decisions/0028). 0 stands for no limit.
 */
export class RequestLimits {
  readonly #addresses = new Map<LimitedEndpoint, NetworkCounts>();
  readonly #clients = new Map<LimitedEndpoint, { most: number; counts: WindowCounts }>();

  constructor(figures: RequestLimitFigures = requestLimits) {
    for (const [name, { address, client }] of Object.entries(figures)) {
      const endpoint = name as LimitedEndpoint;
      if (address > 0)
        this.#addresses.set(endpoint, new NetworkCounts({ points: address, seconds: MINUTE }));
      if (client > 0)
        this.#clients.set(endpoint, { most: client, counts: new WindowCounts(MINUTE) });
    }
  }

  /**
   * Counts a request of an address.
   * @throws AppError `too_many_requests` (429)
   */
  countAddress(endpoint: LimitedEndpoint, address: string): void {
    const wait = this.#addresses.get(endpoint)?.take(address);
    if (wait !== undefined) throw tooManyRequests(wait);
  }

  /** The request has proven something: it does not count for its address. */
  returnAddress(endpoint: LimitedEndpoint, address: string): void {
    this.#addresses.get(endpoint)?.giveBack(address);
  }

  /**
   * Counts a request of a client that has authenticated: by an id alone, anybody could use up the limit of others.
   * @throws AppError `too_many_requests` (429)
   */
  countClient(endpoint: LimitedEndpoint, clientId: string): void {
    const limit = this.#clients.get(endpoint);
    if (limit === undefined || limit.counts.add(clientId) <= limit.most) return;
    throw tooManyRequests(limit.counts.secondsLeft);
  }
}

function tooManyRequests(retryAfter: number): AppError {
  return new AppError('too_many_requests', 'Too many requests. Wait a while, then try again.', {
    status: 429,
    retryAfter,
  });
}

/** The endpoint of a path below the issuer's; undefined for those that have no limit here. */
export function limitedEndpoint(path: string): LimitedEndpoint | undefined {
  // The engine's router takes paths in any case, and with a slash behind them.
  const [, name = ''] = path.toLowerCase().split('/');
  if (name !== 'register' && !/^\/[a-z_]+\/?$/i.test(path)) return undefined;
  return Object.hasOwn(requestLimits, name) ? (name as LimitedEndpoint) : undefined;
}

/**
 * Refuses what one address asks too often, before anything is looked up.
 * @param hasProven whether an answer shows that the request brought something that only its sender has.
 */
export function limitAddresses(
  limits: RequestLimits,
  hasProven: (ctx: Context) => boolean,
): Middleware {
  return async (ctx, next) => {
    const endpoint = limitedEndpoint(ctx.path);
    if (endpoint === undefined) return next();
    const { address } = ctx.state as RequestState;
    limits.countAddress(endpoint, address);
    await next();
    if (hasProven(ctx)) limits.returnAddress(endpoint, address);
  };
}

/** Calls `note` for each request that was refused for coming too often, with a word of ours for where it went. */
export function noteTooMany(note: (endpoint: string, address: string) => void): Middleware {
  return async (ctx, next) => {
    await next();
    if (ctx.status !== 429) return;
    const { route } = (ctx as { oidc?: { route?: string } }).oidc ?? {};
    note(limitedEndpoint(ctx.path) ?? route ?? 'other', (ctx.state as RequestState).address);
  };
}
