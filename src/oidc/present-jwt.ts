import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { HandedOn } from '../http/fast-path.ts';
import { isJwt } from '../unit-of-work/live-token.ts';
import type { PresentedJwt } from '../unit-of-work/records.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { engineRoutes } from './endpoints.ts';
import type { VerifyJwt } from './verify-jwt.ts';

/**
 * The engine introspects and revokes no JWTs. This verifies the signature of one that is presented, and hands the engine
 * a random handle in its place that only this request's unit resolves: client authentication, RFC 9701 and revocation stay
 * the engine's. What does not verify becomes a handle of nothing, so that the answer is that of any unknown token.
 */
export function presentJwts(verify: VerifyJwt): Middleware {
  return async (ctx, next) => {
    const request = ctx.req as HandedOn;
    if (request.body === undefined || !tokenPaths.has(ctx.path)) return next();
    const form = new URLSearchParams(request.body);
    const tokens = form.getAll('token');
    const [token] = tokens;
    if (tokens.length === 1 && token !== undefined && isJwt(token)) {
      const handle = `jwt_${randomUUID()}`;
      const jwt = await verify(token);
      if (jwt !== undefined) currentUnit().presentJwt(handle, jwt);
      form.set('token', handle);
      request.body = form.toString();
    }
    return next();
  };
}

const tokenPaths = new Set<string>([engineRoutes.introspection, engineRoutes.revocation]);

/** What the engine's model of the token holds, but for whose it is: that is in its row. */
export function jwtPayload(jwt: PresentedJwt): Record<string, unknown> {
  const { iss: _, sub: __, client_id: ___, cnf, authorization_details: rar, ...rest } = jwt.claims;
  return {
    ...rest,
    kind: jwt.kind === 'machine' ? 'ClientCredentials' : 'AccessToken',
    clientId: jwt.clientId,
    ...(rar === undefined ? {} : { rar }),
    ...(cnf as object | undefined),
  };
}
