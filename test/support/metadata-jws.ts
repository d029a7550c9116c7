import { createHash, randomUUID } from 'node:crypto';
import { exportJWK, importJWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import type { World } from './metadata-world.ts';
import { now } from './proofs.ts';

/** What clients sign, with every algorithm that there is. */

const keyNames = {
  RS256: 'RSA',
  RS384: 'RSA',
  RS512: 'RSA',
  PS256: 'RSA',
  PS384: 'RSA',
  PS512: 'RSA',
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
  EdDSA: 'Ed25519',
  Ed25519: 'Ed25519',
} as const;

type KeyedAlg = keyof typeof keyNames;

export const jwsAlgs = [
  'none',
  'HS256',
  'HS384',
  'HS512',
  ...(Object.keys(keyNames) as KeyedAlg[]),
] as const;
export type JwsAlg = (typeof jwsAlgs)[number];

const isKeyed = (alg: string): alg is KeyedAlg => alg in keyNames;
const keyOf = ({ keys }: World, alg: KeyedAlg) => keys[keyNames[alg]];

/** The public keys of a client that has one for each algorithm. */
export const allKeys = ({ keys }: World) => ({
  keys: Object.values(keys).map(({ publicJwk }) => ({ ...publicJwk })),
});

/** Signed with the client's key for the algorithm; with its secret where that is symmetric; or not at all. */
export async function signWith(
  world: World,
  alg: JwsAlg,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  secret = 'a secret that is long enough for every symmetric algorithm there is',
): Promise<string> {
  if (alg === 'none') {
    const [, payload] = new UnsecuredJWT(claims as JWTPayload).encode().split('.');
    const first = Buffer.from(JSON.stringify({ alg, ...header })).toString('base64url');
    return `${first}.${payload}.`;
  }
  const jwt = new SignJWT(claims as JWTPayload).setProtectedHeader({ alg, ...header });
  if (!isKeyed(alg)) return jwt.sign(new TextEncoder().encode(secret));
  const jwk = await exportJWK(keyOf(world, alg).privateKey);
  return jwt.sign(await importJWK(jwk, alg));
}

/** A DPoP proof (RFC 9449) for the token endpoint, by the key that stands in it. */
export async function proofWith(world: World, alg: JwsAlg, htu: string): Promise<string> {
  const { publicJwk } = keyOf(world, isKeyed(alg) ? alg : 'ES256');
  const claims = { jti: randomUUID(), iat: now(), htm: 'POST', htu };
  return signWith(world, alg, claims, { typ: 'dpop+jwt', jwk: publicJwk });
}

/** The form fields of a client assertion (RFC 7523). */
export async function assertionWith(
  world: World,
  alg: JwsAlg,
  { clientId, clientSecret }: { clientId: string; clientSecret?: string | undefined },
): Promise<Record<string, string>> {
  const claims = {
    iss: clientId,
    sub: clientId,
    aud: world.issuer,
    jti: randomUUID(),
    iat: now(),
    exp: now() + 60,
  };
  return {
    client_id: clientId,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await signWith(world, alg, claims, {}, clientSecret),
  };
}

export const thumbprint = (der: Buffer): string =>
  createHash('sha256').update(der).digest('base64url');
