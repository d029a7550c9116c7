import type { Context, Middleware } from 'koa';
import { isClientId } from '../client/client.ts';
import type { Database } from '../db/database.ts';
import { isUnavailable } from '../db/sql-state.ts';
import { AppError, unavailable } from '../errors.ts';
import { requestOrigin } from '../http/request.ts';
import { hurryOutbox } from '../outbox/outbox.service.ts';
import {
  type CommitResult,
  type Loss,
  type UnitHooks,
  UnitOfWork,
  withUnit,
} from '../unit-of-work/unit-of-work.ts';

/** Where programs ask: an error answer there drops the outcome of the request. */
const machineRoutes = new Set([
  'token',
  'introspection',
  'revocation',
  'userinfo',
  'pushed_authorization_request',
  'device_authorization',
  'backchannel_authentication',
]);

interface EngineState {
  readonly oidc?: {
    readonly route?: string;
    readonly client?: { readonly clientAuthMethod?: string };
  };
}

const routeOf = (ctx: Context) => (ctx as unknown as EngineState).oidc?.route;

/** What the engine may refuse for before the client has authenticated. */
const earlierReasons = new Set(['invalid_client', 'invalid_request', 'temporarily_unavailable']);

/** Nobody else can cause such a refusal, so each one is in the audit. */
function isOfAuthenticatedClient(ctx: Context, reason: string | undefined): boolean {
  const { client, route } = (ctx as unknown as EngineState).oidc ?? {};
  return (
    route === 'token' &&
    client !== undefined &&
    client.clientAuthMethod !== 'none' &&
    !earlierReasons.has(reason ?? '')
  );
}

/**
 * Makes each request one transaction: everything it writes is committed here, after the engine and the pages are done
 * and before the answer leaves. Who lost a race gets a fresh answer, with nothing of the old one left in it.
 */
export function unitOfWork(
  db: Database,
  cookieName: (type: 'session') => string,
  isWritten: NonNullable<UnitHooks['isWritten']>,
): Middleware {
  return async (ctx, next) => {
    const unit = new UnitOfWork(db, requestOrigin(ctx), {
      onOutbox: hurryOutbox,
      isWritten: (event) => isOfAuthenticatedClient(ctx, event.reason) || isWritten(event),
    });
    // With the client known, the session's read brings what was decided for it.
    const { client_id: clientId } = ctx.query;
    if (typeof clientId === 'string' && isClientId(clientId)) unit.clientIdHint = clientId;
    ctx.state.recorded = () => unit.recorded;
    ctx.state.repeatedRefresh = () => unit.repeatedRefresh;
    await withUnit(unit, async () => {
      try {
        await next();
      } catch (error) {
        // What must stand whatever came of it is still tried; what the reader hears of is the first error.
        await unit.commit(false).catch(() => undefined);
        throw error;
      }
      if (ctx.state.unavailable !== undefined) throw unavailable(ctx.state.unavailable);
      const failed =
        ctx.status >= 500 || (ctx.status >= 400 && machineRoutes.has(routeOf(ctx) ?? ''));
      settle(ctx, await unit.commit(!failed), cookieName('session'));
    });
  };
}

function settle(ctx: Context, result: CommitResult, sessionCookie: string): void {
  if (result.lost !== undefined) {
    for (const header of ['Set-Cookie', 'Location', 'Content-Length']) ctx.remove(header);
    answerLoss(ctx, result.lost);
    return;
  }
  if (!result.sessionKept) withoutCookie(ctx, sessionCookie);
}

function answerLoss(ctx: Context, lost: Loss): void {
  if (lost === 'pushed')
    throw new AppError(
      'invalid_request_uri',
      'request_uri is invalid, expired, or was already used',
      { status: 400 },
    );
  if (routeOf(ctx) !== 'token')
    throw new AppError('interaction_expired', 'This was finished or ended elsewhere meanwhile.', {
      status: 400,
    });
  ctx.status = 400;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = {
    error: 'invalid_grant',
    error_description: lost === 'used' ? 'it was used already' : 'grant request is invalid',
  };
}

/** An id that is not the session's any more never reaches the browser. */
function withoutCookie(ctx: Context, name: string): void {
  const cookies = ctx.response.get('Set-Cookie') as string | string[];
  const kept = [cookies]
    .flat()
    .filter(
      (cookie) =>
        cookie !== '' && !cookie.startsWith(`${name}=`) && !cookie.startsWith(`${name}.sig=`),
    );
  if (kept.length === 0) ctx.remove('Set-Cookie');
  else ctx.set('Set-Cookie', kept);
}

/** Marks what the engine answered with a 500 because the database could not be reached: it becomes a 503. */
export function noteServerError(ctx: Context, error: unknown): void {
  if (isUnavailable(error) || (error instanceof Error && isUnavailable(error.cause)))
    ctx.state.unavailable = error;
}
