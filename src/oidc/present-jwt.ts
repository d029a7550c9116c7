import { randomUUID } from 'node:crypto';
import { type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Middleware } from 'koa';
import { signingAlgs } from '../resource-server/resource-server.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { isJwt } from './live-token.ts';
import type { PresentedJwt } from './records.ts';
import { currentUnit } from './unit-of-work.ts';

/** Gives what a JWT access token of ours says whose signature and times are right; undefined for any other text. */
export type VerifyJwt = (token: string) => Promise<PresentedJwt | undefined>;

/**
 * The engine introspects and revokes no JWTs. This verifies the signature of one that is presented, and hands the engine
 * a random handle in its place that only this request's unit resolves: client authentication, policy and answer stay the
 * engine's. What does not verify becomes a handle of nothing, so that the answer is that of any unknown token.
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
    const request = ctx.req as typeof ctx.req & { body?: string };
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

/** RFC 9068, section 4: ours, an access token by its type, signed by a key of ours. Nothing in its header is followed. */
export function createVerifyJwt(options: {
  readonly issuer: string;
  readonly keys: () => JWTVerifyGetKey;
  readonly resourceServers: ResourceServerService;
}): VerifyJwt {
  return async (token) => {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, options.keys(), {
        issuer: options.issuer,
        algorithms: [...signingAlgs],
        requiredClaims: ['jti', 'client_id', 'sub', 'exp', 'iat'],
      });
      if (!(await isAccessToken(protectedHeader.typ, payload, options.resourceServers)))
        return undefined;
      const texts = [payload.jti, payload.sub, payload.client_id];
      return texts.every((text) => typeof text === 'string') ? presented(payload) : undefined;
    } catch {
      return undefined;
    }
  };
}

/**
 * By its `typ`; the plain one is every JWT's, and says nothing but where the API in `aud` asked for it. Of the other JWTs
 * that we sign none names a client in `client_id` and an API in `aud`: an ID token's audience is a client.
 */
async function isAccessToken(
  typ: unknown,
  { aud }: JWTPayload,
  resourceServers: ResourceServerService,
): Promise<boolean> {
  const name = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';
  if (name === 'at+jwt') return true;
  if (name !== 'jwt' || typeof aud !== 'string') return false;
  return (await resourceServers.find(aud))?.tokenTyp === 'JWT';
}

function presented(claims: JWTPayload): PresentedJwt {
  const {
    jti,
    sub,
    client_id: clientId,
  } = claims as { jti: string; sub: string } & {
    client_id: string;
  };
  const machine = sub === clientId;
  return {
    kind: machine ? 'machine' : 'access',
    jti,
    clientId,
    accountId: machine ? undefined : sub,
    issuedAt: claims.iat as number,
    expiresAt: claims.exp as number,
    claims,
  };
}

/** What the engine's model of the token holds. */
export function jwtPayload(jwt: PresentedJwt): Record<string, unknown> {
  const { iss: _, sub: __, client_id: ___, cnf, authorization_details: rar, ...rest } = jwt.claims;
  return {
    ...rest,
    kind: jwt.kind === 'machine' ? 'ClientCredentials' : 'AccessToken',
    clientId: jwt.clientId,
    ...(jwt.accountId === undefined ? {} : { accountId: jwt.accountId }),
    ...(rar === undefined ? {} : { rar }),
    ...(cnf as object | undefined),
  };
}
