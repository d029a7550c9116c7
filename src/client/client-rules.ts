import { signingAlgs } from '../resource-server/resource-server.ts';
import { boundTo, type ClientAuthentication } from './client-authentication.ts';
import { hasGrantType } from './client-grants.ts';
import { canVerify, hasCertificate, hasKeys } from './client-keys.ts';
import type { ClientSettings } from './client-settings.ts';
import { isPublic, type Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** A client as it would be stored. */
export interface Registration {
  /** What is said of it, without what holds where nothing is said. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly metadata: Metadata;
}

/**
 * Whether what is said of a client goes together.
 * @param said what is said of its authentication just now
 * @throws AppError `invalid_client`
 */
export function checkRegistration(
  settings: ClientSettings,
  metadata: Metadata,
  allowed: ReadonlyMap<string, unknown>,
  said: ClientAuthentication,
): void {
  // A refresh token that is bound to a key is of no use to who finds it (RFC 9700, section 4.14.2).
  if (settings.refreshRotation === 'keep' && isPublic(metadata) && boundTo(metadata) === undefined)
    refuse('A public client keeps no refresh token: whoever finds it could use it for ever.');
  // RFC 9700, section 2.1.1.
  if (settings.pkce === 'optional' && isPublic(metadata))
    refuse('A public client has nothing but PKCE to keep its codes from being of use to others.');
  const canStay =
    String(metadata.scope).split(' ').includes('offline_access') &&
    hasGrantType(metadata, 'refresh_token');
  if (settings.offlineAccess === 'always' && !canStay)
    refuse(
      'Only a client with the scope offline_access and the grant refresh_token stays connected.',
    );
  if (settings.defaultResource !== undefined && !allowed.has(settings.defaultResource))
    refuse('The default API must be one of those that the client may ask for.');
  if (metadata.introspection_encrypted_response_alg !== undefined && !hasKeys(metadata))
    refuse('Encrypted introspection answers need a public key of the client (jwks).');
  checkAuthentication(metadata, said);
}

function checkAuthentication(metadata: Metadata, said: ClientAuthentication): void {
  const { token_endpoint_auth_method: method, token_endpoint_auth_signing_alg: alg } = metadata;
  if (said.authMethod !== undefined && method !== said.authMethod)
    refuse('A public client does not authenticate: anybody can read what it holds.');
  if (said.authSigningAlg !== undefined && method !== 'private_key_jwt')
    refuse('Only the authentication method private_key_jwt has a signing algorithm.');
  if (said.certificateName !== undefined && method !== 'tls_client_auth')
    refuse('Only the authentication method tls_client_auth has a certificate name.');
  switch (method) {
    case 'private_key_jwt':
      if (!canVerify(metadata, alg === undefined ? [...signingAlgs, 'Ed25519'] : [alg as string]))
        refuse('private_key_jwt needs a public key of the client that fits its algorithm (jwks).');
      break;
    case 'tls_client_auth':
      if (!Object.keys(metadata).some((key) => key.startsWith('tls_client_auth_')))
        refuse('tls_client_auth needs the name that stands in the certificate.');
      break;
    case 'self_signed_tls_client_auth':
      if (!hasCertificate(metadata))
        refuse(
          'self_signed_tls_client_auth needs the certificate of the client (x5c in its jwks).',
        );
      break;
    default:
  }
}
