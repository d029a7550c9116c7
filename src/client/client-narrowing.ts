import type { EndedPermission } from '../permission/permission.ts';
import { identityScopes } from './client-access.ts';
import {
  CIBA,
  DEVICE_CODE,
  type GrantType,
  hasGrantType,
  isForMachines,
  JWT_BEARER,
  TOKEN_EXCHANGE,
} from './client-grants.ts';
import type { Client } from './client.ts';

/** What a client may ask for, as far as tokens rest on it. */
export type Reach = Pick<Client, 'allowed' | 'firstParty' | 'metadata'> & {
  readonly settings: Pick<Client['settings'], 'authorizationDetailsTypes'>;
};

/** What a client may no longer do after a change, and what ends with it. */
export interface Narrowing {
  /** Access tokens that carry one of these end. */
  readonly ended: readonly EndedPermission[];
  /** Token families: all of them, those with refresh tokens, or none. */
  readonly families: 'all' | 'none' | 'offline';
  /** Every token of the client ends, whatever it carries. */
  readonly everything: boolean;
}

/** By which users sign in. */
const ofUsers: readonly GrantType[] = ['authorization_code', DEVICE_CODE, CIBA];

/**
 * Compares what a client could do with what it can do now.
 * @param apiOf the API that a type of authorization details belongs to
 */
export function findNarrowing(
  clientId: string,
  before: Reach,
  after: Reach,
  apiOf: (type: string) => string | undefined,
): Narrowing {
  const scopesLost = lostOf(scopesOf(before), scopesOf(after));
  const grantsLost = lostOf(grantTypesOf(before), grantTypesOf(after));
  const typesLost = lostOf(
    before.settings.authorizationDetailsTypes,
    after.settings.authorizationDetailsTypes,
  );
  const isOffline = scopesLost.includes('offline_access') || grantsLost.includes('refresh_token');
  // A token says nothing of the user's grant type that led to it, and exchanged JWTs can't be told from others.
  const isOfUsers =
    ofUsers.some((type) => grantsLost.includes(type)) ||
    // What was given without asking users.
    (before.firstParty && !after.firstParty);
  const isOfMachines = grantsLost.includes('client_credentials') || grantsLost.includes(JWT_BEARER);
  return {
    ended: [
      ...scopesLost.map((name) => ({ clientId, audience: '', kind: 'scope', name }) as const),
      ...[...before.allowed].flatMap(([audience, scopes]) =>
        lostAt(clientId, audience, scopes, after.allowed.get(audience)),
      ),
      ...typesLost.flatMap((name) => {
        const audience = apiOf(name);
        return audience === undefined
          ? []
          : [{ clientId, audience, kind: 'detail', name } as const];
      }),
      ...(isOfMachines
        ? [{ clientId, audience: '', kind: 'grant', name: 'machine' } as const]
        : []),
    ],
    families: isOfUsers ? 'all' : isOffline ? 'offline' : 'none',
    everything: grantsLost.includes(TOKEN_EXCHANGE),
  };
}

/** What is lost at one API: all of it, or single scopes. */
function lostAt(
  clientId: string,
  audience: string,
  before: ReadonlySet<string>,
  after: ReadonlySet<string> | undefined,
): EndedPermission[] {
  if (after === undefined) return [{ clientId, audience, kind: 'api', name: '' }];
  return lostOf([...before], [...after]).map((name) => ({
    clientId,
    audience,
    kind: 'scope',
    name,
  }));
}

const lostOf = <T>(before: readonly T[], after: readonly T[]) =>
  before.filter((one) => !after.includes(one));

/** A client that users sign in to and that has no list of its own may ask for every identity scope. */
const scopesOf = ({ metadata }: Reach): readonly string[] => {
  if (typeof metadata.scope === 'string')
    return metadata.scope.split(' ').filter((one) => one !== '');
  return isForMachines(metadata.grant_types as GrantType[]) ? [] : identityScopes;
};

const grantTypesOf = ({ metadata }: Reach): GrantType[] =>
  (
    [...ofUsers, 'refresh_token', 'client_credentials', JWT_BEARER, TOKEN_EXCHANGE] as GrantType[]
  ).filter((type) => hasGrantType(metadata, type));
