import type { Context, Middleware } from 'koa';
import { randomToken } from '../lib/hash.ts';
import { acr as acrs, rankOf } from '../oidc/authorization/acr.ts';
import { type BrowserSession, findBrowserSession } from '../oidc/browser-session.ts';
import { type Console, consoleAuthorizationUrl } from '../oidc/console-clients.ts';
import type { Engine } from '../oidc/engine.ts';
import { isLocalPath } from './local-path.ts';
import type { PendingSignIns } from './pending-sign-ins.ts';

export interface SessionRequirement {
  readonly console: Console;
  /** How long ago the sign-in may have been, in seconds. */
  readonly maxAge?: number | undefined;
  /** The least context class; people who must have a second factor need it whatever is asked for here. */
  readonly acr?: string | undefined;
}

/** Lets a request through only if its browser is signed in well enough; otherwise it signs in first and comes back. */
export type RequireSession = (requirement: SessionRequirement) => Middleware;

export interface SignInOptions {
  readonly engine: Engine;
  readonly pending: PendingSignIns;
  readonly issuer: string;
  readonly requireSecondFactor: 'everyone' | 'administrators';
}

/** What a session lacks for a requirement, as the authorization endpoint is asked for it; undefined where nothing. */
export interface Missing {
  readonly maxAge: number | undefined;
  readonly acr: string | undefined;
}

export function createRequireSession({
  engine,
  pending,
  issuer,
  requireSecondFactor,
}: SignInOptions): RequireSession {
  return (requirement) => async (ctx, next) => {
    const session = await findBrowserSession(engine.provider, ctx);
    const missing = findMissing(session, requirement, requireSecondFactor);
    if (missing === undefined) {
      ctx.state.signedIn = session;
      return next();
    }
    const state = randomToken(16);
    pending.add(ctx, {
      state,
      returnTo: returnPath(ctx, requirement.console),
      startedAt: Date.now(),
      ...defined(missing),
    });
    ctx.set('Cache-Control', 'no-store');
    ctx.status = 303;
    ctx.redirect(consoleAuthorizationUrl(issuer, requirement.console, { state, ...missing }));
  };
}

/** Whether the session will do, and if not what a sign-in must bring. */
export function findMissing(
  session: BrowserSession | undefined,
  { maxAge, acr }: Pick<SessionRequirement, 'maxAge' | 'acr'>,
  requireSecondFactor: SignInOptions['requireSecondFactor'],
): Missing | undefined {
  const mustHaveTwo = requireSecondFactor === 'everyone' || session?.account.admin === true;
  const needed = rankOf(acr) < rankOf(acrs.twoFactors) && mustHaveTwo ? acrs.twoFactors : acr;
  const isOld =
    session !== undefined &&
    maxAge !== undefined &&
    Date.now() - session.authTime.getTime() > maxAge * 1000;
  if (session !== undefined && !isOld && rankOf(session.acr) >= rankOf(needed)) return undefined;
  return { maxAge, acr: needed };
}

/**
 * The session that `requireSession` has let through.
 * @throws TypeError behind no `requireSession`
 */
export function signedIn(ctx: Context): BrowserSession {
  const session = ctx.state.signedIn as BrowserSession | undefined;
  if (session === undefined) throw new TypeError('no requireSession stands before this');
  return session;
}

/** Where the browser was going; a post is not repeated, so after one it is the console's first page. */
function returnPath(ctx: Context, console: Console): string {
  const path = `${ctx.path}${ctx.search}`;
  return (ctx.method === 'GET' || ctx.method === 'HEAD') && isLocalPath(path)
    ? path
    : `/${console}`;
}

function defined({ maxAge, acr }: Missing) {
  return { ...(maxAge === undefined ? {} : { maxAge }), ...(acr === undefined ? {} : { acr }) };
}
