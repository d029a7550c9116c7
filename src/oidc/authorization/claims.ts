import { epochSeconds } from '../../lib/time.ts';
import type { AccountRecord } from '../../unit-of-work/records.ts';

/** The claims behind each identity scope (OpenID Connect Core, section 5.4), as far as an account has them. */
export const identityClaims: Record<'profile' | 'email' | 'groups', string[]> = {
  profile: ['name', 'locale', 'updated_at'],
  // The username is the address: it is told to whoever may have that, and to nobody else.
  email: ['email', 'email_verified', 'preferred_username'],
  groups: ['groups'],
};

export type ClaimValue = string | number | boolean | readonly string[];

/** An account's claims; what is not known is left out. */
export function claimsOf(account: AccountRecord): Record<string, ClaimValue> {
  return {
    email: account.email,
    email_verified: account.emailVerified,
    // By the address people sign in, and no two have the same: apps that go by this name mix nobody up.
    preferred_username: account.email,
    groups: account.roles,
    ...(account.name === undefined ? {} : { name: account.name }),
    ...(account.locale === undefined ? {} : { locale: account.locale }),
    updated_at: epochSeconds(account.updatedAt),
  };
}

/** The same without what a person has kept back under another name. */
export function claimsBut(
  account: AccountRecord,
  rejected: readonly string[] = [],
): Record<string, ClaimValue> {
  const { preferred_username, ...claims } = claimsOf(account);
  return rejected.includes('email') || preferred_username === undefined
    ? claims
    : { ...claims, preferred_username };
}

/** Claims as people are asked for them: the username goes with the email, which it is. */
export function asAsked(names: ReadonlySet<string>): { name: string; asUsername?: true }[] {
  const isUsername = names.has('email') && names.has('preferred_username');
  return [...names]
    .filter((name) => !isUsername || name !== 'preferred_username')
    .map((name) => (isUsername && name === 'email' ? { name, asUsername: true } : { name }));
}
