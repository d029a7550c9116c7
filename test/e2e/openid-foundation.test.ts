import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, importJWK, type JWK, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import type { Browser, Page } from 'playwright-core';
import { runCommand } from '../../demo/vouchsafe.ts';
import type { BrowserEntry } from '../conformance/openid-foundation/pages.ts';
import { type Profile, startProfile } from '../conformance/openid-foundation/profile.ts';
import { readSettings, type Settings } from '../conformance/openid-foundation/settings.ts';
import { selfSigned } from '../support/certificates.ts';
import { ask } from '../support/mutual-tls.ts';
import { launchBrowser } from '../support/pages-in-browser.ts';
import { freePort, until } from '../support/process.ts';
import { follow, type Visits } from '../support/suite-browser.ts';

/**
 * The conformance profile (`npm run conformance`), as the OpenID Foundation's suite would find it: its browser script is
 * followed on our pages, to a stand-in for the suite that shows what the suite's own pages have.
 */

interface ClientConfiguration {
  readonly client_id: string;
  readonly client_secret?: string;
  readonly scope?: string;
  readonly jwks?: { readonly keys: readonly JWK[] };
  readonly hint_value?: string;
  readonly acr_value?: string;
}

interface Configuration {
  readonly client: ClientConfiguration;
  readonly client2: ClientConfiguration;
  readonly client_secret_post?: ClientConfiguration;
  readonly server: { readonly allow_unexpected_metadata_fields: readonly string[] };
  readonly mtls?: { readonly cert: string; readonly key: string };
  readonly automated_ciba_approval_url?: string;
  readonly browser: readonly BrowserEntry[];
  readonly override: Readonly<
    Record<
      string,
      {
        readonly browser: readonly BrowserEntry[];
        readonly client?: ClientConfiguration;
        readonly client2?: ClientConfiguration;
      }
    >
  >;
}

let folder: string;
let suite: Server;
let settings: Settings;
let profile: Profile;
let browser: Browser;
let page: Page;
let configuration: Configuration;
/** Where the browser came back to, newest last. */
const arrived: URL[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-suite-'));
  suite = createServer(selfSigned(), (request, response) => {
    const url = new URL(request.url ?? '/', settings.suite);
    if (url.pathname.startsWith('/test/')) arrived.push(url);
    response.setHeader('content-type', 'text/html');
    response.end('<title>Suite</title><div id="submission_complete">Done</div>');
  }).listen(0, '127.0.0.1');
  suite.unref();
  await once(suite, 'listening');
  settings = readSettings({
    ISSUER: `https://localhost:${await freePort()}`,
    MTLS_PORT: String(await freePort()),
    CONFORMANCE_APPROVAL_PORT: String(await freePort()),
    CONFORMANCE_SUITE: `https://localhost:${(suite.address() as AddressInfo).port}/`,
    CONFORMANCE_FOLDER: folder,
  });
  profile = await startProfile(settings, { PATH: process.env.PATH, LOG_LEVEL: 'error' });
  configuration = await readPlan('static.json');
  browser = await launchBrowser();
}, 300_000);

afterAll(async () => {
  await browser.close();
  await profile.stop();
  suite.close();
  suite.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

const readPlan = async (file: string) =>
  JSON.parse(await readFile(join(folder, file), 'utf8')) as Configuration;

async function newPage(): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
  return context.newPage();
}

interface Asked {
  readonly url: string;
  readonly verifier: string;
}

/** As the suite asks in the plans of OpenID Connect: without PKCE. */
function plainAuthorization(parameters: Record<string, string> = {}): string {
  const query = new URLSearchParams({
    client_id: configuration.client.client_id,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: `${settings.suite}test/a/vouchsafe/callback`,
    ...parameters,
  });
  return `${settings.issuer}/authorize?${query}`;
}

function authorization(parameters: Record<string, string> = {}): Asked {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: configuration.client.client_id,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: `${settings.suite}test/a/vouchsafe/callback`,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...parameters,
  });
  return { url: `${settings.issuer}/authorize?${query}`, verifier };
}

