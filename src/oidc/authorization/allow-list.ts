import type { Client } from '../../client/client.ts';
import type { Permissions } from '../../db/schema.ts';
import { identityClaims } from './claims.ts';

const scopeOf = new Map(
  Object.entries(identityClaims).flatMap(([scope, claims]) =>
    claims.map((claim) => [claim, scope] as const),
  ),
);

/** Whether a client with these identity scopes (all, where they are undefined) may have the claim. */
export function mayHaveClaim(scopes: string | undefined, claim: string): boolean {
  const scope = scopeOf.get(claim);
  return scopes === undefined || scope === undefined || scopes.split(' ').includes(scope);
}

/** What is left of permissions for a client: what it was given counts before what a person allowed, now and not once. */
export function withinAllowList(
  { metadata, allowed, settings }: Client,
  granted: Permissions,
): Permissions {
  const scopes = metadata.scope as string | undefined;
  return {
    scopes: granted.scopes.filter((scope) => scopes?.split(' ').includes(scope) ?? true),
    claims: granted.claims.filter((claim) => mayHaveClaim(scopes, claim)),
    resources: Object.fromEntries(
      Object.entries(granted.resources)
        .map(([api, list]) => [api, list.filter((scope) => allowed.get(api)?.has(scope))] as const)
        .filter(([, list]) => list.length > 0),
    ),
    ...(granted.details === undefined
      ? {}
      : {
          details: granted.details.filter(({ type }) =>
            settings.authorizationDetailsTypes.includes(type),
          ),
        }),
  };
}
