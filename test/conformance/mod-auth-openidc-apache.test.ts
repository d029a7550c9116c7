import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { runApache } from '../support/apache.ts';
import { Browser, type Page } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { freePort, until } from '../support/process.ts';
import { type Credentials, post } from '../support/protocol.ts';
import { type Person, Walker } from '../support/walk.ts';

/** Debian's Apache with mod_auth_openidc, which we did not write: it signs people in, and it guards an API. */

const api = 'https://invoices.example.com';
const jwtApi = 'https://mail.example.com';
let server: HttpsServer;
let apache: Awaited<ReturnType<typeof runApache>>;
let behind: Server;
let person: Person;
let machine: Credentials;
/** By what the site is for. */
const sites: Record<'basic' | 'signed' | 'introspects' | 'verifies', string> = {
  basic: '',
  signed: '',
  introspects: '',
  verifies: '',
};
const clients: Record<string, Credentials> = {};

beforeAll(async () => {
  server = await startHttpsServer({ inside: ['localhost'] });
  person = await server.person();
  // What stands behind Apache answers with the headers that it was given.
  behind = createServer((request, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify(request.headers)),
  );
  behind.listen(0, '127.0.0.1');
  await once(behind, 'listening');
  for (const name of Object.keys(sites) as (keyof typeof sites)[])
    sites[name] = `http://localhost:${await freePort()}`;
  const caller = await server.seed.api(api);
  await server.seed.api(jwtApi, 'jwt');
  const both = [api, jwtApi].map((identifier) => ({ identifier, scopes: ['read', 'write'] }));
  machine = await server.seed.client({ type: 'machine', apis: both });
  const app = (site: string) => ({
    redirectUris: [`${site}/app/callback`],
    postLogoutRedirectUris: [`${site}/bye`],
    backchannelLogoutUri: `${site}/app/callback?logout=backchannel`,
  });
  clients.basic = await server.seed.client(app(sites.basic));
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
  clients.signed = await server.seed.client({
    ...app(sites.signed),
    authMethod: 'private_key_jwt',
    jwks: { keys: [{ ...key.publicKey.export({ format: 'jwk' }), kid: 'mine', use: 'sig' }] },
  });
  for (const [name, pem] of [
    ['client.key', key.privateKey.export({ type: 'pkcs8', format: 'pem' })],
    ['client.pub', key.publicKey.export({ type: 'spki', format: 'pem' })],
  ] as const)
    writeFileSync(join(server.folder, name), pem);
  apache = await runApache(server.folder, configuration(caller), async () =>
    fetch(`${sites.basic}/bye`).then(Boolean, () => false),
  );
});

afterAll(async () => {
  await apache?.stop();
  behind.close();
  await server.stop();
});

function configuration(caller: Credentials): string {
  const proxied = `ProxyPass http://127.0.0.1:${(behind.address() as AddressInfo).port}/`;
  const site = (url: string, directives: string) => `
Listen 127.0.0.1:${new URL(url).port}
<VirtualHost 127.0.0.1:${new URL(url).port}>
ServerName ${url}
OIDCCABundlePath ${server.authorityFile}
${directives}
<Location /bye>
  ${proxied}
</Location>
</VirtualHost>`;
  const signsIn = (url: string, name: string, directives: string) =>
    site(
      url,
      `OIDCProviderMetadataURL ${server.issuer}/.well-known/openid-configuration
OIDCClientID ${clients[name]?.clientId}
OIDCRedirectURI ${url}/app/callback
OIDCCryptoPassphrase a-passphrase-of-this-site
OIDCScope "openid email profile offline_access"
OIDCPKCEMethod S256
OIDCRemoteUserClaim sub
OIDCInfoHook iat access_token access_token_expires id_token userinfo refresh_token session
OIDCDefaultLoggedOutURL ${url}/bye
${directives}
<Location /app>
  AuthType openid-connect
  Require valid-user
  # Whatever Sec-Fetch-Mode says: ours is a browser without scripts.
  OIDCUnAuthAction auth true
  ${proxied}
</Location>
<Location /app/strangers>
  Require claim sub:somebody-else
</Location>`,
    );
  const guards = (url: string, directives: string) =>
    site(
      url,
      `${directives}
<Location /api>
  AuthType oauth20
  Require claim scope:read
  ${proxied}
</Location>`,
    );
  return [
    signsIn(sites.basic, 'basic', `OIDCClientSecret ${clients.basic?.clientSecret}`),
    signsIn(
      sites.signed,
      'signed',
      `OIDCPrivateKeyFiles mine#${join(server.folder, 'client.key')}
OIDCPublicKeyFiles mine#${join(server.folder, 'client.pub')}
OIDCProviderTokenEndpointAuth private_key_jwt
OIDCResponseMode form_post`,
    ),
    guards(
      sites.introspects,
      `OIDCOAuthIntrospectionEndpoint ${server.issuer}/introspect
OIDCOAuthIntrospectionEndpointAuth client_secret_basic
OIDCOAuthClientID ${caller.clientId}
OIDCOAuthClientSecret ${caller.clientSecret}
OIDCOAuthTokenIntrospectionInterval -1
OIDCOAuthRemoteUserClaim client_id`,
    ),
    guards(
      sites.verifies,
      `OIDCOAuthVerifyJwksUri ${server.issuer}/jwks
OIDCOAuthRemoteUserClaim sub`,
    ),
  ].join('\n');
}

