import type { Context, Middleware } from 'koa';
import { isUnavailable } from '../db/sql-state.ts';
import { AppError, clientGone, unavailable } from '../errors.ts';
import type { Logger } from '../lib/log.ts';
import type { ErrorKind } from '../pages/pages.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';
import { hasHungUp } from './hang-ups.ts';

/** The page for an error of ours; an error without an entry here gets its page by its status. */
const kinds: Record<string, ErrorKind> = {
  cross_site: 'forged',
  interaction_expired: 'expired',
  interaction_finished: 'finished',
  other_browser: 'other-browser',
  invalid_request_uri: 'app-request',
};

function kindOf(error: AppError): ErrorKind {
  const known = kinds[error.code];
  if (known !== undefined) return known;
  switch (error.status) {
    case 403:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 413:
      return 'too-large';
    case 429:
      return 'too-many';
    case 503:
      return 'unavailable';
    default:
      return error.status < 500 ? 'bad-request' : 'ours';
  }
}

/** Turns whatever was thrown into an error of ours. An unknown one is a server error, and says nothing about its cause. */
function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isUnavailable(error)) return unavailable(error);
  const status =
    error instanceof Error && 'status' in error && typeof error.status === 'number'
      ? error.status
      : 500;
  return new AppError(
    status < 500 ? 'bad_request' : 'server_error',
    status < 500 ? 'The request could not be understood.' : 'Something went wrong on our side.',
    {
      status,
      cause: error,
    },
  );
}

/** Where a user can go on from an error page. A middleware sets it in `ctx.state.ways`, on paths that only browsers use. */
export interface Ways {
  readonly startUrl?: string | undefined;
  readonly homeUrl?: string | undefined;
}

/** Errors on these paths are pages that lead to the account. */
export function wayHome(issuer: string): Middleware {
  return (ctx, next) => {
    ctx.state.ways = { homeUrl: `${issuer}/account` } satisfies Ways;
    return next();
  };
}

/** Whether the same address may answer if it is opened again. */
function isWorthRetrying({ method }: Context, error: AppError): boolean {
  return method === 'GET' && ['unavailable', 'ours', 'too-many'].includes(kindOf(error));
}

/** The words of RFC 6749 (sections 4.1.2.1 and 5.2) for what is thrown on the way to the engine, or by it. */
function oauthError({ status }: AppError): string {
  if (status === 401) return 'invalid_client';
  if (status === 503 || status === 429) return 'temporarily_unavailable';
  return status < 500 ? 'invalid_request' : 'server_error';
}

/**
 * Answers with the error in the form that its reader expects: a page for browsers, an OAuth error where OAuth is spoken
 * (`ctx.state.oauth`), an RFC 9457 problem for other programs.
 */
function answerError(
  ctx: Context,
  { renderer, homeUrl }: { renderer: Renderer; homeUrl: string },
  error: AppError,
): void {
  for (const header of ['Set-Cookie', 'Location', 'ETag', 'Content-Length']) ctx.remove(header);
  if (error.retryAfter !== undefined) ctx.set('Retry-After', String(error.retryAfter));
  // Nobody waits for the rest of the body.
  if (error.status === 413) ctx.set('Connection', 'close');
  const ways = ctx.state.ways as Ways | undefined;
  const title = error.expose ? error.message : 'Something went wrong on our side.';
  if (ctx.state.oauth === true) {
    ctx.status = error.status;
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { error: oauthError(error), error_description: title };
    return;
  }
  if (ways !== undefined || ctx.accepts('json', 'html') === 'html') {
    renderPage(
      ctx,
      renderer,
      'error',
      {
        kind: kindOf(error),
        requestId: ctx.state.requestId,
        at: new Date(),
        retryAfter: error.retryAfter,
        retry: isWorthRetrying(ctx, error) || undefined,
        ...(kindOf(error) === 'app-request'
          ? { oauth: { error: error.code, description: title } }
          : {}),
        ...(ways ?? { homeUrl }),
      },
      { status: error.status },
    );
    return;
  }
  ctx.status = error.status;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = {
    type: `urn:vouchsafe:error:${error.code}`,
    title,
    status: error.status,
    request_id: ctx.state.requestId,
  };
  ctx.type = 'application/problem+json';
}

/** The one handler of what is thrown on our side of the engine. */
export function handleErrors(renderer: Renderer, logger: Logger, issuer: string): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined)
        throw new AppError('not_found', 'There is nothing here.', { status: 404 });
    } catch (thrown) {
      const known = toAppError(thrown);
      // Nobody gets the 503 of a request whose client hung up. A mistake of ours stays one.
      const error = known.status === 503 && hasHungUp(ctx.res) ? clientGone(known) : known;
      // A refusal for overload has its line in the access log. Where it came from is always the same.
      if (error.status >= 500 && error.code !== 'overloaded')
        logger.error(
          { err: error, cause: error.cause, requestId: ctx.state.requestId },
          'request failed',
        );
      answerError(ctx, { renderer, homeUrl: `${issuer}/account` }, error);
    }
  };
}
