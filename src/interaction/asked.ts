import type { Permissions } from '../db/schema.ts';
import type { Client } from '../client/client.ts';
import type {
  ConsentClaim,
  ConsentDetail,
  ConsentScope,
  ConsentStay,
} from '../pages/page-parts.ts';
import type { Pages } from '../pages/pages.ts';
import { asAsked, claimsOf, identityClaims } from '../oidc/authorization/claims.ts';
import { mayAskFor, readDetails } from '../oidc/authorization/details.ts';
import { groupOf, type ShownScope, showScope, shownValue } from '../oidc/shown.ts';
import { nameOfDetail } from '../oidc/authorization/granted-details.ts';
import type { AccountRecord, ConsentRecord } from '../unit-of-work/records.ts';
import {
  type AuthorizationDetail,
  type DetailType,
  type ResourceServer,
} from '../resource-server/resource-server.ts';

/** What an authorization request asks a person for. */
export interface Asked {
  /** Identity scopes, as far as they are known. */
  readonly scopes: readonly string[];
  /** Single claims (OpenID Connect Core, section 5.5); required ones can't be unticked. */
  readonly claims: ReadonlyMap<string, { readonly essential: boolean }>;
  /** API scopes that are open to the client, by API. */
  readonly apis: readonly { readonly server: ResourceServer; readonly scopes: readonly string[] }[];
  /** What is asked for beyond scopes (RFC 9396), each with its type. */
  readonly details: readonly AskedDetail[];
}

interface AskedDetail {
  readonly detail: AuthorizationDetail;
  readonly type: DetailType;
}

const stay = 'offline_access';
/** About the sign-in itself: they tell nothing about the person that the app does not learn anyway. */
const ofTheSignIn = new Set(['sub', 'sid', 'auth_time', 'acr', 'amr', 'iss']);
/** What says most about the user comes first. */
const personal = ['locale', 'email_verified', 'groups', 'preferred_username', 'email', 'name'];
const weight = (claim: string) => personal.indexOf(claim);
const known = new Set(Object.values(identityClaims).flat());

const words = (value: unknown) =>
  typeof value === 'string' ? value.split(' ').filter((one) => one !== '') : [];

/** Reads the parameters that the engine has checked. */
export function readAsked(
  params: Readonly<Record<string, unknown>>,
  servers: readonly ResourceServer[],
  client: Client,
): Asked {
  const { allowed } = client;
  const types = new Map(
    servers.flatMap(({ detailTypes }) => detailTypes.map((one) => [one.type, one] as const)),
  );
  const scopes = words(params.scope);
  const resources = [params.resource].flat();
  return {
    scopes: scopes.filter(
      (scope) => scope === 'openid' || scope === stay || Object.hasOwn(identityClaims, scope),
    ),
    claims: readClaims(params.claims),
    apis: servers
      .filter((server) => resources.includes(server.identifier))
      .map((server) => ({
        server,
        scopes: [...server.scopes.keys()].filter(
          (scope) => scopes.includes(scope) && allowed.get(server.identifier)?.has(scope),
        ),
      })),
    // One whose type has gone since is not asked for any more, and not given.
    details: readDetails(params.authorization_details).flatMap((detail) => {
      const type = types.get(detail.type);
      return type === undefined || !mayAskFor(client, type.type) ? [] : [{ detail, type }];
    }),
  };
}

function readClaims(parameter: unknown): Map<string, { essential: boolean }> {
  const parsed = (typeof parameter === 'string' ? JSON.parse(parameter) : {}) as Record<
    string,
    Record<string, unknown> | undefined
  >;
  const claims = new Map<string, { essential: boolean }>();
  for (const [name, request] of [
    ...Object.entries(parsed.userinfo ?? {}),
    ...Object.entries(parsed.id_token ?? {}),
  ]) {
    if (!known.has(name) || ofTheSignIn.has(name) || typeof request !== 'object') continue;
    const essential = (request as { essential?: unknown } | null)?.essential === true;
    claims.set(name, { essential: essential || (claims.get(name)?.essential ?? false) });
  }
  return claims;
}

/** What the page puts to the person, and what each value that it may post stands for. */
export interface Question {
  readonly claims: readonly ConsentClaim[];
  readonly scopes: readonly ConsentScope[];
  readonly details: readonly (ConsentDetail & { readonly detail: AuthorizationDetail })[];
  readonly stay: ConsentStay | undefined;
  readonly already: Pages['consent']['already'];
  /** What the answer decides. */
  readonly openIdentityScopes: readonly string[];
  /** The posted value of an API scope → which one it is. */
  readonly apiScopes: ReadonlyMap<string, { readonly identifier: string; readonly scope: string }>;
}

/**
 * Makes the question: all that is asked for, or only what was not decided before. Everything that can be left out is
 * ticked: who posts the form as it stands allows all of it. A detail is decided as a whole; what may not be remembered
 * is asked each time, whatever was decided before.
 */
