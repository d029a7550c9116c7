import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Ask, ask, enterPassword, redeem } from '../support/relying-party.ts';
import {
  startServer,
  type TestAccount,
  type TestServer,
  testPassword,
  totpCode,
} from '../support/server.ts';

/** What an app may ask of a person, and how it hints at who it means (OpenID Connect Core, section 3.1.2.1). */

let database: TestDatabase;
let server: TestServer;
let client: ClientCredentials;
let pairwise: ClientCredentials;
let ann: TestAccount;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(database);
  client = await server.createClient({ firstParty: true });
  pairwise = await server.createClient({ firstParty: true, subjectType: 'pairwise' });
  ann = await server.createAccount();
});

afterAll(async () => {
  await server.close();
  await database.drop();
});

async function signedIn(account: TestAccount = ann, of = client): Promise<Browser> {
  const browser = new Browser();
  const page = await enterPassword(browser, await browser.get(ask(server, of).url), account);
  expect(page.external).toBe(true);
  return browser;
}

const asking = (extra: Record<string, string | undefined>, of = client): Ask =>
  ask(server, of, extra);
const errorOf = (page: Page) => page.params.get('error');

/** Epoch seconds. */
const authTime = (tokens: { idToken: Record<string, unknown> }) =>
  tokens.idToken.auth_time as number;

/** Makes the sign-in of every session so many seconds older. */
const age = (seconds: number) =>
  database.db.pool.query(
    `update sessions set payload = payload || jsonb_build_object('loginTs', (payload->>'loginTs')::int - ${seconds})`,
  );

