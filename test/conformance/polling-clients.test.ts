import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { Browser } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type MailServer, openMailServer } from '../support/mail-server.ts';
import { type Made, OauthApp } from '../support/oauth-app.ts';
import { cibaGrant, deviceGrant } from '../support/polled.ts';
import { type ClientKey, jwksOf, newKey } from '../support/proofs.ts';
import type { Credentials } from '../support/protocol.ts';
import { type Person, walk } from '../support/walk.ts';

/** oauth4webapi and openid-client poll for what a person answers elsewhere: device authorization, and CIBA. */

const api = 'https://invoices.example.com';
let server: HttpsServer;
let mails: MailServer;
let person: Person;
let key: ClientKey;

beforeAll(async () => {
  mails = await openMailServer();
  server = await startHttpsServer({ env: { SMTP_URL: mails.url } });
  [person, key] = await Promise.all([server.person(), newKey()]);
  await server.seed.api(api, 'jwt');
});

afterAll(async () => {
  await server.stop();
  await mails.close();
});

const byBasic = ({ clientSecret = '' }: Credentials) => oauth.ClientSecretBasic(clientSecret);
const apis = [{ identifier: api, scopes: ['read'] }];

const made = (grantType: typeof cibaGrant | typeof deviceGrant): Made => ({
  registered: { redirectUris: [], grantTypes: [grantType, 'refresh_token'], apis },
  auth: byBasic,
});

/** Opens what the person was given, a code's page or a mail's, and answers. */
async function answer(url: string, decision: 'allow' | 'deny', as = person): Promise<void> {
  const browser = new Browser();
  const page = await browser.get(url);
  const isCode = page.forms.some(({ fields }) => fields.some(([name]) => name === 'code'));
  const next = isCode ? (await browser.submit(page)).url : page.url;
  const last = await walk(browser, next, as, decision);
  expect(last.forms.flatMap(({ buttons }) => buttons.map(({ value }) => value))).not.toContain(
    'allow',
  );
}

/** The token as the API verifies it. */
async function verified(app: OauthApp, token: string, dpop?: Made['dpop']) {
  let claims: oauth.JWTAccessTokenClaims | undefined;
  const handle = dpop === undefined ? {} : { DPoP: oauth.DPoP(app.client, dpop) };
  await oauth.protectedResourceRequest(token, 'GET', new URL(`${api}/all`), undefined, undefined, {
    ...handle,
    [oauth.customFetch]: async (url, { method, headers }) => {
      claims = await oauth.validateJwtAccessToken(
        app.as,
        new Request(url, { method, headers }),
        api,
      );
      return new Response();
    },
  });
  return claims;
}

const refused = (error: string) => ({ code: oauth.RESPONSE_BODY_ERROR, error });

describe('COMPATIBILITY 21: device authorization', () => {
  test.each([false, true])('with DPoP: %s', async (bound) => {
    const dpop = bound ? { dpop: await oauth.generateKeyPair('ES256') } : {};
    const app = await OauthApp.register(server, { ...made(deviceGrant), ...dpop });
    const params = { resource: api, scope: 'openid offline_access read' };
    const codes = await app.askForCodes(params);
    await answer(codes.verification_uri_complete as string, 'allow');
    const tokens = await app.pollDevice(codes.device_code);
    expect(tokens.token_type).toBe(bound ? 'dpop' : 'bearer');
    expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({
      iss: server.issuer,
      sub: person.id,
    });
    expect(await verified(app, tokens.access_token, dpop.dpop)).toMatchObject({
      sub: person.id,
      scope: 'read',
    });
    const next = await app.refresh(tokens.refresh_token as string);
    expect(await verified(app, next.access_token, dpop.dpop)).toMatchObject({ sub: person.id });
    // The code was of use once.
    await expect(app.pollDevice(codes.device_code)).rejects.toMatchObject(refused('invalid_grant'));
  });

  test('a public client, which is told to wait, to slow down, and that the person has refused', async () => {
    const app = await OauthApp.register(server, {
      registered: { type: 'device', redirectUris: [] },
      auth: () => oauth.None(),
    });
    const codes = await app.askForCodes({ scope: 'openid' });
    const poll = app.pollDevice(codes.device_code);
    await expect(poll).rejects.toMatchObject(refused('authorization_pending'));
    await expect(app.pollDevice(codes.device_code)).rejects.toMatchObject(refused('slow_down'));
    const other = await app.askForCodes({ scope: 'openid' });
    await answer(other.verification_uri_complete as string, 'deny');
    await expect(app.pollDevice(other.device_code)).rejects.toMatchObject(refused('access_denied'));
    await expect(app.pollDevice('vs_dc_guessed')).rejects.toMatchObject(refused('invalid_grant'));
  });

  test('openid-client polls as it is told', async () => {
    const client = await server.seed.client({ type: 'device', redirectUris: [] });
    const config = await openid.discovery(
      new URL(server.issuer),
      client.clientId,
      undefined,
      openid.None(),
    );
    const codes = await openid.initiateDeviceAuthorization(config, { scope: 'openid email' });
    await answer(codes.verification_uri_complete as string, 'allow');
    const tokens = await openid.pollDeviceAuthorizationGrant(config, codes);
    expect(tokens.claims()).toMatchObject({ sub: person.id });
    expect(await openid.fetchUserInfo(config, tokens.access_token, person.id)).toMatchObject({
      email: person.email,
    });
  });
});

