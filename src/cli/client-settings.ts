import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import {
  clientAuthMethods,
  clientChangesSchema,
  grantTypes,
  responseModes,
} from '../client/client.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';

const { shape } = clientChangesSchema;

/** A number of seconds, as it is written on the command line. */
export const seconds = z
  .string()
  .regex(/^\d{1,9}$/, 'expected a number of seconds')
  .transform(Number)
  .optional();

/** Values with commas between them. */
const list = z
  .string()
  .optional()
  .transform((text) => text?.split(',').map((one) => one.trim()));

/** The JSON in a file that is named. */
export const jsonFile = z
  .string()
  .optional()
  .transform((path, context) => {
    if (path === undefined) return undefined;
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as unknown;
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a file that holds JSON' });
      return z.NEVER;
    }
  });

/** The certificate in a file, as a JWK Set that holds its key and itself. */
const certificateFile = z
  .string()
  .optional()
  .transform((path, context) => {
    if (path === undefined) return undefined;
    try {
      const { publicKey, raw } = new X509Certificate(readFileSync(path));
      const key: Record<string, unknown> = {
        ...publicKey.export({ format: 'jwk' }),
        x5c: [raw.toString('base64')],
      };
      return { keys: [key] };
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a file that holds a certificate' });
      return z.NEVER;
    }
  });

/** What stands before the first `=` is the kind of name. */
const certificateName = z
  .string()
  .optional()
  .transform((text, context) => {
    if (text === undefined) return undefined;
    const [, kind, name] = /^(subject-dn|san-dns|san-uri|san-ip|san-email)=(.*)$/s.exec(text) ?? [];
    if (kind !== undefined) return { kind: kind.replace('-', '_'), name };
    context.addIssue({
      code: 'custom',
      message:
        'expected KIND=NAME, its kind one of subject-dn, san-dns, san-uri, san-ip, san-email',
    });
    return z.NEVER;
  });

const yesOrNo = z
  .enum(['true', 'false'])
  .transform((value) => value === 'true')
  .optional();

const uriOrNone = z
  .string()
  .optional()
  .transform((uri) => (uri === 'none' ? null : uri));

