import { z } from 'zod';
import {
  checkRedirectUri,
  clientAuthMethods,
  clientChangesSchema,
  isLocalRedirect,
} from '../client/client.ts';
import type { SelfDescription } from '../client/self-registered.service.ts';
import { AppError } from '../errors.ts';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { refuse } from './client-registration.ts';

/**
 * What a client may say of itself, key by key. This list is all that is read: what is not in it is as if it had not been
 * said (RFC 7591, section 2), whatever we or the engine may mean by it elsewhere.
 */

const uri = z.string().max(2000);
const {
  idTokenSigningAlg,
  userinfoSigningAlg,
  authSigningAlg,
  jwks,
  authorizationSigningAlg,
  requestObjectSigningAlg,
} = clientChangesSchema.shape;
const text = z.string().max(200);

/** What a terminal or a page would act on, or what turns the order of what is read around. */
const acting = /[\p{Cc}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;
/** What does not show; but for joiners and selectors, without which some scripts and pictures can't be written. */
const hidden =
  /(?!\p{Join_Control}|\p{Variation_Selector})[\p{Default_Ignorable_Code_Point}\u2800]/u;
/** What shows. */
const visible = /[\p{L}\p{N}\p{P}\p{S}]/u;

const name = z
  .string()
  .max(100)
  .transform((said) => said.normalize('NFC').trim())
  .refine(
    (said) => visible.test(said) && !acting.test(said) && !hidden.test(said),
    'expected a name to show, of 1 to 100 characters',
  );

const metadataSchema = z.object({
  redirect_uris: z.array(uri).min(1).max(20),
  client_name: name.optional(),
  application_type: z.enum(['web', 'native']).optional(),
  grant_types: z.array(text).max(20).default(['authorization_code', 'refresh_token']),
  response_types: z.array(text).max(20).default(['code']),
  token_endpoint_auth_method: z
    .enum([...clientAuthMethods.filter((one) => one !== 'tls_client_auth'), 'none'])
    .optional(),
  token_endpoint_auth_signing_alg: authSigningAlg,
  scope: z.string().max(2000).optional(),
  jwks,
  jwks_uri: uri.optional(),
  id_token_signed_response_alg: idTokenSigningAlg,
  userinfo_signed_response_alg: userinfoSigningAlg,
  subject_type: clientChangesSchema.shape.subjectType,
  sector_identifier_uri: uri.optional(),
  post_logout_redirect_uris: z.array(uri).max(20).default([]),
  backchannel_logout_uri: uri.optional(),
  backchannel_logout_session_required: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
  tls_client_certificate_bound_access_tokens: z.boolean().optional(),
  require_pushed_authorization_requests: z.boolean().optional(),
  require_signed_request_object: z.boolean().optional(),
  request_object_signing_alg: requestObjectSigningAlg,
  authorization_signed_response_alg: authorizationSigningAlg,
  default_max_age: z.number().int().min(0).max(31_536_000).optional(),
  require_auth_time: z.boolean().optional(),
  client_uri: uri.optional(),
  logo_uri: uri.optional(),
  policy_uri: uri.optional(),
  tos_uri: uri.optional(),
  contacts: z.array(z.email().max(200)).max(10).optional(),
  software_id: text.optional(),
  software_version: text.optional(),
});
/** Every key that is read. */
export const metadataKeys = Object.keys(metadataSchema.shape);
type Said = z.output<typeof metadataSchema>;

/** Where people are led for more about the client; the server calls none of them, and shows no picture from there. */
const pageUris = ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri'] as const;
const kept = [
  ...pageUris,
  'contacts',
  'software_id',
  'software_version',
  'default_max_age',
  'require_auth_time',
] as const;

/** What RFC 7592 has a client repeat, or leaves to the server. */
const absent = (value: unknown) => value === null || value === '';

/**
 * Reads what a client says of itself. What it asks for and can't have (other grant types, scopes that nobody opens) is left
 * out, as section 3.2.1 of RFC 7591 allows: the answer says what it has.
 * @throws AppError `invalid_redirect_uri`, `invalid_client_metadata`
 */
export function readMetadata(body: Readonly<Record<string, unknown>>): SelfDescription {
  const present = Object.fromEntries(Object.entries(body).filter(([, value]) => !absent(value)));
  const parsed = metadataSchema.safeParse(present);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const [member] = issue?.path ?? [];
    return refuse(
      member === 'redirect_uris' ? 'invalid_redirect_uri' : 'invalid_client_metadata',
      `${String(member)}: ${issue?.message ?? 'not understood'}`,
    );
  }
  const said = parsed.data;
  checkPages(said);
  const applicationType = said.application_type ?? inferredType(said.redirect_uris);
  return {
    name: said.client_name ?? 'An app without a name',
    applicationType,
    authMethod: said.token_endpoint_auth_method ?? 'client_secret_basic',
    redirectUris: [...new Set(said.redirect_uris)],
    postLogoutRedirectUris: [...new Set(said.post_logout_redirect_uris)],
    grantTypes: grantTypesOf(said),
    scopes: scopesOf(said.scope),
    aspects: aspectsOf(said),
    about: Object.fromEntries(
      kept.flatMap((key) => (said[key] === undefined ? [] : [[key, said[key]]])),
    ),
  };
}

