import type { Context, Middleware } from 'koa';
import { limitedEndpoint, type RequestLimits } from '../http/request-limits.ts';

/** What the engine leaves of a request: nothing where one of our own pages has answered. */
interface EngineState {
  readonly route?: string;
  readonly client?: { readonly clientId: string; readonly clientAuthMethod?: string };
  readonly session?: { readonly accountId?: string };
}

const engineState = (ctx: Context) => (ctx as { oidc?: EngineState }).oidc;

/**
 * Counts each client that has authenticated, once the engine has its answer and before anything of it is written: a refusal
 * drops it all.
 * @throws AppError `too_many_requests` (429)
 */
export function limitClients(limits: RequestLimits): Middleware {
  return async (ctx, next) => {
    await next();
    const endpoint = limitedEndpoint(ctx.path);
    const clientId = authenticatedClient(ctx);
    if (endpoint !== undefined && clientId !== undefined) limits.countClient(endpoint, clientId);
  };
}

/**
 * Whether the request has brought what only its sender has: a client's own authentication, a live token or code, or a
 * browser's session. Anything else counts for its network address.
 */
export function hasProven(ctx: Context): boolean {
  const state = engineState(ctx);
  // The routes of registration are our own: below it, only the client's own token succeeds.
  if (ctx.path.startsWith('/register/')) return ctx.status < 400;
  if (state?.route === 'authorization') return state.session?.accountId !== undefined;
  if (state?.route === 'token') return ctx.status === 200;
  return authenticatedClient(ctx) !== undefined;
}

/** An error may come before the authentication: only success shows that there was one. */
function authenticatedClient(ctx: Context): string | undefined {
  const { client } = engineState(ctx) ?? {};
  return ctx.status < 400 && client !== undefined && client.clientAuthMethod !== 'none'
    ? client.clientId
    : undefined;
}
