import { z } from 'zod';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import { hasGrantType } from './client-grants.ts';
import { canVerify } from './client-keys.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** How answers of the authorization endpoint reach a client of which nothing is said. */
export const plainResponseModes = ['query', 'fragment', 'form_post'] as const;
/** The same in a JWT that is signed for it (JARM). */
export const jwtResponseModes = ['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'] as const;
export const responseModes = [...plainResponseModes, ...jwtResponseModes] as const;

/** How a client asks for authorization, and is answered; RFC 7591's metadata. */
export const clientRequestsSchema = z.object({
  /** Its requests come by the back channel first (RFC 9126), and never by the browser alone. */
  requirePushed: z.boolean().optional(),
  /** Its requests are signed by a key of its own (RFC 9101). */
  requireSignedRequest: z.boolean().optional(),
  /** The one algorithm that it signs them with; any that we know unless told. */
  requestObjectSigningAlg: z.enum(signingAlgs).optional(),
  /** Those that are not in a JWT unless told. */
  responseModes: z.array(z.enum(responseModes)).min(1).max(responseModes.length).optional(),
  /** Of the answers in a JWT. RS256 unless told, since a client that says nothing expects that (JARM, section 3). */
  authorizationSigningAlg: z.enum(signingAlgs).optional(),
});
export type ClientRequests = z.output<typeof clientRequestsSchema>;

/** The metadata with what is said. */
export function withRequests(metadata: Metadata, said: ClientRequests): Record<string, unknown> {
  const given = {
    require_pushed_authorization_requests: said.requirePushed,
    require_signed_request_object: said.requireSignedRequest,
    request_object_signing_alg: said.requestObjectSigningAlg,
    response_modes: said.responseModes && [...new Set(said.responseModes)],
    authorization_signed_response_alg: said.authorizationSigningAlg,
  };
  return { ...metadata, ...withoutUndefined(given) };
}

/**
 * Whether what is said of its requests fits the rest of the client.
 * @throws AppError `invalid_client`
 */
export function checkRequests(metadata: Metadata): void {
  const { request_object_signing_alg: alg, require_signed_request_object: signed } = metadata;
  if (
    metadata.require_pushed_authorization_requests === true &&
    !hasGrantType(metadata, 'authorization_code')
  )
    refuse('Only a client that people sign in to has requests to push.');
  if (alg === undefined && signed !== true) return;
  const algs = alg === undefined ? [...signingAlgs, 'Ed25519'] : [alg as string];
  if (!canVerify(metadata, algs))
    refuse('Signed requests need a public key of the client that fits their algorithm (jwks).');
}
