import { sha256 } from '../lib/hash.ts';
import type { PresentedJwt, TokenWorth } from './records.ts';
import type { Subjects } from './subjects.ts';

/** A token that is worth something now, whatever form it came in. */
export interface LiveToken {
  readonly kind: 'access' | 'machine' | 'refresh';
  readonly clientId: string;
  /** The person, for ourselves alone; undefined for a machine's. */
  readonly accountId: string | undefined;
  /**
   * Who it stands for, for everybody who is told of the token: the person as for the client that it was first issued to, or
   * the machine where that is another one than its client (RFC 8693).
   */
  readonly subject: string | undefined;
  /** How many exchanges are behind it. */
  readonly generation: number;
  /** The person's address, if this token's own scopes include it, the person let the client have it, and the client still may. */
  readonly username: string | undefined;
  /** Of the person, as they are now. They are told to nobody but our own gateway. */
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  /** Who it is for, as it says it itself: an API's identifier. */
  readonly audience: string | readonly string[] | undefined;
  /** Epoch seconds. */
  readonly issuedAt: number;
  /** Epoch seconds. */
  readonly expiresAt: number;
  /** The token's identifier. That of an opaque token is derived from it, so that it names the token and opens nothing. */
  readonly jti: string;
  readonly grantId: string | undefined;
  /** The session that it ends with. */
  readonly sessionUid: string | undefined;
  readonly sid: string | undefined;
  /** The key that its bearer has to prove (RFC 7800). */
  readonly cnf: { readonly jkt?: string; readonly 'x5t#S256'?: string } | undefined;
  /** Who acts for the person (RFC 8693, section 4.1). */
  readonly act: unknown;
  /** Who alone may act for them (section 4.4). */
  readonly mayAct: unknown;
  /** RFC 9396. */
  readonly authorizationDetails: unknown;
  readonly acr: string | undefined;
  /** When the person signed in, in epoch seconds. */
  readonly authTime: number | undefined;
  /** Undefined for refresh tokens, which are no access tokens (RFC 7662, section 2.2). */
  readonly tokenType: 'Bearer' | 'DPoP' | undefined;
}

/** Each kind of token wears its own prefix, so that a lookup is one read, and a leak is found by scanners. */
export const prefixes = {
  access: 'vs_at_',
  machine: 'vs_mt_',
  refresh: 'vs_rt_',
  code: 'vs_ac_',
} as const;

/** The kinds of opaque tokens that can be introspected; codes can't (RFC 7662, section 2.1). */
const introspected = ['access', 'machine', 'refresh'] as const;

/** Of what kind an opaque token says that it is; undefined where it can be none of ours, and no read is needed. */
export function kindOf(token: string): LiveToken['kind'] | undefined {
  return introspected.find((kind) => token.startsWith(prefixes[kind]));
}

/** Whether it has the form of a JWT, which is all that the engine looks at. */
export const isJwt = (token: string) => token.split('.', 3).length === 3;

/** An opaque token, and the kind that its prefix says. */
export interface PresentedOpaque {
  readonly value: string;
  readonly kind: LiveToken['kind'];
}

/** What an opaque token is worth, and its subject. The database has decided whether it has expired. */
export function liveOpaque(
  { value, kind }: PresentedOpaque,
  worth: TokenWorth | undefined,
  subjects: Subjects,
): LiveToken | undefined {
  if (worth === undefined || worth.token.kind !== kind || !worth.live) return undefined;
  const { token, roles } = worth;
  const payload = token.payload as unknown as Stored;
  const { jkt, 'x5t#S256': x5t } = payload;
  const scopes = split(payload.scope);
  return {
    kind,
    clientId: token.clientId,
    accountId: token.accountId,
    subject: subjectOf(worth, subjects),
    generation: token.generation,
    username: usernameOf(worth, scopes),
    roles,
    scopes,
    audience: payload.aud,
    issuedAt: payload.iat,
    expiresAt: payload.exp,
    jti: identifierOf(value),
    grantId: token.grantId,
    sessionUid: token.sessionUid,
    sid: payload.sid,
    cnf: confirmation(jkt, x5t),
    act: payload.extra?.act,
    mayAct: payload.extra?.may_act,
    authorizationDetails: payload.rar,
    acr: payload.extra?.acr,
    authTime: payload.extra?.auth_time,
    tokenType: kind === 'refresh' ? undefined : tokenType(jkt),
  };
}

