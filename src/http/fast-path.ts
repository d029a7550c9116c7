import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from 'koa';
import { type Deadline, deadlineOf } from '../lib/deadline.ts';
import type { Logger } from '../lib/log.ts';
import type { BasicCredentials } from './credentials.ts';
import { isPlainRequest, plainCredentials, plainForm } from './fast-path-form.ts';
import type { Handler } from './listener.ts';
import { issuerPath, requestLog, type RequestLine, securityHeaderList } from './request.ts';

/**
 * A fast path answers the plain form of one request, asked thousands of times a second, before Koa and the engine; whatever is
 * unusual, doubtful or refused goes on to them as if it had come there first (docs/decisions/0012). An answer of a
 * fast path is byte for byte the engine's.
 */
export interface FastPath<Caller> {
  /** The engine's name of the route. */
  readonly route: 'introspection' | 'token';
  /** Below the issuer's path. */
  readonly path: string;
  /** The parameters that it knows; with any other one, the request goes on. */
  readonly fields: ReadonlySet<string>;
  /** What scripts of other origins may read of the answer. */
  readonly exposedHeaders: string;
  /**
   * The body of the answer (200), or undefined where the engine is to answer. It has changed nothing then.
   * @param deadline of the request: after it, nothing may be written
   */
  answer(
    caller: Caller,
    form: ReadonlyMap<string, string>,
    deadline: Deadline | undefined,
  ): FastPathAnswer | undefined | Promise<FastPathAnswer | undefined>;
}

export interface FastPathAnswer {
  readonly body: string;
  /** For the metrics, in a word of ours. */
  readonly result: string;
}

export interface FastPathParts<Caller> {
  readonly issuer: string;
  readonly logger: Logger;
  readonly fastPaths: readonly FastPath<Caller>[];
  /** Gives who authenticates so; undefined for everybody whom the engine has to look at. */
  readonly authenticate: (credentials: BasicCredentials) => Promise<Caller | undefined>;
  /**
   * Called for each client that has authenticated.
   * @throws AppError where it may not go on: the request is refused with that
   */
  readonly onCaller?: ((route: FastPath<never>['route'], caller: Caller) => void) | undefined;
  /** Counts the requests under way. */
  readonly bounds: { readonly isFull: boolean; enter(): void; leave(): void };
  /** Whether we may answer at all: not where we must not sign, or know nothing for sure. */
  readonly isOpen: () => boolean;
  /** Hears of each answer. */
  readonly onAnswer?:
    | ((route: FastPath<never>['route'], seconds: number, result: string) => void)
    | undefined;
  /** Where all other requests go. */
  readonly next: Handler;
}

interface Running<Caller> extends FastPathParts<Caller> {
  readonly log: (line: RequestLine) => void;
}

/** What a request that goes on brings along: see `readBody` and `refuseFailed`. */
export interface HandedOn extends IncomingMessage {
  /** What was read of it already: all of it. */
  body?: string;
  /** Why the fast path could not answer: it is not tried again, since the reader has waited. */
  fastPathFailure?: Error;
}

/** Takes each request to its fast path, and all others on. */
export function createFastPaths<Caller>(given: FastPathParts<Caller>): Handler {
  const parts = { ...given, log: requestLog(given.logger) };
  const prefix = issuerPath(parts.issuer);
  const known = new Map(
    parts.fastPaths.map((fastPath) => [
      `${prefix}${fastPath.path}`,
      { fastPath, crossOrigin: crossOrigin(fastPath), headers: headersOf(fastPath, parts.issuer) },
    ]),
  );
  return (request: HandedOn, response) => {
    const found = request.method === 'POST' ? known.get(request.url as string) : undefined;
    if (found === undefined || !isPlainRequest(request) || !parts.isOpen())
      return parts.next(request, response);
    return run(parts, found, request, response);
  };
}

interface Known<Caller> {
  readonly fastPath: FastPath<Caller>;
  readonly crossOrigin: readonly [name: string, value: string][];
  readonly headers: readonly string[];
}

