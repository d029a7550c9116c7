import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Browser } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Credentials, redirectUri } from '../support/protocol.ts';
import { type Answer, send } from '../support/proofs.ts';
import { type Person, walk } from '../support/walk.ts';

/**
 * What clients put on the wire that can't run here: golang.org/x/oauth2 and go-oidc (oauth2-proxy, Traefik, Grafana and
 * kubelogin stand on them), and the forms of HTTP Basic that there are.
 */

const api = 'https://invoices.example.com';
let server: HttpsServer;
let person: Person;
let browser: Browser;

beforeAll(async () => {
  server = await startHttpsServer();
  person = await server.person();
  await server.seed.api(api);
  browser = new Browser();
});

afterAll(() => server.stop());

/** As application/x-www-form-urlencoded writes it (RFC 6749, section 2.3.1), every character in its long form. */
const everyByte = (text: string) =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

const basicOf = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
});

/** Signs in, and gives what the token endpoint is to be sent with the code. */
async function codeOf(client: Credentials, scope: string): Promise<Record<string, string>> {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: client.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope,
    state: 'the-state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const page = await walk(browser, `${server.issuer}/authorize?${query.toString()}`, person);
  const code = page.params.get('code');
  if (code === null) throw new Error(`no code: ${page.url} ${page.text}`);
  return {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
  };
}

describe('COMPATIBILITY 10: credentials', () => {
  const forms: Record<string, (client: Required<Credentials>) => Record<string, string>> = {
    'as they are': ({ clientId, clientSecret = '' }) => basicOf(clientId, clientSecret),
    'URL-encoded where that is needed': ({ clientId, clientSecret = '' }) =>
      basicOf(encodeURIComponent(clientId), encodeURIComponent(clientSecret)),
    'URL-encoded byte by byte': ({ clientId, clientSecret = '' }) =>
      basicOf(everyByte(clientId), everyByte(clientSecret)),
    'URL-encoded in capitals': ({ clientId, clientSecret = '' }) =>
      basicOf(everyByte(clientId).toUpperCase(), everyByte(clientSecret).toUpperCase()),
    'under another spelling of the scheme': ({ clientId, clientSecret = '' }) => ({
      authorization: basicOf(clientId, clientSecret).authorization.replace('Basic', 'bASIC'),
    }),
  };

  test.each(Object.keys(forms))('client_secret_basic, %s', async (form) => {
    const client = await server.seed.client({
      grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
      apis: [{ identifier: api, scopes: ['read'] }],
    });
    const headers = forms[form]?.(client) as Record<string, string>;
    const ask = (path: string, fields: Record<string, string>): Promise<Answer> =>
      send(server.issuer, path, fields, headers);
    const machine = { grant_type: 'client_credentials', resource: api, scope: 'read' };
    const { body } = await ask('/token', machine);
    const { access_token: token } = body;
    expect(await ask('/introspect', { token })).toMatchObject({ body: { active: true } });
    expect(await ask('/revoke', { token })).toMatchObject({ status: 200 });
    expect(await ask('/introspect', { token })).toMatchObject({ body: { active: false } });
    const given = await ask('/token', await codeOf(client, 'openid offline_access'));
    expect(given).toMatchObject({ status: 200, body: { token_type: 'Bearer' } });
    const refresh = { grant_type: 'refresh_token', refresh_token: given.body.refresh_token };
    expect(await ask('/token', refresh)).toMatchObject({ status: 200 });
    // Encoded twice it is something else.
    const { clientId, clientSecret = '' } = client;
    const twice = basicOf(clientId, everyByte(everyByte(clientSecret)));
    expect(await send(server.issuer, '/token', machine, twice)).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    });
  });

  test('client_secret_post, and nothing twice', async () => {
    const { clientId, clientSecret = '' } = await server.seed.client({
      type: 'machine',
      authMethod: 'client_secret_post',
      apis: [{ identifier: api, scopes: ['read'] }],
    });
    const machine = { grant_type: 'client_credentials', resource: api, scope: 'read' };
    const own = { client_id: clientId, client_secret: clientSecret };
    const ask = (fields: Record<string, string>, headers = {}) =>
      send(server.issuer, '/token', { ...machine, ...fields }, headers);
    expect(await ask(own)).toMatchObject({ status: 200, body: { scope: 'read' } });
    expect(await ask({ ...own, client_secret: 'guessed' })).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    });
    // The other way is no less safe, and clients that find out for themselves begin with it.
    expect((await ask({}, basicOf(clientId, clientSecret))).status).toBe(200);
    expect((await ask(own, basicOf(clientId, clientSecret))).body.error).toMatch(/^invalid_/);
  });
});

