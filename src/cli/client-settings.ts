import type { z } from 'zod';
import {
  clientAuthMethods,
  clientChangesSchema,
  givenSettingsSchema,
  grantTypes,
  responseModes,
} from '../client/client.ts';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import type { Option } from './command.ts';
import {
  certificateFile,
  certificateName,
  jsonFile,
  list,
  seconds,
  uriOrNone,
  yesOrNo,
} from './values.ts';

const { shape } = clientChangesSchema;

/** An option, its schema, and the service's name for it. */
interface Setting extends Option {
  readonly field: string;
  readonly input: z.ZodType;
}

/** The options of both `client create` and `client update`. */
export const settingsOptions = {
  'access-token-ttl': {
    field: 'accessTokenTtl',
    value: 'SECONDS',
    help: 'the longest lifetime of its access tokens, 60 to 86400 (default: what the API sets)',
    input: seconds.pipe(shape.accessTokenTtl),
  },
  'family-ttl': {
    field: 'familyTtl',
    value: 'SECONDS',
    help: 'the lifetime of a token family, however often it refreshes, 300 to 31536000 (default: REFRESH_TOKEN_TTL)',
    input: seconds.pipe(shape.familyTtl),
  },
  'refresh-grace': {
    field: 'refreshGrace',
    value: 'SECONDS',
    help: 'how long a repeated refresh gets the same token again, 0 to 120 (default: 120)',
    input: seconds.pipe(shape.refreshGrace),
  },
  'refresh-rotation': {
    field: 'refreshRotation',
    value: 'rotate|keep',
    help: 'keep returns the same refresh token again (only clients that authenticate or use bound tokens)',
    input: shape.refreshRotation,
  },
  'default-resource': {
    field: 'defaultResource',
    value: 'URI',
    help: 'the API of its tokens if it sends no `resource`',
    input: shape.defaultResource,
  },
  'id-token-alg': {
    field: 'idTokenSigningAlg',
    value: signingAlgs.join('|'),
    help: 'the algorithm that signs its ID tokens; ES256 is recommended and fastest (default: RS256)',
    input: shape.idTokenSigningAlg,
  },
  'userinfo-signing-alg': {
    field: 'userinfoSigningAlg',
    value: signingAlgs.join('|'),
    help: 'makes userinfo a JWT that is signed with this algorithm (default: plain JSON)',
    input: shape.userinfoSigningAlg,
  },
  'introspection-signing-alg': {
    field: 'introspectionSigningAlg',
    value: signingAlgs.join('|'),
    help: 'the algorithm that signs introspection responses requested as JWT (default: RS256)',
    input: shape.introspectionSigningAlg,
  },
  'introspection-encryption-alg': {
    field: 'introspectionEncryptionAlg',
    value: 'RSA-OAEP-256|ECDH-ES',
    help: 'encrypts JWT introspection responses to a key in --jwks',
    input: shape.introspectionEncryptionAlg,
  },
  jwks: {
    field: 'jwks',
    value: 'FILE',
    help: 'its public keys, as a JWK Set',
    input: jsonFile.pipe(shape.jwks),
  },
  'jwks-uri': {
    field: 'jwksUri',
    value: 'U|none',
    help: 'the URL of its public keys, instead of --jwks',
    input: uriOrNone.pipe(shape.jwksUri),
  },
  'auth-method': {
    field: 'authMethod',
    value: clientAuthMethods.join('|'),
    help: 'how it authenticates (default: client_secret_basic)',
    input: shape.authMethod,
  },
  'auth-signing-alg': {
    field: 'authSigningAlg',
    value: signingAlgs.join('|'),
    help: 'the only algorithm allowed for private_key_jwt (default: any of these)',
    input: shape.authSigningAlg,
  },
  certificate: {
    field: 'certificate',
    value: 'FILE',
    help: 'its certificate (PEM), for self_signed_tls_client_auth',
    input: certificateFile.pipe(shape.jwks),
  },
  'certificate-name': {
    field: 'certificateName',
    value: 'KIND=NAME',
    help: 'for tls_client_auth, a name in its certificate: subject-dn, san-dns, san-uri, san-ip or san-email',
    input: certificateName.pipe(shape.certificateName),
  },
  bound: {
    field: 'bound',
    value: 'dpop|mtls|none',
    help: 'it gets only tokens that are bound to its key or certificate',
    input: shape.bound,
  },
  'dpop-nonce': {
    field: 'dpopNonce',
    value: 'optional|required',
    help: 'whether its DPoP proofs need a nonce from the server (default: optional)',
    input: shape.dpopNonce,
  },
  profile: {
    field: 'profile',
    value: 'none|fapi2|fapi2-message-signing',
    help: 'fapi2 enforces the FAPI 2.0 Security Profile, fapi2-message-signing also Message Signing',
    input: shape.profile,
  },
  'require-pushed': {
    field: 'requirePushed',
    value: 'true|false',
    help: 'whether its authorization requests must be pushed (RFC 9126; default: false)',
    input: yesOrNo,
  },
  'require-signed-request': {
    field: 'requireSignedRequest',
    value: 'true|false',
    help: 'whether its authorization requests must be signed (RFC 9101; default: false)',
    input: yesOrNo,
  },
  'request-object-alg': {
    field: 'requestObjectSigningAlg',
    value: signingAlgs.join('|'),
    help: 'the only algorithm allowed for signed requests (default: any of these)',
    input: shape.requestObjectSigningAlg,
  },
  'response-modes': {
    field: 'responseModes',
    value: 'MODE,MODE',
    help: `the response modes it can use: ${responseModes.join(', ')} (default: all without jwt)`,
    input: list.pipe(shape.responseModes),
  },
  'authorization-signing-alg': {
    field: 'authorizationSigningAlg',
    value: signingAlgs.join('|'),
    help: 'the algorithm that signs JWT responses (default: RS256; ES256 with a FAPI profile)',
    input: shape.authorizationSigningAlg,
  },
  'grant-types': {
    field: 'grantTypes',
    value: 'TYPE,TYPE',
    help: `grant types it can use: ${grantTypes.join(', ')} (default: those of its type)`,
    input: list.pipe(shape.grantTypes),
  },
  'ciba-delivery': {
    field: 'cibaDelivery',
    value: 'poll|ping',
    help: 'how it learns that the user has answered (CIBA; default: poll)',
    input: shape.cibaDelivery,
  },
  'ciba-notification-endpoint': {
    field: 'cibaNotificationEndpoint',
    value: 'U|none',
    help: 'the URL that receives the ping (CIBA)',
    input: uriOrNone.pipe(shape.cibaNotificationEndpoint),
  },
  'ciba-signing-alg': {
    field: 'cibaSigningAlg',
    value: `${signingAlgs.join('|')}|none`,
    help: 'the algorithm that must sign its CIBA requests (default: none)',
    input: uriOrNone.pipe(shape.cibaSigningAlg),
  },
  'detail-types': {
    field: 'authorizationDetailsTypes',
    value: 'TYPE,TYPE|none',
    help: 'the types of authorization details it can request (see api list-detail-types; default: none)',
    input: list
      .transform((types) => (types?.length === 1 && types[0] === 'none' ? [] : types))
      .pipe(shape.authorizationDetailsTypes),
  },
  'id-token-claims': {
    field: 'idTokenClaims',
    value: 'standard|identity',
    help: 'identity also puts name, email and so on into ID tokens, for clients that read them there',
    input: shape.idTokenClaims,
  },
  'id-token-on-refresh': {
    field: 'idTokenOnRefresh',
    value: 'always|never',
    help: 'never omits the ID token from refresh responses (default: always)',
    input: shape.idTokenOnRefresh,
  },
  'offline-access': {
    field: 'offlineAccess',
    value: 'asked|always',
    help: 'always offers users to keep access even if the client does not ask (default: asked; always for self-registered clients)',
    input: shape.offlineAccess,
  },
  pkce: {
    field: 'pkce',
    value: 'required|optional',
    help: 'optional allows a confidential client to omit PKCE (default: required)',
    input: shape.pkce,
  },
  'subject-type': {
    field: 'subjectType',
    value: 'public|pairwise',
    help: 'pairwise gives each user a `sub` that clients of other sectors do not get (default: public)',
    input: shape.subjectType,
  },
  'sector-identifier-uri': {
    field: 'sectorIdentifierUri',
    value: 'U|none',
    help: 'the URL of a JSON list of the redirect URIs of all clients of its sector',
    input: uriOrNone.pipe(shape.sectorIdentifierUri),
  },
  'backchannel-logout-uri': {
    field: 'backchannelLogoutUri',
    value: 'U|none',
    help: 'the URL to notify when a user has signed out',
    input: uriOrNone.pipe(shape.backchannelLogoutUri),
  },
  'backchannel-logout-session-required': {
    field: 'backchannelLogoutSessionRequired',
    value: 'true|false',
    help: 'whether the notification must name the session (default: true)',
    input: yesOrNo,
  },
} as const satisfies Record<string, Setting>;

