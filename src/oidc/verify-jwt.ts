import { type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { signingAlgs } from '../resource-server/resource-server.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { PresentedJwt } from '../unit-of-work/records.ts';

/** Gives what a JWT access token of ours says whose signature and times are right; undefined for any other text. */
export type VerifyJwt = (token: string) => Promise<PresentedJwt | undefined>;

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
 * By its `typ`; the plain one is every JWT's, and says nothing but where the API in `aud` asks for it, or has asked for it:
 * what it asked for before is out. Of the other JWTs that we sign none names a client in `client_id` and an API in `aud`:
 * an ID token's audience is a client.
 */
async function isAccessToken(
  typ: unknown,
  { aud }: JWTPayload,
  resourceServers: ResourceServerService,
): Promise<boolean> {
  const name = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';
  if (name === 'at+jwt') return true;
  if (name !== 'jwt' || typeof aud !== 'string') return false;
  return (await resourceServers.find(aud))?.takesPlainTyp === true;
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
    subject: machine ? undefined : sub,
    issuedAt: claims.iat as number,
    expiresAt: claims.exp as number,
    claims,
  };
}
