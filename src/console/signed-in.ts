import type { Context, Middleware } from 'koa';
import type { ErrorKind } from '../pages/pages.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';
import { findBrowserSession } from '../oidc/browser-session.ts';
import type { Console } from '../oidc/console-clients.ts';
import { findMissing, type SignInOptions } from './require-session.ts';

/**
 * The redirect URI of a console. The browser continues to its page only if it started there and now has what was
 * missing; otherwise a page says so, and there is no redirect loop.
 */
export function createSignedIn(
  {
    engine,
    pending,
    issuer,
    requireSecondFactor,
    renderer,
  }: SignInOptions & { renderer: Renderer },
  console: Console,
): Middleware {
  const home = `${issuer}/${console}`;
  const stop = (
    ctx: Context,
    kind: ErrorKind,
    status: number,
    way: { startUrl?: string; homeUrl?: string } = { startUrl: home },
  ) =>
    renderPage(
      ctx,
      renderer,
      'error',
      { kind, requestId: ctx.state.requestId, at: new Date(), ...way },
      { status },
    );
  return async (ctx) => {
    const [state, iss, error] = ['state', 'iss', 'error'].map((name) => single(ctx.query[name]));
    const begun = state === undefined ? undefined : pending.take(ctx, state);
    if (begun === undefined || iss !== issuer) return stop(ctx, 'forged', 400);
    if (error === 'server_error') return stop(ctx, 'ours', 500);
    if (error === 'temporarily_unavailable') return stop(ctx, 'unavailable', 503);
    const session = await findBrowserSession(engine.provider, ctx);
    const missing = findMissing(session, begun, requireSecondFactor);
    if (error !== undefined || (missing !== undefined && missing.acr === begun.acr)) {
      // A user who stopped only what a page wanted besides is still signed in.
      return findMissing(session, {}, requireSecondFactor) === undefined
        ? stop(ctx, 'step-stopped', 403, { homeUrl: home })
        : stop(ctx, 'sign-in-stopped', 403);
    }
    // More may be missing than was asked for (the account that signed in must have a second factor): that is asked for there.
    ctx.set('Cache-Control', 'no-store');
    ctx.status = 303;
    ctx.redirect(`${issuer}${begun.returnTo}`);
  };
}

/** A parameter that came more than once says nothing (RFC 6749, section 3.1). */
function single(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
