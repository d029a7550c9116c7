import { type ClientKey, proof } from './proofs.ts';
import type { Credentials } from './protocol.ts';
import { basic } from './wire.ts';

/** Tokens of machines that are bound to a key, as the server makes them for who proves to hold it. */

interface Wanted {
  readonly resource: string;
  readonly scope: string;
}

/** For a test server: in which header a proxy, which is the test itself, passes the certificate on. */
export const certificateHeader = {
  CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
  CLIENT_CERTIFICATE_PROXIES: '127.0.0.1,::1',
};

async function ask(
  issuer: string,
  client: Credentials,
  wanted: Wanted,
  headers: Record<string, string>,
): Promise<Response> {
  return fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { ...basic(client), ...headers },
    body: new URLSearchParams({ grant_type: 'client_credentials', ...wanted }),
  });
}

async function tokenOf(answer: Response): Promise<string> {
  const body = (await answer.json()) as { access_token?: string };
  if (body.access_token === undefined) throw new Error(`no token: ${JSON.stringify(body)}`);
  return body.access_token;
}

/** Bound to the key of DPoP proofs (RFC 9449, section 5). */
export async function dpopToken(
  issuer: string,
  client: Credentials,
  wanted: Wanted,
  key: ClientKey,
): Promise<string> {
  const prove = async (nonce?: string) => ({
    dpop: await proof(key, { htu: `${issuer}/token`, nonce }),
  });
  const first = await ask(issuer, client, wanted, await prove());
  const nonce = first.headers.get('dpop-nonce');
  return tokenOf(
    first.ok || nonce === null ? first : await ask(issuer, client, wanted, await prove(nonce)),
  );
}

/** Bound to the certificate (PEM) that a proxy has seen (RFC 8705, section 3), for a client that is to be bound so. */
export async function certificateToken(
  issuer: string,
  client: Credentials,
  wanted: Wanted,
  cert: string,
): Promise<string> {
  const headers = { 'x-client-certificate': encodeURIComponent(cert) };
  return tokenOf(await ask(issuer, client, wanted, headers));
}
