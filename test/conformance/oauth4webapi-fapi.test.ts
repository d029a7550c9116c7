import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import * as oauth from 'oauth4webapi';
import { Browser } from '../support/browser.ts';
import { certificate } from '../support/certificates.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Made, OauthApp } from '../support/oauth-app.ts';
import { type ClientKey, jwksOf, newKey } from '../support/proofs.ts';
import type { Credentials } from '../support/protocol.ts';
import { type Person, signedIn, walk } from '../support/walk.ts';

/** oauth4webapi pushes its requests, signs them, has them answered in signed JWTs, and keeps to FAPI 2.0. */

const api = 'https://invoices.example.com';
let server: HttpsServer;
let person: Person;
let browser: Browser;
let key: ClientKey;
let caller: Credentials;

beforeAll(async () => {
  server = await startHttpsServer();
  key = await newKey();
  person = await server.person();
  caller = await server.seed.api(api, 'jwt');
  const first = await OauthApp.register(server, basic);
  browser = await signedIn(new Browser(), (await first.ask()).url, person);
});

afterAll(() => server.stop());

const byBasic = ({ clientSecret = '' }: Credentials) => oauth.ClientSecretBasic(clientSecret);
const basic: Made = { registered: {}, auth: byBasic };
const apis = [{ identifier: api, scopes: ['read', 'write'] }];
const asJwt: Made = {
  ...basic,
  registered: { responseModes: ['jwt'], authorizationSigningAlg: 'ES256' },
  told: { authorization_signed_response_alg: 'ES256' },
  jarm: true,
};
const dpop = () => oauth.generateKeyPair('ES256');

/** FAPI 2.0 with a key of its own, and DPoP. */
const fapi = async (): Promise<Made> => ({
  registered: {
    authMethod: 'private_key_jwt',
    jwks: jwksOf(key),
    bound: 'dpop',
    settings: { profile: 'fapi2' },
    apis,
  },
  auth: () => oauth.PrivateKeyJwt(key.privateKey),
  told: { id_token_signed_response_alg: 'ES256' },
  dpop: await dpop(),
  pushed: true,
});

/** The same, with message signing. */
const signing = async (): Promise<Made> => {
  const made = await fapi();
  return {
    ...made,
    registered: { ...made.registered, settings: { profile: 'fapi2-message-signing' } },
    told: { ...made.told, ...asJwt.told },
    signedWith: { key: key.privateKey },
    jarm: true,
  };
};

const kinds: Record<string, () => Promise<Made> | Made> = {
  pushed: () => ({ ...basic, registered: { requirePushed: true }, pushed: true }),
  'pushed by a public client': () => ({
    registered: { type: 'spa' },
    auth: () => oauth.None(),
    pushed: true,
  }),
  signed: () => ({
    ...basic,
    registered: { jwks: jwksOf(key), requireSignedRequest: true },
    signedWith: { key: key.privateKey },
  }),
  'signed, and pushed': () => ({
    ...basic,
    registered: { jwks: jwksOf(key), requireSignedRequest: true, requestObjectSigningAlg: 'ES256' },
    told: { request_object_signing_alg: 'ES256' },
    signedWith: { key: key.privateKey },
    pushed: true,
  }),
  'answered in a JWT': () => asJwt,
  'pushed with DPoP and a nonce': async () => ({
    ...basic,
    registered: { bound: 'dpop', settings: { dpopNonce: 'required' } },
    dpop: await dpop(),
    pushed: true,
  }),
  'FAPI 2.0: a key, and DPoP': fapi,
  'FAPI 2.0: certificates': () => ({
    registered: {
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'san_dns', name: 'bank.example.com' },
      bound: 'mtls',
      settings: { profile: 'fapi2' },
      apis,
    },
    auth: () => oauth.TlsClientAuth(),
    told: { id_token_signed_response_alg: 'ES256' },
    certificate: certificate({
      issuer: server.clientAuthority,
      names: { dns: 'bank.example.com' },
    }),
    pushed: true,
  }),
  'FAPI 2.0 with message signing': signing,
};

