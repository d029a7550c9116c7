import { createHmac, randomBytes } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import { issuerPath, type RequestState } from '../http/request.ts';
import { addressKey } from '../lib/client-address.ts';
import { plainCookie } from '../lib/cookies.ts';
import { equalBytes } from '../lib/hash.ts';
import { NetworkCounts } from '../lib/network-counts.ts';
import type { Sealer } from '../lib/seal.ts';
import { WindowCounts } from '../lib/window-counts.ts';

const QUARTER = 900;

/** In a quarter of an hour, in each process. Each sign-in or consent that begins leaves a row for an hour. */
export const interactionFigures = {
  /** Begun at one address without any proof: several for each person of a large office at nine. */
  begun: 2_000,
  /** Begun by browsers that came back with the cookie they were given, or with the code of a device. */
  returned: 20_000,
  /** Begun with one such cookie. */
  perCookie: 50,
};

export interface InteractionLimitParts {
  readonly issuer: string;
  readonly sealer: Sealer;
  readonly figures?: typeof interactionFigures | undefined;
}

const COOKIE = 'vs_returned';
/** In the query of a browser that was sent back once: without the cookie it has none, and is not sent back again. */
const MARK = 'vs_returned';
const CODE = 'too_many_sign_ins';

/**
 * Keeps anybody from filling the table of interactions. It is counted in memory, since nobody's secret is guessed by it, and
 * what each process lets through is bounded as well.
 *
 * Requests that nobody continues must not lock an office out: beyond the limit, nothing is kept of a request, and the browser
 * is sent back to it with a cookie. A browser that returns is let through; a script that only asks leaves nothing.
 */
export function limitInteractions({
  issuer,
  sealer,
  figures = interactionFigures,
}: InteractionLimitParts): {
  /** Counts what begins, and refuses it before it is written. */
  readonly count: Middleware;
  /** Before the unit of work: sends the browser back for what was refused. */
  readonly sendBack: Middleware;
} {
  const begun = new NetworkCounts({ points: figures.begun, seconds: QUARTER });
  const returned = new NetworkCounts({ points: figures.returned, seconds: QUARTER });
  const cookies = new WindowCounts(QUARTER);
  const key = sealer.derive('returning browsers');
  const proof = (address: string, id: string) =>
    createHmac('sha256', key)
      .update(`${addressKey(address)} ${id}`)
      .digest();

  /** The cookie's own id, where it was given at this address. */
  function returnedWith(ctx: Context, address: string): string | undefined {
    const [id = '', mac = ''] = ctx.cookies.get(COOKIE)?.split('.') ?? [];
    return equalBytes(Buffer.from(mac, 'base64url'), proof(address, id)) ? id : undefined;
  }

  return {
    async count(ctx, next) {
      await next();
      if (ctx.state.begun !== true) return;
      const { address } = ctx.state as RequestState;
      const isByCode = ctx.path.toLowerCase().startsWith('/device');
      const wait = isByCode ? undefined : begun.take(address);
      if (wait === undefined && !isByCode) return;
      const id = isByCode ? undefined : returnedWith(ctx, address);
      const isKnown = isByCode || (id !== undefined && cookies.add(id) <= figures.perCookie);
      const waitForAll = isKnown ? returned.take(address) : wait;
      if (waitForAll === undefined) return;
      throw new AppError(
        isKnown ? 'too_many_attempts' : CODE,
        'Too many sign-ins were begun at this address.',
        { status: 429, retryAfter: waitForAll },
      );
    },

    async sendBack(ctx, next) {
      try {
        await next();
      } catch (error) {
        const isRefused = error instanceof AppError && error.code === CODE;
        if (!isRefused || ctx.method !== 'GET' || ctx.query[MARK] !== undefined) throw error;
        const { address } = ctx.state as RequestState;
        for (const header of ['Set-Cookie', 'Location', 'Content-Length']) ctx.remove(header);
        const id = randomBytes(16).toString('base64url');
        const value = `${id}.${proof(address, id).toString('base64url')}`;
        ctx.cookies.set(COOKIE, value, plainCookie(ctx, issuerPath(issuer) || '/', QUARTER));
        ctx.set('Cache-Control', 'no-store');
        ctx.status = 303;
        ctx.redirect(`${issuer}${ctx.path}?${ctx.querystring}&${MARK}=1`);
      }
    },
  };
}
