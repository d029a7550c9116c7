import { z } from 'zod';
import { AppError } from '../errors.ts';

/** Clients that register themselves (RFC 7591, RFC 7592, OpenID Connect Registration), or publish a document at their id. */

/** Who may register a client by protocol: nobody, the holder of an initial access token, or anybody within the quotas. */
export type RegistrationMode = 'off' | 'open' | 'token';

/** Each of the tokens of this folder wears its own prefix, as those of the protocol do. */
export const prefixes = { initial: 'vs_ia_', management: 'vs_ra_' } as const;

const scopes = z.array(z.string().max(100)).min(1).max(200);

export const newInitialTokenSchema = z.strictObject({
  /** For whom it is, for the operator's eyes alone. */
  name: z.string().trim().min(1).max(100),
  /** How many clients it registers. */
  uses: z.number().int().min(1).max(1_000).default(1),
  /** Days. */
  days: z.number().int().min(1).max(365).default(7),
  /** What clients of it may ask for besides what APIs open to all. */
  apis: z
    .array(z.strictObject({ identifier: z.string().max(2000), scopes }))
    .max(50)
    .default([]),
});
export type NewInitialToken = z.output<typeof newInitialTokenSchema>;

/** What a list shows of an initial access token. */
export interface InitialToken {
  readonly id: string;
  readonly name: string;
  readonly usesLeft: number;
  readonly apis: Readonly<Record<string, readonly string[]>>;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** The errors of RFC 7591 (section 3.2.2), whose codes go out as they are. */
export function refuse(
  code: 'invalid_client_metadata' | 'invalid_redirect_uri',
  reason: string,
): never {
  throw new AppError(code, reason, { status: 400 });
}

/** RFC 6750, section 3.1: whoever asks is told no more than that the token is not good for this. */
export function invalidToken(): AppError {
  return new AppError('invalid_token', 'The token is missing, or not good for this.', {
    status: 401,
  });
}
