import type { ServerResponse } from 'node:http';

/** What Node reports when the client has closed its connection: while we read the request, or while we write the answer. */
const codes = new Set<unknown>([
  'ECONNABORTED',
  'ECONNRESET',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** Whether an error of a request's or an answer's own stream means that the client hung up. */
export function isHangUp(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && codes.has(error.code);
}

/** Whether the client closed the connection before it had the whole response. */
export function hasHungUp(response: ServerResponse): boolean {
  // A response that waits behind another one of its connection gets no `close` event and is not marked as destroyed.
  return (response.destroyed || response.req.socket.destroyed) && !response.writableFinished;
}
