import type { Middleware } from 'koa';

const HEADER = 'x-fapi-interaction-id';
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * Returns the `x-fapi-interaction-id` of a request to the path with the answer, so that the logs of a client and of the
 * server can be matched (FAPI 1.0 Baseline, section 6.2.1, item 11). It must be a UUID; anything else is ignored.
 */
export function echoInteractionId(path: string): Middleware {
  return (ctx, next) => {
    const id = ctx.get(HEADER);
    if (ctx.path === path && uuid.test(id)) ctx.set(HEADER, id);
    return next();
  };
}
