import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { NewClient } from '../../src/client/client.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { launchBrowser } from '../support/pages-in-browser.ts';
import type { Credentials } from '../support/protocol.ts';
import { openSinglePageApp, type SinglePageApp } from '../support/single-page-app.ts';
import type { Person } from '../support/walk.ts';

/** oidc-client-ts, which we did not write, in a browser, on pages of other origins than ours. */

let server: HttpsServer;
let app: SinglePageApp;
let browser: Browser;
let person: Person;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  server = await startHttpsServer({ host: 'id.example.com' });
  [app, browser, person] = await Promise.all([
    openSinglePageApp(server.authority),
    launchBrowser([
      '--host-resolver-rules=MAP *.example.com 127.0.0.1,MAP *.example.org 127.0.0.1',
    ]),
    server.person(),
  ]);
});

afterAll(async () => {
  await browser?.close();
  await app.close();
  await server.stop();
});

beforeEach(async () => {
  context = await browser.newContext({ ignoreHTTPSErrors: true, reducedMotion: 'reduce' });
  page = await context.newPage();
  page.setDefaultTimeout(10_000);
});

afterEach(() => context.close());

const register = (origin: string, input: Partial<NewClient> = {}): Promise<Credentials> =>
  server.seed.client({
    type: 'spa',
    redirectUris: [`${origin}/callback`, `${origin}/silent`],
    postLogoutRedirectUris: [`${origin}/signed-out`],
    ...input,
  });

interface User {
  readonly access_token: string;
  readonly refresh_token?: string;
  readonly id_token: string;
  readonly token_type: string;
  readonly scope: string;
  readonly profile: Record<string, unknown>;
  readonly state?: unknown;
}

/** An app on an origin, in the browser's page: each call is one of the library's UserManager. */
class App {
  readonly origin: string;
  readonly clientId: string;
  readonly #settings: string;