describe('COMPATIBILITY 20: what oauth2-proxy, and whatever stands on Go, needs', () => {
  const metadata = async () =>
    (await (await fetch(`${server.issuer}/.well-known/openid-configuration`)).json()) as Record<
      string,
      string
    >;

  test.each(['client_secret_basic', 'client_secret_post'] as const)(
    'finds out by itself how it authenticates (%s), and loses no code over it',
    async (authMethod) => {
      const client = await server.seed.client({ authMethod });
      const { clientId, clientSecret = '' } = client;
      const form = await codeOf(client, 'openid email profile offline_access');
      // AuthStyleAutoDetect: first the header, and where that fails all in the form.
      const inForm = { client_id: clientId, client_secret: clientSecret };
      const inHeader = basicOf(encodeURIComponent(clientId), 'mistyped');
      expect((await send(server.issuer, '/token', form, inHeader)).status).toBe(401);
      const { status, body } = await send(server.issuer, '/token', { ...form, ...inForm });
      expect(status).toBe(200);

      // go-oidc: the issuer byte for byte, a key of the JWKS, an audience, times as numbers.
      const found = await metadata();
      expect(found.issuer).toBe(server.issuer);
      const { payload } = await jwtVerify(
        body.id_token as string,
        createRemoteJWKSet(new URL(found.jwks_uri as string)),
        { issuer: server.issuer, audience: clientId, algorithms: ['RS256'] },
      );
      expect(payload).toMatchObject({ sub: person.id, iat: expect.any(Number) });
      // The session that it keeps is refreshed, in the way that was found.
      const refresh = { grant_type: 'refresh_token', refresh_token: body.refresh_token };
      expect(await send(server.issuer, '/token', { ...refresh, ...inForm })).toMatchObject({
        status: 200,
        body: { id_token: expect.any(String) },
      });
    },
  );

  test('userinfo by GET and by POST, in the header and in the form, and not in the address', async () => {
    const client = await server.seed.client();
    const { clientId, clientSecret = '' } = client;
    const { body } = await send(
      server.issuer,
      '/token',
      await codeOf(client, 'openid email profile'),
      basicOf(clientId, clientSecret),
    );
    const { userinfo_endpoint: url = '' } = await metadata();
    const bearer = { authorization: `Bearer ${body.access_token}` };
    const expected = {
      sub: person.id,
      email: person.email,
      email_verified: true,
      name: person.name,
    };
    for (const how of [
      { headers: bearer },
      { headers: { authorization: `bearer ${body.access_token}` } },
      { method: 'POST', headers: bearer },
      { method: 'POST', body: new URLSearchParams({ access_token: body.access_token }) },
    ]) {
      const answer = await fetch(url, how);
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
      expect(await answer.json()).toMatchObject(expected);
    }
    const inAddress = await fetch(`${url}?access_token=${body.access_token}`);
    expect(inAddress.status).toBe(400);
    const twice = await fetch(url, {
      method: 'POST',
      headers: bearer,
      body: new URLSearchParams({ access_token: body.access_token }),
    });
    expect(twice.status).toBe(400);
    // How oauth2-proxy sees that a session is over.
    await send(
      server.issuer,
      '/revoke',
      { token: body.access_token },
      basicOf(clientId, clientSecret),
    );
    const after = await fetch(url, { headers: bearer });
    expect([after.status, after.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('error="invalid_token"'),
    ]);
  });

  test('signs out with the ID token in the address, and comes back', async () => {
    const back = 'https://app.example.com/signed-out';
    const client = await server.seed.client({ postLogoutRedirectUris: [back] });
    const { clientId, clientSecret = '' } = client;
    const { body } = await send(
      server.issuer,
      '/token',
      await codeOf(client, 'openid'),
      basicOf(clientId, clientSecret),
    );
    const { end_session_endpoint: url } = await metadata();
    const query = new URLSearchParams({
      id_token_hint: body.id_token as string,
      post_logout_redirect_uri: back,
    });
    const page = await browser.get(`${url}?${query.toString()}`);
    expect((await browser.submit(page, {}, 'yes')).url).toBe(back);
    // Nowhere that was not registered to the letter.
    query.set('post_logout_redirect_uri', `${back}/`);
    // What can't be trusted is asked about, without the redirect.
    expect((await browser.get(`${url}?${query.toString()}`)).status).toBe(200);
  });
});

test('COMPATIBILITY 17: an answer without a body has no type', async () => {
  const { clientId } = await server.seed.client({ type: 'spa' });
  const answer = await fetch(`${server.issuer}/revoke`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: clientId, token: 'vs_rt_unknown' }),
  });
  expect([answer.status, await answer.text(), answer.headers.get('content-type')]).toEqual([
    200,
    '',
    null,
  ]);
});
