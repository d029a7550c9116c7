import type { Auth } from './auth.ts';
import type { AuthorizationError } from './errors.ts';
import type { ResourceMetadata } from './protected-resource-metadata.ts';
import type { NodeRequest } from './request.ts';

/** What is needed of a Koa context. */
export interface KoaContext {
  readonly req: NodeRequest;
  readonly request: object;
  readonly originalUrl: string;
  readonly state: object;
  status: number;
  body: unknown;
  set(name: string, value: string | string[]): void;
}

export type KoaMiddleware = (ctx: KoaContext, next: () => Promise<unknown>) => Promise<void>;

/** What is needed of the answer of Node, which Express hands on. */
export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): unknown;
  end(body?: string): unknown;
}

export type ExpressMiddleware = (
  request: NodeRequest,
  response: NodeResponse,
  next: (error?: unknown) => void,
) => void;

export type FetchHandler<Rest extends readonly unknown[]> = (
  request: Request,
  ...rest: Rest
) => Promise<Response>;

/** An answer, before it is known how it is sent. */
export interface PlainAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string | readonly string[]])[];
  readonly body: string | undefined;
}

/** The request as Node has it, with what Koa keeps elsewhere: a router may have rewritten `req.url`. */
export function nodeRequestOf({ req, request, originalUrl }: KoaContext): NodeRequest {
  const { method, url, headers, rawHeaders, socket } = req;
  const { body } = request as { body?: unknown };
  return { method, url, headers, rawHeaders, socket, originalUrl, body };
}

export function refusalAnswer({
  status,
  headers,
  challenges,
  body,
}: AuthorizationError): PlainAnswer {
  // Each challenge is a field of its own: not every client takes apart what is joined.
  const { 'WWW-Authenticate': _joined, ...others } = headers;
  return {
    status,
    headers: [
      ...Object.entries(others),
      ...(challenges.length === 0 ? [] : [['WWW-Authenticate', challenges] as const]),
      ['Content-Type', 'application/json'],
    ],
    body: JSON.stringify(body),
  };
}

/** The metadata is public, for scripts of every origin. Undefined where something else is asked for. */
export function metadataAnswer(
  metadata: ResourceMetadata,
  at: URL,
  method: string,
  path: string,
): PlainAnswer | undefined {
  if (path !== at.pathname) return undefined;
  const open = [['Access-Control-Allow-Origin', '*']] as const;
  if (method === 'OPTIONS') {
    const allow = ['Access-Control-Allow-Headers', '*'] as const;
    return { status: 204, headers: [...open, allow], body: undefined };
  }
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, headers: [['Allow', 'GET, HEAD, OPTIONS']], body: undefined };
  return {
    status: 200,
    headers: [
      ...open,
      ['Content-Type', 'application/json'],
      ['Cache-Control', 'public, max-age=300'],
    ],
    body: JSON.stringify(metadata),
  };
}

export function sendByKoa(ctx: KoaContext, { status, headers, body }: PlainAnswer): void {
  ctx.status = status;
  // Koa takes a body that is undefined for a 204.
  if (body !== undefined) ctx.body = body;
  for (const [name, value] of headers)
    ctx.set(name, typeof value === 'string' ? value : [...value]);
}

export function sendByNode(response: NodeResponse, { status, headers, body }: PlainAnswer): void {
  response.statusCode = status;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.end(body);
}

export function toResponse({ status, headers, body }: PlainAnswer): Response {
  const fields = headers.flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, one]),
  );
  return new Response(body ?? null, { status, headers: fields });
}

/** The response with what the next call needs to know. */
export function withHeaders(response: Response, { responseHeaders }: Auth): Response {
  const added = Object.entries(responseHeaders);
  if (added.length === 0) return response;
  const answer = new Response(response.body, response);
  for (const [name, value] of added) answer.headers.set(name, value);
  return answer;
}
