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
   * What the documents are made from: other objects after each change, and undefined while none may be sent from memory.
   */
  readonly sources: () => readonly object[] | undefined;
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
  #sources: readonly object[] | undefined;

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
      const isKnown = this.#isCurrent();
      const recorded = this.#recorded;
      await next();
      // Where something changed meanwhile, the response may be of before or after.
      const isSame = isKnown && this.#isCurrent() && this.#recorded === recorded;
      if (ctx.status !== 200 || !isSame) return;
      const body = Buffer.from(JSON.stringify(ctx.body));
      recorded.set(url, { route, path: ctx.path, headers: headersOf(ctx, body), body });
    };
  }

  #find(url: string): Recorded | undefined {
    return this.#routes.has(url) && this.#isCurrent() ? this.#recorded.get(url) : undefined;
  }

  /** Whether documents may be sent from memory; forgets those that were made from something else. */
  #isCurrent(): boolean {
    const sources = this.#options.sources();
    if (sources === undefined) return false;
    if (sources.some((source, index) => source !== this.#sources?.[index])) {
      this.#sources = sources;
      this.#recorded = new Map();
    }
    return true;
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
