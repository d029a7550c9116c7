import { z } from 'zod';
import { isForMachines, type GrantType } from './client-grants.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** What a client may ask for, and how far users are told to trust it. */

/** The identity scopes that a client may ask for; `openid` always comes along with a person. */
export const identityScopes = ['openid', 'profile', 'email', 'groups', 'offline_access'] as const;

/** The default: without groups, which are only for clients that were chosen for it. */
export const usualScopes = identityScopes.filter((scope) => scope !== 'groups');

const scopeName = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

const scopes = z.array(z.enum(identityScopes)).max(identityScopes.length);
const apis = z
  .array(
    z.strictObject({
      identifier: z.string().max(2000),
      scopes: z.array(z.string().regex(scopeName)).min(1).max(200),
    }),
  )
  .max(50);
const developer = z.string().trim().max(100);

export const newClientAccessSchema = z.object({
  /** Identity scopes; default: all except groups. */
  scopes: scopes.optional(),
  apis: apis.default([]),
  firstParty: z.boolean().default(false),
  verified: z.boolean().default(false),
  developer: developer.optional(),
});

/** Each replaces what was there. */
export const clientAccessSchema = z.object({
  scopes: scopes.optional(),
  apis: apis.optional(),
  firstParty: z.boolean().optional(),
  verified: z.boolean().optional(),
  /** Null takes it away. */
  developer: developer.nullable().optional(),
});
export type ClientAccess = z.output<typeof clientAccessSchema>;

/**
 * The metadata with the usual identity scopes where users sign in and none are listed, as with a client that was a machine
 * before. The engine lets a client without a list ask for every scope.
 */
export function withUsualScopes(metadata: Metadata): Metadata {
  return metadata.scope === undefined && !isForMachines(metadata.grant_types as GrantType[])
    ? { ...metadata, scope: usualScopes.join(' ') }
    : metadata;
}

/** The metadata with the identity scopes. */
export function withScopes(
  metadata: Metadata,
  { scopes: given }: Pick<ClientAccess, 'scopes'>,
): Metadata {
  return given === undefined ? metadata : { ...metadata, scope: [...new Set(given)].join(' ') };
}

/**
 * Whether the client has a use for the identity scopes that it is given. Those that it has already may stay without one: they
 * count again once users sign in.
 * @throws AppError `invalid_client`
 */
export function checkScopes(
  metadata: Metadata,
  { scopes: given }: Pick<ClientAccess, 'scopes'>,
): void {
  if (given !== undefined && isForMachines(metadata.grant_types as GrantType[]))
    refuse('Nobody signs in to this client: there are no scopes of a user that it could ask for.');
}
