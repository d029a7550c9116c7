import type { Middleware } from 'koa';
import { AppError } from '../../errors.ts';
import { readForm } from '../../http/form.ts';

const paths = new Set(['/authorize', '/logout']);
/** What every browser and proxy takes as an address. */
const LONGEST = 8_000;

/**
 * Takes a posted authorization or logout request (OpenID Connect Core, section 3.1.2.1; RP-Initiated Logout, section 2) as
 * the same request by GET. Session cookies are SameSite=Lax: the post of an app's page brings none, and the engine would
 * have to ask for a sign-in; the GET that follows brings them.
 * @throws AppError `request_too_long` (414), `bad_request` (400) where it is no form
 */
export function redirectPosts(issuer: string): Middleware {
  return async (ctx, next) => {
    if (ctx.method !== 'POST' || !paths.has(ctx.path)) return next();
    const query = (await readForm(ctx)).toString();
    if (query.length > LONGEST)
      throw new AppError(
        'request_too_long',
        `The request is too long: at most ${LONGEST} characters are taken.`,
        { status: 414 },
      );
    ctx.status = 303;
    ctx.set('Cache-Control', 'no-store');
    ctx.redirect(`${issuer}${ctx.path}?${query}`);
    return undefined;
  };
}
