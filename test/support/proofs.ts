import { createHash, randomUUID } from 'node:crypto';
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';

/** What a client signs with a key of its own: assertions (RFC 7523) and DPoP proofs (RFC 9449), right or wrong. */

export interface ClientKey {
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function newKey(alg = 'ES256'): Promise<ClientKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, privateKey, publicJwk: await exportJWK(publicKey) };
}

export const jwksOf = (...keys: ClientKey[]) => ({
  keys: keys.map(({ publicJwk }) => ({ ...publicJwk })),
});

export const now = () => Math.floor(Date.now() / 1000);

/** Claims and header as given; `undefined` leaves one out. */
export function sign(
  key: ClientKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT(claims as JWTPayload)
    .setProtectedHeader({ alg: key.alg, ...header })
    .sign(key.privateKey);
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The claims of a right assertion, with what is to be otherwise. */
export const assertionClaims = (
  clientId: string,
  audience: string,
  other: Record<string, unknown> = {},
): Record<string, unknown> => ({
  iss: clientId,
  sub: clientId,
  aud: audience,
  jti: randomUUID(),
  iat: now(),
  exp: now() + 60,
  ...other,
});

export const asForm = (assertion: string) => ({
  client_assertion_type: assertionType,
  client_assertion: assertion,
});

/** The form fields of a right assertion. */
export async function assertion(
  key: ClientKey,
  clientId: string,
  audience: string,
  other: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<Record<string, string>> {
  return asForm(await sign(key, assertionClaims(clientId, audience, other), header));
}

export interface ProofOf {
  readonly htu: string;
  readonly htm?: string;
  readonly token?: string;
  readonly nonce?: string | undefined;
}

/** A right proof, with what is to be otherwise. */
export function proof(
  key: ClientKey,
  { htu, htm = 'POST', token, nonce }: ProofOf,
  other: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  return sign(
    key,
    {
      jti: randomUUID(),
      iat: now(),
      htm,
      htu,
      ...(nonce === undefined ? {} : { nonce }),
      ...(token === undefined
        ? {}
        : { ath: createHash('sha256').update(token).digest('base64url') }),
      ...other,
    },
    { typ: 'dpop+jwt', jwk: key.publicJwk, ...header },
  );
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & {
    access_token: string;
    refresh_token: string;
    error?: string;
    active?: boolean;
  };
}

/** A form post with nothing of its own. */
export async function send(
  server: string,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(new URL(path, server), {
    method: 'POST',
    headers,
    body: new URLSearchParams(form),
  });
  return answerOf(response);
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text.startsWith('{') ? JSON.parse(text) : { text }) as Answer['body'],
  };
}
