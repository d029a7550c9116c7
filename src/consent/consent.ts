import type { Shown } from '../client/client.ts';
import type { Permissions } from '../db/schema.ts';
import { canonicalJson } from '../lib/canonical-json.ts';

/** What a person decided for an app; it outlives sessions, and ends only when the person takes it back. */
export interface Consent {
  readonly id: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly granted: Permissions;
  readonly rejected: Permissions;
  /** Raised with each decision. */
  readonly version: number;
  /** What the person was shown of the client; null for decisions from before this was kept. */
  readonly shown: Shown | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly lastUsedAt: Date;
}

/** One decision: of what was asked, this was allowed and that was turned down. */
export interface Decision {
  readonly allowed: Permissions;
  readonly denied: Permissions;
  /** What the page showed of the client; undefined where that stays as it was. */
  readonly shown?: Shown | undefined;
  /** What was decided before was about a client that has changed since: it counts no more. */
  readonly isAfresh?: boolean;
}

export const noPermissions: Permissions = { scopes: [], claims: [], resources: {} };

/** So many details are remembered, the latest of them: what is forgotten is asked again. */
const MAX_DETAILS = 50;

/**
 * What stands after a decision: it counts for all that it speaks of, and what it does not speak of stays as it was. A
 * detail that is turned down is not remembered as such: who asks for it again may be told no again.
 */
export function mergeDecision(
  before: Pick<Consent, 'granted' | 'rejected'>,
  { allowed, denied }: Pick<Decision, 'allowed' | 'denied'>,
): { granted: Permissions; rejected: Permissions } {
  const { details: _, ...rejected } = join(without(before.rejected, allowed), denied);
  return { granted: join(without(before.granted, denied), allowed), rejected };
}

/** Whether something that was granted before is granted no more. */
export function isNarrower(after: Permissions, before: Permissions): boolean {
  const lost = without(before, after);
  return (
    lost.scopes.length > 0 ||
    lost.claims.length > 0 ||
    Object.keys(lost.resources).length > 0 ||
    lost.details !== undefined
  );
}

function join(a: Permissions, b: Permissions): Permissions {
  const both = (x: readonly string[] = [], y: readonly string[] = []) => [...new Set([...x, ...y])];
  const identifiers = both(Object.keys(a.resources), Object.keys(b.resources));
  return {
    scopes: both(a.scopes, b.scopes),
    claims: both(a.claims, b.claims),
    resources: Object.fromEntries(
      identifiers.map((one) => [one, both(a.resources[one], b.resources[one])]),
    ),
    ...withDetails([...withoutDetails(a, b), ...(b.details ?? [])].slice(-MAX_DETAILS)),
  };
}

type Details = NonNullable<Permissions['details']>;

function withoutDetails(a: Permissions, b: Permissions): Details {
  const gone = new Set((b.details ?? []).map(canonicalJson));
  return (a.details ?? []).filter((one) => !gone.has(canonicalJson(one)));
}

/** Most consents hold none, and do not say so. */
const withDetails = (details: Details): Pick<Permissions, 'details'> =>
  details.length === 0 ? {} : { details };

function without(a: Permissions, b: Permissions): Permissions {
  const left = (x: readonly string[], y: readonly string[] = []) =>
    x.filter((one) => !y.includes(one));
  const resources = Object.entries(a.resources).map(
    ([one, scopes]) => [one, left(scopes, b.resources[one])] as const,
  );
  return {
    scopes: left(a.scopes, b.scopes),
    claims: left(a.claims, b.claims),
    resources: Object.fromEntries(resources.filter(([, scopes]) => scopes.length > 0)),
    ...withDetails(withoutDetails(a, b)),
  };
}
