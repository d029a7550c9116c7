import type { IncomingMessage } from 'node:http';
import { isToken68, parseAuthorization } from './authorization-header.ts';
import type { Scheme } from './challenge.ts';
import { Refusal } from './errors.ts';

/** A request of Node, as Koa and Express hand it on too, or of the Fetch API. */
export type AnyRequest = NodeRequest | Request;

/** What is needed of Node's IncomingMessage; Express adds what it has parsed or rewritten. */
export type NodeRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'rawHeaders'> & {
  readonly socket: object;
  readonly originalUrl?: string | undefined;
  readonly body?: unknown;
};

/** A request, whatever it came as. */
export interface RequestView {
  readonly method: string;
  /** The path as it was sent, without the query. */
  readonly path: string;
  readonly query: string;
  /** The values of every header field of that name, in their order. */
  header(name: string): readonly string[];
  /** The body where something before us has parsed it. */
  readonly parsedBody: unknown;
}

export interface PresentedToken {
  readonly scheme: Scheme;
  readonly token: string;
}

const MOST_TOKEN = 16 * 1024;

export function viewOf(request: AnyRequest): RequestView {
  if (isFetchRequest(request)) {
    const { pathname, search } = new URL(request.url);
    const header = (name: string) => {
      const value = request.headers.get(name);
      return value === null ? [] : [value];
    };
    return {
      method: request.method,
      path: pathname,
      query: search.slice(1),
      header,
      parsedBody: undefined,
    };
  }
  const { method = 'GET', originalUrl, url = '/', rawHeaders } = request;
  return {
    method,
    ...splitTarget(originalUrl ?? url),
    header: (name) => rawHeaders.filter((_, index) => isNamed(name, rawHeaders, index)),
    parsedBody: request.body,
  };
}

function isFetchRequest(request: AnyRequest): request is Request {
  return typeof (request.headers as Headers).get === 'function';
}

/** Node's own view drops the second of two `Authorization`; names and values alternate in the raw one. */
function isNamed(name: string, rawHeaders: readonly string[], index: number): boolean {
  return index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name;
}

/** A request target in origin form or absolute form (RFC 9112, section 3.2). */
function splitTarget(target: string): { path: string; query: string } {
  const local = target.startsWith('/')
    ? target
    : target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '');
  const [, path = '', query = ''] = /^([^?#]*)(?:\?([^#]*))?/.exec(local) ?? [];
  return { path: path === '' ? '/' : path, query };
}

/**
 * The one token of the request, in its `Authorization` header; undefined where there is none.
 * @throws Refusal where there are several, or one where none may be (RFC 6750, section 2; RFC 9700, section 4.3.2)
 */
export function tokenOf(request: RequestView): PresentedToken | undefined {
  if (new URLSearchParams(request.query).has('access_token'))
    throw new Refusal('invalid_request', 'a token is never sent in the query');
  const fields = request.header('authorization');
  if (fields.length > 1) throw new Refusal('invalid_request', 'there is more than one token');
  const header = parseAuthorization(fields[0] ?? '');
  const scheme = schemes.get(header?.scheme ?? '');
  if (header === undefined || scheme === undefined) return undefined;
  const token = header.value;
  if (!isToken68(token))
    throw new Refusal('invalid_request', 'the Authorization header is malformed');
  if (token.length > MOST_TOKEN) throw new Refusal('invalid_token', 'the token is too long');
  if (hasTokenInForm(request)) throw new Refusal('invalid_request', 'there is more than one token');
  return { scheme, token };
}

const schemes = new Map<string, Scheme>([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
]);

const INTERACTION_ID = 'x-fapi-interaction-id';
const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * The headers of every answer to the request: its `x-fapi-interaction-id`, if it has one that is a UUID (FAPI 1.0
 * Baseline, section 6.2.1, item 11).
 */
export function echoedHeaders(request: RequestView): Record<string, string> {
  const [id, ...others] = request.header(INTERACTION_ID);
  return id !== undefined && others.length === 0 && uuid.test(id) ? { [INTERACTION_ID]: id } : {};
}

/** In JSON, a field of that name is the API's own. */
function hasTokenInForm(request: RequestView): boolean {
  const { parsedBody } = request;
  return (
    /^application\/x-www-form-urlencoded\b/i.test(request.header('content-type')[0] ?? '') &&
    typeof parsedBody === 'object' &&
    parsedBody !== null &&
    'access_token' in parsedBody
  );
}
