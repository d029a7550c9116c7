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
