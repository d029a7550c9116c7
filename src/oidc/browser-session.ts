import type { Context } from 'koa';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { fromEpoch } from '../lib/time.ts';
import { signOut } from '../session/session.service.ts';
import type { AccountRecord } from '../unit-of-work/records.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

/** Who is signed in in the browser that asks, since when and how. */
export interface BrowserSession {
  readonly uid: string;
  readonly account: AccountRecord;
  readonly authTime: Date;
  readonly acr: string | undefined;
  readonly amr: readonly string[];
}

/**
 * The session of the browser that asks, outside of the engine's own routes; undefined where nobody is signed in, or nobody
 * who may be.
 */
export async function findBrowserSession(
  provider: Provider,
  ctx: Context,
): Promise<BrowserSession | undefined> {
  const { uid, accountId, loginTs, acr, amr } = await provider.Session.get(
    ctx as KoaContextWithOIDC,
  );
  if (accountId === undefined || loginTs === undefined) return undefined;
  const account = await currentUnit().findAccount(accountId);
  return account && { uid, account, authTime: fromEpoch(loginTs), acr, amr: amr ?? [] };
}

/**
 * Signs the browser out with the request's commit, as the engine's own sign-out does: the session has ended, and with it
 * its families that were not given `offline_access`.
 */
export function endBrowserSession(
  provider: Provider,
  ctx: Context,
  session: BrowserSession,
  reason?: string,
): void {
  const unit = currentUnit();
  unit.endSession((db) => signOut(db, session.uid));
  unit.audit({
    type: 'session.ended',
    outcome: 'success',
    accountId: session.account.id,
    reason,
  });
  signedCookies(provider, ctx).set(provider.cookieName('session'), null, cookieOptions(ctx));
}

/** Cookies under the engine's keys, outside of its own routes. */
export function signedCookies(provider: Provider, ctx: Context): Context['cookies'] {
  const { cookies } = provider.createContext(ctx.req, ctx.res);
  cookies.secure = ctx.secure;
  return cookies;
}

/** What every cookie of ours is set with. */
export function cookieOptions(ctx: Context) {
  return {
    signed: true,
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    overwrite: true,
    path: '/',
  } as const;
}
