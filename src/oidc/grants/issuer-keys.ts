import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { AppError } from '../../errors.ts';
import type { TrustedIssuer } from '../../issuer/issuer.ts';
import type { ClientKeySets } from '../client-authentication/key-sets.ts';

/** Made once for as long as nothing else is known. */
const made = new WeakMap<object, JWTVerifyGetKey>();

/**
 * Finds the key of a signature among those of the issuer, at their address where that is what was given: by what is known of
 * it, and asked for anew where the key is not in it.
 * @throws AppError `keys_unavailable` where they can't be had; jose's errors where the key is not in them, or not told apart
 */
export function keysOf(
  { jwks, jwksUri: uri }: TrustedIssuer,
  sets: ClientKeySets,
): JWTVerifyGetKey {
  if (uri === undefined) return finder(jwks as unknown as JSONWebKeySet);
  return async (header, token) => {
    if (!sets.isCurrent(uri)) await sets.ask(uri);
    const known = sets.find(uri);
    if (known === undefined)
      throw new AppError('keys_unavailable', 'The keys could not be had from where they are.');
    try {
      return await finderOf(known)(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await sets.ask(uri);
      const newer = sets.find(uri);
      if (newer === undefined || newer === known) throw error;
      return finderOf(newer)(header, token);
    }
  };
}

const finderOf = (keys: ReturnType<ClientKeySets['find']> & object) =>
  finder({ keys } as unknown as JSONWebKeySet, keys);

function finder(jwks: JSONWebKeySet, about: object = jwks): JWTVerifyGetKey {
  let find = made.get(about);
  if (find === undefined) {
    find = createLocalJWKSet(jwks);
    made.set(about, find);
  }
  return find;
}