/** What stood behind Apache was told, or why it was not asked. */
const told = (page: Page): Record<string, string> | number =>
  page.status === 200 ? (JSON.parse(page.html) as Record<string, string>) : page.status;

describe.each(['basic', 'signed'] as const)(
  'COMPATIBILITY 21: an app behind Apache (%s)',
  (name) => {
    let site: string;
    let walker: Walker;

    beforeEach(() => {
      site = sites[name];
      walker = new Walker(server.issuer, person);
    });

    /** Whether Apache asks who this is. */
    const asks = async () => {
      const page = await walker.on(site).once(`${site}/app/page`);
      return page.headers.get('location')?.startsWith(`${server.issuer}/authorize?`) ?? false;
    };

    test('is told who signed in, keeps the session, and refreshes', async () => {
      expect(await asks()).toBe(true);
      const headers = told(await walker.go(`${site}/app/page`)) as Record<string, string>;
      expect(headers).toMatchObject({
        oidc_claim_sub: person.id,
        oidc_claim_iss: server.issuer,
        oidc_claim_aud: clients[name]?.clientId,
        oidc_claim_email: person.email,
        oidc_claim_email_verified: '1',
        oidc_claim_name: person.name,
        oidc_claim_acr: 'urn:vouchsafe:acr:1fa',
        oidc_claim_amr: 'pwd',
      });
      expect(await asks()).toBe(false);
      expect(told(await walker.go(`${site}/app/strangers`))).toBe(401);
      const token = headers.oidc_access_token as string;
      const query = new URLSearchParams({ refresh: `${site}/app/page`, access_token: token });
      const next = told(await walker.go(`${site}/app/callback?${query.toString()}`));
      expect(next).toMatchObject({
        oidc_claim_sub: person.id,
        oidc_access_token: expect.not.stringContaining(token),
      });
      expect(told(await walker.go(`${site}/app/callback?info=json`))).toMatchObject({
        userinfo: { sub: person.id, email_verified: true },
        id_token: { iss: server.issuer, sub: person.id },
        refresh_token: expect.stringMatching(/^vs_rt_/),
      });
    });

    test('signs out here, and then there', async () => {
      await walker.go(`${site}/app/page`);
      const query = new URLSearchParams({ logout: `${site}/bye` });
      const page = await walker.go(`${site}/app/callback?${query.toString()}`);
      expect(new URL(page.url).origin).toBe(server.issuer);
      expect(await asks()).toBe(true);
      const bye = await walker.submit(page, {}, 'yes');
      expect(bye.url).toBe(`${site}/bye`);
      // Not even the browser's session is left: who comes again is asked for the password.
      const again = await walker.on(server.issuer).get(`${server.issuer}/account`);
      expect(again.forms.flatMap(({ fields }) => fields.map(([field]) => field))).toContain(
        'password',
      );
    });

    test('COMPATIBILITY 20: hears by the back channel that the person has signed out', async () => {
      await walker.go(`${site}/app/page`);
      const other = new Walker(server.issuer, person);
      await other.go(`${site}/app/page`);
      expect(await asks()).toBe(false);
      const account = await walker.on(server.issuer).get(`${server.issuer}/account`);
      await walker.on(server.issuer).submit(account, {}, '/account/sign-out');
      await until(asks);
      expect(told(await other.on(site).get(`${site}/app/page`))).toMatchObject({
        oidc_claim_sub: person.id,
      });
    });

    test('refuses answers that it did not ask for, and tells of refusals', async () => {
      const stranger = await server.person();
      const denied = await new Walker(server.issuer, stranger).go(`${site}/app/page`, 'deny');
      // In the address it takes an error with an issuer (RFC 9207) for the start of a sign-in that another site wants.
      expect(denied.html).toContain(name === 'basic' ? 'Invalid Request' : 'access_denied');
      // The answer of another browser's request.
      const asked = await walker.on(site).once(`${site}/app/page`);
      const location = new URL(asked.headers.get('location') as string);
      location.searchParams.delete('response_mode');
      await walker.go(`${sites[name === 'basic' ? 'signed' : 'basic']}/app/page`);
      const answer = await walker.on(server.issuer).get(location.href);
      expect(answer.external).toBe(true);
      const planted = await new Browser().get(answer.url);
      expect([planted.status, await asks()]).toEqual([400, true]);
      const from = new URL(answer.url);
      from.searchParams.set('iss', 'https://evil.example.com');
      const mixedUp = await walker.on(site).get(from.href);
      expect(mixedUp.external).toBe(false);
      expect(await asks()).toBe(true);
    });
  },
);

