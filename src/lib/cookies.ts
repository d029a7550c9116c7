import type { Context } from 'koa';

/**
 * What a cookie is set with that opens nothing by itself: it is not signed, and whoever reads it checks what it holds.
 * @param seconds for which it is kept.
 */
export function plainCookie(ctx: Context, path: string, seconds: number) {
  return {
    path,
    maxAge: seconds * 1000,
    httpOnly: true,
    sameSite: 'lax',
    secure: ctx.secure,
    signed: false,
    overwrite: true,
  } as const;
}
