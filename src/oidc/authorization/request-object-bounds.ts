import { decodeJwt } from 'jose';
import type { Context, Middleware } from 'koa';
import type { HandedOn } from '../../http/fast-path.ts';
import { findJsonProblem } from '../../lib/json-bounds.ts';

/** No request says as much. */
const bounds = { depth: 16, values: 5_000, text: 65_536, total: 65_536 };

/** What the engine refuses as no JWT at all. */
const UNSOUND = 'unsound';

/** As the engine's router reads paths: in any case, and with a slash behind it. */
const taking = /^\/(authorize|par|device_authorization|ciba)\/?$/i;

/**
 * Looks at request objects (RFC 9101) before the engine does, which makes texts of their members before it has looked at
 * any signature: of an object that says itself how, or one without end, it can't, and would answer with a 500. In place of
 * such a one the engine is given what is none, and refuses it in its own way.
 */
export function boundRequestObjects(readBody: (ctx: Context) => Promise<string>): Middleware {
  return async (ctx, next) => {
    if (!taking.test(ctx.path)) return next();
    const { request } = ctx.query;
    if (typeof request === 'string' && !isWithinBounds(request))
      ctx.query = { ...ctx.query, request: UNSOUND };
    // A string, so that the engine parses it itself and still sees what came twice.
    if (ctx.method === 'POST' && ctx.is('application/x-www-form-urlencoded'))
      (ctx.req as HandedOn).body = withBoundedRequest(await readBody(ctx));
    return next();
  };
}

function withBoundedRequest(body: string): string {
  const form = new URLSearchParams(body);
  const [request, ...others] = form.getAll('request');
  if (request === undefined || others.length > 0 || isWithinBounds(request)) return body;
  form.set('request', UNSOUND);
  return form.toString();
}

function isWithinBounds(request: string): boolean {
  try {
    const claims = decodeJwt(request);
    return findJsonProblem(claims, bounds) === undefined && Object.values(claims).every(isText);
  } catch {
    // Not to be read: the engine says so.
    return true;
  }
}

/** `{"toString":1}` is none. */
function isText(value: unknown): boolean {
  try {
    return typeof String(value) === 'string';
  } catch {
    return false;
  }
}
