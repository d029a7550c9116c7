import type { LiveToken } from '../unit-of-work/live-token.ts';

/** Who asks about a token. */
export interface Asker {
  readonly clientId: string;
  /** It has nothing to authenticate with. */
  readonly isPublic: boolean;
  /** The identifier of the API whose credentials these are; undefined for any other client. */
  readonly api: string | undefined;
}

/**
 * A token is told of to the client it was issued to, and to the API that it is for; to nobody else. A public client
 * has nothing to authenticate with, as who asks must (RFC 7662, section 2.1).
 */
export function mayIntrospect(
  { clientId, isPublic, api }: Asker,
  token: Pick<LiveToken, 'clientId' | 'audience'>,
): boolean {
  if (isPublic) return false;
  if (token.clientId === clientId) return true;
  return api !== undefined && [token.audience].flat().includes(api);
}

export interface Answer {
  readonly active: boolean;
  readonly [member: string]: unknown;
}

/** All that is said of a token that is not there, not live, or not for who asks (section 2.2). */
export const inactive: Answer = { active: false };

/**
 * What is said of a live token, member by member in this order; undefined ones are left out (section 2.2). Each claim that a
 * JWT access token has (RFC 9068, section 2.2) is a member with the same value, also for opaque tokens.
 */
export function describe(token: LiveToken, issuer: string): Answer {
  return {
    active: true,
    // A machine's own id, where it acts for nobody else.
    sub: token.subject ?? token.clientId,
    username: token.username,
    client_id: token.clientId,
    scope: token.scopes.length === 0 ? undefined : token.scopes.join(' '),
    aud: token.audience,
    iss: issuer,
    exp: token.expiresAt,
    iat: token.issuedAt,
    jti: token.jti,
    sid: token.sid,
    token_type: token.tokenType,
    acr: token.acr,
    auth_time: token.authTime,
    cnf: token.cnf,
    act: token.act,
    may_act: token.mayAct,
    authorization_details: token.authorizationDetails,
  };
}
