import { z } from 'zod';
import { isPublic, type Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** RFC 8628, section 3.4. */
export const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
/** CIBA Core, section 4. */
export const CIBA = 'urn:openid:params:grant-type:ciba';
/** RFC 8693, section 2.1. */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** RFC 7523, section 2.1. */
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** The grant types that a client may be given, by their names in RFC 7591's metadata. */
export const grantTypes = [
  'authorization_code',
  'refresh_token',
  'client_credentials',
  DEVICE_CODE,
  CIBA,
  TOKEN_EXCHANGE,
  JWT_BEARER,
] as const;
export type GrantType = (typeof grantTypes)[number];

/** By what means a client may come by its tokens. */
export const clientGrantsSchema = z.object({
  /** Those of its type unless told. */
  grantTypes: z.array(z.enum(grantTypes)).min(1).max(grantTypes.length).optional(),
});
export type ClientGrants = z.output<typeof clientGrantsSchema>;

/** The metadata with what is said. */
export function withGrants(
  metadata: Metadata,
  { grantTypes: given }: ClientGrants,
): Record<string, unknown> {
  const next = { ...metadata };
  if (given !== undefined) next.grant_types = [...new Set(given)];
  next.response_types = hasGrantType(next, 'authorization_code') ? ['code'] : [];
  return next;
}

/** By which nobody signs in. */
const ofMachines = new Set<GrantType>(['client_credentials', TOKEN_EXCHANGE, JWT_BEARER]);

/** Whether nobody ever signs in to a client with these grant types, so that it has no identity to ask for. */
export function isForMachines(types: readonly GrantType[]): boolean {
  return types.every((type) => ofMachines.has(type));
}

/** Whether the client may use the grant type. */
export function hasGrantType({ grant_types: types }: Metadata, type: GrantType): boolean {
  return Array.isArray(types) && types.includes(type);
}

/**
 * Whether the grant types fit the rest of the client.
 * @throws AppError `invalid_client`
 */
export function checkGrants(metadata: Metadata): void {
  const { redirect_uris: uris } = metadata;
  const redirects = Array.isArray(uris) && uris.length > 0;
  if (hasGrantType(metadata, 'authorization_code') && !redirects)
    refuse('A client that people sign in to needs at least one redirect URI.');
  if (!hasGrantType(metadata, 'authorization_code') && redirects)
    refuse('Only a client with the grant type authorization_code has redirect URIs.');
  if (hasGrantType(metadata, 'client_credentials') && isPublic(metadata))
    refuse('A public client has no credentials to ask for tokens with.');
  if (hasGrantType(metadata, TOKEN_EXCHANGE) && isPublic(metadata))
    refuse('A public client exchanges no tokens: anybody who found one could, in its name.');
}
