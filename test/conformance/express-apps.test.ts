import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { type AppProcess, startApp } from '../support/app-process.ts';
import { Browser, type Page } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Person, Walker } from '../support/walk.ts';

/** passport-openidconnect and Auth.js, which we did not write, in Express apps of their own, as their pages say to use them. */

let server: HttpsServer;
let person: Person;

beforeAll(async () => {
  server = await startHttpsServer();
  person = await server.person();
});

afterAll(() => server.stop());

const told = (page: Page) => JSON.parse(page.html) as unknown;

const families = (clientId: string) =>
  server.database.db.kysely
    .selectFrom('grants')
    .select(['account_id', 'revoked_at'])
    .where('client_id', '=', clientId)
    .execute();

describe('COMPATIBILITY 12 and 21: passport-openidconnect, which knows no PKCE', () => {
  let app: AppProcess;

  beforeAll(async () => {
    app = await startApp('passport', server, (url) =>
      server.seed.client({ redirectUris: [`${url}/callback`], settings: { pkce: 'optional' } }),
    );
  });

  afterAll(() => app.stop());

  test('signs in, and knows who it is', async () => {
    const walker = new Walker(server.issuer, person);
    const page = await walker.go(`${app.url}/login`);
    expect(told(page)).toMatchObject({
      id: person.id,
      displayName: person.name,
      emails: [{ value: person.email }],
    });
    expect(told(await walker.go(app.url))).toMatchObject({ id: person.id });
    expect(await families(app.clientId)).toEqual([{ account_id: person.id, revoked_at: null }]);
  });

  test('is told that the person has refused', async () => {
    const stranger = await server.person();
    const page = await new Walker(server.issuer, stranger).go(`${app.url}/login`, 'deny');
    expect([page.status, page.params.get('error')]).toEqual([401, 'access_denied']);
    expect(told(await new Walker(server.issuer, stranger).go(app.url))).toBeNull();
  });

  test('refuses the answer to a question of another browser', async () => {
    const walker = new Walker(server.issuer, person);
    await walker.go(`${app.url}/login`);
    const asked = await new Browser().once(`${app.url}/login`);
    const answer = await walker.on(server.issuer).get(asked.headers.get('location') as string);
    expect(answer.params.get('code')).toMatch(/^vs_ac_/);
    const planted = await new Browser().get(answer.url);
    expect(planted.status).toBe(401);
    const changed = new URL(answer.url);
    changed.searchParams.set('state', 'guessed');
    expect((await walker.on(app.url).get(changed.href)).status).toBe(401);
  });

  test('another client without PKCE is refused', async () => {
    const { clientId } = await server.seed.client({ redirectUris: [`${app.url}/callback`] });
    const asked = await new Browser().once(`${app.url}/login`);
    const url = new URL(asked.headers.get('location') as string);
    expect(url.searchParams.has('code_challenge')).toBe(false);
    url.searchParams.set('client_id', clientId);
    const answer = await new Browser().get(url.href);
    expect([answer.external, answer.params.get('error')]).toEqual([true, 'invalid_request']);
  });
});

describe('COMPATIBILITY 7 and 21: Auth.js', () => {
  let app: AppProcess;
  let plain: AppProcess;

  const start = (settings: Partial<NewClient>['settings']) =>
    startApp('auth-js', server, (url) =>
      server.seed.client({
        redirectUris: [`${url}/auth/callback/by-id-token`, `${url}/auth/callback/by-userinfo`],
        settings: settings ?? {},
      }),
    );

  beforeAll(async () => {
    [app, plain] = await Promise.all([start({ idTokenClaims: 'identity' }), start({})]);
  });

  afterAll(() => Promise.all([app.stop(), plain.stop()]));

  const signIn = async (provider: string, walker: Walker, at = app) =>
    walker.submit(await walker.go(`${at.url}/auth/signin`), {}, provider);

  test('is told by userinfo alone, unless its ID tokens are to tell', async () => {
    const page = await signIn('by-id-token', new Walker(server.issuer, person), plain);
    expect(told(page)).toEqual({ user: {}, subject: person.id, expires: expect.any(String) });
  });

  test.each(['by-userinfo', 'by-id-token'])('knows who it is %s', async (provider) => {
    const walker = new Walker(server.issuer, person);
    expect(told(await walker.go(app.url))).toBeNull();
    const page = await signIn(provider, walker);
    expect(page.url).toBe(`${app.url}/`);
    expect(told(page)).toMatchObject({
      user: { name: person.name, email: person.email },
      subject: person.id,
    });
    const signOut = await walker.go(`${app.url}/auth/signout`);
    await walker.submit(signOut);
    expect(told(await walker.go(app.url))).toBeNull();
  });

  test('refuses the answer to a question of another browser, and of another server', async () => {
    const walker = new Walker(server.issuer, person);
    await signIn('by-userinfo', walker);
    const other = new Browser();
    const page = await other.get(`${app.url}/auth/signin`);
    const asked = await other.submitOnce(page, {}, 'by-userinfo');
    const answer = await walker.on(server.issuer).get(asked.headers.get('location') as string);
    const planted = await new Browser().get(answer.url);
    expect(planted.url).toContain('/auth/error');
    const mixedUp = new URL(answer.url);
    mixedUp.searchParams.set('iss', 'https://evil.example.com');
    expect((await other.get(mixedUp.href)).url).toContain('/auth/error');
    expect(told(await other.get(app.url))).toBeNull();
  });

  test('is told that the person has refused', async () => {
    const walker = new Walker(server.issuer, await server.person());
    const page = await walker.go(`${app.url}/auth/signin`);
    const asked = await walker.on(app.url).submitOnce(page, {}, 'by-userinfo');
    const denied = await walker.go(asked.headers.get('location') as string, 'deny');
    expect(denied.url).toContain('error=');
    expect(told(await walker.go(app.url))).toBeNull();
  });
});