/** What `client create` and `client update` take alike. */
export const settingsOptions = {
  'access-token-ttl': {
    value: 'SECONDS',
    help: 'its access tokens live no longer, 60 to 86400; as long as the API says unless told',
  },
  'family-ttl': {
    value: 'SECONDS',
    help: 'the absolute end of what one sign-in gives it, 300 to 31536000; 14 days unless told',
  },
  'refresh-grace': {
    value: 'SECONDS',
    help: 'how long a repeated refresh is taken for its own, 0 to 60; 5 unless told',
  },
  'refresh-rotation': {
    value: 'rotate|keep',
    help: 'keep gives the same refresh token again (clients that authenticate, or are bound, alone)',
  },
  'default-resource': {
    value: 'URI',
    help: 'the API that its tokens are for where it sends no resource',
  },
  'id-token-alg': {
    value: signingAlgs.join('|'),
    help: 'what its ID tokens are signed with; RS256 unless told',
  },
  'userinfo-signing-alg': {
    value: signingAlgs.join('|'),
    help: 'what userinfo is signed with, and told in a JWT then; it is JSON unless told',
  },
  'introspection-signing-alg': {
    value: signingAlgs.join('|'),
    help: 'what introspection answers that it asks for as JWT are signed with; RS256 unless told',
  },
  'introspection-encryption-alg': {
    value: 'RSA-OAEP-256|ECDH-ES',
    help: 'encrypts those answers to a key in --jwks',
  },
  jwks: { value: 'FILE', help: 'its public keys, as a JWK Set' },
  'jwks-uri': {
    value: 'U|none',
    help: 'where it publishes its public keys, in place of --jwks',
  },
  'auth-method': {
    value: clientAuthMethods.join('|'),
    help: 'how it authenticates; client_secret_basic unless told',
  },
  'auth-signing-alg': {
    value: signingAlgs.join('|'),
    help: 'what it signs with for private_key_jwt; any of them unless told',
  },
  certificate: {
    value: 'FILE',
    help: 'its certificate (PEM), for self_signed_tls_client_auth',
  },
  'certificate-name': {
    value: 'KIND=NAME',
    help: 'for tls_client_auth, a name in its certificate: subject-dn, san-dns, san-uri, san-ip or san-email',
  },
  bound: {
    value: 'dpop|mtls|none',
    help: 'it gets only tokens that are bound to a key of its own',
  },
  'dpop-nonce': {
    value: 'optional|required',
    help: 'whether its DPoP proofs need a nonce of the server; optional unless told',
  },
  profile: {
    value: 'none|fapi2|fapi2-message-signing',
    help: 'fapi2 holds it to the FAPI 2.0 Security Profile, the other one to Message Signing besides',
  },
  'require-pushed': {
    value: 'true|false',
    help: 'its authorization requests have to be pushed (RFC 9126); false unless told',
  },
  'require-signed-request': {
    value: 'true|false',
    help: 'its authorization requests have to be signed (RFC 9101); false unless told',
  },
  'request-object-alg': {
    value: signingAlgs.join('|'),
    help: 'what it signs them with; any of them unless told',
  },
  'response-modes': {
    value: 'MODE,MODE',
    help: `how it may be answered (${responseModes.join(', ')}); all but those with jwt unless told`,
  },
  'authorization-signing-alg': {
    value: signingAlgs.join('|'),
    help: 'what answers in a JWT are signed with; RS256 unless told',
  },
  'grant-types': {
    value: 'TYPE,TYPE',
    help: `how it may come by tokens (${grantTypes.join(', ')}); those of its type unless told`,
  },
  'ciba-delivery': {
    value: 'poll|ping',
    help: 'how it learns that a person has answered (CIBA); poll unless told',
  },
  'ciba-notification-endpoint': {
    value: 'U|none',
    help: 'where a ping tells it so',
  },
  'ciba-signing-alg': {
    value: `${signingAlgs.join('|')}|none`,
    help: 'what it signs such requests with; none unless told',
  },
  'detail-types': {
    value: 'TYPE,TYPE|none',
    help: 'the types of authorization details that it may ask for (api list-detail-types)',
  },
  'id-token-claims': {
    value: 'standard|identity',
    help: 'identity puts name, email and the like into its ID tokens too, for clients that read them there',
  },
  'offline-access': {
    value: 'asked|always',
    help: 'always asks people for it where the client does not: it gets refresh tokens if they allow it',
  },
  pkce: {
    value: 'required|optional',
    help: 'optional lets a confidential client that knows no PKCE go without; required unless told',
  },
  'subject-type': {
    value: 'public|pairwise',
    help: 'pairwise gives it a sub for each person that no client of another sector has; public unless told',
  },
  'sector-identifier-uri': {
    value: 'U|none',
    help: 'the JSON list of the redirect URIs of all clients of its sector',
  },
  'backchannel-logout-uri': {
    value: 'U|none',
    help: 'where it is told that somebody has signed out',
  },
  'backchannel-logout-session-required': {
    value: 'true|false',
    help: 'whether it needs to be told of which session; true unless told',
  },
} as const;

