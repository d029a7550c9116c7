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

/** oauth4webapi, which we did not write, signs people in with every kind of client that there is, over HTTPS. */

const secret = ({ clientSecret = '' }: Credentials) => clientSecret;
const jwtApi = 'https://invoices.example.com';
const opaqueApi = 'https://mail.example.com';
let server: HttpsServer;
let person: Person;
let browser: Browser;
let plain: OauthApp;
let invoices: Credentials;
let mail: Credentials;
let key: ClientKey;

const basic: Made = {
  registered: {},
  auth: (credentials) => oauth.ClientSecretBasic(secret(credentials)),
};

beforeAll(async () => {
  server = await startHttpsServer();
  key = await newKey();
  person = await server.person();
  invoices = await server.seed.api(jwtApi, 'jwt');
  mail = await server.seed.api(opaqueApi, 'opaque');
  plain = await OauthApp.register(server, basic);
  browser = await signedIn(new Browser(), (await plain.ask()).url, person);
});

afterAll(() => server.stop());

/** What the audit or the families say of a client, at the source. */
const families = (clientId: string) =>
  server.database.db.kysely
    .selectFrom('grants')
    .select(['account_id', 'revoked_at', 'revoked_reason'])
    .where('client_id', '=', clientId)
    .execute();

interface Kind extends Made {
  /** What its ID tokens are signed with. */
  readonly idTokenAlg?: string;
  /** The same refresh token comes again. */
  readonly keeps?: boolean;
}

const pair = (alg: string) => oauth.generateKeyPair(alg);
const byKey = () => oauth.PrivateKeyJwt(key.privateKey);

const kinds: Record<string, () => Promise<Kind> | Kind> = {
  'a public client': () => ({ registered: { type: 'spa' }, auth: () => oauth.None() }),
  client_secret_basic: () => basic,
  client_secret_post: () => ({
    registered: { authMethod: 'client_secret_post' },
    auth: (credentials) => oauth.ClientSecretPost(secret(credentials)),
  }),
  private_key_jwt: () => ({
    registered: { authMethod: 'private_key_jwt', jwks: jwksOf(key) },
    auth: byKey,
  }),
  'tls_client_auth, tokens bound to the certificate': () => ({
    registered: {
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'san_dns', name: 'app.example.com' },
      bound: 'mtls',
    },
    auth: () => oauth.TlsClientAuth(),
    certificate: certificate({
      issuer: server.clientAuthority,
      names: { dns: 'app.example.com' },
    }),
  }),
  self_signed_tls_client_auth: () => {
    const mine = certificate();
    const { d: _, ...jwk } = mine.privateKey.export({ format: 'jwk' });
    return {
      registered: {
        authMethod: 'self_signed_tls_client_auth',
        jwks: { keys: [{ ...jwk, x5c: [mine.der.toString('base64')] }] },
      },
      auth: () => oauth.TlsClientAuth(),
      certificate: mine,
    };
  },
  'a public client with DPoP, which keeps its refresh token': async () => ({
    registered: {
      type: 'native',
      redirectUris: ['https://app.example.com/callback'],
      bound: 'dpop',
      settings: { refreshRotation: 'keep' },
    },
    auth: () => oauth.None(),
    dpop: await pair('ES256'),
    keeps: true,
  }),
  'DPoP with a nonce, Ed25519': async () => ({
    registered: { bound: 'dpop', settings: { dpopNonce: 'required' } },
    auth: (credentials) => oauth.ClientSecretBasic(secret(credentials)),
    dpop: await pair('Ed25519'),
  }),
  'userinfo in a JWT': () => ({
    ...basic,
    registered: { userinfoSigningAlg: 'ES256' },
    told: { userinfo_signed_response_alg: 'ES256' },
  }),
  ...Object.fromEntries(
    (['ES256', 'PS256', 'EdDSA'] as const).map((alg) => [
      `ID tokens by ${alg}`,
      (): Kind => ({
        registered: { idTokenSigningAlg: alg },
        auth: (credentials) => oauth.ClientSecretBasic(secret(credentials)),
        told: { id_token_signed_response_alg: alg },
        idTokenAlg: alg,
      }),
    ]),
  ),
};

