import { type Client, identityScopes } from '../../client/client.ts';
import type { ResourceServer } from '../../resource-server/resource-server.ts';

/**
 * Which scopes a request gets. Every endpoint and grant decides with these functions (docs/decisions/0024): scopes that the
 * client can't have are left out, and a request that is left with nothing is refused with `invalid_scope`.
 */

export type ScopeClient = Pick<Client, 'allowed' | 'metadata' | 'registeredBy'>;

/** A request for a person's authorization. */
export interface AskedScopes {
  /** Without `offline_access`. */
  readonly scopes: ReadonlySet<string>;
  /** Whether the person is to be asked for `offline_access`, which says for how long and nothing of what. */
  readonly stays: boolean;
  /** The identifiers of the APIs that it names. */
  readonly resources: readonly string[];
  /** Whether it also asks for authorization details (RFC 9396), which need no scope. */
  readonly hasDetails: boolean;
}

export type ScopeDecision =
  | {
      readonly scopes: readonly string[];
      /** The API that is meant, where the request names none and its scopes belong to one. */
      readonly impliedApi?: string;
    }
  /** Why not, in words for the app's developer. */
  | { readonly refused: string };

const identity = new Set<string>(identityScopes);
/** A description lists no more scopes than this. */
const MOST_NAMED = 10;

/** The scopes of a `scope` parameter. Extra spaces are ignored. */
export function parseScope(parameter: unknown): Set<string> {
  return new Set(
    typeof parameter === 'string' ? parameter.split(' ').filter((scope) => scope !== '') : [],
  );
}

/** Whether the client may have an identity scope. One without a list of its own may have all of them. */
export function mayHaveIdentityScope({ metadata }: ScopeClient, scope: string): boolean {
  return metadata.scope === undefined || parseScope(metadata.scope).has(scope);
}

/** The scopes of an API that the client may ask for. */
export function openScopes({ allowed }: Pick<Client, 'allowed'>, api: ResourceServer): string[] {
  const own = allowed.get(api.identifier);
  return [...api.scopes.keys()].filter((scope) => own?.has(scope));
}

/**
 * The APIs that a request without `resource` can mean: those to which any of its scopes belongs, as far as the client may
 * have them. Where it is one, that one is meant.
 */
export function possibleApis(
  client: Pick<Client, 'allowed'>,
  apis: readonly ResourceServer[],
  asked: ReadonlySet<string>,
): string[] {
  return apis
    .filter((api) => openScopes(client, api).some((scope) => asked.has(scope)))
    .map(({ identifier }) => identifier);
}

/** What a request for a person's authorization gets, as far as the person allows it. */
export function decideScopes(
  client: ScopeClient,
  all: readonly ResourceServer[],
  { scopes: asked, stays, resources, hasDetails }: AskedScopes,
): ScopeDecision {
  const possible = resources.length > 0 ? [] : possibleApis(client, all, asked);
  const meant = resources.length > 0 || possible.length > 1 ? resources : possible;
  const apis = all.filter(({ identifier }) => meant.includes(identifier));
  const open = new Set(apis.flatMap((api) => openScopes(client, api)));
  const given = [...asked].filter((scope) =>
    identity.has(scope) ? mayHaveIdentityScope(client, scope) : open.has(scope),
  );
  const scopes = given.some((scope) => open.has(scope))
    ? given
    : [...new Set([...given, ...defaultScopes(client, apis)])];
  const [impliedApi] = resources.length > 0 ? [] : meant;
  if (hasDetails || scopes.length > 0) {
    if (stays && mayHaveIdentityScope(client, 'offline_access')) scopes.push('offline_access');
    return { scopes, ...(impliedApi === undefined ? {} : { impliedApi }) };
  }
  if (possible.length > 1)
    return { refused: 'the scopes belong to more than one API: name the API in resource' };
  return { refused: whyNothing(asked, [...identityOf(client), ...open]) };
}

/**
 * What a token gets that no person is asked for: of what was asked for, what may be had. Undefined where that is nothing. A
 * request without a scope gets a token without one.
 */
export function narrowScopes(
  asked: ReadonlySet<string>,
  possible: Iterable<string>,
): string[] | undefined {
  const open = new Set(possible);
  const given = [...asked].filter((scope) => open.has(scope));
  return given.length === 0 && asked.size > 0 ? undefined : given;
}

/** What a request can't have at all is left out of it; where that is everything, all of it stays, and is refused. */
export function withoutImpossible(
  client: ScopeClient,
  all: readonly ResourceServer[],
  asked: ReadonlySet<string>,
): ReadonlySet<string> {
  const possible = [...identityOf(client), ...all.flatMap((api) => openScopes(client, api))];
  return new Set(narrowScopes(asked, possible) ?? asked);
}

/** Why a request gets nothing, in words for the app's developer. */
export function whyNothing(asked: ReadonlySet<string>, possible: readonly string[]): string {
  const why = asked.size === 0 ? 'scope is missing' : 'none of the requested scopes can be granted';
  if (possible.length === 0) return why;
  const named = [...new Set(possible)].slice(0, MOST_NAMED).join(' ');
  return `${why}: this client may ask for ${named}${possible.length > MOST_NAMED ? ' and others' : ''}`;
}

/**
 * A client that registered itself knows an API's scopes only if the API's metadata names them: where it asks for none of
 * them, it gets those that the API opens to such clients. Other clients name what they want.
 */
function defaultScopes(client: ScopeClient, apis: readonly ResourceServer[]): string[] {
  if (client.registeredBy === undefined) return [];
  return apis.flatMap((api) =>
    openScopes(client, api).filter((scope) => api.openScopes.has(scope)),
  );
}

const identityOf = (client: ScopeClient) =>
  identityScopes.filter((scope) => mayHaveIdentityScope(client, scope));
