import type { Context } from 'koa';

/** Answers that scripts of other origins may read (the Fetch standard's CORS protocol). No cookie takes part in any of them. */

/** Seconds. */
const PREFLIGHT_MAX_AGE = 3_600;

export function isPreflight(ctx: Context): boolean {
  return ctx.method === 'OPTIONS' && ctx.get('Access-Control-Request-Method') !== '';
}

/** Lets scripts read the answer, and of its headers those in `exposed`. */
export function allowReading(ctx: Context, exposed = ''): void {
  ctx.vary('Origin');
  ctx.set('Access-Control-Allow-Origin', ctx.get('Origin') || '*');
  if (exposed !== '') ctx.set('Access-Control-Expose-Headers', exposed);
}

export function answerPreflight(ctx: Context, methods: readonly string[]): void {
  allowReading(ctx);
  ctx.set('Access-Control-Max-Age', String(PREFLIGHT_MAX_AGE));
  ctx.set('Access-Control-Allow-Methods', methods.join(','));
  const asked = ctx.get('Access-Control-Request-Headers');
  if (asked !== '') ctx.set('Access-Control-Allow-Headers', asked);
  ctx.status = 204;
}
