import type { Context } from 'koa';

/** Where the cookies of a server are set: `ctx`, or the issuer's own URL. */
interface CookiePlace {
  readonly secure: boolean;
  /** With the port, where the URL has one. */
  readonly host: string;
}

const loopback = /^(?:(?:.+\.)?localhost|127(?:\.\d{1,3}){3}|\[::1\]):(\d+)$/i;

/**
 * The name of a cookie. Browsers keep the cookies of all ports of a host together: on a developer's machine, where several
 * servers run side by side, the name holds the port, so that none of them overwrites what another one has set.
 * @param prefix what an https server's cookie begins with (RFC 6265bis, section 4.1.3)
 */
export function cookieName(
  { secure, host }: CookiePlace,
  name: string,
  prefix: '__Host-' | '' = '__Host-',
): string {
  const port = loopback.exec(host)?.[1];
  return `${secure ? prefix : ''}vs_${name}${port === undefined ? '' : `_${port}`}`;
}

export function issuerPlace(issuer: string): CookiePlace {
  const { protocol, host } = new URL(issuer);
  return { secure: protocol === 'https:', host };
}

/**
 * The options of a cookie that grants nothing by itself: it is not signed, and its content is checked when it is read.
 * @param seconds how long the browser keeps it
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