  constructor(origin: string, { clientId }: Credentials, more = '') {
    this.origin = origin;
    this.clientId = clientId;
    this.#settings = `({
      authority: ${JSON.stringify(server.issuer)},
      client_id: ${JSON.stringify(clientId)},
      redirect_uri: ${JSON.stringify(`${origin}/callback`)},
      silent_redirect_uri: ${JSON.stringify(`${origin}/silent`)},
      post_logout_redirect_uri: ${JSON.stringify(`${origin}/signed-out`)},
      scope: 'openid email profile offline_access',
      loadUserInfo: true,
      automaticSilentRenew: false,
      revokeTokensOnSignout: true,
      silentRequestTimeoutInSeconds: 8,
      ${more}
    })`;
  }

  open(path = '/'): Promise<unknown> {
    return page.goto(`${this.origin}${path}`);
  }

  /** What the call gives, or the error that it was told. */
  async call<T>(expression: string): Promise<T> {
    return page.evaluate<T>(`(async () => {
      globalThis.users ??= new oidc.UserManager(${this.#settings});
      try {
        const result = await users.${expression};
        return result === undefined ? null : JSON.parse(JSON.stringify(result));
      } catch (error) {
        return { refused: error.error ?? error.message };
      }
    })()`);
  }

  /** Leaves for our pages, and stops at the first of them, or back at the app. */
  async leave(expression: string): Promise<void> {
    await this.open('/leave');
    const left = page.waitForURL((url) => url.pathname !== '/leave');
    await page.evaluate(
      `void new oidc.UserManager(${this.#settings}).${expression}.catch((error) => console.error(error))`,
    );
    await left;
  }

  async signIn(decision = 'Allow', request = '{ state: "where I was" }'): Promise<User> {
    await this.leave(`signinRedirect(${request})`);
    if ((await page.getByLabel('Email', { exact: true }).count()) > 0) {
      await page.getByLabel('Email', { exact: true }).fill(person.email);
      await page.getByLabel('Password', { exact: true }).fill(person.password);
      await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    }
    const back = (url: URL) => url.href.startsWith(`${this.origin}/callback`);
    const button = page.getByRole('button', { name: decision, exact: true });
    await Promise.race([button.click().catch(() => undefined), page.waitForURL(back)]);
    await page.waitForURL(back);
    return this.call<User>('signinCallback()');
  }
}

const families = (clientId: string) =>
  server.database.db.kysely
    .selectFrom('grants')
    .select(['revoked_at', 'account_id'])
    .where('client_id', '=', clientId)
    .execute();

test('COMPATIBILITY 17: signs in, renews by refresh token, signs out, and leaves nothing alive', async () => {
  const mine = new App(app.far, await register(app.far));
  const user = await mine.signIn();
  expect(user).toMatchObject({
    token_type: 'Bearer',
    scope: 'openid email profile offline_access',
    state: 'where I was',
    profile: {
      iss: server.issuer,
      aud: mine.clientId,
      sub: person.id,
      email: person.email,
      email_verified: true,
      name: person.name,
    },
  });
  const renewed = await mine.call<User>('signinSilent()');
  expect(renewed.profile).toMatchObject({ sub: person.id });
  expect(renewed.access_token).not.toBe(user.access_token);
  expect(renewed.refresh_token).not.toBe(user.refresh_token);
  expect(await families(mine.clientId)).toEqual([{ account_id: person.id, revoked_at: null }]);

  // Tokens are revoked by the page itself; then the browser goes to our page, and comes back.
  await mine.leave('signoutRedirect({ state: "bye" })');
  expect(new URL(page.url()).origin).toBe(server.issuer);
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.waitForURL((url) => url.href.startsWith(`${app.far}/signed-out`));
  expect(await mine.call('signoutCallback()')).toMatchObject({ userState: 'bye' });
  expect(await mine.call('getUser()')).toBeNull();
  expect(await families(mine.clientId)).toEqual([
    { account_id: person.id, revoked_at: expect.any(Date) },
  ]);
});

describe('COMPATIBILITY 17: renewing in an iframe, by prompt=none', () => {
  const withoutRefresh = "scope: 'openid email',";

  test('works on the same site while somebody is signed in, and gives login_required after', async () => {
    const mine = new App(app.near, await register(app.near), withoutRefresh);
    const user = await mine.signIn();
    expect(user.refresh_token).toBeUndefined();
    const renewed = await mine.call<User>('signinSilent()');
    expect(renewed).toMatchObject({ profile: { sub: person.id, email: person.email } });
    expect(renewed.access_token).not.toBe(user.access_token);
    await context.clearCookies();
    expect(await mine.call('signinSilent()')).toEqual({ refused: 'login_required' });
  });

  test('of another site gives login_required: browsers keep our cookies from it', async () => {
    const mine = new App(app.far, await register(app.far), withoutRefresh);
    await mine.signIn();
    expect(await mine.call('signinSilent()')).toEqual({ refused: 'login_required' });
    // The person is signed in all the same: an app of another site renews by its refresh token, or goes the whole way.
    await mine.leave('signinRedirect()');
    expect(page.url().startsWith(`${app.far}/callback`)).toBe(true);
    expect(await mine.call<User>('signinCallback()')).toMatchObject({
      profile: { sub: person.id },
    });
  });

  test('of an app that was not consented to, and of nobody', async () => {
    const known = new App(app.near, await register(app.near), withoutRefresh);
    const other = new App(app.near, await register(app.near), withoutRefresh);
    await other.open();
    expect(await other.call('signinSilent()')).toEqual({ refused: 'login_required' });
    await known.signIn();
    await other.open();
    expect(await other.call('signinSilent()')).toEqual({ refused: 'consent_required' });
    expect(await families(other.clientId)).toEqual([]);
  });
});

test('COMPATIBILITY 17: what a page may read, and of whose', async () => {
  const credentials = await register(app.far);
  const mine = new App(app.far, credentials);
  const user = await mine.signIn();
  const read = (path: string, how: Record<string, unknown> = {}) =>
    page.evaluate<number | string>(
      `fetch(${JSON.stringify(server.issuer + path)}, ${JSON.stringify(how)})
        .then((answer) => answer.status, () => 'kept from the page')`,
    );
  const posted = (form: Record<string, string>) => ({
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ client_id: mine.clientId, ...form }).toString(),
  });
  const bearer = { headers: { authorization: `Bearer ${user.access_token}` } };
  const refresh = posted({
    grant_type: 'refresh_token',
    refresh_token: user.refresh_token as string,
  });
  const everything = async () => ({
    discovery: await read('/.well-known/openid-configuration'),
    jwks: await read('/jwks'),
    userinfo: await read('/userinfo', bearer),
    token: await read('/token', refresh),
    revocation: await read('/revoke', posted({ token: 'vs_rt_unknown' })),
    authorization: await read(`/authorize?client_id=${mine.clientId}`),
    logout: await read('/logout'),
    account: await read('/account'),
  });
  const never = {
    authorization: 'kept from the page',
    logout: 'kept from the page',
    account: 'kept from the page',
  };
  expect(await everything()).toEqual({
    discovery: 200,
    jwks: 200,
    userinfo: 200,
    token: 200,
    revocation: 200,
    ...never,
  });
  // The same from an origin that none of its redirects leads to, though it holds the tokens.
  await page.goto(app.near);
  expect(await everything()).toEqual({
    discovery: 200,
    jwks: 200,
    userinfo: 'kept from the page',
    token: 'kept from the page',
    revocation: 'kept from the page',
    ...never,
  });
});

