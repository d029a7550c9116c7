import { decodeJwt } from 'jose';
import Provider, {
  errors,
  type Client as EngineClient,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import { type Client, offlineAccessOf } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';
import { decideScopes, parseScope, type ScopeDecision, withoutImpossible } from './scopes.ts';

/** The one decision about scopes (scopes.ts), put to the requests that the engine reads. */

type Decided = Exclude<ScopeDecision, { refused: string }>;
export type DecideRequest = (
  ctx: KoaContextWithOIDC,
  clientId: string,
) => Promise<Decided | undefined>;

/**
 * Decides the scopes of a request for a person's authorization as it stands; undefined for the consoles, which ask for
 * nothing but a sign-in.
 * @throws InvalidScope
 */
export function createDecideRequest(
  clients: ClientService,
  resourceServers: ResourceServerService,
): DecideRequest {
  return async (ctx, clientId) => {
    const client = await clients.find(clientId);
    if (client === undefined) return undefined;
    const { params = {} } = ctx.oidc;
    const scopes = parseScope(params.scope);
    scopes.delete('offline_access');
    const decision = decideScopes(client, await resourceServers.list(), {
      scopes,
      stays: await offersToStay(ctx, client),
      resources: [params.resource].flat().filter((one) => typeof one === 'string'),
      hasDetails: params.authorization_details !== undefined,
    });
    if ('refused' in decision) throw new errors.InvalidScope(decision.refused, '');
    return decision;
  };
}

/**
 * Decides once the engine has checked the rest of the request, and before anything is made of it. The engine has no hook for
 * scopes. This one is meant for extra parameters; the parameter itself is never read.
 */
export const scopeHook = (decide: DecideRequest) => ({
  vs_scope: async (
    ctx: KoaContextWithOIDC,
    _value: unknown,
    { clientId }: EngineClient,
  ): Promise<void> => {
    const decision = await decide(ctx, clientId);
    if (decision !== undefined && ctx.oidc.params)
      ctx.oidc.params.scope = decision.scopes.join(' ') || undefined;
  },
});

/**
 * Whether the person is to be asked for `offline_access`: the request asks for it, or the client's settings do. The engine
 * drops it without `prompt=consent`. OpenID Connect Core (section 11) wants consent, which here is always asked for: the
 * consent page shows it as a permission of its own, and a stored consent counts only where it holds it.
 */
async function offersToStay(ctx: KoaContextWithOIDC, client: Client): Promise<boolean> {
  const { params, client: engineClient } = ctx.oidc;
  const responseType = params?.response_type;
  if (responseType !== undefined && responseType !== 'code') return false;
  if (engineClient?.grantTypeAllowed('refresh_token') !== true) return false;
  if (parseScope(askedScope(ctx)).has('offline_access')) return true;
  return offlineAccessOf(client) === 'always' && !(await isSilentlyNew(ctx, client));
}

/** Whether `prompt=none` would fail for an offer that the user has not seen: their consent is older than the offer. */
async function isSilentlyNew({ oidc }: KoaContextWithOIDC, { id }: Client): Promise<boolean> {
  const accountId = oidc.session?.accountId;
  if (accountId === undefined || !oidc.prompts.has('none')) return false;
  const consent = await currentUnit().findConsent(accountId, id);
  if (consent === undefined) return false;
  const { granted, rejected } = consent;
  return ![...granted.scopes, ...rejected.scopes].includes('offline_access');
}

/** As it was sent: pushed before, in a request object, or plainly. */
function askedScope(ctx: KoaContextWithOIDC): unknown {
  const { PushedAuthorizationRequest: pushed } = ctx.oidc.entities as {
    PushedAuthorizationRequest?: { readonly request: string };
  };
  const sent = (ctx.method === 'POST' ? ctx.oidc.body : ctx.query) as
    | { readonly scope?: unknown; readonly request?: unknown }
    | undefined;
  const request = pushed?.request ?? sent?.request;
  // It was verified by now, or written by ourselves.
  return typeof request === 'string' && request !== '' ? decodeJwt(request).scope : sent?.scope;
}

/** Makes every endpoint of the engine read and answer `scope` by the same rules. */
export function applyScopes(
  provider: Provider,
  { clients, resourceServers }: { clients: ClientService; resourceServers: ResourceServerService },
): void {
  ignoreExtraSpaces(provider);
  const tokens = provider.RefreshToken as unknown as Finds;
  const find = tokens.find.bind(tokens);
  tokens.find = async (...given) => {
    await tidyRefresh((Provider.ctx as KoaContextWithOIDC | undefined)?.oidc);
    return find(...given);
  };
  provider.on('grant.success', nameScope);

  /** What a refresh asks for beyond what was granted is refused by the engine; what the client can't have at all is left out. */
  async function tidyRefresh(oidc: KoaContextWithOIDC['oidc'] | undefined): Promise<void> {
    const { params, client: engineClient } = oidc ?? {};
    const asked = parseScope(params?.scope);
    if (params?.grant_type !== 'refresh_token' || asked.size === 0) return;
    const client = await clients.find(engineClient?.clientId ?? '');
    if (client === undefined) return;
    params.scope = [...withoutImpossible(client, await resourceServers.list(), asked)].join(' ');
  }
}

interface Finds {
  find: (...given: unknown[]) => Promise<unknown>;
}

type Params = Record<string, unknown>;

/** The engine refuses a scope with two spaces in a row, or with one at either end, before any hook of ours. */
function ignoreExtraSpaces(provider: Provider): void {
  const held = new WeakMap<object, Params>();
  Object.defineProperty(provider.OIDCContext.prototype, 'params', {
    get(this: object) {
      return held.get(this);
    },
    set(this: object, params: Params) {
      if (Object.hasOwn(params, 'scope')) keepTidy(params);
      held.set(this, params);
    },
  });
}

/** Whatever the engine writes to `scope`, a request object's among it, is kept without extra spaces. */
function keepTidy(params: Params): void {
  const tidy = (scope: unknown) =>
    typeof scope === 'string'
      ? scope.replace(/ +/g, ' ').replace(/^ | $/g, '') || undefined
      : scope;
  let value = tidy(params.scope);
  Object.defineProperty(params, 'scope', {
    configurable: true,
    enumerable: true,
    get: () => value,
    set: (scope: unknown) => {
      value = tidy(scope);
    },
  });
}

/**
 * A token for an API of whose scopes the person allowed none has no scope, and the engine answers with an empty one, which
 * RFC 6749 (section 3.3) does not know. What was granted beside it is named instead: identity scopes.
 */
function nameScope(ctx: KoaContextWithOIDC): void {
  const body = ctx.body as { scope?: string };
  if (body.scope !== '') return;
  const { grant, entities, params, requestParamScopes } = ctx.oidc;
  const { AuthorizationCode, DeviceCode, BackchannelAuthenticationRequest, RefreshToken } =
    entities;
  const source =
    AuthorizationCode ?? DeviceCode ?? BackchannelAuthenticationRequest ?? RefreshToken;
  const scopes = params?.scope === undefined ? source?.scopes : requestParamScopes;
  const granted = grant?.getOIDCScopeFiltered(scopes ?? new Set()) ?? '';
  if (granted === '') delete body.scope;
  else body.scope = granted;
}
