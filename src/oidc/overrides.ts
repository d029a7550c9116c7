import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { type Client, grantTypes } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { epochSeconds } from '../lib/time.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { rankOf } from './authorization/acr.ts';
import { tokenWrite } from './adapter/tokens.ts';
import type { ClientKeySets } from './client-authentication/key-sets.ts';
import { useKeySets } from './client-authentication/key-store.ts';
import { applyBackchannelLogout } from './backchannel-logout.ts';
import { applyScopes } from './authorization/requested-scope.ts';
import { saveAcceptedFamily } from './authorization/families.ts';
import { applyIdTokenRules } from './authorization/id-token-rules.ts';
import { refusalOf } from './grants/refusal.ts';
import { prefixes } from '../unit-of-work/live-token.ts';
import { refuseOddPorts } from './authorization/loopback-ports.ts';
import { applyPolledListeners, applyPolledOverrides } from './decoupled/overrides.ts';
import { useIdsOnce } from './client-authentication/replays.ts';
import { successorId } from './grants/successor.ts';
import { nameUnauthorizedGrants } from './grants/unauthorized.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

interface Generates {
  generateTokenId: (this: { format?: string }) => string;
}

/** What the engine does otherwise than we want, without a setting for it. */
export function applyOverrides(
  provider: Provider,
  {
    clients,
    resourceServers,
    sealer,
    keySets,
  }: {
    clients: ClientService;
    resourceServers: ResourceServerService;
    sealer: Sealer;
    keySets: ClientKeySets;
  },
): void {
  keepBuiltClients(provider, clients, keySets);
  applyScopes(provider, { clients, resourceServers });
  applyBackchannelLogout(provider);
  useIdsOnce(provider);
  applyIdTokenRules(provider, clients);
  applyPolledOverrides(provider, sealer);
  refuseOddPorts(provider);
  nameUnauthorizedGrants(provider);
  // Only hashes of secrets are kept, and there may be two of them.
  provider.Client.prototype.compareClientSecret = async function compareClientSecret(
    this: { clientId: string },
    secret: string,
  ) {
    const client = await clients.find(this.clientId);
    return client !== undefined && clients.verifySecret(client, secret);
  };
  for (const [model, kind] of [
    [provider.AccessToken, 'access'],
    [provider.ClientCredentials, 'machine'],
    [provider.AuthorizationCode, 'code'],
  ] as const) {
    const prototype = model.prototype as unknown as Generates;
    const original = prototype.generateTokenId;
    prototype.generateTokenId = function generateTokenId() {
      const id = original.call(this);
      return this.format === 'jwt' ? id : `${prefixes[kind]}${id}`;
    };
  }
  neverLowerSessions(provider);
  const refresh = provider.RefreshToken.prototype as unknown as Generates;
  refresh.generateTokenId = () => {
    const { RotatedRefreshToken: rotated, Grant: grant } =
      (Provider.ctx as KoaContextWithOIDC | undefined)?.oidc.entities ?? {};
    const family = grant?.jti === undefined ? undefined : currentUnit().findKnownFamily(grant.jti);
    const id =
      rotated?.jti !== undefined && family !== undefined
        ? successorId(sealer, family, rotated.jti)
        : randomToken(32);
    return `${prefixes.refresh}${id}`;
  };
}

/**
 * The engine looks built clients up by the hash of their JSON, in a cache of a hundred. Ours are the same object for as
 * long as nothing changed, and are asked for each time, so that a disabled one stops at once.
 */
function keepBuiltClients(
  provider: Provider,
  clients: ClientService,
  keySets: ClientKeySets,
): void {
  const built = new WeakMap<Client, Promise<InstanceType<Provider['Client']> | undefined>>();
  const build = provider.Client.find.bind(provider.Client);
  provider.Client.find = async (id) => {
    const client = typeof id === 'string' ? await clients.find(id) : undefined;
    // The consoles are the engine's own, and what is not there is its to say.
    if (client === undefined || client.disabled) return build(id);
    let building = built.get(client);
    if (building === undefined) {
      building = build(id).then((one) => {
        if (one !== undefined) useKeySets(one, keySets);
        return withoutDetailTypes(one);
      });
      built.set(client, building);
      building.catch(() => built.delete(client));
    }
    return building;
  };
}

/** Which types of details a client may ask for is ours to say, as it is now: the engine's own list lets it ask for none. */
function withoutDetailTypes<T extends object | undefined>(client: T): T {
  if (client !== undefined) Object.assign(client, { authorizationDetailsTypes: undefined });
  return client;
}

