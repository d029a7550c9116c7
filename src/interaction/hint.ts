import type { Context } from 'koa';
import type { Config } from '../config.ts';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import { pathOfAll } from './parts.ts';

const nameOf = (ctx: Context) => cookieName(ctx, 'email', '');
/** Characters. */
const MAX_EMAIL = 254;
/** Seconds: for the sign-in that follows at once. */
const KEPT = 600;

/** Fills the address in on the next sign-in page of this browser. */
export function rememberEmail(ctx: Context, config: Pick<Config, 'issuer'>, email: string): void {
  const value = Buffer.from(email).toString('base64url');
  ctx.cookies.set(nameOf(ctx), value, plainCookie(ctx, pathOfAll(config), KEPT));
}

/**
 * The address that an app thinks the person has (`login_hint`), or undefined for anything but a plain address. It only
 * fills a field in: whether there is such an account shows nowhere.
 */
export function hintedEmail({ login_hint: hint }: Readonly<Record<string, unknown>>) {
  return typeof hint === 'string' &&
    /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(hint) &&
    hint.length <= MAX_EMAIL
    ? hint
    : undefined;
}

export function rememberedEmail(ctx: Context): string | undefined {
  const value = ctx.cookies.get(nameOf(ctx));
  return value === undefined
    ? undefined
    : Buffer.from(value, 'base64url').toString().slice(0, MAX_EMAIL);
}
