import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { BrowserEntry } from '../conformance/openid-foundation/pages.ts';
import { type Profile, startProfile } from '../conformance/openid-foundation/profile.ts';
import { readSettings, type Settings } from '../conformance/openid-foundation/settings.ts';
import { selfSigned } from '../support/certificates.ts';
import { launchBrowser } from '../support/pages-in-browser.ts';
import { freePort } from '../support/process.ts';
import { follow } from '../support/suite-browser.ts';

/**
 * The conformance profile (`npm run conformance`), as the OpenID Foundation's suite would find it: its browser script is
 * followed on our pages, to a stand-in for the suite that shows what the suite's own pages have.
 */

interface Configuration {
  readonly client: { readonly client_id: string; readonly client_secret?: string };
  readonly browser: readonly BrowserEntry[];
  readonly override: Readonly<Record<string, { readonly browser: readonly BrowserEntry[] }>>;
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
  await once(suite, 'listening');
  settings = readSettings({
    ISSUER: `https://localhost:${await freePort()}`,
    MTLS_PORT: String(await freePort()),
    CONFORMANCE_APPROVAL_PORT: String(await freePort()),
    CONFORMANCE_SUITE: `https://localhost:${(suite.address() as AddressInfo).port}/`,
    CONFORMANCE_FOLDER: folder,
  });
  profile = await startProfile(settings, { PATH: process.env.PATH, LOG_LEVEL: 'error' });
  configuration = JSON.parse(await readFile(join(folder, 'static.json'), 'utf8')) as Configuration;
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
  await profile.stop();
  suite.close();
  suite.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

async function newPage(): Promise<Page> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: false });
  return context.newPage();
}

interface Asked {
  readonly url: string;
  readonly verifier: string;
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

  test.each([
    ['oidcc-prompt-login', { prompt: 'login' }],
    ['oidcc-max-age-1', { max_age: '0' }],
  ])('%s: signs in again', async (module, parameters) => {
    const { length } = arrived;
    await follow(page, scriptFor(module), authorization(parameters).url);
    expect(arrived).toHaveLength(length + 1);
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

  test.each(['oidcc-rp-initiated-logout-no-params', 'oidcc-rp-initiated-logout-only-state'])(
    '%s: signs out, and stays here',
    async (module) => {
      const asked = authorization();
      await follow(page, scriptFor(module), asked.url);
      await follow(page, scriptFor(module), `${settings.issuer}/logout?state=x`);
      const answer = await page.goto(authorization({ prompt: 'none' }).url);
      expect(answer?.url()).toContain('error=login_required');
    },
  );

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

  test('oidcc-rp-initiated-logout-bad-post-logout-redirect-uri: ends at a page of ours', async () => {
    const module = 'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri';
    const asked = authorization();
    await follow(page, scriptFor(module), asked.url);
    const query = new URLSearchParams({
      id_token_hint: await idToken(asked),
      post_logout_redirect_uri: `${settings.suite}test/a/vouchsafe/elsewhere`,
    });
    await follow(page, scriptFor(module), `${settings.issuer}/logout?${query}`);
  });
});
