import { decodeJwt } from 'jose';
import type { Middleware } from 'koa';
import type { HandedOn } from '../../http/fast-path.ts';
import { findJsonProblem } from '../../lib/json-bounds.ts';
import { engineRoutes } from '../endpoints.ts';

/** No request says as much. */
const bounds = { depth: 16, values: 5_000, text: 65_536, total: 65_536 };

/** What the engine refuses as no JWT at all. */
const UNSOUND = 'unsound';

/** Where request objects are accepted. */
const taking = new Set<string>([
  engineRoutes.authorization,
  engineRoutes.pushed_authorization_request,
  engineRoutes.device_authorization,
  engineRoutes.backchannel_authentication,
]);

/**
 * Looks at request objects (RFC 9101) before the engine does, which makes texts of their members before it has looked at
 * any signature: of an object that says itself how, or one without end, it can't, and would answer with a 500. In place of
 * such a one the engine is given what is none, and refuses it in its own way.
 */
export function boundRequestObjects(): Middleware {
  return async (ctx, next) => {
    if (!taking.has(ctx.path)) return next();
    const { request } = ctx.query;
    if (typeof request === 'string' && !isWithinBounds(request))
      ctx.query = { ...ctx.query, request: UNSOUND };
    const handedOn = ctx.req as HandedOn;
    if (handedOn.body !== undefined) handedOn.body = withBoundedRequest(handedOn.body);
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
