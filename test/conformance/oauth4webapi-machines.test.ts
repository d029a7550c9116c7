import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CryptoKey, compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import * as oauth from 'oauth4webapi';
import { certificate } from '../support/certificates.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Made, OauthApp } from '../support/oauth-app.ts';
import { type ClientKey, jwksOf, newKey } from '../support/proofs.ts';
import type { Credentials } from '../support/protocol.ts';

/** oauth4webapi, which we did not write, asks for machines, and asks what their tokens are worth, over HTTPS. */

const jwtApi = 'https://invoices.example.com';
const opaqueApi = 'https://mail.example.com';
const answerAlgs = ['ES256', 'RS256', 'PS256'] as const;
const signedApi = (alg: string) => `https://${alg.toLowerCase()}.example.com`;
const secret = ({ clientSecret = '' }: Credentials) => clientSecret;
let server: HttpsServer;
let apis: Record<string, Credentials>;
let key: ClientKey;

beforeAll(async () => {
  server = await startHttpsServer();
  key = await newKey();
  apis = {
    [jwtApi]: await server.seed.api(jwtApi, 'jwt'),
    [opaqueApi]: await server.seed.api(opaqueApi),
  };
  // Before the server has looked for the first time: what changes later it hears of within a second.
  for (const alg of answerAlgs) {
    const made = await server.seed.api(signedApi(alg));
    apis[signedApi(alg)] = made;
    await server.seed.updateClient(made.clientId, { introspectionSigningAlg: alg });
  }
});

afterAll(() => server.stop());

const byBasic = (credentials: Credentials) => oauth.ClientSecretBasic(secret(credentials));
const jwksWith = (one: ReturnType<typeof certificate>) => {
  const { d: _, ...jwk } = one.privateKey.export({ format: 'jwk' });
  return { keys: [{ ...jwk, x5c: [one.der.toString('base64')] }] };
};

const kinds: Record<string, () => Promise<Made> | Made> = {
  client_secret_basic: () => ({ registered: {}, auth: byBasic }),
  client_secret_post: () => ({
    registered: { authMethod: 'client_secret_post' },
    auth: (credentials) => oauth.ClientSecretPost(secret(credentials)),
  }),
  private_key_jwt: () => ({
    registered: { authMethod: 'private_key_jwt', jwks: jwksOf(key) },
    auth: () =>
      oauth.PrivateKeyJwt(key.privateKey, {
        [oauth.modifyAssertion]: (_header, payload) => void (payload.more = 'than is asked for'),
      }),
  }),
  self_signed_tls_client_auth: () => {
    const mine = certificate();
    return {
      registered: {
        authMethod: 'self_signed_tls_client_auth',
        jwks: jwksWith(mine),
        bound: 'mtls',
      },
      auth: () => oauth.TlsClientAuth(),
      certificate: mine,
    };
  },
  tls_client_auth: () => ({
    registered: {
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'subject_dn', name: 'CN=nightly,O=Example' },
    },
    auth: () => oauth.TlsClientAuth(),
    certificate: certificate({
      issuer: server.clientAuthority,
      subject: [
        ['O', 'Example'],
        ['CN', 'nightly'],
      ],
    }),
  }),
  'DPoP with a nonce': async () => ({
    registered: { bound: 'dpop', settings: { dpopNonce: 'required' } },
    auth: byBasic,
    dpop: await oauth.generateKeyPair('ES256'),
  }),
};

const machine = (made: Made, resources = [jwtApi, opaqueApi]) =>
  OauthApp.register(server, {
    ...made,
    registered: {
      ...made.registered,
      type: 'machine',
      apis: resources.map((identifier) => ({ identifier, scopes: ['read', 'write'] })),
    },
  });

