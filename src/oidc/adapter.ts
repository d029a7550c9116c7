import Provider, { type Adapter, type AdapterPayload } from 'oidc-provider';
import { type Client, defaultSettings } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';
import { randomToken } from '../lib/hash.ts';
import { fromEpoch, epochSeconds } from '../lib/time.ts';
import { withinAllowList } from './allow-list.ts';
import { clientMetadata } from './clients.ts';
import { GRACE_SECONDS } from './commit.ts';
import { prefixes } from './live-token.ts';
import { jwtPayload } from './present-jwt.ts';
import type { FamilyRecord, Payload, SessionRecord, TokenKind, TokenRecord } from './records.ts';
import type { TokenRead } from './reads.ts';
import { sessionPayload, sessionWrite } from './session-record.ts';
import { currentUnit } from './unit-of-work.ts';

/**
 * The engine's storage interface over the unit of work. It translates between the engine's payloads and our records,
 * and decides nothing but what a stored token is worth.
 */

const kinds: Record<string, Exclude<TokenKind, 'jwt'>> = {
  AccessToken: 'access',
  ClientCredentials: 'machine',
  RefreshToken: 'refresh',
  AuthorizationCode: 'code',
};

/** The adapter that the engine asks for by model name. */
export function createAdapter(clients: ClientService): (name: string) => Adapter {
  return (name) => {
    const kind = kinds[name];
    if (kind !== undefined) return tokenAdapter(kind, clients);
    switch (name) {
      case 'Session':
        return { ...refusals, ...sessionAdapter };
      case 'Interaction':
        return { ...refusals, ...interactionAdapter };
      case 'Grant':
        return { ...refusals, ...grantAdapter(clients) };
      case 'Client':
        return { ...refusals, find: (id) => findClient(clients, id) };
      default:
        return refusals;
    }
  };
}

/** What no feature that is on asks for: nothing is found, and nothing may be stored. */
const refusals: Adapter = {
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  upsert: () => unsupported('upsert'),
  consume: () => unsupported('consume'),
  destroy: () => unsupported('destroy'),
  revokeByGrantId: async () => undefined,
};

function unsupported(method: string): never {
  throw new TypeError(`the adapter does not support ${method} for this model`);
}

function route(): string | undefined {
  return (Provider.ctx as { oidc?: { route?: string } } | undefined)?.oidc?.route;
}

// Tokens

function tokenAdapter(kind: Exclude<TokenKind, 'jwt'>, clients: ClientService): Adapter {
  return {
    ...refusals,
    find: (id) => findToken(kind, id, clients),
    async upsert(id, payload) {
      const { jti: _, ...rest } = payload;
      currentUnit().addToken({ ...tokenWrite(kind, id, payload), payload: rest });
    },
    async consume(id) {
      const clientId = (await currentUnit().findToken(id))?.token.clientId;
      currentUnit().consumeToken(
        id,
        kind === 'refresh' ? await refreshGrace(clients, clientId) : 0,
      );
    },
    async destroy(id) {
      const unit = currentUnit();
      const jwt = unit.presentedJwtOf(id);
      // A machine's has no row to delete; a person's is told of by the denylist once its row is gone.
      if (jwt !== undefined) unit.revokeJwt(id, fromEpoch(jwt.expiresAt));
      if (jwt?.kind !== 'machine') unit.deleteToken(id);
    },
    // Tokens die with their family: see `destroy` of Grant.
    revokeByGrantId: async () => undefined,
  };
}

/** What the row of a token says besides its payload. */
interface TokenOrigin {
  readonly grantId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly accountId?: string | undefined;
  readonly sessionUid?: string | undefined;
  readonly expiresWithSession?: boolean | undefined;
  readonly exp?: number | undefined;
}

/** The row of a token, without its payload. */
export function tokenWrite(kind: TokenKind, id: string, payload: TokenOrigin) {
  return {
    id,
    kind,
    grantId: payload.grantId,
    clientId: payload.clientId as string,
    accountId: payload.accountId,
    sessionUid: payload.expiresWithSession ? payload.sessionUid : undefined,
    payload: undefined,
    expiresAt: fromEpoch(payload.exp as number),
  };
}

async function findToken(
  kind: Exclude<TokenKind, 'jwt'>,
  id: string,
  clients: ClientService,
): Promise<AdapterPayload | undefined> {
  const unit = currentUnit();
  const jwt = unit.presentedJwt(id);
  if (jwt !== undefined) {
    if (jwt.kind !== kind) return undefined;
    if (kind === 'machine') return (await unit.isMachineJwtLive(jwt)) ? jwtPayload(jwt) : undefined;
    const read = await unit.findToken(jwt.jti);
    return read?.token.kind === 'jwt' && read.standing
      ? { ...jwtPayload(jwt), grantId: read.token.grantId, ...sessionOf(read) }
      : undefined;
  }
  if (!id.startsWith(prefixes[kind])) return undefined;
  const read = await unit.findToken(id);
  if (read === undefined || read.token.kind !== kind || !read.standing) return undefined;
  const found = { ...(read.token.payload ?? emptied(kind, read.token)), jti: id };
  const age = read.consumedAge;
  if (age === undefined) return found;
  // A used refresh token still names its family to who wants it revoked: a refresh may have overtaken the revocation.
  if (route() === 'revocation') return found;
  if (route() !== 'token') return undefined;
  const grace =
    kind === 'refresh' ? await refreshGrace(clients, read.token.clientId) : GRACE_SECONDS;
  if (age > grace) {
    if (read.token.grantId !== undefined)
      unit.killFamily(
        read.token.grantId,
        kind === 'code' ? 'code_replayed' : 'refresh_token_replayed',
      );
    return undefined;
  }
  // Within the grace it looks unused; the commit decides.
  if (kind === 'code') unit.noteRepetition(read.token);
  return found;
}

