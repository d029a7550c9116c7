import { randomUUID } from 'node:crypto';
import type { Middleware } from 'koa';
import type { HandedOn } from '../http/fast-path.ts';
import { isJwt } from '../unit-of-work/live-token.ts';
import type { PresentedJwt } from '../unit-of-work/records.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import type { VerifyJwt } from './verify-jwt.ts';

/**
 * The engine introspects and revokes no JWTs. This verifies the signature of one that is presented, and hands the engine
 * a random handle in its place that only this request's unit resolves: client authentication, RFC 9701 and revocation stay
 * the engine's. What does not verify becomes a handle of nothing, so that the answer is that of any unknown token.
 */
export function presentJwts(options: {
  readonly verify: VerifyJwt;
  readonly readBody: (ctx: Parameters<Middleware>[0]) => Promise<string>;
}): Middleware {
  return async (ctx, next) => {
    if (
      ctx.method !== 'POST' ||
      !isTokenPath(ctx.path) ||
      !ctx.is('application/x-www-form-urlencoded')
    )
      return next();
    const body = await options.readBody(ctx);
    const form = new URLSearchParams(body);
    const tokens = form.getAll('token');
    const [token] = tokens;
    // A string, so that the engine parses it itself and still sees what came twice.
    const request = ctx.req as HandedOn;
    request.body = body;
    if (tokens.length === 1 && token !== undefined && isJwt(token)) {
      const handle = `jwt_${randomUUID()}`;
      const jwt = await options.verify(token);
      if (jwt !== undefined) currentUnit().presentJwt(handle, jwt);
      form.set('token', handle);
      request.body = form.toString();
    }
    return next();
  };
}

/** As the engine's router reads paths: in any case, and with a slash behind it. */
const isTokenPath = (path: string) => /^\/(introspect|revoke)\/?$/i.test(path);

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