describe('COMPATIBILITY 21: signs in, asks and refreshes', () => {
  test.each(Object.keys(kinds))('%s', async (name) => {
    const made = (await kinds[name]?.()) as Made;
    const app = await OauthApp.register(server, made);
    const isFapi = name.startsWith('FAPI');
    const { asked, tokens, claims } = await app.signIn(browser, person, {
      scope: 'openid email offline_access',
    });
    const { searchParams } = new URL(asked.url);
    const sent = [...searchParams.keys()].filter((one) => one !== 'client_id');
    if (made.pushed) expect(sent).toEqual(['request_uri']);
    else if (made.signedWith) expect(sent).toEqual(['request']);
    expect(tokens.token_type).toBe(made.dpop === undefined ? 'bearer' : 'dpop');
    expect(claims).toMatchObject({ iss: server.issuer, sub: person.id });
    expect(decodeProtectedHeader(tokens.id_token as string).alg).toBe(isFapi ? 'ES256' : 'RS256');
    expect(await app.userinfo(tokens.access_token, person.id)).toMatchObject({
      email: person.email,
    });
    const refreshToken = tokens.refresh_token as string;
    const next = await app.refresh(refreshToken);
    expect(next.refresh_token === refreshToken).toBe(isFapi);
    await app.revoke(next.refresh_token as string);
    await expect(app.refresh(next.refresh_token as string)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    if (made.dpop !== undefined) expect(app.nonces).toBeGreaterThan(0);
  });

  test('FAPI 2.0: a token for an API, as a JWT that is bound to the key', async () => {
    const made = await fapi();
    const app = await OauthApp.register(server, made);
    const { tokens } = await app.signIn(browser, person, {
      scope: 'openid read',
      resource: api,
    });
    const seen: oauth.JWTAccessTokenClaims[] = [];
    await oauth.protectedResourceRequest(
      tokens.access_token,
      'GET',
      new URL(`${api}/all`),
      undefined,
      undefined,
      {
        DPoP: oauth.DPoP(app.client, made.dpop as CryptoKeys),
        [oauth.customFetch]: async (url, { method, headers }) => {
          const request = new Request(url, { method, headers });
          seen.push(await oauth.validateJwtAccessToken(app.as, request, api));
          return new Response();
        },
      },
    );
    expect(seen).toMatchObject([
      { sub: person.id, scope: 'read', cnf: { jkt: expect.any(String) } },
    ]);
    const asking = await OauthApp.with(server, caller, { auth: byBasic });
    expect(await asking.introspect(tokens.access_token)).toMatchObject({
      active: true,
      token_type: 'DPoP',
    });
  });
});

type CryptoKeys = Parameters<typeof oauth.DPoP>[1];

describe('what is refused', () => {
  test('what was pushed stands for one request, of its client', async () => {
    const made: Made = { ...basic, pushed: true };
    const [app, other] = await Promise.all([
      OauthApp.register(server, made),
      OauthApp.register(server, made),
    ]);
    const asked = await app.ask();
    const stolen = new URL(asked.url);
    stolen.searchParams.set('client_id', other.client.client_id);
    expect((await walk(browser, stolen.href, person)).external).toBe(false);
    expect((await walk(browser, asked.url, person)).params.get('code')).toMatch(/^vs_ac_/);
    expect((await walk(browser, asked.url, person)).external).toBe(false);
    const wrong = await OauthApp.with(
      server,
      { ...app.credentials, clientSecret: 'guessed' },
      made,
    );
    await expect(wrong.ask()).rejects.toMatchObject({ status: 401 });
    await expect(app.ask({ redirect_uri: 'https://evil.example.com/' })).rejects.toMatchObject({
      code: oauth.RESPONSE_BODY_ERROR,
    });
  });

  test('FAPI 2.0: a request by the browser alone, an unsigned one, a token without proof', async () => {
    const made = await signing();
    const { credentials } = await OauthApp.register(server, made);
    const refusal = async (changes: Partial<Made>) => {
      const app = await OauthApp.with(server, credentials, { ...made, ...changes });
      const asked = await app.ask().catch((error: oauth.ResponseBodyError) => error.error);
      if (typeof asked === 'string') return asked;
      const page = await walk(browser, asked.url, person);
      return page.external ? page.url : page.status;
    };
    expect(await refusal({ signedWith: undefined })).toBe('invalid_request');
    const other = await newKey();
    expect(await refusal({ signedWith: { key: other.privateKey } })).toBe('invalid_request_object');
    expect(await refusal({ jarm: false })).toBe('invalid_request');
    expect(await refusal({ pushed: false })).toBe(400);
    const app = await OauthApp.with(server, credentials, made);
    const { tokens } = await app.signIn(browser, person, { scope: 'openid' });
    const { dpop: _, ...plain } = made;
    const unproven = await OauthApp.with(server, credentials, plain);
    await expect(unproven.userinfo(tokens.access_token, person.id)).rejects.toMatchObject({
      status: 401,
    });
  });

  test('JARM: by the library, what is not for it or was changed; refusals come signed as well', async () => {
    const [app, other] = await Promise.all([
      OauthApp.register(server, asJwt),
      OauthApp.register(server, asJwt),
    ]);
    const asked = await app.ask();
    const page = await walk(browser, asked.url, person);
    expect([...page.params.keys()]).toEqual(['response']);
    await expect(other.answer(page, asked.state)).rejects.toThrow(/aud/);
    await expect(app.answer(page, 'another')).rejects.toThrow(/state/);
    const changed = new URL(page.url);
    const [header, payload, signature = ''] = (page.params.get('response') as string).split('.');
    const turned = signature.split('').reverse().join('');
    changed.searchParams.set('response', `${header}.${payload}.${turned}`);
    await expect(
      app.answer({ external: true, url: changed.href, text: '' }, asked.state),
    ).rejects.toThrow();
    expect((await app.answer(page, asked.state)).get('code')).toMatch(/^vs_ac_/);

    const stranger = await server.person();
    const refusing = await app.ask();
    const denied = await walk(new Browser(), refusing.url, stranger, 'deny');
    await expect(app.answer(denied, refusing.state)).rejects.toMatchObject({
      code: oauth.AUTHORIZATION_RESPONSE_ERROR,
      error: 'access_denied',
    });
  });
});
