import { randomUUID } from 'node:crypto';
import type { Context, Middleware, Next } from 'koa';
import { canonicalAddress } from '../lib/client-address.ts';
import { deadlineOf } from '../lib/deadline.ts';
import { infoWriter, type Logger } from '../lib/log.ts';
import { loggedPath } from './logged-path.ts';

/** What the pipeline knows of every request. */
export interface RequestState {
  /** In every log line, audit event and error page of the request. */
  requestId: string;
  /** The client's own address, as far as our own proxies vouch for it, in its one spelling (`canonicalAddress`). */
  address: string;
  /**
   * The request was made on this machine: its peer is, nothing says that it was passed on, and it names this machine as
   * its host, which a foreign site whose name was turned to this machine does not.
   */
  local: boolean;
}

/** Whence a request came, for the audit. */
export function requestOrigin(ctx: Context): {
  requestId: string;
  address: string;
  userAgent: string | undefined;
} {
  const { requestId, address } = ctx.state as RequestState;
  return { requestId, address, userAgent: ctx.get('User-Agent') || undefined };
}

/** What stands before every path of ours: the issuer's own path, empty where it has none. */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '');
}

export interface RequestOptions {
  readonly issuer: string;
  /** How many proxies of ours stand before us; each adds one entry to `X-Forwarded-For`. */
  readonly trustProxy: number;
}

/**
 * Gives the request its id and its real client address, and pins what is read from headers (host, protocol, address) to
 * what is known to be true: no link and no endpoint URL is ever made of something a client sent.
 */
export function identifyRequest({ issuer, trustProxy }: RequestOptions): Middleware {
  const url = new URL(issuer);
  return (ctx: Context, next: Next) => {
    const address = clientAddress(ctx, trustProxy);
    const { headers } = ctx.req;
    const local = isLocal(ctx);
    headers.host = url.host;
    headers['x-forwarded-proto'] = url.protocol.slice(0, -1);
    headers['x-forwarded-for'] = address;
    delete headers['x-forwarded-host'];
    delete headers.forwarded;
    const state: RequestState = { requestId: randomUUID(), address, local };
    Object.assign(ctx.state, state);
    ctx.set('X-Request-Id', state.requestId);
    return next();
  };
}

/** The entry that our outermost proxy wrote, in its one spelling; what is before it could have been sent by anybody. */
function clientAddress(ctx: Context, trustProxy: number): string {
  const peer = ctx.req.socket.remoteAddress ?? '';
  if (trustProxy === 0) return canonicalAddress(peer);
  const forwarded = String(ctx.req.headers['x-forwarded-for'] ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  return canonicalAddress(forwarded.at(-trustProxy) ?? peer);
}

const marksOfProxies = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
];

/** Asked before the headers are pinned. */
function isLocal({ req }: Context): boolean {
  const peer = canonicalAddress(req.socket.remoteAddress ?? '');
  const name = (req.headers.host ?? '').replace(/:\d+$/, '');
  const isLoopback = (address: string) => /^127(\.\d{1,3}){3}$|^\[?::1\]?$/.test(address);
  return (
    isLoopback(peer) &&
    (isLoopback(name) || /^(.+\.)?localhost$/i.test(name)) &&
    !marksOfProxies.some((header) => header in req.headers)
  );
}

/** Headers that every answer carries. Pages add their content security policy (see render-page.ts). */
export function securityHeaderList(issuer: string): [name: string, value: string][] {
  return [
    ['X-Content-Type-Options', 'nosniff'],
    ['Referrer-Policy', 'same-origin'],
    ['X-Frame-Options', 'DENY'],
    ...(issuer.startsWith('https:')
      ? [['Strict-Transport-Security', 'max-age=63072000; includeSubDomains'] as [string, string]]
      : []),
  ];
}

export function securityHeaders(issuer: string): Middleware {
  const headers = securityHeaderList(issuer);
  return (ctx, next) => {
    for (const [name, value] of headers) ctx.set(name, value);
    return next();
  };
}

/** What is not below the issuer's path: health, and the metadata of APIs on this host (RFC 9728, section 3.1). */
const outside = /^\/(livez|readyz|\.well-known\/oauth-protected-resource(\/.*)?)$/;

/**
 * Takes the issuer's path off, so that routes are written without it, and answers the three well-known forms of such an
 * issuer (RFC 8414, section 3.1; OpenID Connect Discovery, section 4).
 */
export function mountAtIssuer(issuer: string): Middleware {
  const prefix = issuerPath(issuer);
  if (prefix === '') return (_ctx, next) => next();
  return (ctx, next) => {
    // Where the engine looks for what stands before its routes in the URLs that it makes.
    Object.assign(ctx, { mountPath: prefix });
    const wellKnown = /^(\/\.well-known\/[a-z-]+)(\/.*)$/.exec(ctx.path);
    if (wellKnown?.[2] === prefix) ctx.path = wellKnown[1] as string;
    else if (ctx.path === prefix || ctx.path.startsWith(`${prefix}/`))
      ctx.path = ctx.path.slice(prefix.length) || '/';
    else if (!outside.test(ctx.path)) return undefined;
    return next();
  };
}

export interface RequestLine {
  readonly requestId: string;
  readonly method: string;
  /** Below the issuer's path. */
  readonly path: string;
  readonly status: number;
  readonly ms: number;
}

/** Logs one line a request, after its answer: never a query, a body or a header, which hold codes and tokens. */
export function requestLog(logger: Logger): (line: RequestLine) => void {
  const write = infoWriter(logger);
  return ({ requestId, method, path, status, ms: exact }) => {
    const ms = Math.round(exact);
    if (status >= 500) logger.error({ requestId, method, path, status, ms }, 'request failed');
    else
      write(
        `"requestId":"${requestId}","method":${JSON.stringify(method)},"path":${JSON.stringify(path)},"status":${status},"ms":${ms},"msg":"request"`,
      );
  };
}

export function accessLog(logger: Logger): Middleware {
  const log = requestLog(logger);
  return async (ctx, next) => {
    // What it has waited for before it came here counts as well.
    const started = deadlineOf(ctx.req)?.startedAt ?? performance.now();
    await next();
    log({
      requestId: ctx.state.requestId as string,
      method: ctx.method,
      path: loggedPath(ctx.path),
      status: ctx.status,
      ms: performance.now() - started,
    });
  };
}
