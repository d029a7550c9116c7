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

/** An option, what is read from it, and what the service calls that. */
interface Setting extends Option {
  readonly field: string;
  readonly input: z.ZodType;
}

/** What `client create` and `client update` take alike. */
export const settingsOptions = {
  'access-token-ttl': {
    field: 'accessTokenTtl',
    value: 'SECONDS',
    help: 'its access tokens live no longer, 60 to 86400; as long as the API says unless told',
    input: seconds.pipe(shape.accessTokenTtl),
  },
  'family-ttl': {
    field: 'familyTtl',
    value: 'SECONDS',
    help: 'the absolute end of what one sign-in gives it, 300 to 31536000; default: REFRESH_TOKEN_TTL',
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
    help: 'keep gives the same refresh token again (clients that authenticate, or are bound, alone)',
    input: shape.refreshRotation,
  },
  'default-resource': {
    field: 'defaultResource',
    value: 'URI',
    help: 'the API that its tokens are for where it sends no resource',
    input: shape.defaultResource,
  },
  'id-token-alg': {
    field: 'idTokenSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what its ID tokens are signed with; ES256 is recommended and quickest (default: RS256)',
    input: shape.idTokenSigningAlg,
  },
  'userinfo-signing-alg': {
    field: 'userinfoSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what userinfo is signed with, and told in a JWT then; it is JSON unless told',
    input: shape.userinfoSigningAlg,
  },
  'introspection-signing-alg': {
    field: 'introspectionSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what introspection answers that it asks for as JWT are signed with; RS256 unless told',
    input: shape.introspectionSigningAlg,
  },
  'introspection-encryption-alg': {
    field: 'introspectionEncryptionAlg',
    value: 'RSA-OAEP-256|ECDH-ES',
    help: 'encrypts those answers to a key in --jwks',
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
    help: 'where it publishes its public keys, in place of --jwks',
    input: uriOrNone.pipe(shape.jwksUri),
  },
  'auth-method': {
    field: 'authMethod',
    value: clientAuthMethods.join('|'),
    help: 'how it authenticates; client_secret_basic unless told',
    input: shape.authMethod,
  },
  'auth-signing-alg': {
    field: 'authSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what it signs with for private_key_jwt; any of them unless told',
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
    help: 'it gets only tokens that are bound to a key of its own',
    input: shape.bound,
  },
  'dpop-nonce': {
    field: 'dpopNonce',
    value: 'optional|required',
    help: 'whether its DPoP proofs need a nonce of the server; optional unless told',
    input: shape.dpopNonce,
  },
  profile: {
    field: 'profile',
    value: 'none|fapi2|fapi2-message-signing',
    help: 'fapi2 holds it to the FAPI 2.0 Security Profile, the other one to Message Signing besides',
    input: shape.profile,
  },
  'require-pushed': {
    field: 'requirePushed',
    value: 'true|false',
    help: 'its authorization requests have to be pushed (RFC 9126); false unless told',
    input: yesOrNo,
  },
  'require-signed-request': {
    field: 'requireSignedRequest',
    value: 'true|false',
    help: 'its authorization requests have to be signed (RFC 9101); false unless told',
    input: yesOrNo,
  },
  'request-object-alg': {
    field: 'requestObjectSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what it signs them with; any of them unless told',
    input: shape.requestObjectSigningAlg,
  },
  'response-modes': {
    field: 'responseModes',
    value: 'MODE,MODE',
    help: `how it may be answered (${responseModes.join(', ')}); all but those with jwt unless told`,
    input: list.pipe(shape.responseModes),
  },
  'authorization-signing-alg': {
    field: 'authorizationSigningAlg',
    value: signingAlgs.join('|'),
    help: 'what answers in a JWT are signed with; RS256 unless told',
    input: shape.authorizationSigningAlg,
  },
  'grant-types': {
    field: 'grantTypes',
    value: 'TYPE,TYPE',
    help: `how it may come by tokens (${grantTypes.join(', ')}); those of its type unless told`,
    input: list.pipe(shape.grantTypes),
  },
  'ciba-delivery': {
    field: 'cibaDelivery',
    value: 'poll|ping',
    help: 'how it learns that a person has answered (CIBA); poll unless told',
    input: shape.cibaDelivery,
  },
  'ciba-notification-endpoint': {
    field: 'cibaNotificationEndpoint',
    value: 'U|none',
    help: 'where a ping tells it so',
    input: uriOrNone.pipe(shape.cibaNotificationEndpoint),
  },
  'ciba-signing-alg': {
    field: 'cibaSigningAlg',
    value: `${signingAlgs.join('|')}|none`,
    help: 'what it signs such requests with; none unless told',
    input: uriOrNone.pipe(shape.cibaSigningAlg),
  },
  'detail-types': {
    field: 'authorizationDetailsTypes',
    value: 'TYPE,TYPE|none',
    help: 'the types of authorization details that it may ask for (api list-detail-types)',
    input: list
      .transform((types) => (types?.length === 1 && types[0] === 'none' ? [] : types))
      .pipe(shape.authorizationDetailsTypes),
  },
  'id-token-claims': {
    field: 'idTokenClaims',
    value: 'standard|identity',
    help: 'identity puts name, email and the like into its ID tokens too, for clients that read them there',
    input: shape.idTokenClaims,
  },
  'id-token-on-refresh': {
    field: 'idTokenOnRefresh',
    value: 'always|never',
    help: 'never omits the ID token from refresh responses; default: always',
    input: shape.idTokenOnRefresh,
  },
  'offline-access': {
    field: 'offlineAccess',
    value: 'asked|always',
    help: 'always offers users to keep access even if the client does not ask; default: always for self-registered clients',
    input: shape.offlineAccess,
  },
  pkce: {
    field: 'pkce',
    value: 'required|optional',
    help: 'optional lets a confidential client that knows no PKCE go without; required unless told',
    input: shape.pkce,
  },
  'subject-type': {
    field: 'subjectType',
    value: 'public|pairwise',
    help: 'pairwise gives it a sub for each person that no client of another sector has; public unless told',
    input: shape.subjectType,
  },
  'sector-identifier-uri': {
    field: 'sectorIdentifierUri',
    value: 'U|none',
    help: 'the JSON list of the redirect URIs of all clients of its sector',
    input: uriOrNone.pipe(shape.sectorIdentifierUri),
  },
  'backchannel-logout-uri': {
    field: 'backchannelLogoutUri',
    value: 'U|none',
    help: 'where it is told that somebody has signed out',
    input: uriOrNone.pipe(shape.backchannelLogoutUri),
  },
  'backchannel-logout-session-required': {
    field: 'backchannelLogoutSessionRequired',
    value: 'true|false',
    help: 'whether it needs to be told of which session; true unless told',
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
 * What was said, by the names of the service; what was not said is left out. Settings are policy of ours, and what else there
 * is becomes RFC 7591's metadata.
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