/** What is left of a token once it is long used up: whose it was, so that its family can be ended. */
const emptied = (kind: keyof typeof prefixes, { clientId, accountId, grantId }: TokenRecord) => ({
  kind: Object.keys(kinds).find((name) => kinds[name] === kind) as string,
  clientId,
  accountId,
  grantId,
});

/** Within how many seconds a repeated refresh is the client's own. */
async function refreshGrace(clients: ClientService, clientId: string | undefined): Promise<number> {
  const client = clientId === undefined ? undefined : await clients.find(clientId);
  return (client?.settings ?? defaultSettings).refreshGrace;
}

const sessionOf = ({ token }: TokenRead) =>
  token.sessionUid === undefined ? {} : { sessionUid: token.sessionUid, expiresWithSession: true };

// Families

/** Families are written when a request is accepted (families.ts), never by the engine. */
function grantAdapter(clients: ClientService): Partial<Adapter> {
  return {
    async find(id) {
      const family = await currentUnit().findFamily(id);
      if (family === undefined || family.revoked) return undefined;
      const client = await clients.find(family.clientId);
      return client && familyPayload(family, client);
    },
    async destroy(id) {
      currentUnit().killFamily(
        id,
        route() === 'revocation' ? 'token_revoked' : (route() ?? 'revoked'),
      );
    },
  };
}

/** The engine's payload of a family, with what its client may still have of the identity scopes. */
function familyPayload(family: FamilyRecord, client: Client): AdapterPayload {
  const { openid } = family.payload as { openid?: { scope?: string; claims?: string[] } };
  const { scopes, claims } = withinAllowList(client, {
    scopes: openid?.scope?.split(' ') ?? [],
    claims: openid?.claims ?? [],
    resources: {},
  });
  return {
    ...family.payload,
    openid: { scope: scopes.join(' '), claims },
    jti: family.id,
    kind: 'Grant',
    accountId: family.accountId,
    clientId: family.clientId,
    iat: epochSeconds(family.createdAt),
    exp: epochSeconds(family.expiresAt),
  };
}

// Sessions

const sessionAdapter: Partial<Adapter> = {
  async find(id) {
    const session = await currentUnit().findSession(id);
    return session && (await hasAccount(session)) ? sessionPayload(session, id) : undefined;
  },
  /** For tokens that end with their session: it answers for the families it has, each bound to it by its own row. */
  async findByUid(uid) {
    const unit = currentUnit();
    const session = await unit.findSessionByUid(uid);
    if (session === undefined) return undefined;
    const bound = unit
      .familiesOf(uid)
      .map((family) => [family.clientId, { grantId: family.id }] as const);
    return {
      ...sessionPayload(session, `unknown_${randomToken(16)}`),
      authorizations: Object.fromEntries(bound),
    };
  },
  async upsert(id, payload) {
    currentUnit().saveSession(sessionWrite(id, payload, currentUnit().browserSession));
  },
  async destroy() {
    const uid = currentUnit().browserSession?.uid;
    if (uid !== undefined) currentUnit().endSession(uid);
  },
};

/** Nobody is signed in as somebody who is disabled, whether or not the session was ended with that. */
async function hasAccount({ accountId }: SessionRecord): Promise<boolean> {
  if (accountId === undefined) return true;
  const account = await currentUnit().findAccount(accountId);
  return account !== undefined && !account.disabled;
}

// Interactions

const interactionAdapter: Partial<Adapter> = {
  async find(id) {
    const read = await currentUnit().findInteraction(id);
    return read && { ...read.payload, jti: id };
  },
  async upsert(id, payload) {
    const { jti: _, session, ...rest } = payload as Payload & { session?: Payload };
    // The raw session id is never read by the engine, and would open the session to who reads the row.
    const { cookie: __, ...kept } = session ?? {};
    currentUnit().saveInteraction(
      id,
      { ...rest, ...(session === undefined ? {} : { session: kept }) },
      fromEpoch(payload.exp as number),
    );
  },
  async destroy(id) {
    currentUnit().closeInteraction(id);
  },
};

// Clients

async function findClient(clients: ClientService, id: string): Promise<AdapterPayload | undefined> {
  const client = await clients.find(id);
  return client === undefined || client.disabled ? undefined : clientMetadata(client);
}
