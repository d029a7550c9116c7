import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { type Answer, answerOf } from './proofs.ts';

/** Requests on connections of their own, each with the certificate, or from the address, that it is to have. */

export interface Connection {
  readonly url: string;
  /** The client's certificate and key, as PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
  /** The authority of the server's certificate, which is for localhost. */
  readonly ca?: string;
  /** The name of the server, where that is not localhost. */
  readonly host?: string;
  /** Of this machine, whence the request comes. */
  readonly localAddress?: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string | string[]>;
  readonly form?: Record<string, string>;
}

/** As `fetch` answers, on a connection of its own. */
export function request(
  { url, certificate, ca, host, localAddress }: Connection,
  { method = 'POST', headers = {}, form }: Asked = {},
): Promise<Response> {
  const body = form === undefined ? undefined : new URLSearchParams(form).toString();
  const send = url.startsWith('https:') ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const outgoing = send(
      url,
      {
        method,
        agent: false,
        ca,
        localAddress,
        servername: host ?? 'localhost',
        // The certificate of a test's server is for localhost, whatever name it answers to.
        ...(host === undefined ? {} : { checkServerIdentity: () => undefined }),
        cert: certificate?.cert,
        key: certificate?.key,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const got = Object.entries(incoming.headers).flatMap(([name, value]) =>
            [value ?? []].flat().map((one): [string, string] => [name, one]),
          );
          const status = incoming.statusCode ?? 0;
          resolve(
            new Response(status === 204 || status === 304 ? null : Buffer.concat(chunks), {
              status,
              headers: got,
            }),
          );
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export const ask = async (connection: Connection, asked?: Asked): Promise<Answer> =>
  answerOf(await request(connection, asked));