describe('COMPATIBILITY 16 and 21: an API behind Apache', () => {
  const take = async (resource: string, scope: string) =>
    (
      await post(server.issuer, '/token', machine, {
        grant_type: 'client_credentials',
        resource,
        scope,
      })
    ).body.access_token;
  /** The token was taken, and its scope is not the one that is asked for. */
  const notAllowed = [401, null];
  const call = async (site: string, token?: string) => {
    const headers: Record<string, string> =
      token === undefined ? {} : { authorization: `Bearer ${token}` };
    const answer = await fetch(`${site}/api/all`, { headers });
    return answer.status === 200
      ? ((await answer.json()) as Record<string, string>)
      : [answer.status, answer.headers.get('www-authenticate')];
  };

  test('asks what a token is worth', async () => {
    const token = await take(api, 'read');
    expect(await call(sites.introspects, token)).toMatchObject({
      oidc_claim_client_id: machine.clientId,
      oidc_claim_scope: 'read',
      oidc_claim_aud: api,
      oidc_claim_iss: server.issuer,
      oidc_claim_token_type: 'Bearer',
    });
    const invalid = [401, expect.stringContaining('error="invalid_token"')];
    expect(await call(sites.introspects)).toEqual([401, expect.stringContaining('Bearer')]);
    expect(await call(sites.introspects, 'vs_mt_guessed')).toEqual(invalid);
    // For another API.
    expect(await call(sites.introspects, await take(jwtApi, 'read'))).toEqual(invalid);
    expect(await call(sites.introspects, await take(api, 'write'))).toEqual(notAllowed);
    await post(server.issuer, '/revoke', machine, { token });
    expect(await call(sites.introspects, token)).toEqual(invalid);
  });

  test('verifies a JWT by our keys', async () => {
    const token = await take(jwtApi, 'read');
    expect(await call(sites.verifies, token)).toMatchObject({
      oidc_claim_client_id: machine.clientId,
      oidc_claim_scope: 'read',
      oidc_claim_aud: jwtApi,
      oidc_claim_iss: server.issuer,
    });
    const [header, payload, signature = ''] = token.split('.');
    const forged = `${header}.${payload}.${signature.split('').reverse().join('')}`;
    expect(await call(sites.verifies, forged)).toEqual([
      401,
      expect.stringContaining('invalid_token'),
    ]);
    expect(await call(sites.verifies, await take(jwtApi, 'write'))).toEqual(notAllowed);
  });
});
