import compose from 'koa-compose';
import type { Middleware } from 'koa';
import type { Endpoint } from './endpoints.ts';

/** Layers that run only for some paths. */
export interface OnlyLayer extends Middleware {
  /** What the layers do, in a word. */
  readonly concern: string;
  readonly concerns: (path: string) => boolean;
  readonly layers: readonly Middleware[];
}

/** Of the path: `/interaction/:uid/consent` → `interaction`, `/` → the empty text. */
function firstSegment(path: string): string {
  const end = path.indexOf('/', 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}

/**
 * Runs the layers only for requests to these endpoints, or below the first segment of their paths. All other requests go on
 * after one look at the path: matching it against each route of each router takes longer than the work of a small request.
 *
 * It compares paths as they are written. `admitRequests` comes before it, and refuses every other spelling.
 * @throws TypeError where an endpoint's first segment is a pattern: its requests would pass by the layers
 */
export function only(
  concern: string,
  endpoints: readonly Pick<Endpoint, 'path'>[],
  ...layers: readonly Middleware[]
): OnlyLayer {
  const segments = new Set(endpoints.map(({ path }) => firstSegment(path)));
  for (const segment of segments)
    if (!/^[\w.-]*$/.test(segment))
      throw new TypeError(`${concern}: the first segment of a path is a pattern: ${segment}`);
  const concerns = (path: string) => segments.has(firstSegment(path));
  const run = compose(layers as Middleware[]);
  const layer: Middleware = (ctx, next) => (concerns(ctx.path) ? run(ctx, next) : next());
  return Object.assign(layer, { concern, concerns, layers });
}
