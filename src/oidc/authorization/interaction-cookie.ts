import type { Context, Middleware } from 'koa';
import { AppError } from '../../errors.ts';
import { cookieName, plainCookie } from '../../lib/cookies.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** Seconds: as long as an interaction may take. */
const LIFETIME = 3_600;
/** As many sign-ins may wait in a browser; they travel with each request, so the oldest make room. */
const MOST = 12;
/** Of an interaction's id: enough that no two are the same. */
const NAME = 16;

/** Names of the engine's own cookies. No browser gets them: see `carryInteractions`. */
export const engineCookies = { interaction: 'vs_interaction', resume: 'vs_resume' } as const;
const engineNames: ReadonlySet<string> = new Set(Object.values(engineCookies));

const baseOf = (ctx: Context) => `${cookieName(ctx, 'begun')}_`;
const nameOf = (ctx: Context, uid: string) => `${baseOf(ctx)}${uid.slice(0, NAME)}`;

/**
 * Marks the browser in which an interaction begins, with one cookie. It has the prefix `__Host-`, so that no sibling host can
 * plant the cookie of an interaction of its own: a user who signed in there would sign the attacker in. There is one for each
 * interaction: tabs that open at once don't overwrite each other's.
 */
export function setInteractionCookie(ctx: Context, uid: string): void {
  const base = baseOf(ctx);
  const kept = namesIn(ctx.get('Cookie')).filter(
    (name) => name.startsWith(base) && /^[\w-]+$/.test(name),
  );
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
 * Gives the engine its cookies for the interaction that the path names, if it began in this browser, and keeps those that the
 * engine sets: the browser holds one cookie for each interaction and not five. What a browser sends under the engine's names
 * counts for nothing, and once an interaction is over its cookie goes.
 * @throws AppError `other_browser` (400) where the way back into the authorization request is another browser's
 */
export function carryInteractions(): Middleware {
  return async (ctx, next) => {
    const [, place, uid] = /^\/(interaction|authorize|device)\/([\w-]+)/.exec(ctx.path) ?? [];
    const isHere = uid !== undefined && hasInteractionCookie(ctx, uid);
    if (uid !== undefined && !isHere && place !== 'interaction' && (await isLive(uid)))
      throw new AppError('other_browser', 'This began in another browser.', { status: 400 });
    const sent = withoutEngineCookies(ctx.get('Cookie').split('; '));
    if (isHere) sent.push(...[...engineNames].map((name) => `${name}=${uid}`));
    ctx.req.headers.cookie = sent.join('; ');
    await next();
    const set = [ctx.response.get('Set-Cookie') as string | string[] | undefined].flat();
    const left = withoutEngineCookies(set.filter((line) => line !== undefined && line !== ''));
    if (left.length === 0) ctx.remove('Set-Cookie');
    else ctx.set('Set-Cookie', left);
    if (isHere && place !== 'interaction' && ctx.status < 400)
      ctx.cookies.set(nameOf(ctx, uid), null, plainCookie(ctx, '/', 0));
  };
}

async function isLive(uid: string): Promise<boolean> {
  const read = await currentUnit().findInteraction(uid);
  return read !== undefined && !read.expired;
}

const withoutEngineCookies = (pairs: readonly (string | undefined)[]): string[] =>
  pairs.filter((pair): pair is string => !engineNames.has((pair ?? '').split('=', 1)[0] as string));

const namesIn = (cookies: string) => cookies.split('; ').map((pair) => pair.split('=', 1)[0] ?? '');
