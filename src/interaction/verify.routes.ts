import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Pages } from '../pages/pages.ts';
import { wayHome } from '../http/errors.ts';
import { readForm, refuseCrossSite } from '../http/form.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { hasInteractionCookie } from '../oidc/authorization/interaction-cookie.ts';
import { limited, withinLimits } from './limited.ts';
import { type InteractionParts, pathOf } from './parts.ts';
import { confirmWaiting, waitingIn } from './waiting.ts';
import { redirect, statusOf } from './visit.ts';

/**
 * The link in a verification email. Opening it proves nothing, because mail scanners open links: its page has a button. In
 * the browser where the address was entered, the button continues the sign-in, as the code does.
 */
export function createVerifyRoutes(
  parts: Pick<InteractionParts, 'config' | 'renderer' | 'registration' | 'limits'>,
): Middleware {
  const { config, renderer, registration, limits } = parts;
  const router = new Router({ prefix: '/verify-email' });

  const continueUrl = (ctx: Context) => {
    const { uid } = waitingIn(ctx);
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
    const link = await registration.findLink(ctx.params.token as string, waitingIn(ctx).ref);
    if (link.status !== 'live') showOver(ctx);
    else show(ctx, { email: link.email, password: link.needsPassword });
  });
  router.post('/:token', async (ctx) => {
    const fields = await readForm(ctx);
    const token = ctx.params.token as string;
    const proof = { ref: waitingIn(ctx).ref, password: fields.get('password') ?? '' };
    const link = await registration.findLink(token, proof.ref);
    if (link.status !== 'live') return showOver(ctx);
    const asked = { email: link.email, password: link.needsPassword };
    const verification = await withinLimits(
      async () => {
        if (link.needsPassword) await limits.consumeCodeGuess(ctx.state.address);
        return registration.verifyLink(token, requestOrigin(ctx), proof);
      },
      (retryAfter) => show(ctx, { ...asked, problem: 'too-many', retryAfter }),
    );
    if (verification === limited) return undefined;
    if (verification.status === 'wrong_password')
      return show(ctx, { ...asked, problem: 'incorrect' });
    if (verification.status !== 'verified') return showOver(ctx);
    // Where the code would have been entered, the sign-in continues with it.
    const { uid, ref } = waitingIn(ctx);
    // Without `isSameBrowser`, the link of one account would sign in a user who waits for the link of another.
    const waits = link.isSameBrowser && uid !== undefined && ref !== undefined;
    if (
      waits &&
      hasInteractionCookie(ctx, uid) &&
      (await confirmWaiting(uid, ref, verification.account.id))
    )
      return redirect(ctx, pathOf(config, uid));
    return renderPage(ctx, renderer, 'verify-email-done', { continueUrl: continueUrl(ctx) });
  });
  return router.routes() as unknown as Middleware;
}
