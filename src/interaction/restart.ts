import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import type { Ways } from '../http/errors.ts';
import { pathOfAll } from './parts.ts';
import { redirect, type Visit } from './visit.ts';

/** Seconds for which a browser remembers where a sign-in began: longer than it may take, so that it can start again. */
const REMEMBERED = 12 * 3_600;
/** Browsers refuse cookies that are much longer. */
const MAX_LENGTH = 3_500;
const NOTICE_SECONDS = 60;

/** Names no pushed request: none has an id of one word. */
const OVER = 'urn:ietf:params:oauth:request_uri:over';

const againCookie = (ctx: Context) => cookieName(ctx, 'again', '');
const noticeCookie = (ctx: Context) => cookieName(ctx, 'notice', '');

/**
 * Lets this browser start again once the interaction is over: the authorization request, as the browser itself brought it,
 * in a cookie for the interaction's path. It is only ever sent to the authorization endpoint, which checks it anew.
 */
export function rememberStart({ ctx, base, interaction }: Visit): void {
  if (ctx.cookies.get(againCookie(ctx)) !== undefined) return;
  // A program that polls is answered from where its code is entered; a mail's link is not kept here.
  if (interaction.deviceCode !== undefined) return;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(startOf(interaction))) {
    for (const one of [value].flat()) if (typeof one === 'string') query.append(name, one);
  }
  const kept = Buffer.from(query.toString()).toString('base64url');
  if (kept.length <= MAX_LENGTH)
    ctx.cookies.set(againCookie(ctx), kept, plainCookie(ctx, base, REMEMBERED));
}

/**
 * What was pushed (RFC 9126) starts once, and is the client's own: the browser never had it, and gets no more of it here than
 * an answer needs. The authorization endpoint then tells the app that its request is over, and the app pushes another one.
 */
function startOf({ params, ...interaction }: Visit['interaction']): Record<string, unknown> {
  if ((interaction as { parJti?: string }).parJti === undefined) return params;
  const { client_id, redirect_uri, response_type, response_mode, state } = params;
  const answered = { client_id, redirect_uri, response_type, response_mode, state };
  return { ...answered, request_uri: OVER };
}

/** Before what the cookie holds, once the step is finished; nothing that is kept has a dot. */
const FINISHED = 'finished.';

/** Lets this browser say, if the user comes back to the step, that it is finished and has not expired. */
export function rememberFinish({ ctx, base }: Pick<Visit, 'ctx' | 'base'>): void {
  const kept = ctx.cookies.get(againCookie(ctx))?.replace(FINISHED, '') ?? '';
  ctx.cookies.set(againCookie(ctx), `${FINISHED}${kept}`, plainCookie(ctx, base, REMEMBERED));
}

/** Whether the user was sent here because the page before had expired; says so only once. */
export function takeNotice({ ctx }: Visit, path: string): 'expired' | undefined {
  if (ctx.cookies.get(noticeCookie(ctx)) === undefined) return undefined;
  ctx.cookies.set(noticeCookie(ctx), null, plainCookie(ctx, path, 0));
  return 'expired';
}

/** What was done in another tab meanwhile: the page is shown as it stands now. */
const overtaken = new Set(['interaction_moved', 'consent_removed']);

/**
 * Keeps an interaction that can't go on from being a dead end. It stands around the unit of work, since some of it shows
 * only when the request is committed: what another post was faster with is shown as it stands now, what is over starts
 * again where that is known, and every error page has a way on.
 */
export function recoverInteractions({ issuer }: { issuer: string }): Middleware {
  const all = pathOfAll({ issuer });
  const homeUrl = `${issuer}/account`;
  return async (ctx, next) => {
    const uid = /^\/interaction\/([\w-]+)(?:\/|$)/.exec(ctx.path)?.[1];
    if (uid === undefined) return next();
    const base = `${all}/${uid}`;
    try {
      await next();
    } catch (error) {
      const code = error instanceof AppError ? error.code : undefined;
      const isOver = code === 'interaction_expired' || code === 'other_browser';
      const again = isOver ? startUrl(ctx, issuer) : undefined;
      const isFinished = ctx.cookies.get(againCookie(ctx))?.startsWith(FINISHED) === true;
      if (code !== undefined && overtaken.has(code)) {
        redirectInstead(ctx, base);
      } else if (again !== undefined && code === 'other_browser' && ctx.method !== 'POST') {
        // It began here, as the cookie says, and lost its place to newer ones.
        redirectInstead(ctx, again);
      } else if (again !== undefined && ctx.method === 'POST') {
        redirectInstead(ctx, again);
        if (!isFinished)
          ctx.cookies.set(noticeCookie(ctx), '1', plainCookie(ctx, all, NOTICE_SECONDS));
      } else if (code === 'interaction_expired' && isFinished) {
        ctx.state.ways = { startUrl: again, homeUrl } satisfies Ways;
        throw new AppError('interaction_finished', 'This step is finished.', {
          status: 410,
          cause: error,
        });
      } else {
        ctx.state.ways = { startUrl: isOver ? again : base, homeUrl } satisfies Ways;
        throw error;
      }
    }
  };
}

function startUrl(ctx: Context, issuer: string): string | undefined {
  const again = ctx.cookies.get(againCookie(ctx))?.replace(FINISHED, '');
  return again ? `${issuer}/authorize?${Buffer.from(again, 'base64url').toString()}` : undefined;
}

/** Redirects, with nothing of the answer that failed left. */
function redirectInstead(ctx: Context, target: string): void {
  for (const header of ['Set-Cookie', 'Location', 'Content-Length']) ctx.remove(header);
  redirect(ctx, target);
}
