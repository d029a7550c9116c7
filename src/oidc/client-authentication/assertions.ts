import type { Middleware } from 'koa';
import { type Client, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { isFapiProfile } from '../../client/client.ts';
import { epochSeconds } from '../../lib/time.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

type CheckAssertion = NonNullable<Configuration['assertJwtClientAuthClaimsAndHeader']>;

/** What clients may sign assertions with; `Ed25519` is what RFC 9864 calls EdDSA on that curve. */
export const assertionSigningAlgs = [
  'ES256' as const,
  'RS256' as const,
  'PS256' as const,
  'EdDSA' as const,
  'Ed25519' as const,
];

/** Seconds by which a client's clock may be ahead (FAPI 2.0: 10 are accepted, more than 60 refused). */
export const MAX_AHEAD = 30;
/** Seconds that an assertion may live: its id is kept for as long. */
const MAX_LIFE = 3_600;

/** The types a client may name in the header: no other JWT that it signed passes for an assertion (RFC 8725, section 3.11). */
const types = new Set(['jwt', 'client-authentication+jwt']);

/**
 * What the engine does not check of a client assertion (RFC 7523, section 3), whose signature, issuer, subject, expiry and
 * audience it has looked at.
 * @throws InvalidClientAuth
 */
export const checkAssertion: CheckAssertion = async (ctx, claims, header, client) => {
  const { iat, exp, aud } = claims as { iat?: number; exp: number; aud: string | string[] };
  const now = epochSeconds();
  const refuse = (reason: string): never => {
    throw new errors.InvalidClientAuth(reason);
  };
  const { typ } = header;
  if (
    typ !== undefined &&
    !(typeof typ === 'string' && types.has(typ.toLowerCase().replace(/^application\//, '')))
  )
    refuse('the client assertion has the type of another JWT');
  if (iat !== undefined && iat > now + MAX_AHEAD)
    refuse('the client assertion was issued in the future');
  if (exp > now + MAX_LIFE + MAX_AHEAD) refuse('the client assertion lives longer than an hour');
  if (!isForUs(ctx, client, aud))
    refuse('the audience (aud) of the client assertion must be the issuer identifier alone');
  if (isFapi(client) && header.alg === 'RS256') refuse('alg mismatch');
};

/**
 * For FAPI clients the audience is the issuer, as a string (FAPI 2.0, section 5.3.2.1). For others it may be the token
 * endpoint too, and a list of these; a list that names somebody else as well could be used there.
 */
function isForUs(ctx: KoaContextWithOIDC, client: Client, aud: string | string[]): boolean {
  const { issuer } = ctx.oidc;
  if (isFapi(client)) return aud === issuer;
  const ours = ctx.oidc.clientJwtAuthExpectedAudience();
  return [aud].flat().every((one) => ours.has(one));
}

/** What the engine calls a bad request, where it is the assertion that is. */
const ofAssertion = new Set<unknown>(['invalid client_assertion format', 'client_id mismatch']);

/** Whatever is wrong with an assertion, the client has not authenticated (RFC 7523, section 3.2). */
export function refuseBrokenAssertions(): Middleware {
  return async (ctx, next) => {
    await next();
    const { oidc, body } = ctx as { oidc?: OidcState; body?: { error_description?: unknown } };
    if (ctx.status !== 400 || oidc?.params?.client_assertion === undefined) return;
    if (!ofAssertion.has(body?.error_description)) return;
    currentUnit().auditAlways({
      type: 'client.authentication',
      outcome: 'refused',
      reason: 'invalid_client',
    });
    ctx.status = 401;
    ctx.body = { ...body, error: 'invalid_client' };
  };
}

interface OidcState {
  readonly params?: Readonly<Record<string, unknown>>;
}

/** Whether FAPI 2.0 holds for the client (see `profile` of its settings). */
export function isFapi(client: Client | undefined): boolean {
  return isFapiProfile((client as { profile?: string } | undefined)?.profile);
}