describe('prompt', () => {
  test('discovery names what there is, and nothing else is taken', async () => {
    const metadata = (await (
      await fetch(`${server.issuer}/.well-known/openid-configuration`)
    ).json()) as Record<string, string[]>;
    const values = ['none', 'login', 'consent', 'select_account', 'create'];
    expect(metadata.prompt_values_supported).toEqual(values);
    const browser = await signedIn();
    for (const prompt of values) {
      const page = await browser.get(asking({ prompt }).url);
      expect({ prompt, error: page.external ? errorOf(page) : null }).toEqual({
        prompt,
        error: null,
      });
    }
    for (const prompt of [
      'unknown',
      'LOGIN',
      'login unknown',
      'none login',
      'consent none',
      'none none login',
      'create select_account',
      '__proto__',
      'toString',
    ]) {
      const page = await browser.get(asking({ prompt }).url);
      expect({ prompt, error: errorOf(page), state: page.params.get('state') }).toEqual({
        prompt,
        error: 'invalid_request',
        state: 'the-state',
      });
    }
  });

  test('none: each thing that is missing has its own error, and no page', async () => {
    const nobody = new Browser();
    const somebody = await signedIn();
    const third = await server.createClient();
    const { idToken } = await redeemed(await signedIn(await server.createAccount()), {});
    await age(100);
    const acr = (values: object) => ({ claims: JSON.stringify({ id_token: { acr: values } }) });
    for (const [who, of, extra, error] of [
      [nobody, client, {}, 'login_required'],
      [somebody, third, {}, 'consent_required'],
      [somebody, client, { max_age: '99' }, 'login_required'],
      [somebody, client, { max_age: '0' }, 'login_required'],
      [somebody, client, { max_age: '1000' }, null],
      [somebody, client, { acr_values: 'urn:vouchsafe:acr:2fa' }, 'login_required'],
      [somebody, client, { acr_values: 'urn:vouchsafe:acr:1fa' }, null],
      [somebody, client, { acr_values: 'phr nothing-we-know' }, null],
      [
        somebody,
        client,
        acr({ essential: true, value: 'urn:vouchsafe:acr:2fa' }),
        'login_required',
      ],
      [somebody, client, acr({ essential: true, values: ['urn:vouchsafe:acr:1fa'] }), null],
      [
        somebody,
        client,
        acr({ essential: true, values: ['nothing-we-know'] }),
        'unmet_authentication_requirements',
      ],
      [somebody, client, acr({ value: 'nothing-we-know' }), null],
      [somebody, client, acr({ essential: true, values: [1] }), 'invalid_request'],
      [somebody, client, { id_token_hint: idToken }, 'login_required'],
    ] as const) {
      const page = await who.get(ask(server, of, { prompt: 'none', ...extra }).url);
      expect({ extra, external: page.external, error: errorOf(page) }).toEqual({
        extra,
        external: true,
        error,
      });
    }
  });

  test('login: the password is asked for anew, and the sign-in is a new one', async () => {
    const account = await server.createAccount({ totp: true });
    const browser = new Browser();
    const first = asking({});
    let page = await enterPassword(browser, await browser.get(first.url), account);
    page = await browser.submit(page, { code: await totpCode(account.seed as string) });
    const before = await redeem(server, client, first, page);
    await age(100);
    const again = asking({ prompt: 'login' });
    page = await browser.get(again.url);
    expect(page.text).toContain('Confirm it’s you');
    // Nobody gets past it with another page's answer.
    expect((await browser.get(again.url.replace('prompt=login', 'prompt=none'))).external).toBe(
      true,
    );
    page = await browser.submit(page, { password: 'wrong' });
    expect(page.status).toBe(400);
    page = await browser.submit(page, { password: account.password });
    page = await browser.submit(page, { code: await totpCode(account.seed as string, 1) });
    const after = await redeem(server, client, again, page);
    expect(authTime(after)).toBeGreaterThan(Date.now() / 1000 - 30);
    expect(authTime(before)).toBeLessThanOrEqual(authTime(after));
    expect(after.idToken).toMatchObject({
      sub: account.id,
      acr: 'urn:vouchsafe:acr:2fa',
      amr: expect.arrayContaining(['pwd', 'otp', 'mfa']),
    });
  });

  test('consent: the page is shown each time, also to an app of our own', async () => {
    const browser = await signedIn();
    for (const decision of ['allow', 'allow', 'deny']) {
      const page = await browser.get(asking({ prompt: 'consent' }).url);
      expect(page.text).toContain('use your account?');
      const done = await browser.submit(page, {}, decision);
      expect(errorOf(done)).toBe(decision === 'deny' ? 'access_denied' : null);
    }
  });

  test('select_account: the account is kept', async () => {
    const browser = await signedIn();
    const asked = asking({ prompt: 'select_account' });
    const page = await browser.get(asked.url);
    expect(page.text).toMatch(/You’re signed in as Imani Okoro/);
    expect(page.text).toContain(ann.email);
    const tokens = await redeem(server, client, asked, await browser.submit(page, {}));
    expect(tokens.idToken.sub).toBe(ann.id);
    // It was chosen for this request, and for no other.
    expect((await browser.get(asking({ prompt: 'select_account' }).url)).external).toBe(false);
  });

  test('select_account: another one is taken, and the first one is signed out', async () => {
    const browser = await signedIn();
    const bob = await server.createAccount();
    const asked = asking({ prompt: 'select_account' });
    let page = await browser.get(asked.url);
    page = await browser.get(page.link('Use another account'));
    page = await enterPassword(browser, page, bob);
    expect((await redeem(server, client, asked, page)).idToken.sub).toBe(bob.id);
    const silent = asking({ prompt: 'none' });
    const tokens = await redeem(server, client, silent, await browser.get(silent.url));
    expect(tokens.idToken.sub).toBe(bob.id);
  });

  test('select_account: where nobody is signed in, signing in is the choice', async () => {
    const browser = new Browser();
    const asked = asking({ prompt: 'select_account' });
    const page = await enterPassword(browser, await browser.get(asked.url), ann);
    expect((await redeem(server, client, asked, page)).idToken.sub).toBe(ann.id);
  });

  test('several: each is asked, once, and in an order that makes sense', async () => {
    const browser = await signedIn();
    const asked = asking({ prompt: 'consent login select_account' });
    let page = await browser.get(asked.url);
    expect(page.text).toContain('Choose an account');
    page = await browser.submit(page, {});
    expect(page.text).toContain('Confirm it’s you');
    page = await browser.submit(page, { password: ann.password });
    expect(page.text).toContain('use your account?');
    page = await browser.submit(page, {}, 'allow');
    expect((await redeem(server, client, asked, page)).idToken.sub).toBe(ann.id);
  });

  test('the choice of an account stands for no other page', async () => {
    const browser = await signedIn();
    const page = await browser.get(asking({ prompt: 'login' }).url);
    const path = page.url.replace(/\/(sign-in)?$/, '');
    const posted = await browser.post(`${path}/choose-account`, {});
    expect(posted.external).toBe(false);
    expect(posted.text).toContain('Confirm it’s you');
  });

  test('create: the registration opens, and leads to the app with the new account', async () => {
    const browser = new Browser();
    const asked = asking({ prompt: 'create', login_hint: 'new@example.com' });
    let page = await browser.get(asked.url);
    expect(page.text).toContain('Create an account to continue to Quillet');
    expect(page.html).toContain('value="new@example.com"');
    page = await browser.submit(page, { email: 'new@example.com', password: testPassword });
    const [mail] = await server.mails('new@example.com');
    page = await browser.submit(page, { code: mail?.code as string });
    const { idToken } = await redeem(server, client, asked, page);
    expect(idToken.sub).toMatch(/^u_/);
  });

  test('create: who has an account signs in; who is signed in may make another one', async () => {
    const asked = asking({ prompt: 'create' });
    const browser = new Browser();
    let page = await browser.get(asked.url);
    page = await enterPassword(browser, await browser.get(page.link('Sign in')), ann);
    expect((await redeem(server, client, asked, page)).idToken.sub).toBe(ann.id);
    page = await browser.get(asking({ prompt: 'create' }).url);
    expect(page.text).toContain('Create an account');
    expect(errorOf(await browser.get(asking({ prompt: 'create none' }).url))).toBe(
      'invalid_request',
    );
  });

  test('create: where nobody may register, it is neither named nor taken', async () => {
    const own = await createTestDatabase();
    const closed = await startServer(own, { REGISTRATION: 'false' });
    try {
      const metadata = (await (
        await fetch(`${closed.issuer}/.well-known/openid-configuration`)
      ).json()) as Record<string, string[]>;
      expect(metadata.prompt_values_supported).not.toContain('create');
      const app = await closed.createClient();
      const page = await new Browser().get(ask(closed, app, { prompt: 'create' }).url);
      expect(errorOf(page)).toBe('invalid_request');
    } finally {
      await closed.close();
      await own.drop();
    }
  });
});

