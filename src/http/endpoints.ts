import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import { hasSeveralAuthorizations } from './credentials.ts';
import { allowReading, answerPreflight, isPreflight } from './cross-origin.ts';

/** What every request has to have right before anything answers it: the path, the method, and the form of its body. */

/** How the body of a request is written. */
type BodyType = 'form' | 'json';

export interface Endpoint {
  /** Below the issuer's path. A segment `:name` is any one segment, and a last segment `*` is everything that follows. */
  readonly path: string;
  /** `any` leaves the method, the headers and the body to the endpoint. */
  readonly methods: readonly string[] | 'any';
  readonly body?: BodyType | undefined;
  /** Programs read its answers: errors are OAuth errors (RFC 6749, section 5.2). */
  readonly oauth?: boolean | undefined;
  /**
   * Scripts of other origins may call it. `engine`: the engine checks the origin and adds the headers to its answers, so that
   * only what is refused before it gets them here.
   */
  readonly crossOrigin?: 'ours' | 'engine' | undefined;
}

/** Which headers of an answer scripts may read, besides those that they always may. */
const EXPOSED = 'Retry-After,WWW-Authenticate';

/** The endpoints of a router, which hands on its `router` with its middleware. */
export function endpointsOf(routes: Middleware, more: Omit<Endpoint, 'path' | 'methods'> = {}) {
  const { router } = routes as unknown as { readonly router: Router };
  const methods = new Map<string, string[]>();
  for (const layer of router.stack) {
    const path = String(layer.path);
    if (layer.methods.length > 0)
      methods.set(path, [...(methods.get(path) ?? []), ...layer.methods]);
  }
  return [...methods].map(
    ([path, all]): Endpoint => ({ path, methods: all, body: 'form', ...more }),
  );
}

/**
 * Refuses requests that no endpoint takes, before anything else looks at them. Each path has one spelling: no other case, no
 * slash at its end, no character in another encoding.
 * @throws AppError `not_found` (404), `method_not_allowed` (405), `several_authorizations` (400), `unsupported_body` (415)
 */
export function admitRequests(endpoints: readonly Endpoint[]): Middleware {
  const find = finder(endpoints);
  return async (ctx, next) => {
    const endpoint = find(ctx.path);
    if (endpoint === undefined)
      throw new AppError('not_found', 'There is nothing here.', { status: 404 });
    ctx.state.oauth = endpoint.oauth === true;
    if (endpoint.methods === 'any') {
      ctx.state.ignoresBody = true;
      return next();
    }
    if (endpoint.crossOrigin !== undefined && isPreflight(ctx))
      return answerPreflight(ctx, endpoint.methods.filter(isNamed));
    if (endpoint.crossOrigin === 'ours') allowReading(ctx, EXPOSED);
    try {
      if (!checkMethod(ctx, endpoint)) return undefined;
      if (hasSeveralAuthorizations(ctx.req.rawHeaders))
        throw new AppError(
          'several_authorizations',
          'The request has more than one Authorization header.',
          { status: 400 },
        );
      if (endpoint.body !== undefined) checkBody(ctx, endpoint.body);
      return await next();
    } catch (error) {
      if (endpoint.crossOrigin === 'engine') allowReading(ctx, EXPOSED);
      throw error;
    }
  };
}

/** Browsers ask for HEAD as for GET: preflights don't name it. */
const isNamed = (method: string) => method !== 'HEAD';

/** @returns whether the request goes on. */
function checkMethod(ctx: Context, { methods, crossOrigin }: Endpoint): boolean {
  const allowed = [
    ...new Set([
      ...(methods as readonly string[])
        .filter(isNamed)
        .flatMap((one) => (one === 'GET' ? ['GET', 'HEAD'] : [one])),
      ...(crossOrigin === undefined ? [] : ['OPTIONS']),
    ]),
  ];
  if (allowed.includes(ctx.method) && ctx.method !== 'OPTIONS') return true;
  ctx.set('Allow', allowed.join(', '));
  if (allowed.includes(ctx.method)) {
    ctx.status = 204;
    return false;
  }
  throw new AppError(
    'method_not_allowed',
    `This address does not answer the method of this request, only ${allowed.join(', ')}.`,
    { status: 405 },
  );
}

const types: Record<BodyType, string> = {
  form: 'application/x-www-form-urlencoded',
  json: 'application/json',
};

function checkBody(ctx: Context, expected: BodyType): void {
  const { 'transfer-encoding': chunked, 'content-encoding': encoding } = ctx.req.headers;
  if (chunked === undefined && (ctx.request.length ?? 0) === 0) return;
  const type = types[expected];
  const refuse = (why: string) => new AppError('unsupported_body', why, { status: 415 });
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    ctx.set('Accept-Encoding', 'identity');
    throw refuse('The body is compressed (Content-Encoding). Send it uncompressed.');
  }
  if (ctx.get('Content-Type') === '')
    throw refuse(`The request has a body but no Content-Type. Send ${type}.`);
  if (ctx.request.type.toLowerCase() !== type)
    throw refuse(`The Content-Type of the body must be ${type}.`);
  if (!/^(utf-8)?$/i.test(ctx.request.charset)) throw refuse('The body must be in UTF-8.');
}

function finder(endpoints: readonly Endpoint[]): (path: string) => Endpoint | undefined {
  const fixed = new Map<string, Endpoint>();
  const open: { readonly segments: readonly string[]; readonly endpoint: Endpoint }[] = [];
  for (const endpoint of endpoints) {
    if (/\/(:|\*$)/.test(endpoint.path))
      open.push({ segments: endpoint.path.split('/'), endpoint });
    else fixed.set(endpoint.path, merge(fixed.get(endpoint.path), endpoint));
  }
  return (path) => {
    const found = fixed.get(path);
    if (found !== undefined) return found;
    const sent = path.split('/');
    return open.find(({ segments }) => matches(segments, sent))?.endpoint;
  };
}

/** Two parts of the server may answer one path, each by methods of its own. */
function merge(known: Endpoint | undefined, more: Endpoint): Endpoint {
  if (known === undefined || known.methods === 'any' || more.methods === 'any') return more;
  return { ...known, ...more, methods: [...known.methods, ...more.methods] };
}

function matches(segments: readonly string[], sent: readonly string[]): boolean {
  const isOpen = segments.at(-1) === '*';
  const named = isOpen ? segments.slice(0, -1) : segments;
  if (isOpen ? sent.length <= named.length : sent.length !== named.length) return false;
  return named.every((segment, index) => {
    const part = sent[index] as string;
    return segment.startsWith(':') ? isCanonical(part) : part === segment;
  });
}

/** Whether a segment is written as we write it into addresses. */
function isCanonical(segment: string): boolean {
  try {
    return segment !== '' && encodeURIComponent(decodeURIComponent(segment)) === segment;
  } catch {
    return false;
  }
}
