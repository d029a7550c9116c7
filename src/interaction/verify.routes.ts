import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Pages } from '../http/pages.ts';
import { plainCookie } from '../http/cookies.ts';
import { wayHome } from '../http/errors.ts';
import { readForm, refuseCrossSite } from '../http/form.ts';
import { renderPage } from '../http/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { type InteractionParts, pathOf } from './parts.ts';
import type { Visit } from './visit.ts';

const waitingCookie = 'vs_waiting';
/** Seconds: as long as an interaction may take. */
const WAITING = 3_600;

/** Lets the page behind the mail's link lead back to the sign-in that waits, if it is opened in the same browser. */
export function rememberWaiting({ ctx, uid, base }: Visit): void {
  const path = base.replace(/\/interaction\/.*/, '/verify-email');
  ctx.cookies.set(waitingCookie, uid, plainCookie(ctx, path, WAITING));
}

/** The link in a verification mail. Opening it proves nothing, since mail scanners open links: its page has a button. */
export function createVerifyRoutes(
  parts: Pick<InteractionParts, 'config' | 'renderer' | 'registration'>,
): Middleware {
  const { config, renderer, registration } = parts;
  const router = new Router({ prefix: '/verify-email' });

  const continueUrl = (ctx: Context) => {
    const uid = ctx.cookies.get(waitingCookie);
    return uid !== undefined && /^[\w-]{10,64}$/.test(uid)
      ? pathOf(config, uid)
      : `${config.issuer}/account`;
  };
  const showOver = (ctx: Context) => {
    const model: Pages['link-expired'] = { link: 'verify-email', nextUrl: continueUrl(ctx) };
    renderPage(ctx, renderer, 'link-expired', model, { status: 410 });
  };

  router.use(wayHome(config.issuer), refuseCrossSite(config.issuer));
  router.get('/:token', async (ctx) => {
    const token = ctx.params.token as string;
    const link = await registration.findLink(token);
    if (link.status !== 'live') showOver(ctx);
    else renderPage(ctx, renderer, 'verify-email', { action: ctx.path, email: link.email });
  });
  router.post('/:token', async (ctx) => {
    await readForm(ctx);
    const verification = await registration.verifyLink(
      ctx.params.token as string,
      requestOrigin(ctx),
    );
    if (verification.status !== 'verified') showOver(ctx);
    else renderPage(ctx, renderer, 'verify-email-done', { continueUrl: continueUrl(ctx) });
  });
  return router.routes() as unknown as Middleware;
}
