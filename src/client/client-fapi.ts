import { boundTo } from './client-authentication.ts';
import { hasGrantType } from './client-grants.ts';
import { canVerify } from './client-keys.ts';
import { jwtResponseModes } from './client-requests.ts';
import type { Registration } from './client-rules.ts';
import { type ClientSettings, isFapiProfile } from './client-settings.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/**
 * What FAPI 2.0 asks of a client, as far as it is a matter of registration: the Security Profile (section 5.3), and Message
 * Signing for those that want it. The rest is decided request by request, wherever it is decided for all: see `isFapi`.
 */

/** What it signs with, and what is signed for it with (Security Profile, section 5.4.1). */
const fapiAlgs = ['PS256', 'ES256', 'EdDSA', 'Ed25519'];
const fapiMethods = ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'];
const signedAnswers = [
  'id_token_signed_response_alg',
  'introspection_signed_response_alg',
  'authorization_signed_response_alg',
];

/** The registration with what its profile asks for where nothing was said of it. */
export function completed({ settings, metadata }: Registration): Registration {
  if (!isFapiProfile(settings.profile)) return { settings, metadata };
  return {
    settings: { refreshRotation: 'keep', ...settings },
    metadata: {
      ...Object.fromEntries(signedAnswers.map((name) => [name, 'ES256'])),
      ...(asksPeople(metadata) ? defaultsOfRequests(settings) : {}),
      ...metadata,
    },
  };
}

function defaultsOfRequests({ profile }: Registration['settings']): Metadata {
  return {
    require_pushed_authorization_requests: true,
    ...(profile === 'fapi2-message-signing'
      ? { require_signed_request_object: true, response_modes: [...jwtResponseModes] }
      : {}),
  };
}

/**
 * Whether the client keeps to its profile.
 * @throws AppError `invalid_client`
 */
export function checkFapi(settings: ClientSettings, metadata: Metadata): void {
  if (!isFapiProfile(settings.profile)) return;
  const { token_endpoint_auth_method: method, token_endpoint_auth_signing_alg: alg } = metadata;
  if (!fapiMethods.includes(String(method)))
    refuse(`A FAPI client authenticates by one of ${fapiMethods.join(', ')}.`);
  if (boundTo(metadata) === undefined)
    refuse('The tokens of a FAPI client are bound to a key: by dpop or mtls.');
  if (settings.pkce === 'optional') refuse('A FAPI client uses PKCE.');
  if (settings.refreshRotation !== 'keep')
    refuse('The refresh tokens of a FAPI client are not rotated.');
  if (method === 'private_key_jwt') checkSigning(metadata, alg);
  if (signedAnswers.some((name) => !fapiAlgs.includes(String(metadata[name]))))
    refuse(`What is signed for a FAPI client is signed with one of ${fapiAlgs.join(', ')}.`);
  if (asksPeople(metadata)) checkRequests(settings, metadata);
}

function checkRequests({ profile }: ClientSettings, metadata: Metadata): void {
  if (metadata.require_pushed_authorization_requests !== true)
    refuse('A FAPI client pushes its authorization requests.');
  if (metadata.request_object_signing_alg !== undefined)
    checkSigning(metadata, metadata.request_object_signing_alg);
  // RFC 8252 has http on loopback for native apps (section 5.3.2.2 takes that up), and for nobody else.
  const redirects = metadata.redirect_uris as readonly string[];
  if (metadata.application_type !== 'native' && redirects.some((uri) => !uri.startsWith('https:')))
    refuse('The redirect URIs of a FAPI client are https.');
  if (profile !== 'fapi2-message-signing') return;
  if (metadata.require_signed_request_object !== true)
    refuse('A client with FAPI 2.0 message signing signs its requests.');
  checkSigning(metadata, metadata.request_object_signing_alg);
  const modes = metadata.response_modes as readonly string[] | undefined;
  if (!modes?.every((mode) => (jwtResponseModes as readonly string[]).includes(mode)))
    refuse('A client with FAPI 2.0 message signing is answered in signed responses (jwt) alone.');
}

/** Whether it has a key for what it signs. */
function checkSigning(metadata: Metadata, alg: unknown): void {
  const algs = typeof alg === 'string' ? [alg] : fapiAlgs;
  if (!algs.every((one) => fapiAlgs.includes(one)) || !canVerify(metadata, algs))
    refuse(`A FAPI client signs with one of ${fapiAlgs.join(', ')}, and has a key for it.`);
}

function asksPeople(metadata: Metadata): boolean {
  return hasGrantType(metadata, 'authorization_code');
}
