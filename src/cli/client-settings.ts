import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { clientChangesSchema } from '../client/client.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';

const { shape } = clientChangesSchema;

/** A number of seconds, as it is written on the command line. */
export const seconds = z
  .string()
  .regex(/^\d{1,9}$/, 'expected a number of seconds')
  .transform(Number)
  .optional();

/** The JSON in a file that is named. */
const jsonFile = z
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
    help: 'keep gives the same refresh token again (clients that authenticate alone)',
  },
  'default-resource': {
    value: 'URI',
    help: 'the API that its tokens are for where it sends no resource',
  },
  'id-token-alg': {
    value: signingAlgs.join('|'),
    help: 'what its ID tokens are signed with; RS256 unless told',
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
} as const;

export const settingsInput = {
  'access-token-ttl': seconds.pipe(shape.accessTokenTtl),
  'family-ttl': seconds.pipe(shape.familyTtl),
  'refresh-grace': seconds.pipe(shape.refreshGrace),
  'refresh-rotation': shape.refreshRotation,
  'default-resource': shape.defaultResource,
  'id-token-alg': shape.idTokenSigningAlg,
  'introspection-signing-alg': shape.introspectionSigningAlg,
  'introspection-encryption-alg': shape.introspectionEncryptionAlg,
  jwks: jsonFile.pipe(shape.jwks),
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
  });
}

export function givenCryptography(input: Given) {
  return withoutUndefined({
    idTokenSigningAlg: input['id-token-alg'],
    introspectionSigningAlg: input['introspection-signing-alg'],
    introspectionEncryptionAlg: input['introspection-encryption-alg'],
    jwks: input.jwks,
  });
}

function withoutUndefined<T extends Record<string, unknown>>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