describe('COMPATIBILITY 21: oauth4webapi signs in, asks, refreshes and revokes', () => {
  test.each(Object.keys(kinds))('%s', async (name) => {
    const kind = (await kinds[name]?.()) as Kind;
    const app = await OauthApp.register(server, kind);
    const { tokens, claims, params } = await app.signIn(browser, person, {
      scope: 'openid email profile offline_access',
      max_age: '600',
    });
    // COMPATIBILITY 1 and 3: the issuer is the same in all that comes.
    expect([app.as.issuer, params.get('iss'), claims.iss]).toEqual(Array(3).fill(server.issuer));
    expect(tokens.token_type).toBe(kind.dpop === undefined ? 'bearer' : 'dpop');
    expect(claims).toMatchObject({
      sub: person.id,
      aud: app.client.client_id,
      amr: ['pwd'],
      acr: 'urn:vouchsafe:acr:1fa',
    });
    expect(decodeProtectedHeader(tokens.id_token as string).alg).toBe(kind.idTokenAlg ?? 'RS256');
    const of = {
      sub: person.id,
      email: person.email,
      email_verified: true,
      name: person.name,
      preferred_username: person.email,
      updated_at: expect.any(Number),
    };
    const told = await app.userinfo(tokens.access_token, person.id);
    // In a JWT it says as well by whom it was told, and to whom.
    if (kind.told?.userinfo_signed_response_alg === undefined) expect(told).toEqual(of);
    else expect(told).toMatchObject({ ...of, iss: server.issuer, aud: app.client.client_id });

    const refreshToken = tokens.refresh_token as string;
    const next = await app.refresh(refreshToken);
    expect(next.access_token).not.toBe(tokens.access_token);
    expect(next.refresh_token === refreshToken).toBe(kind.keeps === true);
    expect(oauth.getValidatedIdTokenClaims(next)?.sub).toBe(person.id);
    // Each response that is a JWT has its own times: they are less than 50 seconds apart.
    const times =
      'iat' in told
        ? {
            iat: expect.closeTo(told.iat as number, -2),
            exp: expect.closeTo(told.exp as number, -2),
          }
        : {};
    expect(await app.userinfo(next.access_token, person.id)).toEqual({ ...told, ...times });

    await app.revoke(next.refresh_token as string);
    await expect(app.userinfo(next.access_token, person.id)).rejects.toMatchObject({
      code: oauth.WWW_AUTHENTICATE_CHALLENGE,
      status: 401,
    });
    await expect(app.refresh(next.refresh_token as string)).rejects.toMatchObject({
      code: oauth.RESPONSE_BODY_ERROR,
      error: 'invalid_grant',
    });
    expect(await families(app.client.client_id)).toEqual([
      { account_id: person.id, revoked_at: expect.any(Date), revoked_reason: expect.any(String) },
    ]);
    expect(app.nonces > 0).toBe(kind.registered.settings?.dpopNonce === 'required');
  });
});

describe('tokens for an API', () => {
  const forApis: Partial<Made['registered']> = {
    apis: [
      { identifier: jwtApi, scopes: ['read', 'write'] },
      { identifier: opaqueApi, scopes: ['read'] },
    ],
  };

  test.each([false, true])('a JWT, bound to a key: %s', async (bound) => {
    const dpop = bound ? { dpop: await pair('ES256') } : {};
    const app = await OauthApp.register(server, {
      ...basic,
      ...dpop,
      registered: { ...forApis, bound: bound ? 'dpop' : 'none' },
    });
    const { tokens } = await app.signIn(browser, person, {
      scope: 'openid offline_access read',
      resource: jwtApi,
    });
    const seen: oauth.JWTAccessTokenClaims[] = [];
    const handle = 'dpop' in dpop ? { DPoP: oauth.DPoP(app.client, dpop.dpop) } : {};
    await oauth.protectedResourceRequest(
      tokens.access_token,
      'POST',
      new URL(`${jwtApi}/all`),
      undefined,
      undefined,
      {
        ...handle,
        [oauth.customFetch]: async (url, { method, headers }) => {
          const request = new Request(url, { method, headers });
          seen.push(await oauth.validateJwtAccessToken(app.as, request, jwtApi));
          await expect(oauth.validateJwtAccessToken(app.as, request, opaqueApi)).rejects.toThrow(
            /aud/,
          );
          return new Response();
        },
      },
    );
    expect(seen).toMatchObject([
      { sub: person.id, client_id: app.client.client_id, scope: 'read', aud: jwtApi },
    ]);
    expect(seen[0]?.cnf).toEqual(bound ? { jkt: expect.stringMatching(/^[\w-]{43}$/) } : undefined);

    const api = await OauthApp.with(server, invoices, basic);
    expect(await api.introspect(tokens.access_token)).toMatchObject({
      active: true,
      iss: server.issuer,
      sub: person.id,
      aud: jwtApi,
      scope: 'read',
      client_id: app.client.client_id,
      token_type: bound ? 'DPoP' : 'Bearer',
    });
    await app.revoke(tokens.access_token);
    expect(await api.introspect(tokens.access_token)).toEqual({ active: false });
  });

  test('an opaque one, told as JSON and as a signed JWT, to the API alone', async () => {
    const app = await OauthApp.register(server, { ...basic, registered: forApis });
    const { tokens } = await app.signIn(browser, person, {
      scope: 'openid email offline_access read',
      resource: opaqueApi,
    });
    const about = { active: true, aud: opaqueApi, scope: 'read' };
    const api = await OauthApp.with(server, mail, basic);
    expect(await api.introspect(tokens.access_token)).toMatchObject(about);
    const signed = await OauthApp.with(server, mail, {
      ...basic,
      told: { introspection_signed_response_alg: 'RS256' },
    });
    expect(await signed.introspect(tokens.access_token)).toMatchObject(about);
    const other = await OauthApp.with(server, invoices, basic);
    expect(await other.introspect(tokens.access_token)).toEqual({ active: false });
    // A refresh may narrow, and goes nowhere else.
    const refreshToken = tokens.refresh_token as string;
    await expect(
      app.refresh(refreshToken, { resource: 'https://x.example.com' }),
    ).rejects.toMatchObject({ error: 'invalid_target' });
    const next = await app.refresh(refreshToken, { resource: opaqueApi, scope: 'read' });
    expect(await api.introspect(next.access_token)).toMatchObject(about);
  });
});

