import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '../lib/log.ts';

/** Answers what Node's parser refuses and what no parser of a path can read, so that no request of ours ever comes of it. */

interface Refusal {
  readonly status: number;
  readonly phrase: string;
  readonly title: string;
}

const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    phrase: 'Request Header Fields Too Large',
    title:
      'The headers of the request are too large. In a browser, delete the cookies of this site.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    phrase: 'Request Timeout',
    title: 'The request did not arrive in time.',
  },
};

const malformed: Refusal = {
  status: 400,
  phrase: 'Bad Request',
  title: 'The request is not valid HTTP.',
};

const invalidTarget = {
  status: 400,
  title: 'The target of the request must be a path or an absolute URL, without a fragment.',
};

/** The body of a refusal, and the headers that go with it. */
function describe({ status, title }: Pick<Refusal, 'status' | 'title'>, requestId: string) {
  const body = JSON.stringify({
    type: `urn:vouchsafe:error:${status === 431 ? 'headers_too_large' : 'bad_request'}`,
    title,
    status,
    request_id: requestId,
  });
  const headers = {
    Connection: 'close',
    'Content-Type': 'application/problem+json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Request-Id': requestId,
  };
  return { body, headers };
}

/** Answers a request whose target can't be read (see `originForm`). */
export function refuseTarget(response: ServerResponse, logger: Logger | undefined): void {
  const requestId = randomUUID();
  const { status } = invalidTarget;
  logger?.info({ requestId, status, problem: 'invalid_target' }, 'request refused');
  const { body, headers } = describe(invalidTarget, requestId);
  response.writeHead(status, headers).end(body);
}

/** Node's own name for the answer that is under way on a connection. */
type Answering = Duplex & {
  readonly bytesRead?: number;
  readonly _httpMessage?: ServerResponse | null;
};

/**
 * Listens to `clientError` of an HTTP server: answers once, with the id that its log line has, and closes the connection. A
 * client that hung up, or never sent anything, leaves no line.
 */
export function refuseHeads(logger: Logger) {
  return (error: NodeJS.ErrnoException, socket: Answering): void => {
    const isAnswered = socket._httpMessage?.headersSent === true;
    if (error.code === 'ECONNRESET' || !socket.writable || isAnswered || socket.bytesRead === 0) {
      socket.destroy();
      return;
    }
    const refusal = refusals[error.code ?? ''] ?? malformed;
    const { status, phrase } = refusal;
    const requestId = randomUUID();
    logger.info({ requestId, status, problem: error.code }, 'request refused');
    const { body, headers } = describe(refusal, requestId);
    socket.end(
      [
        `HTTP/1.1 ${status} ${phrase}`,
        ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
        '',
        body,
      ].join('\r\n'),
      () => socket.destroy(),
    );
  };
}
