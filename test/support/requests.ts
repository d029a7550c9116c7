import { createHash, randomBytes } from 'node:crypto';
import type { SignedInBrowser } from './protocol.ts';
import { redirectUri } from './protocol.ts';
import { type Answer, type ClientKey, now, sign } from './proofs.ts';

/** Authorization requests that do not come by the browser alone: pushed (RFC 9126), signed (RFC 9101), answered in a JWT (JARM). */

export interface Asking {
  readonly verifier: string;
  readonly parameters: Record<string, string>;
}

/** The parameters of an authorization request; `undefined` leaves one out. */
export function asking(clientId: string, extra: Record<string, string | undefined> = {}): Asking {
  const verifier = randomBytes(32).toString('base64url');
  const all: Record<string, string | undefined> = {
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email offline_access',
    state: 'the state',
    nonce: 'the nonce',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...extra,
  };
  const parameters = Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  return { verifier, parameters };
}

/** The claims of a right request object, with what is to be otherwise. */
export const requestClaims = (
  { parameters }: Asking,
  issuer: string,
  other: Record<string, unknown> = {},
): Record<string, unknown> => ({
  ...parameters,
  iss: parameters.client_id,
  aud: issuer,
  iat: now(),
  nbf: now(),
  exp: now() + 300,
  ...other,
});

/** The parameters as a request object, with what is to be otherwise. */
export function requestObject(
  key: ClientKey,
  asked: Asking,
  issuer: string,
  other: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  return sign(key, requestClaims(asked, issuer, other), { typ: 'oauth-authz-req+jwt', ...header });
}

/** What stands for the request that was pushed. */
export function pushedUri({ status, body }: Answer): string {
  if (status !== 201) throw new Error(`not pushed: ${status} ${JSON.stringify(body)}`);
  return body.request_uri as string;
}

/** Sends the browser to the authorization endpoint with these parameters alone. */
export function visit(
  browser: SignedInBrowser,
  server: string,
  parameters: Record<string, string>,
): Promise<Response> {
  return browser.get(server, `/authorize?${new URLSearchParams(parameters).toString()}`);
}

/** The parameters that the app was answered with by a redirect, or nothing where there is none. */
export function answered(response: Response): Record<string, string> | undefined {
  const location = response.headers.get('location');
  if (location === null || !location.startsWith(redirectUri)) return undefined;
  const url = new URL(location);
  return Object.fromEntries(
    url.hash === '' ? url.searchParams : new URLSearchParams(url.hash.slice(1)),
  );
}
