import type { ConsentClaim, ConsentScope } from '../pages/page-parts.ts';
import type { ResourceServer } from '../resource-server/resource-server.ts';
import { type ClaimValue, identityClaims } from './authorization/claims.ts';

/** How scopes and claims are put to users, on the consent page and in the list of connected apps alike. */

export type ShownScope = Pick<ConsentScope, 'api' | 'verb' | 'words'>;

/** A scope in its API team's words; one without words, or that the API no longer has, is named as it is. */
export function showScope(api: ResourceServer, scope: string): ShownScope {
  const { verb, description = '' } = api.scopes.get(scope) ?? {};
  return { api: api.name, verb, words: description === '' ? scope : description };
}

/** The identity scope that a claim belongs to, however it was asked for. */
export function groupOf(claim: string): ConsentClaim['group'] {
  return (['profile', 'email', 'groups'] as const).find((scope) =>
    identityClaims[scope].includes(claim),
  );
}

/** The value that the app would get, as far as the page names it; undefined if there is none. */
export function shownValue(
  name: string,
  value: ClaimValue | undefined,
): string | boolean | undefined {
  // When the account last changed tells a user nothing.
  if (value === undefined || name === 'updated_at') return undefined;
  if (typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.join(', ');
  return String(value);
}
