import * as oauth from 'openid-client';
import type { SignedIn } from './sessions.ts';

/** What the API answered, and what became of the app's tokens on the way. */
export interface Answer {
  readonly status: number;
  readonly challenge: string | undefined;
  readonly body: unknown;
  /** The access token was refused, so a new one was asked for; this is what the server said to that. */
  readonly refresh: 'renewed' | 'refused' | undefined;
}

/**
 * Calls the API with the person's access token. Where it is refused, it may only have expired: a new one is asked for
 * once, as any app would.
 */
export async function callApi(
  server: oauth.Configuration,
  signedIn: SignedIn,
  api: string,
  method: 'GET' | 'POST',
): Promise<Answer> {
  const first = await call(server, signedIn, api, method);
  const { refreshToken } = signedIn.tokens;
  if (first.status !== 401 || refreshToken === undefined) return first;
  try {
    const tokens = await oauth.refreshTokenGrant(server, refreshToken, { resource: api });
    signedIn.tokens = {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token ?? refreshToken,
    };
  } catch (error) {
    // Only this says that the grant has ended; anything else may pass.
    if (error instanceof oauth.ResponseBodyError && error.error === 'invalid_grant') {
      signedIn.tokens = { ...signedIn.tokens, refreshToken: undefined };
      return { ...first, refresh: 'refused' };
    }
    throw error;
  }
  return { ...(await call(server, signedIn, api, method)), refresh: 'renewed' };
}

async function call(
  server: oauth.Configuration,
  { tokens }: SignedIn,
  api: string,
  method: 'GET' | 'POST',
): Promise<Answer> {
  try {
    const response = await oauth.fetchProtectedResource(
      server,
      tokens.accessToken,
      new URL('/invoices', api),
      method,
    );
    return {
      status: response.status,
      challenge: undefined,
      body: await response.json(),
      refresh: undefined,
    };
  } catch (error) {
    // openid-client makes an error of every challenge.
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
    const { response } = error;
    return {
      status: response.status,
      challenge: response.headers.get('WWW-Authenticate') ?? undefined,
      body: await response.json(),
      refresh: undefined,
    };
  }
}
