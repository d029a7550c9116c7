import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts';
import { until } from '../support/process.ts';
import {
  type Answer,
  answerOf,
  assertion,
  type ClientKey,
  jwksOf,
  newKey,
  send,
} from '../support/proofs.ts';
import { ask, enterPassword } from '../support/relying-party.ts';
import { register as registerAt, type RegistrationAnswer } from '../support/self-registering.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';
import { testMasterKey } from '../support/server-process.ts';

/**
 * What the OpenID Foundation's dynamic plan looks at, module by module, in our own words: a client that registers itself,
 * with a key of its own. The names are those of its modules.
 */

const callback = 'https://app.example.com/callback';
const elsewhere = 'https://other.example.net/callback';

let database: TestDatabase;
let server: TestServer;
let host: DocumentHost;
let account: TestAccount;
let key: ClientKey;

beforeAll(async () => {
  database = await createTestDatabase();
  host = await startDocumentHost();
  server = await startServer(database, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '100',
    OUTBOUND_ALLOW: 'localhost',
    TRUST_PROXY: '1',
  });
  account = await server.createAccount();
  key = await newKey('RS256');
});

afterAll(async () => {
  await server.close();
  await host.stop();
  await database.drop();
});

/** Registers with a key of its own, and with what else is said. */
async function register(more: Record<string, unknown> = {}): Promise<RegistrationAnswer> {
  const keys = 'jwks_uri' in more ? {} : { jwks: jwksOf(key) };
  return registerAt(server.issuer, {
    redirect_uris: [callback],
    token_endpoint_auth_method: 'private_key_jwt',
    ...keys,
    ...more,
  });
}

interface SignedIn {
  readonly id: string;
  readonly consent: Page;
  readonly back: Page;
  /** The token request with the code; `aud` is what the assertion names. */
  readonly redeem: (by?: ClientKey, aud?: string) => Promise<Answer>;
}

/** A person who was never here before signs in, and allows. */
async function signIn(
  { status, body }: RegistrationAnswer,
  extra: Record<string, string> = {},
): Promise<SignedIn> {
  expect(status).toBe(201);
  const id = body.client_id;
  const redirect_uri = extra.redirect_uri ?? callback;
  const browser = new Browser();
  // Who is limited by address here is nobody: each person comes from elsewhere.
  browser.headers = { 'x-forwarded-for': `2001:db8::${randomBytes(2).toString('hex')}` };
  const { url, verifier } = ask(
    server,
    { clientId: id, clientSecret: undefined },
    { redirect_uri, ...extra },
  );
  const consent = await enterPassword(browser, await browser.get(url), account);
  const back = await browser.submit(consent, {}, 'allow');
  return {
    id,
    consent,
    back,
    redeem: async (by = key, aud = `${server.issuer}/token`) =>
      send(server.issuer, '/token', {
        grant_type: 'authorization_code',
        code: back.params.get('code') as string,
        code_verifier: verifier,
        redirect_uri,
        ...(await assertion(by, id, aud, {}, by.publicJwk.kid ? { kid: by.publicJwk.kid } : {})),
      }),
  };
}

const ourKeys = () => createRemoteJWKSet(new URL(`${server.issuer}/jwks`));

