import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import type { NewClient } from '../../src/client/client.ts';
import { acr } from '../../src/oidc/authorization/acr.ts';
import { Browser, type Fields, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { refresh } from '../support/protocol.ts';
import { type Ask, ask, enterPassword, redeem, type Tokens } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';

/** What apps are told of people, where, and with whose leave (COMPATIBILITY 7, 8, 9 and 13). */

let t: TestDatabase;
let server: TestServer;
let plain: ClientCredentials;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  await server.createApi('https://api.example.com', { read: 'your things' });
  plain = await server.createClient();
});

afterAll(async () => {
  await server.close();
  await t.drop();
});

interface AtPage {
  readonly account: TestAccount;
  readonly browser: Browser;
  readonly asked: Ask;
  readonly page: Page;
}

async function atPage(
  client: ClientCredentials,
  extra: Record<string, string | undefined>,
  given?: Pick<AtPage, 'account' | 'browser'>,
): Promise<AtPage> {
  const account = given?.account ?? (await server.createAccount());
  const browser = given?.browser ?? new Browser();
  const asked = ask(server, client, extra);
  let page = await browser.get(asked.url);
  if (page.title.includes('Sign in')) page = await enterPassword(browser, page, account);
  return { account, browser, asked, page };
}

const allow = async (client: ClientCredentials, at: AtPage, fields: Fields = {}): Promise<Tokens> =>
  redeem(server, client, at.asked, await at.browser.submit(at.page, fields, 'allow'));

const withSettings = (settings: NewClient['settings'], more: Partial<NewClient> = {}) =>
  server.createClient({ ...more, settings });

const setRoles = (account: TestAccount, roles: string[]) =>
  t.db.kysely.updateTable('accounts').set({ roles }).where('id', '=', account.id).execute();

