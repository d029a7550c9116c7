import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Pages } from '../pages/pages.ts';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import { wayHome } from '../http/errors.ts';
import { readForm, refuseCrossSite } from '../http/form.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { limited, withinLimits } from './limited.ts';
import { type InteractionParts, pathOf } from './parts.ts';
import { statusOf, type Visit } from './visit.ts';

/** A browser takes one with this prefix from no other host: nobody's registration is planted where its mail is opened. */
const waitingCookie = (ctx: Context) => cookieName(ctx, 'waiting');
/** Seconds: as long as an interaction may take. */
const WAITING = 3_600;

/**
 * Lets the page behind the mail's link know the browser that asked for the mail, and lead back to the sign-in that waits.
 * @param ref worth nothing without the mail.
 */
export function rememberWaiting({ ctx, uid }: Visit, ref: string): void {
  ctx.cookies.set(waitingCookie(ctx), `${uid}.${ref}`, plainCookie(ctx, '/', WAITING));
}

/** The link in a verification mail. Opening it proves nothing, since mail scanners open links: its page has a button. */
export function createVerifyRoutes(
  parts: Pick<InteractionParts, 'config' | 'renderer' | 'registration' | 'limits'>,
): Middleware {
  const { config, renderer, registration, limits } = parts;
  const router = new Router({ prefix: '/verify-email' });

  const waiting = (ctx: Context) => {
    const [, uid, ref] =
      /^([\w-]{10,64})\.([\w-]{43})$/.exec(ctx.cookies.get(waitingCookie(ctx)) ?? '') ?? [];
    return { uid, ref };
  };
  const continueUrl = (ctx: Context) => {
    const { uid } = waiting(ctx);
    return uid === undefined ? `${config.issuer}/account` : pathOf(config, uid);
  };
  const show = (
    ctx: Context,
    shown: Pick<Pages['verify-email'], 'email' | 'password' | 'problem' | 'retryAfter'>,
  ) =>
    renderPage(
      ctx,
      renderer,
      'verify-email',
      { action: ctx.path, ...shown },
      { status: statusOf({ ctx }, shown) },
    );
  const showOver = (ctx: Context) => {
    const model: Pages['link-expired'] = { link: 'verify-email', nextUrl: continueUrl(ctx) };
    renderPage(ctx, renderer, 'link-expired', model, { status: 410 });
  };

  router.use(wayHome(config.issuer), refuseCrossSite(config.issuer));
  router.get('/:token', async (ctx) => {
    const link = await registration.findLink(ctx.params.token as string, waiting(ctx).ref);
    if (link.status !== 'live') showOver(ctx);
    else show(ctx, { email: link.email, password: link.needsPassword });
  });
  router.post('/:token', async (ctx) => {
    const fields = await readForm(ctx);
    const token = ctx.params.token as string;
    const begun = { ref: waiting(ctx).ref, password: fields.get('password') ?? '' };
    const link = await registration.findLink(token, begun.ref);
    if (link.status !== 'live') return showOver(ctx);
    const asked = { email: link.email, password: link.needsPassword };
    const verification = await withinLimits(
      async () => {
        if (link.needsPassword) await limits.consumeCodeGuess(ctx.state.address);
        return registration.verifyLink(token, requestOrigin(ctx), begun);
      },
      (retryAfter) => show(ctx, { ...asked, problem: 'too-many', retryAfter }),
    );
    if (verification === limited) return undefined;
    if (verification.status === 'wrong_password')
      return show(ctx, { ...asked, problem: 'incorrect' });
    if (verification.status !== 'verified') return showOver(ctx);
    return renderPage(ctx, renderer, 'verify-email-done', { continueUrl: continueUrl(ctx) });
  });
  return router.routes() as unknown as Middleware;
}