describe('what comes back wrong is refused', () => {
  test('by the library: another state, issuer or nonce', async () => {
    const app = await OauthApp.register(server, basic);
    const asked = await app.ask();
    const page = await walk(browser, asked.url, person);
    const { searchParams } = new URL(page.url);
    const validate = (changes: Record<string, string | undefined>, state = asked.state) => {
      const params = new URLSearchParams(searchParams);
      for (const [name, value] of Object.entries(changes)) {
        params.delete(name);
        if (value !== undefined) params.set(name, value);
      }
      return oauth.validateAuthResponse(app.as, app.client, params, state);
    };
    expect(() => validate({}, 'another')).toThrow(/state/);
    expect(() => validate({ state: undefined })).toThrow(/state/);
    expect(() => validate({ iss: 'https://evil.example.com' })).toThrow(/iss/);
    expect(() => validate({ iss: undefined })).toThrow(/iss/);
    await expect(app.redeem(validate({}), { ...asked, nonce: 'another' })).rejects.toThrow(/nonce/);
  });

  test('by the server: another verifier, client, secret, and a code that comes again', async () => {
    const [app, other] = await Promise.all([
      OauthApp.register(server, basic),
      OauthApp.register(server, basic),
    ]);
    const asked = await app.ask({ scope: 'openid offline_access' });
    const page = await walk(browser, asked.url, person);
    const params = await app.answer(page, asked.state);
    const redeem = (by: OauthApp, verifier = asked.verifier) =>
      by.redeem(params, { ...asked, verifier });
    const wrong = await OauthApp.with(
      server,
      { ...app.credentials, clientSecret: 'guessed' },
      basic,
    );
    await expect(redeem(wrong)).rejects.toMatchObject({
      code: oauth.WWW_AUTHENTICATE_CHALLENGE,
      status: 401,
    });
    await expect(redeem(other)).rejects.toMatchObject({ error: 'invalid_grant' });
    const { tokens } = await redeem(app);
    // A repetition that is not the app's own ends what the code gave.
    await expect(redeem(app, oauth.generateRandomCodeVerifier())).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    await expect(app.refresh(tokens.refresh_token as string)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
    expect((await families(app.client.client_id)).map((one) => one.revoked_at)).toEqual([
      expect.any(Date),
    ]);
  });

  test('error callbacks are told to the app, with state and issuer', async () => {
    const app = await OauthApp.register(server, basic);
    const answered = async (extra: Record<string, string>, using = browser) => {
      const asked = await app.ask(extra);
      const page = await walk(using, asked.url, person, 'deny');
      expect(page.params.get('iss')).toBe(server.issuer);
      return app.answer(page, asked.state).then(
        () => 'taken',
        (error: oauth.AuthorizationResponseError) => [error.code, error.error],
      );
    };
    const refused = (error: string) => [oauth.AUTHORIZATION_RESPONSE_ERROR, error];
    expect(await answered({})).toEqual(refused('access_denied'));
    expect(await answered({ prompt: 'none' })).toEqual(refused('consent_required'));
    expect(await answered({ prompt: 'none' }, new Browser())).toEqual(refused('login_required'));
    expect(await answered({ resource: 'https://x.example.com' })).toEqual(
      refused('invalid_target'),
    );
    expect(await answered({ code_challenge: '' })).toEqual(refused('invalid_request'));
    expect(await families(app.client.client_id)).toEqual([]);
  });
});
