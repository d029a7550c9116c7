import type { Context } from 'koa';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import { epochSeconds } from '../lib/time.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { replaceProgress } from './interaction.store.ts';
import { parseProgress, startProgress } from './progress.ts';
import type { Visit } from './visit.ts';

/** Browsers accept this prefix from no other host: nobody can plant a registration where its email is opened. */
const waitingCookie = (ctx: Context) => cookieName(ctx, 'waiting');
/** Seconds: as long as an interaction may take. */
const WAITING = 3_600;

/**
 * Lets the page behind the email's link recognize the browser that asked for the email, and the sign-in that waits there.
 * @param ref worth nothing without the email.
 */
export function rememberWaiting({ ctx, uid }: Visit, ref: string): void {
  ctx.cookies.set(waitingCookie(ctx), `${uid}.${ref}`, plainCookie(ctx, '/', WAITING));
}

/** The sign-in of this browser that waits for an email address, and the `ref` of what it waits for. */
export function waitingIn(ctx: Context): { uid?: string | undefined; ref?: string | undefined } {
  const [, uid, ref] =
    /^([\w-]{10,64})\.([\w-]{43})$/.exec(ctx.cookies.get(waitingCookie(ctx)) ?? '') ?? [];
  return { uid, ref };
}

/**
 * Confirms the email address that a paused sign-in waits for, from the page behind the email's link: the sign-in continues
 * as after the code. The password was chosen in this browser, or has been entered in this sign-in already. Gives false, and
 * changes nothing, where the sign-in waits for something else.
 * @param ref of the registration or verification that the link was mailed for
 */
export async function confirmWaiting(
  uid: string,
  ref: string,
  accountId: string,
): Promise<boolean> {
  const unit = currentUnit();
  const read = await unit.findInteraction(uid);
  if (read === undefined) return false;
  const progress = parseProgress(read.progress);
  if (progress.waiting?.ref !== ref) return false;
  // An account that is signing in goes on by itself, now that its address is confirmed.
  if (progress.accountId !== undefined) return progress.accountId === accountId;
  return replaceProgress(unit.db.kysely, uid, progress.step, {
    ...progress,
    ...startProgress,
    step: progress.step + 1,
    accountId,
    passwordAt: epochSeconds(),
    amr: ['pwd'],
  });
}
