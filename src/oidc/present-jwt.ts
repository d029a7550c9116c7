import { randomUUID } from 'node:crypto';
import { type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Middleware } from 'koa';
import type { PresentedJwt } from './records.ts';
import { currentUnit } from './unit-of-work.ts';

/**
 * The engine introspects and revokes no JWTs. This verifies the signature of one that is presented, and hands the engine
 * a random handle in its place that only this request's unit resolves: client authentication, policy and answer stay the
 * engine's. What does not verify becomes a handle of nothing, so that the answer is that of any unknown token.
 */
export function presentJwts(options: {
  readonly issuer: string;
  readonly keys: () => JWTVerifyGetKey;
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
    const request = ctx.req as typeof ctx.req & { body?: string };
    request.body = body;
    if (tokens.length === 1 && token !== undefined && isJwt(token)) {
      const handle = `jwt_${randomUUID()}`;
      const jwt = await verify(token, options.keys(), options.issuer);
      if (jwt !== undefined) currentUnit().presentJwt(handle, jwt);
      form.set('token', handle);
      request.body = form.toString();
    }
    return next();
  };
}

/** As the engine's router reads paths: in any case, and with a slash behind it. */
const isTokenPath = (path: string) => /^\/(introspect|revoke)\/?$/i.test(path);

const isJwt = (token: string) => token.split('.').length >= 3;

/** RFC 9068, section 4: ours, of the type of access tokens, signed by a key of ours. Nothing in its header is followed. */
async function verify(
  token: string,
  keys: JWTVerifyGetKey,
  issuer: string,
): Promise<PresentedJwt | undefined> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      typ: 'at+jwt',
      algorithms: ['ES256', 'RS256', 'PS256'],
      requiredClaims: ['jti', 'client_id', 'sub', 'exp', 'iat'],
    });
    const texts = [payload.jti, payload.sub, payload.client_id];
    return texts.every((text) => typeof text === 'string') ? presented(payload) : undefined;
  } catch {
    return undefined;
  }
}

function presented(claims: JWTPayload): PresentedJwt {
  const {
    jti,
    sub,
    client_id: clientId,
    iss: _,
    ...rest
  } = claims as JWTPayload & { jti: string; client_id: string };
  const machine = sub === clientId;
  return {
    kind: machine ? 'machine' : 'access',
    jti,
    clientId,
    issuedAt: claims.iat as number,
    payload: {
      ...rest,
      kind: machine ? 'ClientCredentials' : 'AccessToken',
      jti,
      clientId,
      ...(machine ? {} : { accountId: sub }),
    },
  };
}
