import { type Client, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { epochSeconds } from '../../lib/time.ts';
import { isFapi, MAX_AHEAD } from '../client-authentication/assertions.ts';
import { useIdOnce } from '../client-authentication/replays.ts';

type CheckRequestObject = NonNullable<
  NonNullable<NonNullable<Configuration['features']>['requestObjects']>['assertJwtClaimsAndHeader']
>;

/** Seconds that a request object may live, and that its `nbf` may lie back (FAPI 2.0 Message Signing, section 5.3.1). */
const MAX_LIFE = 3_600;

/** The types a client may name in the header: no other JWT that it signed passes for a request (RFC 9101, section 10.8). */
const types = new Set(['jwt', 'oauth-authz-req+jwt']);

/**
 * What the engine does not check of a request object (RFC 9101), whose issuer, audience and end it has looked at, and whose
 * signature it looks at next. It has to have an end within the hour: nobody needs to be able to use a request again for
 * ever.
 * @throws InvalidRequestObject
 */
export const checkRequestObject: CheckRequestObject = async (ctx, claims, header, client) => {
  // What was pushed was looked at when it came; without a signature, it is as we have written it down ourselves.
  if (ctx.oidc.entities.PushedAuthorizationRequest !== undefined) return;
  const { typ } = header;
  if (
    typ !== undefined &&
    !(typeof typ === 'string' && types.has(typ.toLowerCase().replace(/^application\//, '')))
  )
    refuse('the request object has the type of another JWT');
  // Who has seen it could authenticate with it (section 10.8).
  if (claims.sub === client.clientId) refuse('the request object could be a client assertion');
  if (isFapi(client) && header.alg === 'RS256') refuse('unsupported signed request alg');
  for (const claim of requiredClaims(ctx, client))
    if (claims[claim] === undefined) refuse(`the request object is missing the '${claim}' claim`);
  checkTimes(claims as unknown as Times);
  if (ctx.oidc.route === 'backchannel_authentication') noteId(ctx, claims);
};

/** Of the request that is under way, what its id is, and until when it is good. */
const ids = new WeakMap<object, { readonly jti: string; readonly exp: number }>();

function noteId(ctx: KoaContextWithOIDC, { jti, exp }: { jti?: unknown; exp?: unknown }): void {
  if (typeof jti !== 'string' || jti === '') refuse("the 'jti' claim must be a string");
  ids.set(ctx, { jti, exp: exp as number });
}

/**
 * A signed request asks a person once (CIBA Core, section 7.1.1): whoever has come by it and by what its client
 * authenticates with asks nobody again. Called once nothing else is wrong with it.
 * @throws InvalidRequestObject
 */
export async function useRequestUp(ctx: KoaContextWithOIDC): Promise<void> {
  const id = ids.get(ctx);
  const clientId = ctx.oidc.client?.clientId as string;
  if (id === undefined) return;
  if (!(await useIdOnce(`request ${clientId.length} ${clientId} ${id.jti}`, Math.ceil(id.exp))))
    refuse('the request object was used before');
}

interface Times {
  readonly exp: number;
  readonly nbf?: number;
  readonly iat?: number;
}

/** Whether they are numbers the engine has seen to. */
function checkTimes({ exp, nbf, iat }: Times): void {
  const now = epochSeconds();
  if (iat !== undefined && iat > now + MAX_AHEAD)
    refuse('the request object was issued in the future');
  if (nbf !== undefined && nbf < now - MAX_LIFE)
    refuse("the 'nbf' claim of the request object lies too far back");
  if (nbf !== undefined && exp <= nbf) refuse('the request object ends before it begins');
  if (exp - (nbf ?? now + MAX_AHEAD) > MAX_LIFE)
    refuse('the request object lives longer than an hour');
}

function requiredClaims(ctx: KoaContextWithOIDC, client: Client): string[] {
  // OpenID Connect Client-Initiated Backchannel Authentication, section 7.1.1.
  if (ctx.oidc.route === 'backchannel_authentication') return ['exp', 'iat', 'nbf', 'jti'];
  return isFapi(client) ? ['exp', 'nbf'] : ['exp'];
}

function refuse(reason: string): never {
  throw new errors.InvalidRequestObject(reason);
}