type Options = typeof settingsOptions;
type Inputs = { readonly [Name in keyof Options]: Options[Name]['input'] };

export const settingsInput = Object.fromEntries(
  Object.entries(settingsOptions).map(([name, { input }]) => [name, input]),
) as Inputs;

type Input = z.output<z.ZodObject<Inputs>>;
type Said = { readonly [Name in keyof Options as Options[Name]['field']]: Input[Name] };
type SettingName = Extract<keyof Said, keyof typeof givenSettingsSchema.shape>;

/**
 * The given options by the service's names, without those that were not given. Settings are the operator's policy; everything
 * else becomes metadata (RFC 7591).
 */
export function givenOf(input: Input): {
  readonly settings: Pick<Said, SettingName>;
  readonly aspects: Omit<Said, SettingName | 'certificate'>;
} {
  const { certificate, ...said } = Object.fromEntries(
    Object.entries(settingsOptions).map(([name, { field }]) => [field, input[name as keyof Input]]),
  ) as Said;
  const jwks =
    said.jwks && certificate
      ? { keys: [...said.jwks.keys, ...certificate.keys] }
      : (said.jwks ?? certificate);
  const given = Object.entries(withoutUndefined({ ...said, jwks }));
  const isSetting = ([field]: [string, unknown]) => field in givenSettingsSchema.shape;
  return {
    settings: Object.fromEntries(given.filter(isSetting)) as Pick<Said, SettingName>,
    aspects: Object.fromEntries(given.filter((one) => !isSetting(one))) as Omit<
      Said,
      SettingName | 'certificate'
    >,
  };
}
