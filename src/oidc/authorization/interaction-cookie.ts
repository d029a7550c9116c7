import type { Context, Middleware } from 'koa';
import { AppError } from '../../errors.ts';
import { plainCookie } from '../../lib/cookies.ts';

/** Seconds: as long as an interaction may take. */
const LIFETIME = 3_600;
/** As many sign-ins may wait in a browser; they travel with each request, so the oldest make room. */
const MOST = 12;
/** Of an interaction's name: enough that nobody meets another's. */
const NAME = 16;

const prefixOf = (ctx: Context) => (ctx.secure ? '__Host-vs_begun_' : 'vs_begun_');
const nameOf = (ctx: Context, uid: string) => `${prefixOf(ctx)}${uid.slice(0, NAME)}`;

/**
 * Marks the browser in which an interaction begins. The engine's own cookies for it have a path, so that a sibling host can
 * plant those of an interaction of its own: who signed in there would sign somebody else in. A browser takes one with the
 * prefix `__Host-` from this host alone. One for each interaction: tabs that open at once don't overwrite each other's.
 */
export function setInteractionCookie(ctx: Context, uid: string): void {
  const prefix = prefixOf(ctx);
  const kept = ctx
    .get('Cookie')
    .split('; ')
    .map((pair) => pair.slice(0, Math.max(0, pair.indexOf('='))))
    .filter((name) => name.startsWith(prefix) && /^[\w-]+$/.test(name));
  for (const name of kept.slice(0, Math.max(0, kept.length - MOST + 1)))
    ctx.cookies.set(name, null, plainCookie(ctx, '/', 0));
  ctx.cookies.set(nameOf(ctx, uid), uid, plainCookie(ctx, '/', LIFETIME));
  ctx.state.begun = true;
}

/** Whether the interaction began in the browser that asks. */
export function hasInteractionCookie(ctx: Context, uid: string): boolean {
  return ctx.cookies.get(nameOf(ctx, uid)) === uid;
}

/**
 * The way back into the authorization request is of the same browser, too: or somebody would be signed in as who began it.
 * @param cookieName the engine's cookie for it; without that, the engine has nothing to go on with.
 */
export function refuseForeignResume(cookieName: () => string): Middleware {
  return (ctx, next) => {
    // The engine goes by its cookie alone, whatever the path names, and reads paths in any case.
    const uid = /^\/(authorize|device)\/./i.test(ctx.path)
      ? ctx.cookies.get(cookieName())
      : undefined;
    if (uid !== undefined && !hasInteractionCookie(ctx, uid))
      throw new AppError('other_browser', 'This began in another browser.', { status: 400 });
    return next();
  };
}
