import type { LiveToken } from './auth.ts';
import { type CertificateSource, checkCertificate } from './certificate.ts';
import type { DpopProofs } from './dpop.ts';
import { Refusal } from './errors.ts';
import type { AnyRequest, PresentedToken, RequestView } from './request.ts';

export interface Proven {
  readonly binding: 'dpop' | 'mtls' | undefined;
  /** The DPoP nonce to use from now on, where it is time for another. */
  readonly nonce: string | undefined;
}

export interface BindingRules {
  /** Undefined where the addresses that proofs name are not known. */
  readonly proofs: DpopProofs | undefined;
  readonly clientCertificate: CertificateSource;
}

/** The confirmation methods that we can check. */
const methods = new Set(['jkt', 'x5t#S256']);

export const isDpopBound = ({ cnf }: LiveToken): boolean => cnf !== undefined && 'jkt' in cnf;

/**
 * Passes one who has proven to hold all that the token is bound to.
 * @throws Refusal for whoever merely holds the token; Unavailable where replays can't be told
 */
export async function checkBinding(
  request: AnyRequest,
  view: RequestView,
  { scheme, token }: PresentedToken,
  live: LiveToken,
  { proofs, clientCertificate }: BindingRules,
): Promise<Proven> {
  const cnf = live.cnf ?? {};
  if (!Object.keys(cnf).every((method) => methods.has(method)))
    throw new Refusal('invalid_token', 'the token is bound to what can’t be proven here');
  if (isDpopBound(live) !== (scheme === 'DPoP'))
    throw new Refusal(
      'invalid_token',
      isDpopBound(live) ? 'the token is bound to a DPoP key' : 'the token is bound to no DPoP key',
    );
  if ('x5t#S256' in cnf) checkCertificate(clientCertificate(request), cnf['x5t#S256']);
  if (!isDpopBound(live))
    return { binding: 'x5t#S256' in cnf ? 'mtls' : undefined, nonce: undefined };
  if (proofs === undefined || typeof cnf['jkt'] !== 'string')
    throw new Refusal('invalid_token', 'the token is bound to what can’t be proven here');
  return { binding: 'dpop', nonce: await proofs.check(view, { token, jkt: cnf['jkt'] }) };
}