export const settingsInput = {
  'access-token-ttl': seconds.pipe(shape.accessTokenTtl),
  'family-ttl': seconds.pipe(shape.familyTtl),
  'refresh-grace': seconds.pipe(shape.refreshGrace),
  'refresh-rotation': shape.refreshRotation,
  'default-resource': shape.defaultResource,
  'id-token-alg': shape.idTokenSigningAlg,
  'userinfo-signing-alg': shape.userinfoSigningAlg,
  'introspection-signing-alg': shape.introspectionSigningAlg,
  'introspection-encryption-alg': shape.introspectionEncryptionAlg,
  jwks: jsonFile.pipe(shape.jwks),
  'jwks-uri': uriOrNone.pipe(shape.jwksUri),
  certificate: certificateFile.pipe(shape.jwks),
  'auth-method': shape.authMethod,
  'auth-signing-alg': shape.authSigningAlg,
  'certificate-name': certificateName.pipe(shape.certificateName),
  bound: shape.bound,
  'dpop-nonce': shape.dpopNonce,
  profile: shape.profile,
  'require-pushed': yesOrNo,
  'require-signed-request': yesOrNo,
  'request-object-alg': shape.requestObjectSigningAlg,
  'response-modes': list.pipe(shape.responseModes),
  'authorization-signing-alg': shape.authorizationSigningAlg,
  'grant-types': list.pipe(shape.grantTypes),
  'ciba-delivery': shape.cibaDelivery,
  'ciba-notification-endpoint': uriOrNone.pipe(shape.cibaNotificationEndpoint),
  'ciba-signing-alg': uriOrNone.pipe(shape.cibaSigningAlg),
  'detail-types': list
    .transform((types) => (types?.length === 1 && types[0] === 'none' ? [] : types))
    .pipe(shape.authorizationDetailsTypes),
  'id-token-claims': shape.idTokenClaims,
  'offline-access': shape.offlineAccess,
  pkce: shape.pkce,
  'subject-type': shape.subjectType,
  'sector-identifier-uri': uriOrNone.pipe(shape.sectorIdentifierUri),
  'backchannel-logout-uri': uriOrNone.pipe(shape.backchannelLogoutUri),
  'backchannel-logout-session-required': yesOrNo,
};

type Given = z.output<z.ZodObject<typeof settingsInput>>;

/** What was said, by the names of the service; what was not said is left out. */
export function givenSettings(input: Given) {
  return withoutUndefined({
    accessTokenTtl: input['access-token-ttl'],
    familyTtl: input['family-ttl'],
    refreshGrace: input['refresh-grace'],
    refreshRotation: input['refresh-rotation'],
    defaultResource: input['default-resource'],
    dpopNonce: input['dpop-nonce'],
    profile: input.profile,
    authorizationDetailsTypes: input['detail-types'],
    idTokenClaims: input['id-token-claims'],
    offlineAccess: input['offline-access'],
    pkce: input.pkce,
  });
}

/** What was said of the aspects of a client that are RFC 7591's metadata. */
export function givenAspects(input: Given) {
  return withoutUndefined({
    idTokenSigningAlg: input['id-token-alg'],
    userinfoSigningAlg: input['userinfo-signing-alg'],
    introspectionSigningAlg: input['introspection-signing-alg'],
    introspectionEncryptionAlg: input['introspection-encryption-alg'],
    jwks:
      input.jwks && input.certificate
        ? { keys: [...input.jwks.keys, ...input.certificate.keys] }
        : (input.jwks ?? input.certificate),
    jwksUri: input['jwks-uri'],
    requirePushed: input['require-pushed'],
    requireSignedRequest: input['require-signed-request'],
    requestObjectSigningAlg: input['request-object-alg'],
    responseModes: input['response-modes'],
    authorizationSigningAlg: input['authorization-signing-alg'],
    authMethod: input['auth-method'],
    authSigningAlg: input['auth-signing-alg'],
    certificateName: input['certificate-name'],
    bound: input.bound,
    grantTypes: input['grant-types'],
    cibaDelivery: input['ciba-delivery'],
    cibaNotificationEndpoint: input['ciba-notification-endpoint'],
    cibaSigningAlg: input['ciba-signing-alg'],
    subjectType: input['subject-type'],
    sectorIdentifierUri: input['sector-identifier-uri'],
    backchannelLogoutUri: input['backchannel-logout-uri'],
    backchannelLogoutSessionRequired: input['backchannel-logout-session-required'],
  });
}

function withoutUndefined<T extends Record<string, unknown>>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
