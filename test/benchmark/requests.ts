import type { Credentials, Exchange } from './protocol.ts';

/** Requests as they go over the wire. */

export const one = (request: string, expect: string): Exchange => ({
  steps: [{ request, expect }],
});

export const basic = ({ clientId, clientSecret }: Credentials) =>
  `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`;

/** What a resource server's HTTP client sends: nothing more than it has to. */
export function post(path: string, credentials: Credentials, form: Record<string, string>): string {
  const body = new URLSearchParams(form).toString();
  return postText(path, [`Authorization: ${basic(credentials)}`, 'Accept: application/json'], body);
}

/** What is carried into it stays as it is written. */
export function postText(path: string, headers: readonly string[], body: string): string {
  return [
    `POST ${path} HTTP/1.1`,
    'Host: localhost:4600',
    ...headers,
    'Content-Type: application/x-www-form-urlencoded',
    'Content-Length: {length}',
    '',
    body,
  ].join('\r\n');
}

export const get = (path: string, headers: readonly string[] = []): string =>
  [`GET ${path} HTTP/1.1`, 'Host: localhost:4600', ...headers, '', ''].join('\r\n');