describe('tokens', () => {
  test('oidcc-server, oidcc-idtoken-rs256: registered, signed in, and told in RS256', async () => {
    const { id, redeem } = await signIn(await register(), { nonce: 'once' });
    const { status, body } = await redeem();
    expect(status).toBe(200);
    const { protectedHeader, payload } = await jwtVerify(body.id_token as string, ourKeys(), {
      issuer: server.issuer,
      audience: id,
    });
    expect(protectedHeader.alg).toBe('RS256');
    expect(payload).toMatchObject({ sub: account.id, nonce: 'once' });
  });

  test('oidcc-ensure-client-assertion-with-iss-aud-succeeds', async () => {
    const { redeem } = await signIn(await register());
    expect((await redeem(key, server.issuer)).status).toBe(200);
  });

  test('oidcc-userinfo-rs256: in a JWT for the client, of our key', async () => {
    const made = await register({ userinfo_signed_response_alg: 'RS256' });
    const { id, redeem } = await signIn(made, { scope: 'openid email', nonce: 'once' });
    const { body } = await redeem();
    const response = await fetch(`${server.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    expect(response.headers.get('content-type')).toMatch(/^application\/jwt/);
    const told = await jwtVerify(await response.text(), ourKeys(), {
      issuer: server.issuer,
      audience: id,
      algorithms: ['RS256'],
    });
    expect(told.payload).toMatchObject({ sub: account.id, email: account.email });
    expect(told.payload).not.toHaveProperty('nonce');
  });

  test('oidcc-idtoken-unsigned: none is no algorithm to register', async () => {
    const { status, body } = await register({ id_token_signed_response_alg: 'none' });
    expect([status, body.error]).toEqual([400, 'invalid_client_metadata']);
  });
});

describe('redirect URIs', () => {
  const withQuery = `${callback}?tenant=one`;

  const visit = async ({ body }: RegistrationAnswer, redirect_uri: string | undefined) =>
    new Browser().get(
      ask(server, { clientId: body.client_id, clientSecret: undefined }, { redirect_uri }).url,
    );

  test('oidcc-ensure-redirect-uri-in-authorization-request: of two, the one that was not sent is not guessed', async () => {
    const made = await register({ redirect_uris: [callback, `${callback}/two`] });
    const page = await visit(made, undefined);
    expect([page.status, page.external]).toEqual([400, false]);
    expect((await visit(made, callback)).title).toContain('Sign in');
  });

  test('oidcc-redirect-uri-query-OK: its query is kept beside the answer', async () => {
    const made = await register({ redirect_uris: [withQuery] });
    const { back, redeem } = await signIn(made, { redirect_uri: withQuery });
    expect(back.params.get('tenant')).toBe('one');
    expect((await redeem()).status).toBe(200);
  });

  test.each([
    ['oidcc-redirect-uri-query-mismatch', withQuery, `${callback}?tenant=two`],
    ['oidcc-redirect-uri-query-added', callback, withQuery],
    ['a query that was left out', withQuery, callback],
  ])('%s: ends at a page of ours', async (_module, registered, sent) => {
    const page = await visit(await register({ redirect_uris: [registered] }), sent);
    expect([page.status, page.external]).toEqual([400, false]);
  });

  test('oidcc-redirect-uri-regfrag: one with a fragment is not registered', async () => {
    const { status, body } = await register({ redirect_uris: [`${callback}#fragment`] });
    expect([status, body.error]).toEqual([400, 'invalid_redirect_uri']);
  });
});

describe('what is registered', () => {
  test('oidcc-registration-policy-uri, -tos-uri, -logo-uri: linked where a person decides; no picture is loaded', async () => {
    const about = {
      policy_uri: 'https://app.example.com/privacy',
      tos_uri: 'https://app.example.com/terms',
      logo_uri: 'https://app.example.com/logo.png',
    };
    const made = await register(about);
    expect(made.body).toMatchObject(about);
    const { consent } = await signIn(made);
    for (const uri of [about.policy_uri, about.tos_uri])
      expect(consent.html).toContain(`href="${uri}"`);
    expect(consent.html).not.toContain(about.logo_uri);
  });

  test('oidcc-registration-jwks-uri, oidcc-refresh-token-rp-key-rotation: keys are fetched, and new ones taken', async () => {
    const named = async (kid: string): Promise<ClientKey> => {
      const made = await newKey('RS256');
      return { ...made, publicJwk: { ...made.publicJwk, kid, use: 'sig' } };
    };
    const [first, second] = [await named('first'), await named('second')];
    const jwks_uri = host.answer('/client1_jwks', jwksOf(first));
    const made = await register({ jwks_uri });
    expect(made.body.jwks_uri).toBe(jwks_uri);
    const scope = 'openid offline_access';
    const { id, redeem } = await signIn(made, { scope, prompt: 'consent' });
    const { status, body } = await redeem(first);
    expect(status).toBe(200);
    host.answer('/client1_jwks', jwksOf(second));
    const again = async (by: ClientKey) =>
      send(server.issuer, '/token', {
        grant_type: 'refresh_token',
        refresh_token: body.refresh_token,
        ...(await assertion(by, id, server.issuer, {}, { kid: by.publicJwk.kid })),
      });
    const refreshed = await again(second);
    expect(refreshed.status).toBe(200);
    expect(decodeJwt(refreshed.body.id_token as string).sub).toBe(account.id);
    expect((await again(first)).body.error).toBe('invalid_client');
  });

  test('oidcc-refresh-token: for the client that it was given to, and for no other', async () => {
    const other = await register();
    const { redeem } = await signIn(await register(), {
      scope: 'openid offline_access',
      prompt: 'consent',
    });
    const { body } = await redeem();
    const { status, body: refused } = await send(server.issuer, '/token', {
      grant_type: 'refresh_token',
      refresh_token: body.refresh_token,
      ...(await assertion(key, other.body.client_id, server.issuer)),
    });
    expect([status, refused.error]).toEqual([400, 'invalid_grant']);
  });

  test('oidcc-registration-sector-uri: subjects are those of the sector', async () => {
    const sector_identifier_uri = host.answer('/sector.json', [callback, elsewhere]);
    const made = await register({
      redirect_uris: [callback, elsewhere],
      subject_type: 'pairwise',
      sector_identifier_uri,
    });
    expect(made.body).toMatchObject({ subject_type: 'pairwise', sector_identifier_uri });
    const { redeem } = await signIn(made);
    const { body } = await redeem();
    expect(decodeJwt(body.id_token as string).sub).toMatch(/^p_/);
  });

  test('oidcc-registration-sector-bad: a document that names other redirect URIs', async () => {
    const sector_identifier_uri = host.answer('/redirect_uris.json', [elsewhere]);
    const { status, body } = await register({ subject_type: 'pairwise', sector_identifier_uri });
    expect([status, body.error]).toEqual([400, 'invalid_client_metadata']);
  });
});

test('oidcc-server-rotate-keys: new keys are published after a rotation', async () => {
  const published = async () => {
    const { body } = await answerOf(await fetch(`${server.issuer}/jwks`));
    return (body as unknown as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
  };
  const before = await published();
  await new KeyService(database.db, new Sealer([testMasterKey])).rotate('test');
  await until(async () => (await published()).some((kid) => !before.includes(kid)));
  expect(await published()).toEqual(expect.arrayContaining(before));
});

test('oidcc-discovery-endpoint-verification: what the plans ask to be there, at this issuer alone', async () => {
  const { body } = await answerOf(await fetch(`${server.issuer}/.well-known/openid-configuration`));
  expect(body).toMatchObject({
    issuer: server.issuer,
    response_types_supported: expect.arrayContaining(['code']),
    response_modes_supported: expect.arrayContaining(['query', 'form_post', 'jwt']),
    subject_types_supported: expect.arrayContaining(['public', 'pairwise']),
    id_token_signing_alg_values_supported: expect.arrayContaining(['RS256']),
    userinfo_signing_alg_values_supported: expect.arrayContaining(['RS256']),
    grant_types_supported: expect.arrayContaining(['authorization_code', 'refresh_token']),
    scopes_supported: expect.arrayContaining(['openid']),
    claims_supported: expect.arrayContaining(['sub']),
    code_challenge_methods_supported: ['S256'],
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
  });
  const members = Object.entries(body).filter(([name]) => /(_endpoint|_uri)$/.test(name));
  expect(members.map(([name]) => name)).toEqual(
    expect.arrayContaining([
      'authorization_endpoint',
      'token_endpoint',
      'userinfo_endpoint',
      'jwks_uri',
      'registration_endpoint',
      'end_session_endpoint',
      'pushed_authorization_request_endpoint',
    ]),
  );
  for (const [name, value] of members)
    expect([name, String(value).startsWith(`${server.issuer}/`)]).toEqual([name, true]);
});
