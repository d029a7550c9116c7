import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import type { Logger } from '../lib/log.ts';
import type { Handler } from './listener.ts';
import { issuerPath, requestLog } from './request.ts';

/** What was answered once, ready to be sent again: the headers in pairs, with the length of the body. */
interface Recorded {
  readonly route: 'discovery' | 'jwks';
  /** Below the issuer's path, for the log. */
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

export interface PublishedOptions {
  readonly issuer: string;
  readonly logger: Logger;
  /**
   * What the documents were made from: another object after each change of keys, and undefined while none may be sent from
   * memory.
   */
  readonly source: () => object | undefined;
  readonly onAnswer: (route: 'discovery' | 'jwks', seconds: number) => void;
}

/**
 * Discovery and the JWKS are the same bytes for every caller until keys or APIs change. The first plain request records them
 * (`record`); the next ones are answered before Koa (`answer`). A request that names an origin takes the usual path, since
 * its origin is in the response.
 */
export class PublishedDocuments {
  readonly #options: PublishedOptions;
  readonly #routes: ReadonlyMap<string, Recorded['route']>;
  readonly #log: ReturnType<typeof requestLog>;
  #recorded = new Map<string, Recorded>();
  #source: object | undefined;

  constructor(options: PublishedOptions) {
    this.#options = options;
    this.#log = requestLog(options.logger);
    const path = issuerPath(options.issuer);
    this.#routes = new Map([
      [`${path}/jwks`, 'jwks'],
      ...['openid-configuration', 'oauth-authorization-server'].flatMap((name) =>
        [`${path}/.well-known/${name}`, `/.well-known/${name}${path}`].map(
          (url) => [url, 'discovery'] as const,
        ),
      ),
    ]);
  }

  /** Forgets what was recorded: called when something in the documents has changed. */
  clear(): void {
    this.#recorded = new Map();
  }

  /** Answers what is recorded; all other requests go to `next`. */
  answer(next: Handler): Handler {
    return (request, response) => {
      const known = request.method === 'GET' ? this.#find(request.url as string) : undefined;
      if (known === undefined || request.headers.origin !== undefined) {
        next(request, response);
        return;
      }
      const started = performance.now();
      const requestId = randomUUID();
      response.writeHead(200, [...known.headers, 'X-Request-Id', requestId]);
      response.end(known.body);
      const ms = performance.now() - started;
      this.#options.onAnswer(known.route, ms / 1_000);
      this.#log({ requestId, method: 'GET', path: known.path, status: 200, ms });
    };
  }

  /** Comes before everything that writes headers, but the request's id. */
  record(): Middleware {
    return async (ctx, next) => {
      const url = ctx.req.url as string;
      const route = ctx.method === 'GET' && !ctx.get('Origin') ? this.#routes.get(url) : undefined;
      if (route === undefined) return next();
      const source = this.#current();
      const recorded = this.#recorded;
      await next();
      // Where something changed meanwhile, the response may be of before or after.
      const isSame = this.#current() === source && this.#recorded === recorded;
      if (ctx.status !== 200 || source === undefined || !isSame) return;
      const body = Buffer.from(JSON.stringify(ctx.body));
      recorded.set(url, { route, path: ctx.path, headers: headersOf(ctx, body), body });
    };
  }

  #find(url: string): Recorded | undefined {
    return this.#routes.has(url) && this.#current() !== undefined
      ? this.#recorded.get(url)
      : undefined;
  }

  /** The source of what is recorded; what was made from another one is forgotten. */
  #current(): object | undefined {
    const source = this.#options.source();
    if (source !== this.#source && source !== undefined) {
      this.#source = source;
      this.clear();
    }
    return source;
  }
}

function headersOf({ res }: Context, body: Buffer): string[] {
  const names = res.getHeaderNames().filter((name) => name !== 'x-request-id');
  const pairs = names.flatMap((name) => [
    name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
    String(res.getHeader(name)),
  ]);
  return [...pairs, 'Content-Length', String(body.length)];
}