describe('COMPATIBILITY 21: CIBA', () => {
  test.each([false, true])('with DPoP: %s', async (bound) => {
    const dpop = bound ? { dpop: await oauth.generateKeyPair('ES256') } : {};
    const somebody = await server.person();
    const app = await OauthApp.register(server, { ...made(cibaGrant), ...dpop });
    const asked = await app.askPerson({
      resource: api,
      scope: 'openid offline_access read',
      login_hint: somebody.email,
      binding_message: 'Till 7',
    });
    const [link = ''] = await mails.links(somebody.email);
    await answer(link, 'allow', somebody);
    const tokens = await app.pollAnswer(asked.auth_req_id);
    expect(tokens.token_type).toBe(bound ? 'dpop' : 'bearer');
    expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({ sub: somebody.id });
    expect(await verified(app, tokens.access_token, dpop.dpop)).toMatchObject({
      sub: somebody.id,
      client_id: app.client.client_id,
      scope: 'read',
    });
    expect((await app.refresh(tokens.refresh_token as string)).access_token).toBeTruthy();
    await expect(app.pollAnswer(asked.auth_req_id)).rejects.toMatchObject(refused('invalid_grant'));
  });

  test('is told to wait, and that the person has refused', async () => {
    const somebody = await server.person();
    const app = await OauthApp.register(server, made(cibaGrant));
    const asked = await app.askPerson({ scope: 'openid', login_hint: somebody.email });
    const { auth_req_id: id } = asked;
    await expect(app.pollAnswer(id)).rejects.toMatchObject(refused('authorization_pending'));
    await expect(app.pollAnswer(id)).rejects.toMatchObject(refused('slow_down'));
    const other = await app.askPerson({ scope: 'openid', login_hint: somebody.email });
    const [link = ''] = await mails.links(somebody.email, 2);
    await answer(link, 'deny', somebody);
    await expect(app.pollAnswer(other.auth_req_id)).rejects.toMatchObject(refused('access_denied'));
    const thief = await OauthApp.register(server, made(cibaGrant));
    await expect(thief.pollAnswer(id)).rejects.toMatchObject(refused('invalid_grant'));
  });

  test('openid-client, which signs who it is, polls as it is told', async () => {
    const client = await server.seed.client({
      redirectUris: [],
      grantTypes: [cibaGrant],
      authMethod: 'private_key_jwt',
      jwks: jwksOf(key),
    });
    const config = await openid.discovery(
      new URL(server.issuer),
      client.clientId,
      undefined,
      openid.PrivateKeyJwt(key.privateKey),
    );
    const asked = await openid.initiateBackchannelAuthentication(config, {
      scope: 'openid',
      login_hint: person.email,
    });
    const [link = ''] = await mails.links(person.email);
    await answer(link, 'allow');
    const tokens = await openid.pollBackchannelAuthenticationGrant(config, asked);
    expect(tokens.claims()).toMatchObject({ sub: person.id });
  });
});