async function userinfo(accessToken: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${server.issuer}/userinfo`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  return (await response.json()) as Record<string, unknown>;
}

test('14: every answer of userinfo has the x-fapi-interaction-id of its request, or a new one', async () => {
  const at = await atPage(plain, {});
  const { access_token } = await allow(plain, at);
  const idOf = async (path: string, id: string | undefined, token = access_token) => {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(id === undefined ? {} : { 'x-fapi-interaction-id': id }),
    };
    const response = await fetch(`${server.issuer}${path}`, { headers });
    const returned = response.headers.get('x-fapi-interaction-id');
    const isNew = returned === response.headers.get('x-request-id');
    return [response.status, isNew ? 'new' : returned];
  };
  const id = '4f0ae6f5-9a3b-4cf2-8d0f-6c1f4f7f6f01';
  expect(await idOf('/userinfo', id)).toEqual([200, id]);
  expect(await idOf('/userinfo', id, 'unknown')).toEqual([401, id]);
  expect(await idOf('/userinfo', 'no UUID')).toEqual([200, 'new']);
  expect(await idOf('/userinfo', undefined)).toEqual([200, 'new']);
  expect(await idOf('/jwks', id)).toEqual([200, null]);
});

const boxes = (page: Page) => page.forms[0]?.fields.map(([name, value]) => `${name}=${value}`);
const identity = ['name', 'email', 'email_verified', 'preferred_username', 'updated_at'];

describe('COMPATIBILITY 7: identity claims in the ID token', () => {
  test('are there for a client that reads them there, and for no other', async () => {
    const reader = await withSettings({ idTokenClaims: 'identity' });
    for (const [client, isThere] of [
      [reader, true],
      [plain, false],
    ] as const) {
      const at = await atPage(client, { scope: 'openid profile email' });
      const { idToken, access_token } = await allow(client, at);
      for (const name of identity) expect([name, name in idToken]).toEqual([name, isThere]);
      expect(await userinfo(access_token)).toMatchObject({
        name: 'Imani Okoro',
        email: at.account.email,
      });
    }
  });

  test('hold what the person allowed, and no more, also when they are refreshed', async () => {
    const reader = await withSettings({ idTokenClaims: 'identity' });
    const at = await atPage(reader, { scope: 'openid profile email offline_access' });
    const tokens = await allow(reader, at, { claim: ['name'], scope: 'offline_access' });
    expect(tokens.idToken).toMatchObject({ name: 'Imani Okoro' });
    for (const name of ['email', 'email_verified', 'preferred_username'])
      expect(tokens.idToken).not.toHaveProperty(name);
    const { body } = await refresh(server.issuer, reader, tokens.refresh_token as string);
    const claims = decodeJwt(body.id_token as string);
    expect(claims).toMatchObject({ name: 'Imani Okoro' });
    expect(claims).not.toHaveProperty('email');
    // Less is asked for: less is told.
    const less = await refresh(server.issuer, reader, body.refresh_token, { scope: 'openid' });
    expect(decodeJwt(less.body.id_token as string)).not.toHaveProperty('name');
  });
});

describe('40: the ID token on refresh', () => {
  const scope = 'openid email offline_access';
  const signIn = async (client: ClientCredentials) =>
    allow(client, await atPage(client, { scope }), { scope: 'offline_access' });

  test('40: is in every refresh response by default', async () => {
    const tokens = await signIn(plain);
    const { body } = await refresh(server.issuer, plain, tokens.refresh_token as string);
    expect(decodeJwt(body.id_token as string).sub).toBe(tokens.idToken.sub);
  });

  test.each<[string, NewClient['settings']]>([
    ['that rotates', {}],
    ['that keeps its refresh token', { refreshRotation: 'keep' }],
    ['that reads claims there', { idTokenClaims: 'identity' }],
  ])('40: is left out for a client %s if its settings say so', async (_, settings) => {
    const client = await withSettings({ ...settings, idTokenOnRefresh: 'never' });
    const tokens = await signIn(client);
    // The sign-in itself always has one.
    expect(tokens.idToken.aud).toBe(client.clientId);
    const { status, body } = await refresh(server.issuer, client, tokens.refresh_token as string);
    expect(status).toBe(200);
    expect(body).not.toHaveProperty('id_token');
    // Nothing else changes: the scope is still named, and the access token still opens userinfo.
    expect(body.scope).toBe(scope);
    expect(await userinfo(body.access_token)).toMatchObject({ sub: tokens.idToken.sub });
    const again = await refresh(server.issuer, client, body.refresh_token);
    expect(again.status).toBe(200);
    expect(again.body).not.toHaveProperty('id_token');
  });
});

test('COMPATIBILITY 8: email_verified is a boolean in ID tokens as well', async () => {
  const reader = await withSettings({ idTokenClaims: 'identity' });
  const { idToken } = await allow(reader, await atPage(reader, { scope: 'openid email' }));
  expect(idToken.email_verified).toBe(true);
});

describe('COMPATIBILITY 9: preferred_username, name and groups', () => {
  test('the username is the email, shown with it and kept back with it', async () => {
    const at = await atPage(plain, { scope: 'openid profile email' });
    expect(at.page.text).toContain(`your email and username ${at.account.email}`);
    expect(boxes(at.page)).not.toContain('claim=preferred_username');
    const { access_token } = await allow(plain, at);
    expect(await userinfo(access_token)).toMatchObject({
      name: 'Imani Okoro',
      preferred_username: at.account.email,
    });
    const other = await atPage(plain, { scope: 'openid profile email' });
    const kept = await allow(plain, other, { claim: ['name', 'email_verified'] });
    expect(await userinfo(kept.access_token)).toEqual({
      sub: other.account.id,
      name: 'Imani Okoro',
      email_verified: true,
    });
  });

  test('a consent from before there was a username keeps it back with the email', async () => {
    const at = await atPage(plain, { scope: 'openid email' });
    await allow(plain, at, { claim: ['email_verified'] });
    await t.db.kysely
      .updateTable('consents')
      .set({
        rejected: JSON.stringify({ scopes: [], claims: ['email'], resources: {} }),
        version: 2,
      })
      .where('account_id', '=', at.account.id)
      .execute();
    const again = ask(server, plain, { scope: 'openid email' });
    const tokens = await redeem(server, plain, again, await at.browser.get(again.url));
    expect(await userinfo(tokens.access_token)).toEqual({
      sub: at.account.id,
      email_verified: true,
    });
  });

  test('a client that may not have the email does not get it under another name', async () => {
    const client = await server.createClient({ scopes: ['openid', 'profile'] });
    const claims = JSON.stringify({ userinfo: { preferred_username: null, groups: null } });
    const at = await atPage(client, { scope: 'openid profile', claims });
    expect(at.page.text).not.toContain(`username ${at.account.email}`);
    const { access_token } = await allow(client, at);
    expect(await userinfo(access_token)).not.toHaveProperty('preferred_username');
  });

  test('groups are the roles, as an array, for clients that were given the scope', async () => {
    const client = await withSettings(
      { idTokenClaims: 'identity' },
      { scopes: ['openid', 'profile', 'email', 'groups'] },
    );
    const account = await server.createAccount();
    await setRoles(account, ['admins', 'billing']);
    const browser = new Browser();
    const at = await atPage(client, { scope: 'openid groups' }, { account, browser });
    expect(at.page.text).toContain('your groups admins, billing');
    const { idToken, access_token } = await allow(client, at);
    expect(idToken.groups).toEqual(['admins', 'billing']);
    await setRoles(account, ['billing']);
    expect(await userinfo(access_token)).toEqual({ sub: account.id, groups: ['billing'] });
    await setRoles(account, []);
    expect((await userinfo(access_token)).groups).toEqual([]);
    const kept = await atPage(client, { scope: 'openid groups' });
    await setRoles(kept.account, ['admins']);
    const without = await allow(client, kept, { claim: undefined });
    expect(await userinfo(without.access_token)).toEqual({ sub: kept.account.id });
    // A client of which nothing was said has no such scope: it is left out.
    const left = await atPage(plain, { scope: 'openid email groups' });
    expect(left.page.text).not.toContain('your groups');
    expect(await userinfo((await allow(plain, left)).access_token)).not.toHaveProperty('groups');
  });

  test('the metadata names what can be had', async () => {
    const response = await fetch(`${server.issuer}/.well-known/openid-configuration`);
    expect(await response.json()).toMatchObject({
      claims_supported: expect.arrayContaining(['groups', 'preferred_username', 'name']),
      scopes_supported: expect.arrayContaining(['groups']),
    });
  });
});

describe('COMPATIBILITY 13: a refresh token without prompt=consent', () => {
  test('for a client that never asks, where the person lets it stay connected', async () => {
    const client = await withSettings({ offlineAccess: 'always' });
    const at = await atPage(client, { scope: 'openid' });
    expect(at.page.text).toContain('connected while you’re not using it');
    expect(boxes(at.page)).toEqual(['scope=offline_access']);
    const tokens = await allow(client, at);
    expect(tokens.refresh_token).toEqual(expect.any(String));
    // By stored consent, silently.
    const again = ask(server, client, { scope: 'openid', prompt: 'none' });
    const silent = await redeem(server, client, again, await at.browser.get(again.url));
    expect(silent.refresh_token).toEqual(expect.any(String));
    const { status, body } = await refresh(server.issuer, client, silent.refresh_token as string);
    expect([status, typeof body.access_token]).toEqual([200, 'string']);
  });

  test('not where the person does not, and not for other clients', async () => {
    const client = await withSettings({ offlineAccess: 'always' });
    const at = await atPage(client, { scope: 'openid' });
    const tokens = await allow(client, at, { scope: undefined });
    expect(tokens.refresh_token).toBeUndefined();
    const again = ask(server, client, { scope: 'openid' });
    const silent = await redeem(server, client, again, await at.browser.get(again.url));
    expect(silent.refresh_token).toBeUndefined();
    const other = await atPage(plain, { scope: 'openid' });
    expect(boxes(other.page)).toEqual([]);
    expect((await allow(plain, other)).refresh_token).toBeUndefined();
  });

  test('only a client that may have it is set so', async () => {
    await expect(
      withSettings({ offlineAccess: 'always' }, { scopes: ['openid'] }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
    await expect(
      withSettings({ offlineAccess: 'always' }, { grantTypes: ['authorization_code'] }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
  });

  test('a client whose setting changes is asked for what is new', async () => {
    const client = await server.createClient();
    const at = await atPage(client, { scope: 'openid' });
    expect((await allow(client, at)).refresh_token).toBeUndefined();
    await server.services.clients.update(client.clientId, { offlineAccess: 'always' }, 'test');
    await until(async () =>
      (await at.browser.get(ask(server, client, {}).url)).text.includes('connected while'),
    );
    // Without a page there is nothing to offer: what was allowed goes on.
    const asked = ask(server, client, { scope: 'openid', prompt: 'none' });
    const silent = await redeem(server, client, asked, await at.browser.get(asked.url));
    expect(silent).toMatchObject({ access_token: expect.any(String) });
    expect(silent.refresh_token).toBeUndefined();
    const more = await atPage(client, {}, at);
    expect(more.page.title).toContain('asks for more');
    expect((await allow(client, more)).refresh_token).toEqual(expect.any(String));
  });
});

describe('the claims parameter', () => {
  const claims = (value: unknown) => ({ claims: JSON.stringify(value) });
  const errorOf = (page: Page) => page.params.get('error');

  test('a subject that is somebody else’s is no answer, wherever and however it is named', async () => {
    const at = await atPage(plain, { scope: 'openid' });
    await allow(plain, at);
    const { id } = at.account;
    const silent = async (asked: unknown) =>
      at.browser.get(ask(server, plain, { prompt: 'none', ...claims(asked) }).url);
    for (const place of ['id_token', 'userinfo']) {
      for (const sub of [{ value: id }, { values: ['u_other', id] }, { essential: true }, null])
        expect([place, sub, errorOf(await silent({ [place]: { sub } }))]).toEqual([
          place,
          sub,
          null,
        ]);
      for (const sub of [
        { value: 'u_other' },
        { values: ['u_other', 'u_third'] },
        { values: [] },
        { value: id, values: ['u_other'] },
        { value: id.toUpperCase() },
      ])
        expect([place, sub, errorOf(await silent({ [place]: { sub } }))]).toEqual([
          place,
          sub,
          'login_required',
        ]);
      for (const sub of [{ value: 5 }, { values: id }, { values: [id, 5] }, { value: {} }])
        expect([place, sub, errorOf(await silent({ [place]: { sub } }))]).toEqual([
          place,
          sub,
          'invalid_request',
        ]);
    }
    expect(
      errorOf(
        await silent({ id_token: { sub: { value: id } }, userinfo: { sub: { value: 'u' } } }),
      ),
    ).toBe('login_required');
  });

  test('who signs in as somebody else gets no answer about that one', async () => {
    const [meant, other] = [await server.createAccount(), await server.createAccount()];
    for (const place of ['id_token', 'userinfo']) {
      const asked = ask(server, plain, claims({ [place]: { sub: { values: [meant.id] } } }));
      const browser = new Browser();
      const page = await enterPassword(browser, await browser.get(asked.url), other);
      expect(errorOf(page)).toBe('login_required');
      const right = new Browser();
      const answered = await enterPassword(right, await right.get(asked.url), meant);
      expect(answered.title).toContain('Let Quillet');
    }
  });

  test('acr: essential is had or refused, voluntary is a wish, and acr_values weakens neither', async () => {
    const account = await server.createAccount();
    const browser = new Browser();
    const first = await atPage(plain, {}, { account, browser });
    await allow(plain, first);
    const silent = async (request: unknown, extra = {}) =>
      errorOf(
        await browser.get(
          ask(server, plain, {
            prompt: 'none',
            ...claims({ id_token: { acr: request } }),
            ...extra,
          }).url,
        ),
      );
    expect(await silent({ essential: true, value: acr.oneFactor })).toBeNull();
    expect(await silent({ essential: true, values: [acr.twoFactors] })).toBe('login_required');
    expect(
      await silent({ essential: true, values: [acr.twoFactors] }, { acr_values: acr.oneFactor }),
    ).toBe('login_required');
    expect(await silent({ values: [acr.twoFactors] })).toBe('login_required');
    expect(await silent({ essential: true, values: ['unknown'] })).toBe(
      'unmet_authentication_requirements',
    );
    expect(await silent({ values: ['unknown'] })).toBeNull();
    expect(await silent({ values: 'unknown' })).toBe('invalid_request');
  });

  test('claims go where they were asked for, and nowhere else', async () => {
    const asked = claims({
      id_token: { email: { essential: true }, groups: null },
      userinfo: { name: null },
    });
    const at = await atPage(plain, { scope: 'openid', ...asked });
    expect(boxes(at.page)).toEqual(['claim=name']);
    const { idToken, access_token } = await allow(plain, at);
    expect(idToken).toMatchObject({ email: at.account.email });
    expect(idToken).not.toHaveProperty('name');
    // It was not given the scope of groups.
    expect(idToken).not.toHaveProperty('groups');
    expect(await userinfo(access_token)).toEqual({ sub: at.account.id, name: 'Imani Okoro' });
  });
});
