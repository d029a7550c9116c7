import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { type IncomingMessage, type RequestOptions, request as http } from 'node:http';
import { request as https } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import { AppError } from '../errors.ts';
import type { OutboundAllow } from './outbound.ts';

/** How names become addresses: `dns.lookup` with `all`. */
type Lookup = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

export interface OutboundOptions {
  readonly allow: OutboundAllow;
  /** The system's resolver unless told. */
  readonly lookup?: Lookup;
  /** From the first byte sent to the last one read; 5,000 unless told. */
  readonly timeoutMs?: number;
}

export interface OutboundRequest {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | Headers | undefined;
  readonly body?: string | URLSearchParams | undefined;
  readonly signal?: AbortSignal | undefined;
}

const TIMEOUT_MS = 5_000;
/** No document that we ask others for comes near it. */
const MAX_BODY = 256 * 1024;
const MAX_HEADERS = 16 * 1024;
const WITHOUT_BODY = new Set([204, 205, 304]);

/**
 * Everything of ours that calls a host which somebody else has named. No connection is made to a special-use address
 * unless the operator has listed it: what is checked are the addresses that this very connection is made to, so that a
 * name with two answers leads nowhere else. Redirects are answers like others and are not followed; time and size have an
 * end; nothing goes along but what the caller gives: no proxy, cookie or credential of the environment.
 */
export class Outbound {
  readonly #allow: OutboundAllow;
  readonly #lookup: Lookup;
  readonly #timeoutMs: number;

  constructor({ allow, lookup = systemLookup, timeoutMs = TIMEOUT_MS }: OutboundOptions) {
    this.#allow = allow;
    this.#lookup = lookup;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * The answer, whatever its status; its body breaks off where it is too long or takes too long.
   * @throws AppError `outbound_refused` for a URL or an address that may not be called; else the error of the connection.
   */
  async fetch(
    target: string | URL,
    { method = 'GET', headers, body, signal }: OutboundRequest = {},
  ): Promise<Response> {
    const url = new URL(target);
    const problem = this.#allow.findProblem(url);
    if (problem !== undefined) throw refused(problem);
    const sent = new Headers(headers);
    if (body instanceof URLSearchParams && !sent.has('content-type'))
      sent.set('content-type', 'application/x-www-form-urlencoded');
    if (body !== undefined) sent.set('content-length', String(Buffer.byteLength(String(body))));
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const answer = await this.#send(
      url,
      {
        method,
        headers: Object.fromEntries(sent),
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      },
      body?.toString(),
    );
    return responseOf(answer, method);
  }

  #send(url: URL, options: RequestOptions, body: string | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? https : http;
      const outgoing = send(
        url,
        {
          ...options,
          lookup: this.#guardedLookup,
          maxHeaderSize: MAX_HEADERS,
          // A connection of its own, so that none is taken over that was made for another name.
          agent: false,
          rejectUnauthorized: true,
        },
        resolve,
      );
      outgoing.on('error', reject);
      // A change of protocol (101) ends the connection, without an answer and without an error.
      outgoing.on('close', () => reject(noHttp()));
      outgoing.on('socket', (socket) => this.#watch(socket, url.hostname));
      outgoing.end(body);
    });
  }

  /** An address in the URL itself is looked up by nobody; whatever the way, what was connected to is looked at again. */
  #watch(socket: Socket, host: string): void {
    socket.once('connect', () => {
      const { remoteAddress } = socket;
      if (remoteAddress === undefined || !this.#allow.permits(host, remoteAddress))
        socket.destroy(refused('it leads to an inside address'));
    });
  }

  readonly #guardedLookup: LookupFunction = (hostname, options, callback) => {
    this.#lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const [first] = addresses;
      // A name that leads outside and inside at once is nobody's honest one.
      if (
        first === undefined ||
        addresses.some(({ address }) => !this.#allow.permits(hostname, address))
      )
        callback(refused('it leads to an inside address'), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function responseOf(message: IncomingMessage, method: string): Response {
  const { statusCode = 0, statusMessage = '', rawHeaders } = message;
  try {
    const headers = new Headers();
    for (let i = 0; i + 1 < rawHeaders.length; i += 2)
      headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
    const empty = method === 'HEAD' || WITHOUT_BODY.has(statusCode);
    if (empty) message.resume();
    return new Response(empty ? null : limited(message), {
      status: statusCode,
      statusText: statusMessage,
      headers,
    });
  } catch (cause) {
    message.destroy();
    throw noHttp(cause);
  }
}

/** The body as far as it may go; who reads no further closes the connection. */
function limited(message: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let received = 0;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) {
        controller.close();
        return;
      }
      received += value.length;
      if (received > MAX_BODY) {
        message.destroy();
        throw new AppError('outbound_answer', 'The answer is too long.');
      }
      controller.enqueue(new Uint8Array(value));
    },
    cancel: () => void message.destroy(),
  });
}

function noHttp(cause?: unknown): AppError {
  return new AppError('outbound_answer', 'The answer is none of HTTP.', { cause });
}

function refused(reason: string): AppError {
  return new AppError('outbound_refused', `The address may not be called: ${reason}.`);
}
