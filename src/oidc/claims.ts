import { epochSeconds } from '../lib/time.ts';
import type { AccountRecord } from './records.ts';

/** The claims behind each identity scope (OpenID Connect Core, section 5.4), as far as an account has them. */
export const identityClaims: Record<'profile' | 'email', string[]> = {
  profile: ['name', 'locale', 'updated_at'],
  email: ['email', 'email_verified'],
};

/** An account's claims; what is not known is left out. */
export function claimsOf(account: AccountRecord): Record<string, string | number | boolean> {
  return {
    email: account.email,
    email_verified: account.emailVerified,
    ...(account.name === undefined ? {} : { name: account.name }),
    ...(account.locale === undefined ? {} : { locale: account.locale }),
    updated_at: epochSeconds(account.updatedAt),
  };
}
