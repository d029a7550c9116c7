import type { Middleware } from 'koa';
import type { RequestState } from './request.ts';

const HEADER = 'x-fapi-interaction-id';
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * Gives every answer at the path an `x-fapi-interaction-id`, so that the logs of a client and of the server can be matched
 * (FAPI 1.0 Baseline, section 6.2.1, item 11): the one of the request, or the request's own id where it has none that is a
 * UUID.
 */
export function setInteractionId(path: string): Middleware {
  return (ctx, next) => {
    const id = ctx.get(HEADER);
    const { requestId } = ctx.state as RequestState;
    if (ctx.path === path) ctx.set(HEADER, uuid.test(id) ? id : requestId);
    return next();
  };
}