async function redeemed(browser: Browser, extra: Record<string, string>, of = client) {
  const asked = asking(extra, of);
  const page = await browser.get(asked.url);
  const response = await fetch(`${server.issuer}/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${of.clientId}:${of.clientSecret}`).toString('base64')}`,
    },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: page.params.get('code') ?? '',
      code_verifier: asked.verifier,
      redirect_uri: 'https://app.example.com/callback',
    }),
  });
  const { id_token: idToken } = (await response.json()) as { id_token: string };
  return { idToken, claims: decodeJwt(idToken) };
}

describe('max_age', () => {
  test('an older sign-in is renewed, a younger one is not; the time is told either way', async () => {
    const browser = await signedIn();
    await age(50);
    const { claims } = await redeemed(browser, { max_age: '3600' });
    expect(claims.auth_time).toBeLessThan(Date.now() / 1000 - 49);
    for (const max_age of ['0', '1', '49']) {
      const asked = asking({ max_age });
      let page = await browser.get(asked.url);
      expect(page.text).toContain('Confirm it’s you');
      page = await browser.submit(page, { password: ann.password });
      const tokens = await redeem(server, client, asked, page);
      expect(authTime(tokens)).toBeGreaterThan(Date.now() / 1000 - 30);
      await age(50);
    }
  });

  test('what is no number of seconds is refused', async () => {
    const browser = await signedIn();
    for (const max_age of ['-1', '1.5', 'x', '9007199254740993', 'NaN', 'Infinity'])
      expect({ max_age, error: errorOf(await browser.get(asking({ max_age }).url)) }).toEqual({
        max_age,
        error: 'invalid_request',
      });
  });
});

describe('acr', () => {
  test('a person without a second factor sets one up where an app needs it', async () => {
    const browser = await signedIn(await server.createAccount());
    for (const extra of [
      { acr_values: 'urn:vouchsafe:acr:2fa urn:vouchsafe:acr:1fa' },
      {
        claims: JSON.stringify({
          id_token: { acr: { essential: true, values: ['urn:vouchsafe:acr:2fa'] } },
        }),
      },
    ]) {
      let page = await browser.get(asking(extra).url);
      expect(page.text).toContain('Confirm it’s you');
      page = await browser.submit(page, { password: testPassword });
      expect(page.text).toContain('Set up an authenticator app');
    }
  });

  test('the first of the values that we know is the one that counts', async () => {
    const browser = await signedIn();
    const { claims } = await redeemed(browser, {
      acr_values: 'nothing-we-know urn:vouchsafe:acr:1fa urn:vouchsafe:acr:2fa',
    });
    expect(claims.acr).toBe('urn:vouchsafe:acr:1fa');
  });
});

describe('login_hint', () => {
  test('an address is filled in, whether or not it has an account; anything else is not', async () => {
    const shown = async (login_hint: string) => {
      const page = await new Browser().get(asking({ login_hint }).url);
      return /id="email"[^>]*value="([^"]*)"/.exec(page.html)?.[1];
    };
    expect(await shown(ann.email)).toBe(ann.email);
    expect(await shown('nobody@example.com')).toBe('nobody@example.com');
    for (const hint of [
      'Imani',
      'a b@example.com',
      'x'.repeat(250) + '@e.org',
      '@',
      'a@b\u0007',
      'tel:+1',
    ])
      expect({ hint, shown: await shown(hint) }).toEqual({ hint, shown: '' });
    // But for the address, the two pages are one: who has an account shows nowhere.
    const bare = async (login_hint: string) => {
      const { html } = await new Browser().get(asking({ login_hint }).url);
      return html.replaceAll(login_hint, '').replace(/\/interaction\/[\w-]+/g, '');
    };
    expect(await bare('nobody@example.com')).toBe(await bare(ann.email));
  });

  test('it changes nobody’s account', async () => {
    const browser = await signedIn();
    const { claims } = await redeemed(browser, { login_hint: 'somebody.else@example.com' });
    expect(claims.sub).toBe(ann.id);
  });
});

describe('id_token_hint', () => {
  test('the person is meant, also when another one is signed in; pairwise subjects too', async () => {
    const bob = await server.createAccount();
    for (const app of [client, pairwise]) {
      const { idToken, claims } = await redeemed(await signedIn(ann, app), {}, app);
      const browser = await signedIn(bob, app);
      const silent = await browser.get(asking({ id_token_hint: idToken, prompt: 'none' }, app).url);
      expect(errorOf(silent)).toBe('login_required');
      // Bob signs in again: he is not the one that was asked for.
      let page = await browser.get(asking({ id_token_hint: idToken }, app).url);
      page = await enterPassword(browser, page, bob);
      expect(errorOf(page)).toBe('login_required');
      const asked = asking({ id_token_hint: idToken }, app);
      page = await enterPassword(browser, await browser.get(asked.url), ann);
      expect((await redeem(server, app, asked, page)).idToken.sub).toBe(claims.sub);
    }
  });

  test('one that has expired still says who is meant', async () => {
    const browser = await signedIn();
    const { idToken } = await redeemed(browser, {});
    const now = Date.now;
    try {
      Date.now = () => now() + 7_200_000;
      expect((decodeJwt(idToken).exp as number) * 1000).toBeLessThan(Date.now());
      const page = await browser.get(asking({ id_token_hint: idToken, prompt: 'none' }).url);
      expect({ error: errorOf(page), code: page.params.has('code') }).toEqual({
        error: null,
        code: true,
      });
    } finally {
      Date.now = now;
    }
  });

  test('a forged one, or another client’s, is refused', async () => {
    const browser = await signedIn();
    const { idToken } = await redeemed(browser, {});
    const { idToken: others } = await redeemed(await signedIn(ann, pairwise), {}, pairwise);
    const [header = '', payload = '', signature = ''] = idToken.split('.');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    const changed = Buffer.from(JSON.stringify({ ...decodeJwt(idToken), sub: 'u_x' })).toString(
      'base64url',
    );
    for (const hint of [
      others,
      `${header}.${changed}.${signature}`,
      `${none}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      'x',
      'a.b.c',
    ]) {
      const page = await browser.get(asking({ id_token_hint: hint }).url);
      expect({ hint, error: errorOf(page) }).toEqual({ hint, error: 'invalid_request' });
    }
  });
});

