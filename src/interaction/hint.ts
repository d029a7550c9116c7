import type { Context } from 'koa';
import type { Config } from '../config.ts';
import { plainCookie } from '../http/cookies.ts';
import { pathOfAll } from './parts.ts';

const name = 'vs_email';
/** Seconds: for the sign-in that follows at once. */
const KEPT = 600;

/** Fills the address in on the next sign-in page of this browser. */
export function rememberEmail(ctx: Context, config: Pick<Config, 'issuer'>, email: string): void {
  const value = Buffer.from(email).toString('base64url');
  ctx.cookies.set(name, value, plainCookie(ctx, pathOfAll(config), KEPT));
}

export function rememberedEmail(ctx: Context): string | undefined {
  const value = ctx.cookies.get(name);
  return value === undefined ? undefined : Buffer.from(value, 'base64url').toString().slice(0, 254);
}
