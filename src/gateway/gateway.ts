import { z } from 'zod';
import { roleSchema } from '../account/account.ts';
import { parsePattern } from './path.ts';

/** What a request must bring to pass; of an API's rules the first one that fits it decides. */
export interface GatewayRule {
  readonly id: string;
  /** In capitals, `GET` standing for `HEAD` too; empty for any method. */
  readonly methods: readonly string[];
  /** Segments that stand for themselves, `*` or `:name` for any one, `**` at the end for any number of them. */
  readonly path: string;
  /** The token must have all of them. */
  readonly scopes: readonly string[];
  /** The account must have one of them; empty where no role is asked. */
  readonly roles: readonly string[];
  /** It passes without a token, and without an identity. */
  readonly public: boolean;
}

/** RFC 9110, section 9.1: methods are compared letter by letter; those of ours are in capitals. */
const method = z.string().regex(/^[A-Z][A-Z-]{0,29}$/, 'expected a method in capitals, as in GET');

export const newGatewayRuleSchema = z
  .strictObject({
    methods: z.array(method).max(20),
    path: z
      .string()
      .max(500)
      .refine((path) => parsePattern(path) !== undefined, {
        message:
          'expected a path like /invoices/:id/** (segments in plain letters, * or :name for any one, ** only at the end)',
      }),
    scopes: z.array(z.string()).max(50).default([]),
    roles: z.array(roleSchema).max(50).default([]),
    public: z.boolean().default(false),
    /** Its place among the rules, from 1; the last one unless told. */
    place: z.number().int().min(1).optional(),
  })
  .refine((rule) => !rule.public || rule.scopes.length + rule.roles.length === 0, {
    path: ['public'],
    message: 'a public rule asks for no scopes and no roles',
  });
export type NewGatewayRule = z.output<typeof newGatewayRuleSchema>;
