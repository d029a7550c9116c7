import { withoutUndefined } from '../../lib/without-undefined.ts';

/** What an access token that a grant of ours makes says beyond the engine's own claims. */
export interface GivenClaims {
  /** Whom it stands for, by the name that others know: a person, or a machine other than its client. */
  readonly sub?: string | undefined;
  readonly act?: unknown;
  readonly may_act?: unknown;
  readonly acr?: string | undefined;
  readonly auth_time?: number | undefined;
}

const given = new WeakMap<object, Record<string, unknown>>();

/** Says it of a token that is not saved yet. */
export function giveClaims(token: object, claims: GivenClaims): void {
  given.set(token, { ...withoutUndefined(claims) });
}

/** What was said of the token; undefined for one that no grant of ours has made. */
export function claimsGiven(token: object): Record<string, unknown> | undefined {
  return given.get(token);
}
