import { createHash, randomBytes } from 'node:crypto';
import { decodeJwt } from 'jose';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import type { Browser, Page } from './browser.ts';
import { appRedirectUri, type TestAccount, type TestServer } from './server.ts';

/** An app that sends browsers to the authorization endpoint, and redeems what they come back with. */
export interface Ask {
  readonly url: string;
  readonly verifier: string;
}

/** An authorization request; `undefined` leaves a parameter out. */
export function ask(
  { issuer }: TestServer,
  client: ClientCredentials,
  extra: Record<string, string | undefined> = {},
): Ask {
  const verifier = randomBytes(32).toString('base64url');
  const parameters: Record<string, string | undefined> = {
    client_id: client.clientId,
    redirect_uri: appRedirectUri,
    response_type: 'code',
    scope: 'openid',
    state: 'the-state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...extra,
  };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) query.set(name, value);
  return { url: `${issuer}/authorize?${query.toString()}`, verifier };
}

/** Signs in by password alone on the page that the browser stands on. */
export function enterPassword(
  browser: Browser,
  page: Page,
  account: Pick<TestAccount, 'email' | 'password'>,
): Promise<Page> {
  return browser.submit(page, { email: account.email, password: account.password });
}

export interface Tokens {
  readonly status: number;
  readonly access_token: string;
  readonly refresh_token?: string;
  readonly scope: string;
  readonly idToken: Record<string, unknown>;
  readonly error?: string;
}

/** Redeems the code that the browser was sent back with. */
export async function redeem(
  { issuer }: TestServer,
  client: ClientCredentials,
  { verifier }: Ask,
  page: Page,
): Promise<Tokens> {
  const code = page.params.get('code');
  if (!page.external || code === null)
    throw new Error(`no code: ${page.status} ${page.url} "${page.title}" ${page.text}`);
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: appRedirectUri,
  });
  if (client.clientSecret === undefined) body.set('client_id', client.clientId);
  const authorization =
    client.clientSecret === undefined
      ? {}
      : {
          authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`,
        };
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { ...authorization },
    body,
  });
  const answer = (await response.json()) as Tokens & { id_token?: string };
  const idToken: Record<string, unknown> =
    answer.id_token === undefined ? {} : decodeJwt(answer.id_token);
  return { ...answer, status: response.status, idToken };
}
