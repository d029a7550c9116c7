import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import type { Mail } from '../pages/page-parts.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';

/** The mails that were kept in place of being sent, the newest first. */
export interface KeptMails {
  list(): Promise<readonly Mail[]> | readonly Mail[];
}

/**
 * The page of mails that a server on one's own machine keeps. They hold live links, so nobody but this machine is shown
 * them, or told that they are there.
 */
export function devMailRoutes({
  mails,
  renderer,
}: {
  mails: KeptMails;
  renderer: Renderer;
}): Middleware {
  return async (ctx: Context, next) => {
    if (ctx.path !== '/dev/mail' || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return next();
    if (ctx.state.local !== true)
      throw new AppError('not_found', 'There is nothing here.', { status: 404 });
    renderPage(ctx, renderer, 'dev-mail', { mails: [...(await mails.list())] });
  };
}