/** Of loopback addresses and private schemes it is an app on the device, whatever it leaves unsaid. */
function inferredType(redirectUris: readonly string[]): 'native' | 'web' {
  return redirectUris.some(isLocalRedirect) ? 'native' : 'web';
}

/** By code and by refresh token alone: no client that nobody knows acts for itself, or without a page of ours. */
function grantTypesOf({ grant_types: asked, response_types: types }: Said) {
  if (!asked.includes('authorization_code') || !types.includes('code'))
    refuse(
      'invalid_client_metadata',
      'A client that registers itself has the grant type authorization_code and the response type code.',
    );
  return (['authorization_code', 'refresh_token'] as const).filter((one) => asked.includes(one));
}

/** Identity scopes that are open to everybody: what else there is of a person here, as groups, operators give app by app. */
const openScopes = ['openid', 'profile', 'email', 'offline_access'] as const;

/** Who names API scopes alone does not say that it wants to know nothing about people. */
function scopesOf(scope: string | undefined): SelfDescription['scopes'] {
  const asked = new Set(scope?.split(' '));
  const named = openScopes.filter((one) => asked.has(one));
  return named.length === 0 ? [...openScopes] : [...new Set(['openid' as const, ...named])];
}

function aspectsOf(said: Said): SelfDescription['aspects'] {
  return withoutUndefined({
    authSigningAlg: said.token_endpoint_auth_signing_alg,
    jwks: said.jwks,
    jwksUri: said.jwks_uri,
    idTokenSigningAlg: said.id_token_signed_response_alg,
    userinfoSigningAlg: said.userinfo_signed_response_alg,
    subjectType: said.subject_type,
    sectorIdentifierUri: said.sector_identifier_uri,
    backchannelLogoutUri: said.backchannel_logout_uri,
    backchannelLogoutSessionRequired:
      said.backchannel_logout_uri === undefined
        ? undefined
        : said.backchannel_logout_session_required,
    bound: boundOf(said),
    requirePushed: said.require_pushed_authorization_requests,
    requireSignedRequest: said.require_signed_request_object,
    requestObjectSigningAlg: said.request_object_signing_alg,
    authorizationSigningAlg: said.authorization_signed_response_alg,
  });
}

function boundOf(said: Said): 'dpop' | 'mtls' | undefined {
  const { dpop_bound_access_tokens: dpop, tls_client_certificate_bound_access_tokens: mtls } = said;
  if (dpop === true && mtls === true)
    refuse('invalid_client_metadata', 'Tokens are bound by DPoP or by mTLS, not by both.');
  if (dpop === true) return 'dpop';
  return mtls === true ? 'mtls' : undefined;
}

/** The rules of redirects, over https alone. */
function checkPages(said: Said): void {
  for (const key of pageUris) {
    const value = said[key];
    if (value === undefined) continue;
    try {
      checkRedirectUri(value, 'web');
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      refuse('invalid_client_metadata', error.message.replace('The redirect URI', key));
    }
    if (!value.startsWith('https:'))
      refuse('invalid_client_metadata', `${key}: expected an https URI`);
  }
}