/** Exchanges the code that the browser has brought; as the suite does, whatever the server's certificate. */
async function idToken({ verifier }: Asked): Promise<string> {
  const { client_id, client_secret } = configuration.client;
  const api = await browser.newContext({ ignoreHTTPSErrors: true });
  const response = await api.request.post(`${settings.issuer}/token`, {
    headers: {
      authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`,
    },
    form: {
      grant_type: 'authorization_code',
      code: arrived.at(-1)?.searchParams.get('code') ?? '',
      redirect_uri: `${settings.suite}test/a/vouchsafe/callback`,
      code_verifier: verifier,
    },
  });
  expect(response.status()).toBe(200);
  return ((await response.json()) as { id_token: string }).id_token;
}

/** The error that the browser has arrived with at the suite, or that the error page shows. */
async function refusalOf(at: Page): Promise<string | undefined> {
  if (at.url().startsWith(settings.suite)) {
    const { searchParams } = new URL(at.url());
    const response = searchParams.get('response');
    return response === null
      ? (searchParams.get('error') ?? undefined)
      : String(decodeJwt(response).error);
  }
  return /invalid_[a-z_]+/.exec((await at.locator('details').textContent()) ?? '')?.[0];
}

const scriptFor = (module: string) => configuration.override[module]?.browser ?? [];

describe('the browser script', () => {
  beforeAll(async () => {
    page = await newPage();
  });

  test('signs in and allows, once; then nothing is asked', async () => {
    const first = authorization();
    await follow(page, configuration.browser, first.url);
    expect(await idToken(first)).toMatch(/^ey/);
    const { length } = arrived;
    await follow(page, configuration.browser, authorization().url);
    expect(arrived).toHaveLength(length + 1);
  });

  test('posts the answer where that was asked for', async () => {
    await follow(page, configuration.browser, authorization({ response_mode: 'form_post' }).url);
    expect(page.url()).toBe(`${settings.suite}test/a/vouchsafe/callback`);
  });

  test('15: signs in where no PKCE is sent, for each client of the static plans', async () => {
    for (const client of ['client', 'client2', 'client_secret_post'] as const) {
      const { client_id } = (await readPlan('static.json'))[client] as ClientConfiguration;
      await follow(await newPage(), configuration.browser, plainAuthorization({ client_id }));
      expect(arrived.at(-1)?.searchParams.get('code')).not.toBeNull();
    }
  });

  test.each([
    ['oidcc-prompt-login', { prompt: 'login' }],
    ['oidcc-max-age-1', { max_age: '0' }],
  ])('15: %s: signs in, and confirms it on the second visit', async (module, parameters) => {
    const { length } = arrived;
    const fresh = await newPage();
    const visits: Visits = new Map();
    await follow(fresh, scriptFor(module), plainAuthorization(), visits);
    await follow(fresh, scriptFor(module), plainAuthorization(parameters), visits);
    expect(arrived).toHaveLength(length + 2);
  });

  test.each([
    [
      'oidcc-ensure-registered-redirect-uri',
      () => ({ redirect_uri: `${settings.suite}test/a/vouchsafe/callback/other` }),
    ],
    [
      'oidcc-redirect-uri-query-added',
      () => ({ redirect_uri: `${settings.suite}test/a/vouchsafe/callback?added=yes` }),
    ],
  ])('%s: ends at a page of ours', async (module, parameters) => {
    const { length } = arrived;
    await follow(page, scriptFor(module), authorization(parameters()).url);
    expect(arrived).toHaveLength(length);
  });

  test.each([
    ['oidcc-rp-initiated-logout-no-params', () => ({})],
    ['oidcc-rp-initiated-logout-only-state', () => ({ state: 'x' })],
    [
      'oidcc-rp-initiated-logout-no-id-token-hint',
      () => ({
        post_logout_redirect_uri: `${settings.suite}test/a/vouchsafe/post_logout_redirect`,
      }),
    ],
  ])('%s: signs out, and stays here', async (module, parameters) => {
    const asked = authorization();
    await follow(page, scriptFor(module), asked.url);
    const query = new URLSearchParams(parameters() as Record<string, string>);
    await follow(page, scriptFor(module), `${settings.issuer}/logout?${query}`);
    const answer = await page.goto(authorization({ prompt: 'none' }).url);
    expect(answer?.url()).toContain('error=login_required');
  });

  test('signs out, and is back at the suite', async () => {
    const asked = authorization();
    await follow(page, configuration.browser, asked.url);
    const query = new URLSearchParams({
      id_token_hint: await idToken(asked),
      post_logout_redirect_uri: `${settings.suite}test/a/vouchsafe/post_logout_redirect`,
      state: 'there',
    });
    await follow(page, configuration.browser, `${settings.issuer}/logout?${query}`);
    expect(page.url()).toContain('/post_logout_redirect?state=there');
  });

  test('oidcc-rp-initiated-logout-bad-post-logout-redirect-uri: ends at our question', async () => {
    const module = 'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri';
    const asked = authorization();
    await follow(page, scriptFor(module), asked.url);
    const query = new URLSearchParams({
      id_token_hint: await idToken(asked),
      post_logout_redirect_uri: `${settings.suite}test/a/vouchsafe/elsewhere`,
    });
    await follow(page, scriptFor(module), `${settings.issuer}/logout?${query}`);
    expect(page.url()).toMatch(new RegExp(`^${settings.issuer}/`));
  });
});

describe('dynamic.json', () => {
  test.each([
    ['oidcc-registration-policy-uri', 'policy_uri'],
    ['oidcc-registration-tos-uri', 'tos_uri'],
    ['oidcc-registration-logo-uri', 'logo_uri'],
  ])('%s: a client that registers itself, on the page that is kept', async (module, member) => {
    const plan = await readPlan('dynamic.json');
    // Nobody is sent there: a stranger's client may not be on this machine, as the stand-in is.
    const redirect_uri = 'https://localhost.emobix.co.uk:8443/test/a/vouchsafe/callback';
    const api = await browser.newContext({ ignoreHTTPSErrors: true });
    const registered = await api.request.post(`${settings.issuer}/register`, {
      data: {
        redirect_uris: [redirect_uri],
        [member]: new URL(`/${member}`, redirect_uri).href,
      },
    });
    expect(registered.status()).toBe(201);
    const { client_id } = (await registered.json()) as { client_id: string };
    const { length } = arrived;
    await follow(
      await newPage(),
      plan.override[module]?.browser ?? [],
      authorization({ client_id, redirect_uri }).url,
    );
    expect(arrived).toHaveLength(length);
  });
});

describe('15: the configurations', () => {
  const files = [
    'static.json',
    'backchannel.json',
    'dynamic.json',
    'fapi-dpop.json',
    'fapi-mtls.json',
    'fapi-signing.json',
    'ciba-poll.json',
    'ciba-ping.json',
  ];

  test.each(files)('%s names the extension in the metadata', async (file) => {
    const { server } = await readPlan(file);
    expect(server.allow_unexpected_metadata_fields).toEqual(['revocations_endpoint']);
  });

  test.each(files.filter((file) => /^(fapi|ciba)/.test(file)))(
    '%s: each client has a key, and asks for more than openid',
    async (file) => {
      const { client, client2 } = await readPlan(file);
      for (const { jwks, scope } of [client, client2]) {
        expect(jwks?.keys[0]).toMatchObject({ alg: 'PS256', d: expect.any(String) });
        expect(scope).toBe('openid profile email offline_access');
      }
    },
  );

  test.each(files.filter((file) => file.startsWith('ciba')))(
    '%s names a context class of the server',
    async (file) => {
      const { client, client2 } = await readPlan(file);
      const answer = await fetch(`${settings.issuer}/.well-known/openid-configuration`);
      const { acr_values_supported } = (await answer.json()) as { acr_values_supported: string[] };
      expect(acr_values_supported).toContain(client.acr_value);
      expect(acr_values_supported).toContain(client2.acr_value);
    },
  );

  test('only the clients of the back-channel plan have a back-channel URI', async () => {
    const uriOf = async ({ client_id }: ClientConfiguration) => {
      const { metadata } = await runCommand<{ metadata: { backchannel_logout_uri?: string } }>(
        profile.environment,
        'client show',
        [['client-id', client_id]],
      );
      return metadata.backchannel_logout_uri;
    };
    expect(await uriOf(configuration.client)).toBeUndefined();
    const { client } = await readPlan('backchannel.json');
    expect(await uriOf(client)).toBe(`${settings.suite}test/a/vouchsafe/backchannel_logout`);
  });

  test('the server’s certificate is RSA', () => {
    const { cert } = profile.certificates.server;
    expect(new X509Certificate(cert).publicKey.asymmetricKeyType).toBe('rsa');
  });

  test('the command that is printed rotates the keys', async () => {
    const keys = async () => {
      const answer = await fetch(`${settings.issuer}/jwks`);
      return ((await answer.json()) as { keys: JWK[] }).keys.length;
    };
    const before = await keys();
    await runCommand({ PATH: process.env.PATH, ...profile.commandEnvironment }, 'keys rotate', [
      ['alg', 'RS256'],
    ]);
    await until(async () => (await keys()) > before);
    expect(await keys()).toBe(before + 1);
  });
});

/** The clients of the FAPI plans, with openid-client in the suite's place. */
describe.each([
  ['fapi-dpop.json', false],
  ['fapi-signing.json', true],
])('%s', (file, signs) => {
  let plan: Configuration;
  let config: oidc.Configuration;
  let DPoP: oidc.DPoPHandle;
  let key: CryptoKey;

  beforeAll(async () => {
    page = await newPage();
    plan = await readPlan(file);
    await use(plan.client);
  });

  async function use({ client_id, jwks }: ClientConfiguration): Promise<void> {
    const [jwk] = jwks?.keys ?? [];
    key = (await importJWK(jwk as JWK)) as CryptoKey;
    config = await oidc.discovery(
      new URL(settings.issuer),
      client_id,
      undefined,
      oidc.PrivateKeyJwt({ key, kid: jwk?.kid as string }),
    );
    if (signs) oidc.useJwtResponseMode(config);
    DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
  }

  async function pushed(verifier: string): Promise<URL> {
    let parameters = new URLSearchParams({
      redirect_uri: `${settings.suite}test/a/vouchsafe/callback`,
      scope: 'openid profile email',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: 'there',
    });
    if (signs) {
      const signed = await oidc.buildAuthorizationUrlWithJAR(config, parameters, key);
      parameters = signed.searchParams;
    }
    return oidc.buildAuthorizationUrlWithPAR(config, parameters, { DPoP });
  }

  test('15: user-rejects-authentication: denied, whatever was allowed before', async () => {
    await follow(page, plan.browser, (await pushed(oidc.randomPKCECodeVerifier())).href);
    const denial = plan.override['fapi2-security-profile-final-user-rejects-authentication'];
    const fresh = await newPage();
    // The suite starts each module without cookies: the second client comes without a sign-in page.
    for (const client of [denial?.client, denial?.client2]) {
      await use(client as ClientConfiguration);
      const { href } = await pushed(oidc.randomPKCECodeVerifier());
      await follow(fresh, denial?.browser ?? [], href);
      const grant = oidc.authorizationCodeGrant(config, arrived.at(-1) as URL, {
        expectedState: 'there',
      });
      await expect(grant).rejects.toMatchObject({ error: 'access_denied' });
    }
    await use(plan.client);
  });

  test('par-ensure-reused-request-uri-prior-to-auth-completion-succeeds: seen twice, answered once', async () => {
    const fresh = await newPage();
    const { href } = await pushed(oidc.randomPKCECodeVerifier());
    const script =
      plan.override[
        'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds'
      ]?.browser ?? [];
    const visits: Visits = new Map();
    const { length } = arrived;
    await follow(fresh, script, href, visits);
    expect(arrived).toHaveLength(length);
    await follow(fresh, script, href, visits);
    expect(arrived).toHaveLength(length + 1);
    // The suite ends the module at the first copy, before the answer.
    expect(JSON.stringify(script)).not.toContain('update-image-placeholder');
  });

  test('15: par-attempt-reuse-request_uri: answered, and then refused', async () => {
    const fresh = await newPage();
    const { href } = await pushed(oidc.randomPKCECodeVerifier());
    const script =
      plan.override['fapi2-security-profile-final-par-attempt-reuse-request_uri']?.browser ?? [];
    const visits: Visits = new Map();
    const { length } = arrived;
    await follow(fresh, script, href, visits);
    expect(arrived).toHaveLength(length + 1);
    await follow(fresh, script, href, visits);
    expect(await refusalOf(fresh)).toBe('invalid_request_uri');
  });

  test('15: par-attempt-to-use-request_uri-for-different-client: refused', async () => {
    const fresh = await newPage();
    const url = await pushed(oidc.randomPKCECodeVerifier());
    url.searchParams.set('client_id', plan.client2.client_id);
    const script =
      plan.override[
        'fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client'
      ]?.browser ?? [];
    await follow(fresh, script, url.href);
    expect(await refusalOf(fresh)).toMatch(/^invalid_request(_uri)?$/);
  });

  test('ensure-unsigned-authorization-request-without-using-par-fails: is told so at the suite', async () => {
    const module =
      'fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails';
    const { url } = authorization({ client_id: plan.client.client_id, state: 'there' });
    await follow(page, plan.override[module]?.browser ?? plan.browser, url);
    const answer = Object.fromEntries(arrived.at(-1)?.searchParams ?? []);
    expect(answer).toMatchObject({ error: 'invalid_request', state: 'there' });
  });

  test('happy-flow: tokens that are bound, and userinfo by them', async () => {
    const verifier = oidc.randomPKCECodeVerifier();
    await follow(page, plan.browser, (await pushed(verifier)).href);
    const tokens = await oidc.authorizationCodeGrant(
      config,
      arrived.at(-1) as URL,
      { pkceCodeVerifier: verifier, expectedState: 'there' },
      undefined,
      { DPoP },
    );
    expect(tokens.token_type).toBe('dpop');
    const sub = tokens.claims()?.sub as string;
    const told = await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP });
    expect(told.sub).toBe(sub);
  });
});

/** The clients of the CIBA plans, and the person whom they ask. */
describe('ciba-poll.json', () => {
  let plan: Configuration;
  let assertion: (claims: Record<string, string>, audience?: string) => Promise<string>;

  beforeAll(async () => {
    plan = await readPlan('ciba-poll.json');
    const [jwk] = plan.client.jwks?.keys ?? [];
    const key = await importJWK(jwk as JWK);
    const { client_id } = plan.client;
    assertion = (claims, audience = settings.issuer) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'PS256', kid: jwk?.kid as string })
        .setIssuer(client_id)
        .setAudience(audience)
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime('5m')
        .setJti(randomBytes(16).toString('hex'))
        .sign(key);
  });

  /** By the client, with its certificate, for the endpoint alone. */
  async function post(path: string, form: Record<string, string>) {
    const { hostname } = new URL(settings.issuer);
    const { ca } = profile.certificates;
    const connection = {
      url: `https://${hostname}:${settings.mtlsPort}${path}`,
      certificate: plan.mtls,
      ca: ca.cert,
    };
    return ask(connection, {
      form: {
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: await assertion({ sub: plan.client.client_id }, connection.url),
        ...form,
      },
    });
  }

  async function begin(): Promise<string> {
    const request = await assertion({
      scope: 'openid',
      login_hint: plan.client.hint_value as string,
      binding_message: '1234',
      acr_values: plan.client.acr_value as string,
    });
    const asked = await post('/ciba', { request });
    expect(asked.status).toBe(200);
    return String(asked.body.auth_req_id);
  }

  test.each([
    ['allow', 200, undefined],
    ['deny', 400, 'access_denied'],
  ])(
    '15: asked, and answered with %s, after one that nobody answers',
    async (action, status, error) => {
      await begin();
      const auth_req_id = await begin();
      const approval = plan.automated_ciba_approval_url
        ?.replace('{auth_req_id}', auth_req_id)
        .replace('{action}', action);
      const approved = await fetch(approval as string, { method: 'POST' });
      expect(await approved.text()).toBe('{}');
      const answer = await post('/token', {
        grant_type: 'urn:openid:params:grant-type:ciba',
        auth_req_id,
      });
      expect([answer.status, (answer.body as { error?: string }).error]).toEqual([status, error]);
    },
  );
});
