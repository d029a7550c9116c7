import { createHash, type X509Certificate } from 'node:crypto';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { clientCertificate } from '../../http/client-certificate.ts';
import type { LiveToken } from '../../unit-of-work/live-token.ts';
import {
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  validateDpop,
} from './engine-helpers.ts';
import { refusal } from './refusal.ts';

/** What a request proves of keys, besides who its client is. */
export interface Proofs {
  /** The thumbprint of the key of its DPoP proof. */
  readonly jkt: string | undefined;
  readonly certificate: X509Certificate | undefined;
  /** The client gets no tokens but such as are bound to its certificate. */
  readonly bindsCertificate: boolean;
  /** Uses the DPoP proof up, once nothing else is wrong; @throws InvalidDpopProof */
  use(): Promise<void>;
}

/**
 * The proofs of the request, verified.
 * @throws InvalidDpopProof, UseDpopNonce; InvalidGrant where the client needs one and brings none
 */
export async function takeProofs(ctx: KoaContextWithOIDC): Promise<Proofs> {
  const { provider } = ctx.oidc;
  const proof = await validateDpop(provider, ctx);
  const required = checkMtlsCert(provider, ctx);
  checkDpopRequired(provider, ctx, proof);
  return {
    jkt: proof?.thumbprint,
    certificate: clientCertificate(ctx)?.certificate,
    bindsCertificate: required !== undefined,
    use: () => checkDpopReplay(provider, ctx, proof, ctx.oidc.client?.clientId as string),
  };
}

/**
 * A token that is bound to a key is exchanged by who proves that key, and by nobody else: without that, who has found one
 * could make it into a token that needs no proof.
 * @throws InvalidRequest
 */
export function checkBound({ cnf }: LiveToken, { jkt, certificate }: Proofs): void {
  const x5t = cnf?.['x5t#S256'];
  const isProven =
    (cnf?.jkt === undefined || cnf.jkt === jkt) &&
    (x5t === undefined || (certificate !== undefined && x5t === thumbprint(certificate)));
  if (!isProven)
    throw refusal(
      new errors.InvalidRequest('the token is bound to a key that this request does not prove'),
      'bound_token_without_proof',
    );
}

interface Bindable {
  setThumbprint(kind: 'x5t' | 'jkt', input: X509Certificate | string): void;
}

/** Binds a new token to what the request has proven, and never to less than the token that it is made from. */
export function bind(
  token: Bindable,
  { jkt, certificate, bindsCertificate }: Proofs,
  source?: LiveToken,
): void {
  const isBound = bindsCertificate || source?.cnf?.['x5t#S256'] !== undefined;
  if (isBound && certificate !== undefined) token.setThumbprint('x5t', certificate);
  if (jkt !== undefined) token.setThumbprint('jkt', jkt);
}

const thumbprint = ({ raw }: X509Certificate) =>
  createHash('sha256').update(raw).digest('base64url');