export function makeQuestion(
  asked: Asked,
  account: AccountRecord,
  consent: ConsentRecord | undefined,
  askAgain: boolean,
): Question {
  const decided = askAgain || consent === undefined ? undefined : consent;
  const isNew = (kind: 'scopes' | 'claims', one: string) =>
    !decided?.granted[kind].includes(one) && !decided?.rejected[kind].includes(one);
  const openIdentityScopes = asked.scopes.filter((scope) => isNew('scopes', scope));
  const names = new Set(
    openIdentityScopes.flatMap(
      (scope) => identityClaims[scope as keyof typeof identityClaims] ?? [],
    ),
  );
  // A claim of a new scope that was turned down singly before is put again; one that was allowed is not.
  for (const name of names) if (decided?.granted.claims.includes(name)) names.delete(name);
  for (const name of asked.claims.keys()) if (isNew('claims', name)) names.add(name);
  const values = claimsOf(account);
  const several = asked.apis.length > 1;
  const apiScopes = new Map<string, { identifier: string; scope: string; shown: ShownScope }>();
  for (const { server, scopes } of asked.apis) {
    const { identifier } = server;
    for (const scope of scopes) {
      if (
        decided?.granted.resources[identifier]?.includes(scope) ||
        decided?.rejected.resources[identifier]?.includes(scope)
      )
        continue;
      apiScopes.set(several ? `${scope} ${identifier}` : scope, {
        identifier,
        scope,
        shown: showScope(server, scope),
      });
    }
  }
  const { askedDetails: details, rememberedDetails } = openDetails(asked, decided);
  const others =
    names.size + apiScopes.size + (openIdentityScopes.includes(stay) ? 1 : 0) + details.length - 1;
  return {
    details: details.map(({ detail, type }) => ({
      value: nameOfDetail(detail),
      words: type.words,
      detail,
      remembered: type.remember,
      // The only thing that is asked is decided by the buttons.
      optional: others > 0,
      checked: true,
    })),
    claims: asAsked(names)
      .toSorted((a, b) => weight(b.name) - weight(a.name))
      .map(({ name, asUsername }) => ({
        name,
        asUsername,
        group: groupOf(name),
        value: shownValue(name, values[name]),
        optional: !asked.claims.get(name)?.essential,
        checked: true,
      })),
    scopes: [...apiScopes].map(([value, one]) => ({
      value,
      ...one.shown,
      optional: true,
      checked: true,
    })),
    stay: openIdentityScopes.includes(stay) ? { optional: true, checked: true } : undefined,
    already: decided && alreadyOf(asked, decided, rememberedDetails),
    openIdentityScopes,
    apiScopes,
  };
}

/** Of the details that are asked for, those that nobody has allowed yet, and those that somebody has. */
function openDetails({ details }: Asked, decided: ConsentRecord | undefined) {
  const known = new Set(decided?.granted.details?.map(nameOfDetail));
  const isKnown = ({ detail, type }: AskedDetail) =>
    type.remember && known.has(nameOfDetail(detail));
  return {
    askedDetails: details.filter((one) => !isKnown(one)),
    rememberedDetails: details.filter(isKnown),
  };
}

export interface Answer {
  readonly allowed: Permissions;
  readonly denied: Permissions;
  /** Every detail that was allowed, whether it is remembered or not. */
  readonly details: readonly AuthorizationDetail[];
}

/** The answer to a question: what was ticked is allowed, the rest of what was asked is turned down; nothing else counts. */
export function readAnswer(
  question: Question,
  posted: {
    readonly claims: readonly string[];
    readonly scopes: readonly string[];
    readonly details: readonly string[];
  },
): Answer {
  const allowed: Permissions = { scopes: [], claims: [], resources: {} };
  const denied: Permissions = { scopes: [], claims: [], resources: {} };
  for (const { name, optional, asUsername } of question.claims)
    (optional && !posted.claims.includes(name) ? denied : allowed).claims.push(
      name,
      ...(asUsername ? ['preferred_username'] : []),
    );
  const details = question.details.filter(
    ({ value, optional }) => !optional || posted.details.includes(value),
  );
  const remembered = question.details.filter(({ remembered }) => remembered);
  if (remembered.length > 0) {
    const [yes, no] = [true, false].map((isAllowed) =>
      remembered.filter((one) => details.includes(one) === isAllowed).map(({ detail }) => detail),
    );
    Object.assign(allowed, { details: yes });
    Object.assign(denied, { details: no });
  }
  for (const [value, { identifier, scope }] of question.apiScopes) {
    const { resources } = posted.scopes.includes(value) ? allowed : denied;
    (resources[identifier] ??= []).push(scope);
  }
  for (const scope of question.openIdentityScopes) {
    const claims = identityClaims[scope as keyof typeof identityClaims];
    const isAllowed =
      scope === stay
        ? posted.scopes.includes(stay)
        : claims === undefined || claims.some((name) => !denied.claims.includes(name));
    (isAllowed ? allowed : denied).scopes.push(scope);
  }
  return { allowed, denied, details: details.map(({ detail }) => detail) };
}

/** Of what is asked for, what was allowed before. */
function alreadyOf(
  asked: Asked,
  { granted }: ConsentRecord,
  details: readonly AskedDetail[],
): Pages['consent']['already'] {
  const names = new Set([
    ...asked.claims.keys(),
    ...asked.scopes.flatMap((scope) => identityClaims[scope as keyof typeof identityClaims] ?? []),
  ]);
  const scopes = asked.apis.flatMap(({ server, scopes }) =>
    scopes
      .filter((scope) => granted.resources[server.identifier]?.includes(scope))
      .map((scope) => showScope(server, scope)),
  );
  return {
    claims: asAsked(new Set([...names].filter((name) => granted.claims.includes(name)))),
    scopes,
    details: details.map(({ detail, type }) => ({ words: type.words, detail })),
    stay: asked.scopes.includes(stay) && granted.scopes.includes(stay),
  };
}
