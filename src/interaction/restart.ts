import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import type { ErrorKind } from '../http/pages.ts';
import type { Renderer } from '../http/render.ts';
import { renderPage } from '../http/render-page.ts';
import { redirect, type Visit } from './visit.ts';

/** Seconds for which a browser remembers where a sign-in began: longer than it may take, so that it can start again. */
const REMEMBERED = 12 * 3_600;
/** Browsers refuse cookies that are much longer. */
const MAX_LENGTH = 3_500;
const NOTICE_SECONDS = 60;

const againCookie = 'vs_again';
const noticeCookie = 'vs_notice';

const options = (ctx: Context, path: string, seconds: number) =>
  ({
    path,
    maxAge: seconds * 1000,
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
  }) as const;

/**
 * Lets this browser start again once the interaction is over: the authorization request, as the browser itself brought it,
 * in a cookie for the interaction's path. It is only ever sent to the authorization endpoint, which checks it anew.
 */
export function rememberStart({ ctx, base, interaction }: Visit): void {
  if (ctx.cookies.get(againCookie) !== undefined) return;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(interaction.params)) {
    for (const one of [value].flat()) if (typeof one === 'string') query.append(name, one);
  }
  const kept = Buffer.from(query.toString()).toString('base64url');
  if (kept.length <= MAX_LENGTH) ctx.cookies.set(againCookie, kept, options(ctx, base, REMEMBERED));
}

/** Whether the person was sent here because the page before was left too long; told once. */
export function takeNotice({ ctx }: Visit, path: string): 'expired' | undefined {
  if (ctx.cookies.get(noticeCookie) === undefined) return undefined;
  ctx.cookies.set(noticeCookie, null, options(ctx, path, 0));
  return 'expired';
}

const pages: Record<string, ErrorKind> = {
  interaction_expired: 'expired',
  other_browser: 'other-browser',
};

/**
 * Keeps an interaction that can't go on from being a dead end. It stands around the unit of work, since some of it shows
 * only when the request is committed: what another post was faster with is shown as it stands now, and what is over
 * starts again where that is known.
 */
export function recoverInteractions({
  issuer,
  renderer,
}: {
  issuer: string;
  renderer: Renderer;
}): Middleware {
  const mount = new URL(issuer).pathname.replace(/\/$/, '');
  return async (ctx, next) => {
    const uid = /^\/interaction\/([\w-]+)(?:\/|$)/.exec(ctx.path)?.[1];
    if (uid === undefined) return next();
    try {
      await next();
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const kind = pages[error.code];
      if (kind === undefined && error.code !== 'interaction_moved') throw error;
      for (const header of ['Set-Cookie', 'Location', 'Content-Length']) ctx.remove(header);
      if (kind === undefined) {
        redirect(ctx, `${mount}/interaction/${uid}`);
        return;
      }
      const again = ctx.cookies.get(againCookie);
      const startUrl =
        kind === 'expired' && again !== undefined
          ? `${issuer}/authorize?${Buffer.from(again, 'base64url').toString()}`
          : undefined;
      if (startUrl !== undefined && ctx.method === 'POST') {
        ctx.cookies.set(noticeCookie, '1', options(ctx, `${mount}/interaction`, NOTICE_SECONDS));
        redirect(ctx, startUrl);
        return;
      }
      renderPage(
        ctx,
        renderer,
        'error',
        {
          kind,
          requestId: ctx.state.requestId,
          at: new Date(),
          startUrl,
          homeUrl: `${issuer}/account`,
        },
        { status: error.status },
      );
    }
  };
}
