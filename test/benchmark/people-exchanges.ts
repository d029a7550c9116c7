import { createHash } from 'node:crypto';
import {
  type Credentials,
  type Exchange,
  type Material,
  redirectUri,
  type Step,
} from './protocol.ts';
import { basic, get, postText } from './requests.ts';

/** What an app and the browsers of its users send. */

const AT_ONCE = 16;
/** The same for all: the server can't know. */
const verifier = 'v'.repeat(43);

function authorization({ clientId }: Credentials): string {
  const query = new URLSearchParams({
    client_id: clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email offline_access',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'state',
  });
  return `/authorize?${query}`;
}

const CODE = '[?&]code=([\\w-]+)';

const signOn = (app: Credentials, cookie: string): Step => ({
  request: get(authorization(app), [`Cookie: ${cookie}`, 'Accept: text/html']),
  status: 303,
  expect: redirectUri,
  capture: CODE,
});

function redeem(app: Credentials): Step {
  const redirect = encodeURIComponent(redirectUri);
  return {
    request: postText(
      '/token',
      [`Authorization: ${basic(app)}`, 'Accept: application/json'],
      `grant_type=authorization_code&code={1}&code_verifier=${verifier}&redirect_uri=${redirect}`,
    ),
    expect: '"id_token":"eyJ',
    capture: '"refresh_token":"([^"]+)"',
  };
}

const appOf = ({ app }: Material): Credentials => {
  if (app === undefined) throw new TypeError('there is no app');
  return app;
};

/** Signed in and allowed before: a code by one redirect. */
export function singleSignOn(material: Material): Exchange[] {
  const app = appOf(material);
  return (material.browsers ?? []).map((cookie) => ({ steps: [signOn(app, cookie)] }));
}

/** A code, and the tokens for it: two requests, counted as one. */
export function codeExchange(material: Material): Exchange[] {
  const app = appOf(material);
  return (material.browsers ?? []).map((cookie) => ({ steps: [signOn(app, cookie), redeem(app)] }));
}

/** Each answer brings the refresh token of the next request. */
export async function refreshing(port: number, material: Material): Promise<Exchange[]> {
  const app = appOf(material);
  const browsers = material.browsers ?? [];
  const tokens: string[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < browsers.length; index = next++)
      tokens[index] = await refreshTokenOf(port, app, browsers[index] as string);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const step: Step = {
    request: postText(
      '/token',
      [`Authorization: ${basic(app)}`, 'Accept: application/json'],
      'grant_type=refresh_token&refresh_token={1}',
    ),
    expect: '"id_token":"eyJ',
    capture: '"refresh_token":"([^"]+)"',
  };
  return tokens.map((token) => ({ steps: [step], carried: [token] }));
}

async function refreshTokenOf(port: number, app: Credentials, cookie: string): Promise<string> {
  const server = `http://127.0.0.1:${port}`;
  const redirected = await fetch(server + authorization(app), {
    redirect: 'manual',
    headers: { cookie },
  });
  const code = new RegExp(CODE).exec(redirected.headers.get('location') ?? '')?.[1];
  if (code === undefined)
    throw new Error(`no code: ${redirected.status} ${redirected.headers.get('location')}`);
  const response = await fetch(`${server}/token`, {
    method: 'POST',
    headers: { Authorization: basic(app) },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
    }),
  });
  const text = await response.text();
  const { refresh_token: token } = JSON.parse(text) as { refresh_token?: string };
  if (token === undefined) throw new Error(`no refresh token: ${response.status} ${text}`);
  return token;
}

/** A browser that is not signed in: the redirect to the sign-in page, the password, and the code. Vouchsafe only. */
export function signingIn(material: Material): Exchange[] {
  const app = appOf(material);
  const cookie = 'Cookie: vs_begun_4600_{2}={1}';
  const interaction = '/interaction/(([\\w-]{16})[\\w-]*)';
  return (material.people ?? []).map(({ email, password }) => ({
    steps: [
      {
        request: get(authorization(app), ['Accept: text/html']),
        status: 303,
        expect: '/interaction/',
        capture: interaction,
      },
      {
        request: postText(
          '/interaction/{1}/sign-in',
          [cookie, 'Accept: text/html'],
          new URLSearchParams({ email, password }).toString(),
        ),
        status: 303,
        expect: '/authorize/',
        capture: '/authorize/(([\\w-]{16})[\\w-]*)',
      },
      {
        request: get('/authorize/{1}', [cookie, 'Accept: text/html']),
        status: 303,
        expect: 'code=',
      },
    ],
  }));
}
