import type { Context, Middleware } from 'koa';
import type { KoaContextWithOIDC } from 'oidc-provider';

/**
 * Answers a sign-out request of a browser in which nobody is signed in (RP-Initiated Logout): there is nothing to confirm,
 * so it goes on to where the engine's form would have led it. No session is stored for that form (`sessionAdapter`), and
 * no cookie of one is set: requests of strangers leave no rows.
 */
export function answerSignedOut(issuer: string, cookieName: () => string): Middleware {
  return async (ctx, next) => {
    await next();
    const { oidc } = ctx as unknown as Partial<KoaContextWithOIDC>;
    if (oidc?.route !== 'end_session' || ctx.status !== 200) return;
    if (oidc.session === undefined || oidc.session.accountId !== undefined) return;
    const { post_logout_redirect_uri: uri, state } = oidc.params ?? {};
    dropCookie(ctx, cookieName());
    for (const header of ['Content-Type', 'Content-Length', 'Content-Security-Policy'])
      ctx.remove(header);
    const target = new URL(typeof uri === 'string' ? uri : `${issuer}/logout/success`);
    if (typeof uri === 'string' && typeof state === 'string')
      target.searchParams.set('state', state);
    ctx.status = 303;
    ctx.redirect(target.href);
  };
}

/** The engine sets the cookie of every session that it takes for a new one. */
function dropCookie(ctx: Context, name: string): void {
  if (!ctx.res.hasHeader('Set-Cookie')) return;
  const cookies = [ctx.response.get('Set-Cookie') as string | string[]].flat();
  const kept = cookies.filter(
    (cookie) =>
      cookie !== '' && !cookie.startsWith(`${name}=`) && !cookie.startsWith(`${name}.sig=`),
  );
  if (kept.length === 0) ctx.remove('Set-Cookie');
  else ctx.set('Set-Cookie', kept);
}
