import { z } from 'zod';
import { clientChangesSchema } from '../client/client.ts';

/** The algorithms that assertions may be signed with; never one with a shared secret. */
export const issuerAlgs = ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'] as const;

/** Somebody else who says of workloads who they are, by assertions that it signs (RFC 7523, section 2.1). */
export interface TrustedIssuer {
  readonly id: string;
  /** As it stands in `iss`. */
  readonly issuer: string;
  readonly jwks: Readonly<Record<string, unknown>> | undefined;
  readonly jwksUri: string | undefined;
  readonly algs: readonly string[];
  /** The most that may lie between the issue of an assertion and its end (seconds). */
  readonly maxLife: number;
  /** An assertion may be shown again until it ends; without it, each of them once. */
  readonly reusable: boolean;
  readonly subjects: readonly TrustedSubject[];
}

/** Which workload stands for which machine of ours, and for what. */
export interface TrustedSubject {
  readonly id: string;
  /** As it stands in `sub`; with `*` at its end every one that begins so. */
  readonly subject: string;
  readonly clientId: string;
  /** An API by its identifier. */
  readonly api: string;
  /** The most that a token may allow; the client's own allow-list counts besides. */
  readonly scopes: readonly string[];
  /** The client needs nothing of its own to authenticate with. */
  readonly public: boolean;
}

/** Whether the subject of an assertion is meant. */
export function fits({ subject }: Pick<TrustedSubject, 'subject'>, given: string): boolean {
  return subject.endsWith('*') ? given.startsWith(subject.slice(0, -1)) : given === subject;
}

const text = z
  .string()
  .min(1)
  .max(500)
  .regex(/^[\x21-\x7e]+$/, 'expected printing ASCII without spaces');

const keys = clientChangesSchema.shape.jwks;

/** Either they are given, or where they are. */
export function hasKeysOnce(input: {
  readonly jwks?: unknown;
  readonly jwksUri?: string | undefined;
}): boolean {
  return (input.jwks === undefined) !== (input.jwksUri === undefined);
}

export const newIssuerSchema = z
  .strictObject({
    issuer: text,
    jwks: keys,
    jwksUri: z.string().max(2000).optional(),
    algs: z.array(z.enum(issuerAlgs)).min(1).max(issuerAlgs.length).default(['ES256', 'RS256']),
    maxLife: z.number().int().min(60).max(86_400).default(3_600),
    reusable: z.boolean().default(false),
  })
  .refine(hasKeysOnce, { message: 'expected its keys either themselves or where they are' });
export type NewIssuer = z.output<typeof newIssuerSchema>;

export const newSubjectSchema = z.strictObject({
  subject: text.regex(
    /^[^*]{3,}\*?$/,
    'expected a subject in full, or its first three letters and more with * behind them',
  ),
  clientId: z.string().min(1).max(2000),
  api: z.string().min(1).max(2000),
  scopes: z.array(z.string()).min(1).max(200),
  public: z.boolean().default(false),
});
export type NewSubject = z.output<typeof newSubjectSchema>;
