import { decodeJwt } from 'jose';
import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { Sealer } from '../lib/seal.ts';
import { epochSeconds } from '../lib/time.ts';
import { isFapi } from './assertions.ts';

type DPoP = NonNullable<NonNullable<Configuration['features']>['dPoP']>;

/** What proofs may be signed with: FAPI 2.0's algorithms (section 5.4.1) hold for everybody. */
export const proofSigningAlgs = [
  'ES256' as const,
  'PS256' as const,
  'EdDSA' as const,
  'Ed25519' as const,
];

/** Seconds by which a client's clock may be ahead (FAPI 2.0: 10 are accepted, more than 60 refused). */
const MAX_AHEAD = 30;

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
 * The engine takes a proof of the next five minutes for one of now. With a nonce of ours its time matters to FAPI clients
 * alone: nonces are for clients whose clock is wrong (section 8).
 * @throws InvalidDpopProof
 */
function refuseFutureProof(ctx: KoaContextWithOIDC, always: boolean): void {
  const proof = ctx.get('DPoP');
  let claims: { iat?: unknown; nonce?: unknown };
  try {
    claims = decodeJwt(proof);
  } catch {
    // What is no JWT is refused by the engine.
    return;
  }
  if (claims.nonce !== undefined && !always) return;
  if (typeof claims.iat === 'number' && claims.iat > epochSeconds() + MAX_AHEAD)
    throw new errors.InvalidDpopProof('DPoP proof iat is in the future');
}
