import { AppError } from '../errors.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import {
  boundTo,
  canVerify,
  type ClientAuthentication,
  hasCertificate,
} from './client-authentication.ts';
import type { ClientSettings } from './client-settings.ts';

/** A client as it would be stored. */
export interface Registration {
  /** What is said of it, without what holds where nothing is said. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** What FAPI 2.0 signs with (section 5.4.1). */
const fapiAlgs = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];
const fapiMethods = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'];
const signedAnswers = ['id_token_signed_response_alg', 'introspection_signed_response_alg'];

/** The registration with what its profile asks for where nothing was said of it. */
export function completed({ settings, metadata }: Registration): Registration {
  if (settings.profile !== 'fapi2') return { settings, metadata };
  return {
    settings: { refreshRotation: 'keep', ...settings },
    metadata: {
      ...Object.fromEntries(signedAnswers.map((name) => [name, 'ES256'])),
      ...metadata,
    },
  };
}

/**
 * Whether what is said of a client goes together.
 * @param said what is said of its authentication just now
 * @throws AppError `invalid_client`
 */
export function checkRegistration(
  settings: ClientSettings,
  metadata: Readonly<Record<string, unknown>>,
  allowed: ReadonlyMap<string, unknown>,
  said: ClientAuthentication,
): void {
  const isPublic = metadata.token_endpoint_auth_method === 'none';
  // A refresh token that is bound to a key is of no use to who finds it (RFC 9700, section 4.14.2).
  if (settings.refreshRotation === 'keep' && isPublic && boundTo(metadata) === undefined)
    refuse('A public client keeps no refresh token: whoever finds it could use it for ever.');
  if (settings.defaultResource !== undefined && !allowed.has(settings.defaultResource))
    refuse('The default API must be one of those that the client may ask for.');
  if (metadata.introspection_encrypted_response_alg !== undefined && metadata.jwks === undefined)
    refuse('Encrypted introspection answers need a public key of the client (jwks).');
  checkAuthentication(metadata, said);
  if (settings.profile === 'fapi2') checkFapi(settings, metadata);
}

function checkAuthentication(
  metadata: Readonly<Record<string, unknown>>,
  said: ClientAuthentication,
): void {
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

/** FAPI 2.0 Security Profile, section 5.3.2: as far as it is a matter of registration. */
function checkFapi(settings: ClientSettings, metadata: Readonly<Record<string, unknown>>): void {
  const { token_endpoint_auth_method: method, token_endpoint_auth_signing_alg: alg } = metadata;
  if (!fapiMethods.includes(String(method)))
    refuse(`A FAPI client authenticates by one of ${fapiMethods.join(', ')}.`);
  if (boundTo(metadata) === undefined)
    refuse('The tokens of a FAPI client are bound to a key: by dpop or mtls.');
  if (settings.refreshRotation !== 'keep')
    refuse('The refresh tokens of a FAPI client are not rotated.');
  const algs = alg === undefined ? fapiAlgs : [alg as string];
  if (
    method === 'private_key_jwt' &&
    (!algs.every((one) => fapiAlgs.includes(one)) || !canVerify(metadata, algs))
  )
    refuse(`A FAPI client signs with one of ${fapiAlgs.join(', ')}, and has a key for it.`);
  if (signedAnswers.some((name) => !fapiAlgs.includes(String(metadata[name]))))
    refuse(`What is signed for a FAPI client is signed with one of ${fapiAlgs.join(', ')}.`);
}

function refuse(reason: string): never {
  throw new AppError('invalid_client', reason, { status: 400 });
}