test('COMPATIBILITY 17: error callbacks, and answers to questions that were not asked', async () => {
  const mine = new App(app.far, await register(app.far));
  expect(await mine.signIn('Don’t allow')).toEqual({ refused: 'access_denied' });
  const unasked = 'No matching state found in storage';
  await mine.open('/callback?code=vs_ac_planted&state=planted');
  expect(await mine.call('signinCallback()')).toEqual({ refused: unasked });
  const user = await mine.signIn();
  expect(user.profile.sub).toBe(person.id);
  // The address of the callback, once more.
  expect(await mine.call('signinCallback()')).toEqual({ refused: unasked });
  expect(await families(mine.clientId)).toHaveLength(1);
  await mine.call("revokeTokens(['refresh_token'])");
  expect(await families(mine.clientId)).toEqual([
    { account_id: person.id, revoked_at: expect.any(Date) },
  ]);
});

test('COMPATIBILITY 17: tokens that are bound to a key of the browser', async () => {
  const mine = new App(
    app.far,
    await register(app.far, { bound: 'dpop', settings: { dpopNonce: 'required' } }),
    `loadUserInfo: false,
     dpop: { bind_authorization_code: true, store: new oidc.IndexedDbDPoPStore() },`,
  );
  const user = await mine.signIn();
  expect(user).toMatchObject({ token_type: 'DPoP', profile: { sub: person.id } });
  const renewed = await mine.call<User>('signinSilent()');
  expect(renewed.access_token).not.toBe(user.access_token);
  const userinfo = `${server.issuer}/userinfo`;
  const ask = (headers: string) =>
    page.evaluate<{ status: number; body: unknown }>(`(async () => {
      const user = await users.getUser();
      const ask = async (nonce) => fetch('${userinfo}', { headers: ${headers} });
      const first = await ask();
      const answer = first.headers.has('dpop-nonce') ? await ask(first.headers.get('dpop-nonce')) : first;
      return { status: answer.status, body: await answer.json() };
    })()`);
  expect(
    await ask(`{
      authorization: 'DPoP ' + user.access_token,
      dpop: await users.dpopProof('${userinfo}', user, 'GET', nonce),
    }`),
  ).toMatchObject({ status: 200, body: { sub: person.id, email: person.email } });
  expect(await ask("{ authorization: 'Bearer ' + user.access_token }")).toMatchObject({
    status: 401,
    body: { error: 'invalid_token' },
  });
});