describe('response_mode=form_post', () => {
  test('the answer is a page that any browser can post; an error comes by it too', async () => {
    const browser = await signedIn();
    for (const [extra, fields, status] of [
      [{}, ['code', 'iss', 'state'], 200],
      [{ prompt: 'none', max_age: '0' }, ['error', 'error_description', 'iss', 'state'], 400],
    ] as const) {
      const page = await browser.get(asking({ response_mode: 'form_post', ...extra }).url);
      expect(page.status).toBe(status);
      const [form] = page.forms;
      expect(form?.action).toBe('https://app.example.com/callback');
      expect(form?.method).toBe('post');
      expect(Object.keys(Object.fromEntries(form?.fields ?? [])).sort()).toEqual(fields);
      // Without scripts there is a button; with them, a file of ours and nothing inline.
      expect(form?.buttons.map(({ text }) => text)).toEqual(['Continue']);
      expect(page.html).not.toMatch(/<script(?![^>]* src="\/assets\/)/);
      const csp = page.headers.get('content-security-policy') ?? '';
      expect(csp).toContain("default-src 'none'");
      expect(csp).toContain("script-src 'self'");
      expect(csp).not.toContain('unsafe-inline');
      // The form leads to the app: Chromium would hold its onward redirects against it.
      expect(csp).not.toContain('form-action');
      expect(page.headers.get('cache-control')).toBe('no-store');
    }
  });
});
