import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import * as client from 'openid-client';
import { generateSync } from 'otplib';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Environment, freePort, MainProcess, runCli } from '../support/process.ts';

/**
 * openid-client, which we did not write, against the server as an operator starts it, set up by the command line and
 * walked by a browser without scripts: code, PKCE, TOTP, consent, refresh, introspection, revocation, logout.
 */

const callback = 'http://localhost:4010/callback';
const signedOut = 'http://localhost:4010/';
const api = 'https://api.example.com';
const email = 'imani@example.com';
const password = 'nine quiet herons over the quay';

let main: MainProcess | undefined;
const folder = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`;
const databases: TestDatabase[] = [];

afterEach(async () => {
  main?.signal('SIGTERM');
  await main?.ended;
});

afterAll(async () => {
  await Promise.all(databases.map((database) => database.drop()));
  rmSync(folder, { recursive: true, force: true });
});

async function cli<T>(env: Environment, args: string[], input?: string): Promise<T> {
  const { status, stdout, stderr } = await runCli([...args, '--json'], env, input);
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

interface SetUp {
  readonly app: { client_id: string; client_secret: string };
  readonly introspection: { client_id: string; client_secret: string };
  readonly secret: string;
}

async function setUp(env: Environment): Promise<SetUp> {
  const { totp } = await cli<{ totp: { secret: string } }>(
    env,
    ['account', 'create', '--email', email, '--password-stdin', '--verified', '--totp'],
    password,
  );
  const { introspection } = await cli<Pick<SetUp, 'introspection'>>(env, [
    'api',
    'create',
    '--identifier',
    api,
    '--name',
    'Invoices',
    '--scope',
    'invoices:read',
    '--scope',
    'invoices:write',
  ]);
  const app = await cli<SetUp['app']>(env, [
    'client',
    'create',
    '--name',
    'Quillet',
    '--type',
    'web',
    '--redirect-uri',
    callback,
    '--post-logout-redirect-uri',
    signedOut,
    '--api',
    `${api} invoices:read`,
  ]);
  return { app, introspection, secret: totp.secret };
}

/** Signs in and decides, posting each form's own fields. */
async function walk(
  browser: Browser,
  url: URL,
  secret: string,
): Promise<{ landed: Page; titles: string[] }> {
  const titles: string[] = [];
  let page = await browser.get(url.href);
  for (let steps = 0; !page.external && steps < 10; steps++) {
    titles.push(page.title);
    const names = page.forms.flatMap((form) => form.fields.map(([name]) => name));
    if (names.includes('password')) page = await browser.submit(page, { email, password });
    else if (names.includes('code'))
      page = await browser.submit(page, { code: generateSync({ secret }) });
    else page = await browser.submit(page, {}, 'allow');
  }
  return { landed: page, titles };
}

async function run(env: Environment): Promise<void> {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  main = await new MainProcess({ ...env, PORT: String(port) }).ready();
  const { app, introspection, secret } = await setUp({ ...env, PORT: String(port) });
  const options = { execute: [client.allowInsecureRequests] };
  const config = await client.discovery(
    new URL(issuer),
    app.client_id,
    app.client_secret,
    undefined,
    options,
  );
  const apiConfig = await client.discovery(
    new URL(issuer),
    introspection.client_id,
    introspection.client_secret,
    undefined,
    options,
  );
  expect(config.serverMetadata().issuer).toBe(issuer);

  const browser = new Browser();
  const authorize = async (parameters: Record<string, string>) => {
    const verifier = client.randomPKCECodeVerifier();
    const state = client.randomState();
    const nonce = client.randomNonce();
    const url = client.buildAuthorizationUrl(config, {
      redirect_uri: callback,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...parameters,
    });
    const { landed, titles } = await walk(browser, url, secret);
    const tokens = await client.authorizationCodeGrant(config, new URL(landed.url), {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    return { tokens, titles };
  };

  const identity = await authorize({
    scope: 'openid email profile offline_access',
    acr_values: 'urn:vouchsafe:acr:2fa',
  });
  expect(identity.titles).toHaveLength(3);
  const claims = identity.tokens.claims();
  expect(claims).toMatchObject({
    iss: issuer,
    aud: app.client_id,
    acr: 'urn:vouchsafe:acr:2fa',
    amr: ['pwd', 'otp', 'mfa'],
  });
  const userinfo = await client.fetchUserInfo(
    config,
    identity.tokens.access_token,
    claims?.sub as string,
  );
  expect(userinfo).toMatchObject({ email, email_verified: true });

  // Signed in and consented: only what is new is asked.
  const forApi = await authorize({ scope: 'openid offline_access invoices:read', resource: api });
  expect(forApi.titles).toHaveLength(1);
  const again = await authorize({ scope: 'openid offline_access invoices:read', resource: api });
  expect(again.titles).toEqual([]);
  expect(await client.tokenIntrospection(apiConfig, forApi.tokens.access_token)).toMatchObject({
    active: true,
    sub: claims?.sub,
    client_id: app.client_id,
    aud: api,
    scope: 'invoices:read',
    iss: issuer,
  });
  // One that is not for the API is none of its business.
  expect(await client.tokenIntrospection(apiConfig, identity.tokens.access_token)).toEqual({
    active: false,
  });

  const refreshed = await client.refreshTokenGrant(config, forApi.tokens.refresh_token as string);
  expect(refreshed.refresh_token).not.toBe(forApi.tokens.refresh_token);
  expect((await client.tokenIntrospection(apiConfig, refreshed.access_token)).active).toBe(true);

  await client.tokenRevocation(config, refreshed.refresh_token as string);
  expect((await client.tokenIntrospection(apiConfig, refreshed.access_token)).active).toBe(false);
  await expect(
    client.refreshTokenGrant(config, refreshed.refresh_token as string),
  ).rejects.toMatchObject({ error: 'invalid_grant' });

  const end = client.buildEndSessionUrl(config, {
    id_token_hint: again.tokens.id_token as string,
    post_logout_redirect_uri: signedOut,
    state: 'bye',
  });
  const landed = await browser.submit(await browser.get(end.href), {}, 'yes');
  expect(landed.url).toBe(`${signedOut}?state=bye`);
  const asked = await browser.get(
    client.buildAuthorizationUrl(config, {
      redirect_uri: callback,
      scope: 'openid',
      prompt: 'none',
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    }).href,
  );
  expect(asked.params.get('error')).toBe('login_required');
}

describe('COMPATIBILITY 21: openid-client walks the whole flow', () => {
  test('on the embedded default', () => run({ DATA_DIR: folder }), 60_000);

  test('with DATABASE_URL', async () => {
    const database = await createTestDatabase();
    databases.push(database);
    await run({ DATABASE_URL: database.url, MASTER_KEY: Buffer.alloc(32, 3).toString('base64') });
  });
});