async function run<Caller>(
  parts: Running<Caller>,
  known: Known<Caller>,
  request: HandedOn,
  response: ServerResponse,
): Promise<void> {
  const started = deadlineOf(request)?.startedAt ?? performance.now();
  let answer: FastPathAnswer | undefined;
  try {
    answer = await take(parts, known.fastPath, request);
  } catch (error) {
    request.fastPathFailure = error instanceof Error ? error : new Error(String(error));
    for (const [name, value] of known.crossOrigin) response.setHeader(name, value);
  }
  if (answer === undefined) parts.next(request, response);
  else send(parts, known, { response, answer, started });
}

async function take<Caller>(
  { authenticate, onCaller, bounds }: FastPathParts<Caller>,
  fastPath: FastPath<Caller>,
  request: HandedOn,
): Promise<FastPathAnswer | undefined> {
  const text = await readText(request);
  if (text === undefined) return undefined;
  request.body = text;
  // The body was the client's time.
  const deadline = deadlineOf(request);
  deadline?.restart();
  const form = plainForm(text, fastPath.fields);
  const credentials = form && plainCredentials(request.headers.authorization, form);
  if (form === undefined || credentials === undefined) return undefined;
  // Others may have come while the body did.
  if (bounds.isFull) return undefined;
  const work = async () => {
    bounds.enter();
    try {
      const caller = await authenticate(credentials);
      if (caller === undefined) return undefined;
      onCaller?.(fastPath.route, caller);
      return await fastPath.answer(caller, form, deadline);
    } finally {
      bounds.leave();
    }
  };
  return deadline === undefined ? work() : deadline.bound(work);
}

/** The whole body; undefined where the connection broke off before its end. */
function readText(request: IncomingMessage): Promise<string | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.once('end', () => {
      const [only = Buffer.alloc(0)] = chunks;
      resolve((chunks.length < 2 ? only : Buffer.concat(chunks)).toString('utf8'));
    });
    // After the end, this changes nothing.
    request.once('close', () => resolve(undefined));
  });
}

interface Sent {
  readonly response: ServerResponse;
  readonly answer: FastPathAnswer;
  readonly started: number;
}

function send<Caller>(
  { log, onAnswer }: Running<Caller>,
  {
    fastPath,
    headers,
  }: { readonly fastPath: FastPath<Caller>; readonly headers: readonly string[] },
  { response, answer, started }: Sent,
): void {
  const requestId = randomUUID();
  const length = Buffer.byteLength(answer.body);
  // One byte a character needs no encoding.
  const isAscii = length === answer.body.length;
  response.writeHead(200, [
    ...headers,
    'X-Request-Id',
    requestId,
    'Content-Length',
    String(length),
  ]);
  response.end(answer.body, isAscii ? 'latin1' : 'utf8');
  const ms = performance.now() - started;
  onAnswer?.(fastPath.route, ms / 1000, answer.result);
  log({ requestId, method: 'POST', path: fastPath.path, status: 200, ms });
}

/** What every answer of the fast path carries, as the pipeline and the engine would write it. */
function headersOf(fastPath: FastPath<never>, issuer: string): string[] {
  return [
    ...securityHeaderList(issuer),
    ...crossOrigin(fastPath),
    ['Cache-Control', 'no-store'],
    ['Content-Type', 'application/json; charset=utf-8'],
  ].flat();
}

/** As the engine writes it where no origin is named. */
const crossOrigin = ({ exposedHeaders }: FastPath<never>): [name: string, value: string][] => [
  ['Vary', 'Origin'],
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Expose-Headers', exposedHeaders],
];

/** Ends a request whose fast path has failed: what failed is not tried again, since its reader has waited for it. */
export function refuseFailed(): Middleware {
  return (ctx, next) => {
    const { fastPathFailure } = ctx.req as HandedOn;
    if (fastPathFailure !== undefined) throw fastPathFailure;
    return next();
  };
}
