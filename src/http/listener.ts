import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createNetServer, Server as NetServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { Deadline, deadlineOf, setDeadline } from '../lib/deadline.ts';
import type { Logger } from '../lib/log.ts';
import { hasHungUp } from './hang-ups.ts';
import { OpenResponses } from './open-responses.ts';
import { refuseHeads, refuseTarget } from './refused-heads.ts';
import { originForm } from './request-target.ts';
import { createTlsServer, type TlsOptions } from './tls.ts';

/** Answers; what it gives is not waited for. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** How long parts of a request may take to arrive, in milliseconds. */
export interface ListenerBounds {
  readonly handshakeMs: number;
  readonly headMs: number;
  /** The whole request. */
  readonly requestMs: number;
  /** How often the two above are checked. */
  readonly checkMs: number;
}

const defaultBounds: ListenerBounds = {
  handshakeMs: 10_000,
  headMs: 10_000,
  requestMs: 30_000,
  checkMs: 1_000,
};

export interface ListenerOptions {
  /** The certificate for TLS; without it the server speaks plain HTTP. */
  readonly tls?: TlsOptions | undefined;
  readonly logger?: Logger | undefined;
  readonly bounds?: ListenerBounds | undefined;
}

/** Longer than load balancers keep idle connections (60 s for most), so that they close one before we do. */
const KEEP_ALIVE_MS = 75_000;

/** How often requests under way are looked at for what has waited too long. */
const SWEEP_MS = 250;

/** An HTTP server that can be closed in order: requests under way are answered, and their connections end with them. */
export class Listener {
  readonly #server: Server;
  /** For further addresses: they hand their connections to the server. */
  readonly #doors: NetServer[] = [];
  readonly #unwatch: (() => void) | undefined;
  readonly #logger: Logger | undefined;
  readonly #answering = new OpenResponses();
  readonly #ending = new AbortController();
  #closing = false;
  #sweeping: NodeJS.Timeout | undefined;

  /** @throws AppError `cannot_listen` */
  constructor({ tls, logger, bounds = defaultBounds }: ListenerOptions = {}) {
    const options = {
      headersTimeout: bounds.headMs,
      requestTimeout: bounds.requestMs,
      connectionsCheckingInterval: bounds.checkMs,
    };
    if (tls === undefined) this.#server = createServer(options);
    else
      ({ server: this.#server, unwatch: this.#unwatch } = createTlsServer(tls, {
        ...options,
        handshakeTimeout: bounds.handshakeMs,
      }));
    this.#logger = logger;
    if (logger !== undefined) this.#server.on('clientError', refuseHeads(logger));
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
  }

  /** Aborted when it is about to end: see `drain`. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /**
   * Listens on each of the hosts; gives the port, which differs from the one asked for where that is 0. Of several hosts,
   * those after the first may be missing on this machine, as ::1 is without IPv6. `variable` names the setting in what an
   * operator reads.
   * @throws AppError `port_in_use`, `cannot_listen`
   */
  async listen(
    port: number,
    hosts: string | readonly string[],
    handler: Handler,
    variable = 'PORT',
  ): Promise<number> {
    this.#server.on('request', (request, response) => {
      setDeadline(request, new Deadline());
      this.#follow(response);
      const target = originForm(request.url ?? '');
      if (target === undefined) return refuseTarget(response, this.#logger);
      request.url = target;
      void handler(request, response);
    });
    const [first = '', ...others] = [hosts].flat();
    await bind(this.#server, port, first, variable);
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref();
    const { port: bound } = this.#server.address() as AddressInfo;
    for (const host of others) {
      const door = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
        this.#server.emit('connection', socket),
      );
      try {
        await bind(door, bound, host, variable);
        this.#doors.push(door);
      } catch (error) {
        const { code } = (error as AppError).cause as NodeJS.ErrnoException;
        if (!absent.has(code ?? '')) throw error;
      }
    }
    return bound;
  }

  /**
   * Answers everything as before, and ends each connection with its answer: whoever sends requests opens new ones, and
   * meanwhile learns that this process is about to end.
   */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    for (const response of this.#answering)
      if (!response.headersSent) response.shouldKeepAlive = false;
  }

  /**
   * Takes nothing new and lets what is under way end, for `patienceMs` at most; what is then left is cut off.
   * @param lingerMs for how long connections without a request stay open: one may be on its way, above all on those that
   *   were accepted last
   */
  async close(patienceMs: number, lingerMs = 0): Promise<void> {
    this.drain();
    this.#unwatch?.();
    if (!this.#server.listening) return;
    // Behind the accepting of what has come: what waits in the system's queue would be reset.
    await new Promise((resolve) => setImmediate(resolve));
    // The method of HTTP servers closes idle connections at once.
    const closed = Promise.all(
      [this.#server, ...this.#doors].map(
        (one) =>
          new Promise<void>((resolve) => NetServer.prototype.close.call(one, () => resolve())),
      ),
    );
    if (lingerMs > 0) await Promise.race([closed, delay(lingerMs)]);
    this.#closing = true;
    this.#server.closeIdleConnections();
    const cutOff = setTimeout(() => this.#server.closeAllConnections(), patienceMs);
    await closed;
    clearTimeout(cutOff);
    clearInterval(this.#sweeping);
    // What it does besides: it ends the timer that looks for slow requests.
    this.#server.close(() => undefined);
  }

  #sweep(): void {
    for (const response of this.#answering) {
      deadlineOf(response.req)?.check();
      // A response that waits behind another one of its connection never gets `close`.
      if (response.req.socket.destroyed) this.#leave(response);
    }
  }

  #follow(response: ServerResponse): void {
    this.#answering.add(response);
    if (this.#ending.signal.aborted) response.shouldKeepAlive = false;
    response.once('close', () => this.#leave(response));
  }

  #leave(response: ServerResponse): void {
    const deadline = deadlineOf(response.req);
    if (hasHungUp(response)) deadline?.abandon();
    else deadline?.end();
    this.#answering.delete(response);
    if (this.#closing) this.#server.closeIdleConnections();
  }
}

/** There is no such address on this machine, or no such family of addresses. */
const absent = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

function bind(server: NetServer, port: number, host: string, variable: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: NodeJS.ErrnoException) =>
      reject(listenError(cause, port, host, variable));
    server.once('error', refuse);
    server.listen(port, host, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

function listenError(
  cause: NodeJS.ErrnoException,
  port: number,
  host: string,
  variable: string,
): AppError {
  switch (cause.code) {
    case 'EADDRINUSE':
      return new AppError(
        'port_in_use',
        `Port ${port} on ${host} is in use already: is another Vouchsafe running? Stop it, or choose another port, as in ${variable}=${port < 65535 ? port + 1 : 3000}.`,
        { cause },
      );
    case 'EACCES':
      return new AppError(
        'cannot_listen',
        `Port ${port} may not be used by this user. Choose one above 1023, as in ${variable}=3000.`,
        { cause },
      );
    case 'EADDRNOTAVAIL':
      return new AppError('cannot_listen', `${host} is not an address of this machine.`, { cause });
    default:
      return new AppError(
        'cannot_listen',
        `Listening on ${host}, port ${port}, failed: ${cause.code ?? cause.message}.`,
        { cause },
      );
  }
}