interface Login {
  readonly accountId: string;
  readonly loginTs?: number;
  readonly amr?: string[];
  readonly acr?: string;
}

/**
 * A user who is signed in and signs in again keeps what was proven before: `amr` grows, `acr` never falls. Results of
 * interactions come late, and a consent brings the sign-in before it along, which may be older than the session's last one.
 */
function neverLowerSessions(provider: Provider): void {
  const prototype = provider.Session.prototype as unknown as Login & {
    loginAccount: (this: Login, login: Login) => void;
  };
  const original = prototype.loginAccount;
  prototype.loginAccount = function loginAccount(login) {
    if (this.accountId !== login.accountId) {
      original.call(this, login);
      return;
    }
    original.call(this, {
      ...login,
      loginTs: Math.max(this.loginTs ?? 0, login.loginTs ?? epochSeconds()),
      amr: [...new Set([...(this.amr ?? []), ...(login.amr ?? [])])],
      ...(rankOf(this.acr) > rankOf(login.acr) ? { acr: this.acr as string } : {}),
    });
  };
}

/** Listeners only append to the unit: they are synchronous, and one that throws fails the request. */
export function applyListeners(provider: Provider, sealer: Sealer): void {
  provider.on('authorization.accepted', (ctx) => saveAcceptedFamily(ctx, sealer));
  applyPolledListeners(provider);
  // A person's JWT access token leaves a slim row, so that it can be introspected and revoked.
  provider.on('access_token.issued', (token) => {
    // The engine gives a JWT its expiry only in its payload.
    const exp = token.exp ?? epochSeconds() + token.expiration;
    const { grantId, clientId, accountId, sessionUid, expiresWithSession } = token;
    const of = { grantId, clientId, accountId, sessionUid, expiresWithSession, exp };
    currentUnit().addToken(tokenWrite('jwt', token.jti, of));
  });
  provider.on('grant.error', (ctx, error) => {
    // Nothing was refused yet.
    if (error.message === 'authorization_pending' || error.message === 'slow_down') return;
    const { client, params } = ctx.oidc;
    currentUnit().auditAlways({
      type: 'token.refused',
      outcome: 'refused',
      clientId: client?.clientId,
      reason: error.message,
      ...refusalOf(error),
      data: { grant_type: knownGrantType(params?.grant_type) },
    });
  });
  provider.on('pushed_authorization_request.error', auditRefusedPush);
  provider.on('introspection.error', auditRefusedClient);
  provider.on('revocation.error', auditRefusedClient);
  provider.on('userinfo.error', auditStolenToken);
  provider.on('end_session.success', (ctx) => {
    const session = ctx.oidc.session as { accountId?: string; destroyed?: boolean } | undefined;
    if (session?.destroyed)
      currentUnit().audit({
        type: 'session.ended',
        outcome: 'success',
        accountId: session.accountId,
        clientId: ctx.oidc.client?.clientId,
      });
  });
}

/** Who has authenticated is told of by what was wrong with its request; the authorization endpoint knows nobody. */
function auditRefusedPush(ctx: KoaContextWithOIDC, error: Error): void {
  if (error.message === 'invalid_client') return auditRefusedClient(ctx, error);
  // One that came too often leaves nothing, here neither.
  if (error.message === 'temporarily_unavailable') return;
  currentUnit().auditAlways({
    type: 'request.refused',
    outcome: 'refused',
    clientId: ctx.oidc.client?.clientId,
    reason: error.message,
  });
}

function auditRefusedClient(ctx: KoaContextWithOIDC, error: Error): void {
  if (error.message !== 'invalid_client') return;
  currentUnit().auditAlways({
    type: 'client.authentication',
    outcome: 'refused',
    clientId: ctx.oidc.client?.clientId,
    reason: error.message,
  });
}

/** A live token that is bound to a key, from somebody who does not prove it: it was taken from its client. */
function auditStolenToken(ctx: KoaContextWithOIDC, error: Error): void {
  const token = ctx.oidc.entities.AccessToken;
  if (token === undefined || (token.jkt ?? token['x5t#S256']) === undefined) return;
  currentUnit().auditAlways({
    type: 'token.refused',
    outcome: 'refused',
    accountId: token.accountId,
    clientId: token.clientId,
    grantId: token.grantId,
    reason: error.message,
    data: { endpoint: 'userinfo' },
  });
}

const knownGrantTypes = new Set<string>(grantTypes);

/** Nothing that was sent reaches the audit but what we know. */
function knownGrantType(value: unknown): string {
  return typeof value === 'string' && knownGrantTypes.has(value) ? value : 'other';
}
