import { z } from 'zod';

/** That a client may make a token for one API into a token for another (RFC 8693). */
export interface ExchangeRule {
  readonly id: string;
  readonly clientId: string;
  /** The API that the subject token is for, by its identifier. */
  readonly source: string;
  /** The API that the new token is for. */
  readonly target: string;
  /** The most that the new token may allow; the client's own allow-list counts besides. */
  readonly scopes: readonly string[];
  /** The new token need not say that somebody acts for its subject; without it, every one does. */
  readonly impersonation: boolean;
  /** Other clients whose tokens, given along, say who acts. */
  readonly actors: readonly string[];
}

/**
 * Whether a new token may have scopes that the first one lacks. At the API that the first token is for, it never does. Scopes of
 * another API are not in the first token at all: there the rule decides, whatever that token allows.
 */
export const canWiden = ({ source, target }: Pick<ExchangeRule, 'source' | 'target'>) =>
  source !== target;

const identifier = z.string().min(1).max(2000);
const clientId = z.string().min(1).max(2000);

export const newExchangeRuleSchema = z.strictObject({
  clientId,
  source: identifier,
  target: identifier,
  scopes: z.array(z.string()).min(1).max(200),
  impersonation: z.boolean().default(false),
  actors: z.array(clientId).max(50).default([]),
});
export type NewExchangeRule = z.output<typeof newExchangeRuleSchema>;
