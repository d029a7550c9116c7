import type { Middleware } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from '../errors.ts';
import type { RequestState } from '../http/request.ts';
import { addressKey } from '../lib/client-address.ts';

/**
 * As many sign-ins and consents as one address may begin in a quarter of an hour, in each process: several for each person
 * of a large office at nine. Each leaves a row for an hour, and nobody has to have proven anything for it.
 */
const LIMIT = { points: 2_000, duration: 900 };

/**
 * Keeps anybody from filling the table of interactions: what is begun beyond the limit is not kept, and answered with 429.
 * It is counted in memory, since nobody's secret is guessed by it, and what each process lets through is bounded as well.
 */
export function limitInteractions(): Middleware {
  const limiter = new RateLimiterMemory(LIMIT);
  return async (ctx, next) => {
    await next();
    if (ctx.state.begun !== true) return;
    const { address } = ctx.state as RequestState;
    try {
      await limiter.consume(addressKey(address));
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw new AppError('too_many_attempts', 'Too many sign-ins were begun at this address.', {
        status: 429,
        retryAfter: Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)),
      });
    }
  };
}
