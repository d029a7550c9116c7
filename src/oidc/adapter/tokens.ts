import type { Adapter, AdapterPayload } from 'oidc-provider';
import { isPublic } from '../../client/client.ts';
import { fromEpoch } from '../../lib/time.ts';
import type { EndedPermissions } from '../../permission/permission.service.ts';
import { prefixes } from '../../unit-of-work/live-token.ts';
import { mayHaveIdentityScope } from '../authorization/scopes.ts';
import { judgedExp } from './expiry.ts';
import { jwtPayload } from '../present-jwt.ts';
import type { Payload, TokenKind, TokenRecord } from '../../unit-of-work/records.ts';
import {
  codeGrace,
  isSuccessorUsed,
  refreshGrace,
  type RepetitionParts,
  successorHash,
} from './repetitions.ts';
import { currentRoute } from './unsupported.ts';
import type { TokenRead } from '../../unit-of-work/token-reads.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** The engine's names of tokens that have rows. */
export const kinds: Record<string, Exclude<TokenKind, 'jwt'>> = {
  AccessToken: 'access',
  ClientCredentials: 'machine',
  RefreshToken: 'refresh',
  AuthorizationCode: 'code',
};

export interface TokenParts extends RepetitionParts {
  readonly endedPermissions: EndedPermissions;
}

/** The storage of tokens: it decides nothing but what a stored one is worth. */
export function tokenAdapter(kind: Exclude<TokenKind, 'jwt'>, parts: TokenParts): Partial<Adapter> {
  return {
    find: (id) => findToken(kind, id, parts),
    async upsert(id, payload) {
      const { jti: _, ...rest } = payload;
      currentUnit().addToken({ ...tokenWrite(kind, id, payload), payload: rest });
    },
    async consume(id) {
      const read = kind === 'refresh' ? await currentUnit().findToken(id) : undefined;
      currentUnit().consumeToken(
        id,
        read === undefined ? 0 : await refreshGrace(parts, read),
        read && successorHash(parts, id, read),
      );
    },
    async destroy(id) {
      const unit = currentUnit();
      const jwt = unit.presentedJwtOf(id);
      // A machine's has no row to delete; what is told of, or was made from it, ends by the denylist.
      if (jwt !== undefined) unit.revokeToken(id, fromEpoch(jwt.expiresAt), false);
      else if (kind === 'access' || kind === 'machine') {
        const end = (await unit.findToken(id))?.token.payload?.exp;
        if (typeof end === 'number') unit.revokeToken(id, fromEpoch(end), true);
      }
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
  parts: TokenParts,
): Promise<AdapterPayload | undefined> {
  const unit = currentUnit();
  const jwt = unit.presentedJwt(id);
  if (jwt !== undefined) {
    if (jwt.kind !== kind) return undefined;
    if (kind === 'machine') return (await unit.isMachineJwtLive(jwt)) ? jwtPayload(jwt) : undefined;
    const read = await unit.findToken(jwt.jti);
    if (read?.token.kind !== 'jwt' || !read.standing) return undefined;
    const found = {
      ...jwtPayload(jwt),
      exp: judgedExp(jwt.expiresAt, read.expired),
      accountId: read.token.accountId,
    };
    return read.token.generation > 0
      ? found
      : { ...found, grantId: read.token.grantId, ...sessionOf(read) };
  }
  if (!id.startsWith(prefixes[kind])) return undefined;
  const read = await unit.findToken(id);
  if (read === undefined || read.token.kind !== kind || !read.standing) return undefined;
  if (await isBeyond(kind, read, parts)) return undefined;
  const payload = judged(read) ?? emptied(kind, read.token);
  const found = { ...(read.token.generation > 0 ? withoutFamily(payload) : payload), jti: id };
  const age = read.consumedAge;
  if (age === undefined) return found;
  // A used refresh token still names its family to who wants it revoked: a refresh may have overtaken the revocation.
  if (currentRoute() === 'revocation') return found;
  if (currentRoute() !== 'token') return undefined;
  const grace = await (kind === 'refresh'
    ? refreshGrace(parts, read)
    : codeGrace(parts, read.token.clientId));
  if (age > grace || (kind === 'refresh' && (await isSuccessorUsed(parts, id, read)))) {
    if (read.token.grantId !== undefined)
      unit.killFamily(
        read.token.grantId,
        kind === 'code' ? 'code_replayed' : 'refresh_token_replayed',
      );
    return undefined;
  }
  // Within the grace it looks unused; the commit decides.
  if (kind === 'code') unit.noteRepetition(read.token);
  else unit.repeatedRefresh = read.token.clientId;
  return found;
}

function judged({ token: { payload }, expired }: TokenRead): Payload | undefined {
  return payload && { ...payload, exp: judgedExp(payload.exp as number, expired) };
}

/**
 * Whether the client may not have the token any more: an access token that carries a permission which was taken away; a
 * refresh token or a code that was given to a client which authenticated, where it does not any more; and a refresh token of
 * a client that may not have `offline_access` any more. (What a change finds, it ends. This is for what another process gave
 * before it heard of the change.)
 */
async function isBeyond(
  kind: keyof typeof prefixes,
  { token, family }: TokenRead,
  { clients, endedPermissions }: TokenParts,
): Promise<boolean> {
  const { clientId, payload } = token;
  if (kind === 'code' || kind === 'refresh') {
    if (currentRoute() === 'revocation') return false;
    const client = await clients.find(clientId);
    if (client === undefined) return false;
    if (family?.payload.confidential === true && isPublic(client.metadata)) return true;
    return kind === 'refresh' && !mayHaveIdentityScope(client, 'offline_access');
  }
  if (payload === undefined) return false;
  const { aud, iat, rar, scope = '', extra } = payload as unknown as StoredAccess;
  return endedPermissions.endsToken({
    clientId,
    isMachine: kind === 'machine' && (extra?.sub ?? clientId) === clientId,
    audience: aud,
    scopes: scope.split(' ').filter((one) => one !== ''),
    authorizationDetails: rar,
    issuedAt: iat,
  });
}

/** The engine's payload of an access token, as far as it is looked at here. */
interface StoredAccess {
  readonly iat: number;
  readonly aud?: string;
  readonly scope?: string;
  readonly rar?: unknown;
  readonly extra?: { readonly sub?: string };
}

/**
 * The family of what was made by exchange is that of another client, of which the engine would make nothing, or too much: it
 * would end it with the token. Whether the token is live is said elsewhere (`live`).
 */
function withoutFamily(payload: Payload): Payload {
  const { grantId: _, sessionUid: __, expiresWithSession: ___, ...rest } = payload;
  return rest;
}

/** What is left of a token once it is long used up: whose it was, so that its family can be ended. */
const emptied = (kind: keyof typeof prefixes, { clientId, accountId, grantId }: TokenRecord) => ({
  kind: Object.keys(kinds).find((name) => kinds[name] === kind) as string,
  clientId,
  accountId,
  grantId,
});

const sessionOf = ({ token }: TokenRead) =>
  token.sessionUid === undefined ? {} : { sessionUid: token.sessionUid, expiresWithSession: true };
