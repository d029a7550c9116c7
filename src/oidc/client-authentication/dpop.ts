import { decodeJwt } from 'jose';
import type { Middleware } from 'koa';
import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Sealer } from '../../lib/seal.ts';
import { epochSeconds } from '../../lib/time.ts';
import { isFapi, MAX_AHEAD } from './assertions.ts';

type DPoP = NonNullable<NonNullable<Configuration['features']>['dPoP']>;

/** What proofs may be signed with: FAPI 2.0's algorithms (section 5.4.1) hold for everybody. */
export const proofSigningAlgs = [
  'ES256' as const,
  'PS256' as const,
  'EdDSA' as const,
  'Ed25519' as const,
];

/**
 * Tokens bound to a key (RFC 9449). Nonces are the same on every process: they follow from the master key and the time,
 * and each is good for three minutes at the most.
 */
export function createDpop(sealer: Sealer): DPoP {
  return {
    enabled: true,
    nonceSecret: sealer.derive('dpop nonces'),
    allowReplay: false,
    /** Asked for each proof before it is looked at, and by what the client is: at userinfo there is none yet. */
    requireNonce: (ctx) => {
      const client = ctx.oidc.client as { readonly dpop_nonce?: string } | undefined;
      const isRequired = isFapi(ctx.oidc.client) || client?.dpop_nonce === 'required';
      refuseFutureProof(ctx, isFapi(ctx.oidc.client));
      return isRequired;
    },
  };
}

/**
 * A proof names the URL that the client has called, which is another one where clients with a certificate have a host of
 * their own (`mtls_endpoint_aliases`). Both are the same endpoint: the engine compares with the one that is named.
 */
export function takeAliasedProofs(host: string | undefined): Middleware {
  return (ctx, next) => {
    const proof = ctx.get('DPoP');
    const isAsked =
      host !== undefined && proof !== '' && /\/(token|userinfo|par)\/?$/i.test(ctx.path);
    if (isAsked && hostOf(proof) === host.toLowerCase()) ctx.req.headers.host = host;
    return next();
  };
}

function hostOf(proof: string): string | undefined {
  const { htu } = claimsOf(proof);
  return typeof htu === 'string' ? URL.parse(htu)?.host : undefined;
}

/** What the proof says before anybody has verified it; what is no JWT says nothing, and is the engine's to refuse. */
function claimsOf(proof: string): { htu?: unknown; iat?: unknown; nonce?: unknown } {
  try {
    return decodeJwt(proof);
  } catch {
    return {};
  }
}

/**
 * At userinfo the proof comes before its client is known: what holds for FAPI clients is looked at again once it is.
 * @throws InvalidDpopProof
 */
export function checkProofAtUserinfo(ctx: KoaContextWithOIDC): void {
  if (ctx.oidc.route === 'userinfo' && isFapi(ctx.oidc.client)) refuseFutureProof(ctx, true);
}

/**
 * The engine takes a proof of the next five minutes for one of now. With a nonce of ours its time matters to FAPI clients
 * alone: nonces are for clients whose clock is wrong (section 8).
 * @throws InvalidDpopProof
 */
function refuseFutureProof(ctx: KoaContextWithOIDC, always: boolean): void {
  const claims = claimsOf(ctx.get('DPoP'));
  // An empty nonce is none: the engine too goes by the time then.
  if (claims.nonce !== undefined && claims.nonce !== '' && !always) return;
  if (typeof claims.iat === 'number' && claims.iat > epochSeconds() + MAX_AHEAD)
    throw new errors.InvalidDpopProof('DPoP proof iat is in the future');
}
