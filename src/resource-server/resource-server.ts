import { z } from 'zod';

/** An API: its identifier is the audience of its tokens (RFC 8707). */
export interface ResourceServer {
  readonly id: string;
  readonly identifier: string;
  readonly name: string;
  readonly tokenFormat: 'opaque' | 'jwt';
  /** Seconds. */
  readonly accessTokenTtl: number;
  readonly signingAlg: string;
  /** Scope → what it allows, in words that users read. */
  readonly scopes: ReadonlyMap<string, string>;
}

const identifier = z
  .string()
  .max(500)
  .refine(
    (value) =>
      URL.canParse(value) &&
      !value.includes('#') &&
      /^https?:$|^urn:$/.test(new URL(value).protocol),
    {
      message: 'expected an absolute URI without a fragment, as in https://api.example.com',
    },
  );

const reserved = new Set(['openid', 'profile', 'email', 'offline_access', 'address', 'phone']);

/** RFC 6749, section 3.3; the identity scopes are ours. */
const scopeSchema = z
  .string()
  .regex(
    /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/,
    'expected a scope without spaces, quotes or backslashes',
  )
  .refine((scope) => !reserved.has(scope), {
    message: 'expected a scope that is not one of the identity scopes',
  });

export const newResourceServerSchema = z.strictObject({
  identifier,
  name: z.string().trim().min(1).max(100),
  scopes: z
    .array(
      z.strictObject({ scope: scopeSchema, description: z.string().trim().max(200).default('') }),
    )
    .min(1)
    .max(200),
  tokenFormat: z.enum(['opaque', 'jwt']).default('opaque'),
  accessTokenTtl: z.number().int().min(60).max(86_400).default(3_600),
});
export type NewResourceServer = z.output<typeof newResourceServerSchema>;

const reading = new Set(['read', 'readonly', 'view', 'list', 'get', 'see', 'search']);
const writing = new Set([
  'write',
  'readwrite',
  'manage',
  'create',
  'update',
  'delete',
  'edit',
  'admin',
  'send',
  'all',
]);

/** What a scope lets an app do, by its name: anything that does not say that it only reads may change something. */
export function kindOfScope(scope: string): 'see' | 'change' {
  const parts = scope.toLowerCase().split(/[^a-z]+/);
  return parts.some((part) => reading.has(part)) && !parts.some((part) => writing.has(part))
    ? 'see'
    : 'change';
}
