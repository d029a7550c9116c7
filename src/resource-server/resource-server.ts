import { z } from 'zod';
import type { DetailType } from './detail.ts';
import { type ScopeWords, verbSchema } from './scope-words.ts';

export type { AuthorizationDetail, DetailType } from './detail.ts';
export { detailTypeChangesSchema, newDetailTypeSchema } from './detail-types.ts';
export {
  parseScopeWords,
  previewScopeWords,
  scopeWordsSchema,
  type ScopeWords,
  writeScopeWords,
} from './scope-words.ts';

/** The algorithms that tokens are signed with: each has a key of its own (see src/keys/keys.service.ts). */
export const signingAlgs = ['ES256', 'RS256', 'PS256', 'EdDSA'] as const;
export type SigningAlg = (typeof signingAlgs)[number];

/** An API: its identifier is the audience of its tokens (RFC 8707). */
export interface ResourceServer {
  readonly id: string;
  readonly identifier: string;
  readonly name: string;
  readonly tokenFormat: 'opaque' | 'jwt';
  /** Seconds. */
  readonly accessTokenTtl: number;
  /** Of its JWT access tokens. */
  readonly signingAlg: SigningAlg;
  /** The `typ` in their header: RFC 9068's own, or the plain one for decoders that refuse what they do not know. */
  readonly tokenTyp: 'at+jwt' | 'JWT';
  /** The plain `typ` is, or a day ago still was, that of its tokens. */
  readonly takesPlainTyp: boolean;
  /** Scope → what it allows, in the API team's words; in the order in which the API lists them. */
  readonly scopes: ReadonlyMap<string, ScopeWords>;
  /** Of them, those that clients may ask for which no operator has registered; always with consent. */
  readonly openScopes: ReadonlySet<string>;
  /** What may be asked for there beyond scopes (RFC 9396). */
  readonly detailTypes: readonly DetailType[];
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

const reserved = new Set([
  'openid',
  'profile',
  'email',
  'groups',
  'offline_access',
  'address',
  'phone',
]);

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

const name = z.string().trim().min(1).max(100);
const openScopes = z.array(z.string().max(100)).max(200);
const tokenFormat = z.enum(['opaque', 'jwt']);
const tokenTyp = z.enum(['at+jwt', 'JWT']);
const signingAlg = z.enum(signingAlgs);
/** The longest that an access token may live (seconds). */
export const maxAccessTokenTtl = 86_400;
const accessTokenTtl = z.number().int().min(60).max(maxAccessTokenTtl);

const newScope = z.strictObject({
  scope: scopeSchema,
  verb: verbSchema.optional(),
  description: z.string().trim().max(200).default(''),
});
export type NewScope = z.output<typeof newScope>;
const scopes = z.array(newScope).max(200);

export const newResourceServerSchema = z.strictObject({
  identifier,
  name,
  scopes: scopes.min(1),
  openScopes: openScopes.default([]),
  tokenFormat: tokenFormat.default('opaque'),
  tokenTyp: tokenTyp.default('at+jwt'),
  signingAlg: signingAlg.default('ES256'),
  accessTokenTtl: accessTokenTtl.default(3_600),
});
export type NewResourceServer = z.output<typeof newResourceServerSchema>;

/** What may change of an API; its identifier is the audience of tokens that are out, and stays. */
export const resourceServerChangesSchema = z.strictObject({
  name: name.optional(),
  /** Added, or given new words. */
  scopes: scopes.optional(),
  /** Nobody has them any more. */
  removedScopes: z.array(z.string().max(100)).max(200).optional(),
  /** All that are open from now on. */
  openScopes: openScopes.optional(),
  tokenFormat: tokenFormat.optional(),
  tokenTyp: tokenTyp.optional(),
  signingAlg: signingAlg.optional(),
  accessTokenTtl: accessTokenTtl.optional(),
});
export type ResourceServerChanges = z.output<typeof resourceServerChangesSchema>;