/** What a JWT is worth whose signature and times were verified; `worth` is its row, which a machine's has none of. */
export function liveJwt(
  jwt: PresentedJwt,
  worth: TokenWorth | undefined,
  subjects: Subjects,
): LiveToken | undefined {
  if (jwt.kind === 'access' && !isRowOf(worth, jwt, subjects)) return undefined;
  const claims = jwt.claims as Claims;
  const { jkt, 'x5t#S256': x5t } = claims.cnf ?? {};
  const scopes = split(claims.scope);
  return {
    // A machine's that was made from another one's has a row, and names that one.
    kind: worth?.token.accountId === undefined ? 'machine' : 'access',
    clientId: jwt.clientId,
    accountId: worth?.token.accountId,
    subject: jwt.subject,
    generation: worth?.token.generation ?? 0,
    username: usernameOf(worth, scopes),
    roles: worth?.roles ?? [],
    scopes,
    audience: claims.aud,
    issuedAt: jwt.issuedAt,
    expiresAt: jwt.expiresAt,
    jti: jwt.jti,
    grantId: worth?.token.grantId,
    sessionUid: worth?.token.sessionUid,
    sid: claims.sid,
    cnf: confirmation(jkt, x5t),
    act: claims.act,
    mayAct: claims.may_act,
    authorizationDetails: claims.authorization_details,
    acr: claims.acr,
    authTime: claims.auth_time,
    tokenType: tokenType(jkt),
  };
}

const usernameOf = (worth: TokenWorth | undefined, scopes: readonly string[]) =>
  scopes.includes('email') ? worth?.username : undefined;

/** 256 bits that can't be turned back into the token. They are no key of a row either, which is the token's own hash. */
const identifierOf = (token: string) => sha256(`jti ${token}`).toString('base64url');

/** The row says whose it is: a JWT that says otherwise is not the one that was issued. */
function isRowOf(
  worth: TokenWorth | undefined,
  { clientId, subject }: PresentedJwt,
  subjects: Subjects,
): boolean {
  return (
    worth !== undefined &&
    worth.live &&
    worth.token.kind === 'jwt' &&
    worth.token.clientId === clientId &&
    subjectOf(worth, subjects) === subject
  );
}

/** A machine that a token of another client stands for is named in its row, since there is no account to do so. */
function subjectOf({ token, sector }: TokenWorth, subjects: Subjects): string | undefined {
  if (token.accountId !== undefined) return subjects.of(token.accountId, sector);
  return (token.payload as Partial<Stored> | undefined)?.extra?.sub;
}

/** The engine's payload of a stored token, as far as it is told. */
interface Stored {
  readonly iat: number;
  readonly exp: number;
  readonly scope?: string;
  readonly aud?: string;
  readonly sid?: string;
  readonly jkt?: string;
  readonly 'x5t#S256'?: string;
  readonly rar?: unknown;
  readonly extra?: {
    readonly acr?: string;
    readonly auth_time?: number;
    readonly sub?: string;
    readonly act?: unknown;
    readonly may_act?: unknown;
  };
}

/** The claims of a JWT access token, which were ours to write. */
interface Claims {
  readonly scope?: string;
  readonly aud?: string | readonly string[];
  readonly sid?: string;
  readonly cnf?: { readonly jkt?: string; readonly 'x5t#S256'?: string };
  readonly act?: unknown;
  readonly may_act?: unknown;
  readonly authorization_details?: unknown;
  readonly acr?: string;
  readonly auth_time?: number;
}

const split = (scope: string | undefined): readonly string[] =>
  scope === undefined || scope === '' ? [] : scope.split(' ');

const tokenType = (jkt: string | undefined) => (jkt === undefined ? 'Bearer' : 'DPoP');

function confirmation(jkt: string | undefined, x5t: string | undefined): LiveToken['cnf'] {
  if (jkt === undefined && x5t === undefined) return undefined;
  return {
    ...(x5t === undefined ? {} : { 'x5t#S256': x5t }),
    ...(jkt === undefined ? {} : { jkt }),
  };
}