describe('COMPATIBILITY 10, 16 and 21: client credentials, introspection, revocation', () => {
  test.each(Object.keys(kinds))('%s', async (name) => {
    const made = (await kinds[name]?.()) as Made;
    const app = await machine(made);
    for (const resource of [jwtApi, opaqueApi]) {
      const api = await OauthApp.with(server, apis[resource] as Credentials, { auth: byBasic });
      const given = await app.clientCredentials({ resource, scope: 'write' });
      expect(given).toMatchObject({
        token_type: made.dpop === undefined ? 'bearer' : 'dpop',
        scope: 'write',
        expires_in: expect.any(Number),
      });
      expect(given.refresh_token).toBeUndefined();
      // The client may ask of its own token, and so may the API that it is for.
      for (const asking of [app, api]) {
        const told = await asking.introspect(given.access_token);
        expect(told).toMatchObject({
          active: true,
          iss: server.issuer,
          client_id: app.client.client_id,
          scope: 'write',
          aud: resource,
          token_type: made.dpop === undefined ? 'Bearer' : 'DPoP',
        });
        const bound = { 'DPoP with a nonce': 'jkt', self_signed_tls_client_auth: 'x5t#S256' }[name];
        expect(Object.keys(told.cnf ?? {})).toEqual(bound === undefined ? [] : [bound]);
      }
      await app.revoke(given.access_token);
      expect(await api.introspect(given.access_token)).toEqual({ active: false });
      // What is revoked may be revoked again (RFC 7009, section 2.2).
      await app.revoke(given.access_token);
    }
    // A scope that it was not given is not in the token.
    const { scope } = await app.clientCredentials({ resource: jwtApi, scope: 'read delete' });
    expect(scope).toBe('read');
    await expect(
      app.clientCredentials({ resource: 'https://x.example.com', scope: 'read' }),
    ).rejects.toMatchObject({ error: 'invalid_target' });
    expect(app.nonces > 0).toBe(made.registered.settings?.dpopNonce === 'required');
  });

  test('no key, secret or certificate but the own one', async () => {
    const resource = opaqueApi;
    const [post, signed, tls] = await Promise.all(
      ['client_secret_post', 'private_key_jwt', 'self_signed_tls_client_auth'].map(async (name) =>
        machine((await kinds[name]?.()) as Made),
      ),
    );
    const stranger = await newKey();
    const tries: [OauthApp | undefined, Omit<Made, 'registered'>][] = [
      [post, { auth: () => oauth.ClientSecretPost('guessed') }],
      [post, { auth: () => oauth.None() }],
      [signed, { auth: () => oauth.PrivateKeyJwt(stranger.privateKey) }],
      [signed, { auth: () => oauth.None() }],
      [tls, { auth: () => oauth.TlsClientAuth(), certificate: certificate() }],
      [tls, { auth: () => oauth.TlsClientAuth() }],
    ];
    for (const [app, made] of tries) {
      const other = await OauthApp.with(server, (app as OauthApp).credentials, made);
      await expect(other.clientCredentials({ resource, scope: 'read' })).rejects.toMatchObject({
        // The library reads the challenge of a 401 first.
        status: 401,
      });
    }
  });
});

describe('introspection answers as JWT (RFC 9701)', () => {
  test.each(answerAlgs)('signed with %s', async (alg) => {
    const resource = signedApi(alg);
    const credentials = apis[resource] as Credentials;
    const app = await machine({ registered: {}, auth: byBasic }, [resource]);
    const api = await OauthApp.with(server, credentials, {
      auth: byBasic,
      told: { introspection_signed_response_alg: alg },
    });
    const { access_token: token } = await app.clientCredentials({ resource, scope: 'read' });
    expect(await api.introspect(token)).toMatchObject({ active: true, aud: resource });
    expect(await api.introspect('vs_mt_guessed')).toEqual({ active: false });
  });

  test('encrypted to the key of the API', async () => {
    const app = await machine({ registered: {}, auth: byBasic });
    const credentials = await server.seed.api('https://vault.example.com');
    const pair = await generateKeyPair('ECDH-ES', { extractable: true });
    const jwk = { ...(await exportJWK(pair.publicKey)), use: 'enc', alg: 'ECDH-ES', kid: 'mine' };
    await server.seed.updateClient(credentials.clientId, {
      jwks: { keys: [jwk] },
      introspectionSigningAlg: 'ES256',
      introspectionEncryptionAlg: 'ECDH-ES',
    });
    const api = await OauthApp.with(server, credentials, {
      auth: byBasic,
      told: { introspection_signed_response_alg: 'ES256' },
    });
    const decrypt = async (jwe: string, secretKey: CryptoKey = pair.privateKey) => {
      const { plaintext } = await compactDecrypt(jwe, secretKey);
      return new TextDecoder().decode(plaintext);
    };
    const { access_token: token } = await app.clientCredentials({
      resource: opaqueApi,
      scope: 'read',
    });
    // It is not for this API, which is told so, and nobody else can read that.
    expect(await api.introspect(token, decrypt)).toEqual({ active: false });
    await expect(api.introspect(token)).rejects.toThrow();
    const other = await generateKeyPair('ECDH-ES');
    await expect(api.introspect(token, (jwe) => decrypt(jwe, other.privateKey))).rejects.toThrow();
  });
});
