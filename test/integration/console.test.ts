import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { isActive, refresh, Seed, cookieOf } from '../support/protocol.ts';
import { ask, enterPassword, redeem, type Tokens } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer, totpCode } from '../support/server.ts';

let t: TestDatabase;
let server: TestServer;
let home: string;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  home = `${server.issuer}/account`;
});

afterAll(async () => {
  await server?.close();
  await t?.drop();
});

/** Signs in on the way to `url`, with every factor that the account has. */
async function signIn(account: TestAccount, url = home, browser = new Browser()) {
  let page = await enterPassword(browser, await browser.get(url), account);
  if (page.path.endsWith('/totp'))
    page = await browser.submit(page, { code: await totpCode(account.seed as string) });
  return { browser, page };
}

/** Signs in for an app, lets it in, and gives what it got. */
async function letIn(
  browser: Browser,
  account: TestAccount,
  client: Awaited<ReturnType<TestServer['createClient']>>,
  extra: Record<string, string> = {},
): Promise<Tokens> {
  const asked = ask(server, client, extra);
  let page = await browser.get(asked.url);
  if (page.title.startsWith('Sign in')) page = await enterPassword(browser, page, account);
  if (page.title.startsWith('Let ')) page = await browser.submit(page, {}, 'allow');
  return redeem(server, client, asked, page);
}

/** The `state` that the console has sent the browser away with. */
async function begin(browser: Browser, path = '/account'): Promise<string> {
  const away = await browser.once(`${server.issuer}${path}`);
  expect(away.status).toBe(303);
  return new URL(away.headers.get('location') as string).searchParams.get('state') as string;
}

const callback = (params: Record<string, string>) =>
  `${home}/signed-in?${new URLSearchParams(params).toString()}`;

describe('signing in to a console', () => {
  test('leads back to where one was going, and leaves nothing behind but the session', async () => {
    const account = await server.createAccount();
    const browser = new Browser();
    const away = await browser.once(`${home}?removed=nothing`);
    const target = new URL(away.headers.get('location') as string);
    expect(target.origin + target.pathname).toBe(`${server.issuer}/authorize`);
    expect(Object.fromEntries(target.searchParams)).toEqual({
      client_id: 'vouchsafe-account',
      response_type: 'none',
      redirect_uri: `${home}/signed-in`,
      scope: 'openid',
      state: expect.any(String),
    });
    const { page } = await signIn(account, `${home}?removed=nothing`, browser);
    expect(page.url).toBe(`${home}?removed=nothing`);
    expect(page.title).toBe('Your account · Vouchsafe');
    expect(page.text).toContain(account.email);
    expect(page.headers.get('cache-control')).toBe('no-store');

    const { kysely } = t.db;
    const clients = await kysely
      .selectFrom('session_clients')
      .select('client_id')
      .where('client_id', 'like', 'vouchsafe-%')
      .execute();
    const grants = await kysely
      .selectFrom('grants')
      .select('id')
      .where('account_id', '=', account.id)
      .execute();
    const consents = await kysely
      .selectFrom('consents')
      .select('id')
      .where('account_id', '=', account.id)
      .execute();
    const tokens = await kysely
      .selectFrom('tokens')
      .select('kind')
      .where('account_id', '=', account.id)
      .execute();
    expect([clients, grants, consents, tokens]).toEqual([[], [], [], []]);
    const sessions = await kysely
      .selectFrom('sessions')
      .select('ended_at')
      .where('account_id', '=', account.id)
      .execute();
    expect(sessions).toEqual([{ ended_at: null }]);
  });

  test('is one sign-in with the apps: who is signed in for one goes straight in', async () => {
    const account = await server.createAccount();
    const browser = new Browser();
    await letIn(browser, account, await server.createClient());
    const page = await browser.once(home);
    expect([page.status, page.title]).toEqual([200, 'Your account · Vouchsafe']);
  });

  test('the first page leads to the account', async () => {
    const answer = await new Browser().once(`${server.issuer}/`);
    expect([answer.status, answer.headers.get('location')]).toEqual([303, home]);
  });

  test('two windows come back each to its own place', async () => {
    const account = await server.createAccount();
    const browser = new Browser();
    const one = await browser.get(`${home}?one`);
    const two = await browser.get(`${home}?two`);
    expect((await enterPassword(browser, two, account)).url).toBe(`${home}?two`);
    // The first window's interaction began without a session, and goes on with the one that there is now.
    const page = await enterPassword(browser, one, account);
    expect([page.status, page.url]).toEqual([200, `${home}?one`]);
  });

  test('a disabled account is signed out at once, also where its session was not ended', async () => {
    const account = await server.createAccount();
    const { browser } = await signIn(account);
    await t.db.kysely
      .updateTable('accounts')
      .set({ disabled_at: new Date() })
      .where('id', '=', account.id)
      .execute();
    const away = await browser.get(home);
    expect(away.title).toBe('Sign in · Vouchsafe');
    const client = await server.createClient();
    const asked = await browser.get(ask(server, client).url);
    expect([asked.status, asked.title]).toEqual([
      200,
      'Sign in to continue to Quillet · Vouchsafe',
    ]);
    const silent = await browser.get(ask(server, client, { prompt: 'none' }).url);
    expect(silent.params.get('error')).toBe('login_required');
    const refused = await enterPassword(browser, away, account);
    expect(refused.title).toContain('Error: ');

    await t.db.kysely
      .updateTable('accounts')
      .set({ disabled_at: null })
      .where('id', '=', account.id)
      .execute();
    const other = await signIn(account);
    await server.services.accounts.setDisabled(account.id, true, 'test');
    expect((await other.browser.get(home)).title).toBe('Sign in · Vouchsafe');
  });

  test('an administrator needs two factors, whatever session there is', async () => {
    const account = await server.createAccount({ admin: true, totp: true });
    const { cookies } = await new Seed(t.db).signIn(account.id, undefined, server.issuer);
    const browser = new Browser();
    for (const [name, value] of cookies) browser.setCookie(name, value);
    const away = await browser.once(home);
    const target = new URL(away.headers.get('location') as string);
    expect(target.searchParams.get('acr_values')).toBe('urn:vouchsafe:acr:2fa');
    let page = await browser.get(home);
    expect(page.text).not.toContain('Connected apps');
    page = await browser.submit(page, { password: account.password });
    expect(page.title).toBe('Enter your code · Vouchsafe');
    page = await browser.submit(page, { code: await totpCode(account.seed as string) });
    expect([page.url, page.title]).toEqual([home, 'Your account · Vouchsafe']);
    expect(page.text).toContain('a code from Phone');
  });

  test('who signs in as an administrator sets a second factor up first', async () => {
    const account = await server.createAccount({ admin: true });
    const { page } = await signIn(account);
    expect(page.title).toBe('Set up an authenticator app · Vouchsafe');
  });

  test('a second factor is added by asking for one', async () => {
    const account = await server.createAccount();
    const { browser, page } = await signIn(account);
    let next = await browser.get(page.link('Set up an authenticator app'));
    if (next.title.startsWith('Confirm'))
      next = await browser.submit(next, { password: account.password });
    expect(next.title).toBe('Set up an authenticator app · Vouchsafe');
    const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(next.html)?.[1] ?? '').replaceAll(
      ' ',
      '',
    );
    next = await browser.submit(next, { code: await totpCode(seed), device_name: 'Tablet' });
    next = await browser.submit(next, { saved: 'yes' });
    expect(next.url).toBe(home);
    expect(next.text).toContain('a code from Tablet');
  });
});

describe('coming back', () => {
  const stopped = async (page: Page, title: string, status: number) => {
    expect([page.status, page.title]).toEqual([status, `${title} · Vouchsafe`]);
    expect(page.link('/account')).toBe(home);
  };

  test('only who left comes back: a foreign, missing, doubled or used state is stopped', async () => {
    const account = await server.createAccount();
    const { browser } = await signIn(account);
    const other = new Browser();
    const foreign = await begin(other);
    const unsure = 'We couldn’t confirm that this was you';
    for (const url of [
      callback({ state: foreign, iss: server.issuer }),
      callback({ iss: server.issuer }),
      `${home}/signed-in`,
      `${callback({ state: foreign, iss: server.issuer })}&state=${foreign}`,
    ]) {
      await stopped(await browser.get(url), unsure, 400);
    }
    browser.deleteCookies();
    const state = await begin(browser);
    await stopped(
      await browser.get(`${callback({ state, iss: server.issuer })}&state=${state}`),
      unsure,
      400,
    );
    await stopped(
      await browser.get(callback({ state, iss: 'https://elsewhere.example' })),
      unsure,
      400,
    );
    // That was its one use, though the answer was refused.
    await stopped(await browser.get(callback({ state, iss: server.issuer })), unsure, 400);

    const replayed = await begin(browser);
    const there = callback({ state: replayed, iss: server.issuer });
    await signIn(account, home, browser);
    expect((await browser.once(there)).status).toBe(303);
    await stopped(await browser.get(there), unsure, 400);
  });

  test('the cookie is signed, and of one browser', async () => {
    const browser = new Browser();
    const state = await begin(browser);
    const cookie = browser.cookies()[cookieOf(server.issuer, 'console')] as string;
    const [pending] = JSON.parse(Buffer.from(cookie, 'base64url').toString()) as [
      Record<string, unknown>,
    ];
    expect(pending).toMatchObject({ state, returnTo: '/account' });
    browser.setCookie(
      cookieOf(server.issuer, 'console'),
      Buffer.from(JSON.stringify([{ ...pending, returnTo: '//evil.example' }])).toString(
        'base64url',
      ),
    );
    await stopped(
      await browser.get(callback({ state, iss: server.issuer })),
      'We couldn’t confirm that this was you',
      400,
    );
  });

  test('who comes back without a session, or with an error, sees a page and goes round no circle', async () => {
    const browser = new Browser();
    const none = callback({ state: await begin(browser), iss: server.issuer });
    await stopped(await browser.get(none), 'You’re not signed in', 403);
    for (const [error, title, status] of [
      ['access_denied', 'You’re not signed in', 403],
      ['unmet_authentication_requirements', 'You’re not signed in', 403],
      ['<script>', 'You’re not signed in', 403],
      ['temporarily_unavailable', 'We’ll be back in a moment', 503],
      ['server_error', 'Something went wrong on our side', 500],
    ] as const) {
      const page = await browser.get(
        callback({ error, state: await begin(browser), iss: server.issuer }),
      );
      await stopped(page, title, status);
      expect(page.html).not.toContain('<script>');
    }
  });

  test('34: a user who stops a step that a page wanted is told that they are still signed in', async () => {
    const account = await server.createAccount();
    const { browser } = await signIn(account);
    const state = await begin(browser, '/account/second-factor');
    await stopped(
      await browser.get(callback({ error: 'access_denied', state, iss: server.issuer })),
      'Nothing has changed',
      403,
    );
    expect((await browser.once(home)).status).toBe(200);
    // A forged answer to the step-up lifts nothing.
    const again = await begin(browser, '/account/second-factor');
    await stopped(
      await browser.get(callback({ state: again, iss: server.issuer })),
      'Nothing has changed',
      403,
    );
  });

  test('nothing leads out of the server', async () => {
    const account = await server.createAccount();
    for (const path of [
      '//evil.example/account',
      '/\\evil.example/account',
      '/account//evil.example',
      '/account/..//evil.example',
      '/%2f%2fevil.example',
      '/account@evil.example',
    ]) {
      const page = await new Browser().once(`${server.issuer}${path}`);
      const location = page.headers.get('location');
      expect([path, location === null || new URL(location, server.issuer).origin]).toEqual([
        path,
        location === null || server.issuer,
      ]);
    }
    for (const query of [
      '?return_to=https://evil.example',
      '?//evil.example',
      '?returnTo=//evil.example&redirect_uri=https://evil.example',
      '?%0d%0aLocation:%20https://evil.example',
    ]) {
      const { page } = await signIn(account, `${home}${query}`);
      expect(page.external).toBe(false);
      expect(page.url).toBe(`${home}${query}`);
    }
    // Too long to be kept: then it is the console's first page.
    const { page } = await signIn(account, `${home}?${'x'.repeat(2_000)}`);
    expect(page.url).toBe(home);
  });

  test('an issuer with https and a path keeps its cookies to itself', async () => {
    const port = String(new URL((await startedElsewhere()).local).port);
    const answer = await fetch(`http://localhost:${port}/id/account?x`, { redirect: 'manual' });
    expect(answer.headers.get('location')).toMatch(/^https:\/\/id\.example\.com\/id\/authorize\?/);
    for (const line of answer.headers.getSetCookie())
      expect(line).toMatch(
        /^__Host-vs_console(\.sig)?=.*; path=\/; expires=.*; samesite=lax; secure; httponly$/,
      );
    expect(answer.headers.getSetCookie()).toHaveLength(2);
  });
});

const elsewhere: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(elsewhere.map((close) => close())));

/** A server behind a public address, as it is reached from this machine. */
async function startedElsewhere(env: Record<string, string> = {}): Promise<{ local: string }> {
  const { createServer } = await import('node:net');
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const started = await startServer(t, {
    PORT: String(port),
    HOST: '127.0.0.1',
    ISSUER: 'https://id.example.com/id',
    ...env,
  });
  elsewhere.push(() => started.close());
  return { local: `http://localhost:${port}` };
}

describe('connected apps', () => {
  const identifier = 'https://api.example.com';
  const createApp = (name = 'Quillet') =>
    server.createClient({
      name,
      apis: [{ identifier, scopes: ['invoices:read', 'invoices:write'] }],
    });
  const everything = {
    scope: 'openid profile email offline_access invoices:read invoices:write',
    resource: identifier,
  };

  let api: { clientId: string; clientSecret: string | undefined };
  beforeAll(async () => {
    api = await server.createApi(identifier);
    const client = await createApp();
    const { url } = ask(server, client, { ...everything, prompt: 'none' });
    // Another process made it: this server learns of it within two seconds.
    await until(
      async () => (await new Browser().get(url)).params.get('error') === 'login_required',
    );
  });
  test('show what was decided', async () => {
    const account = await server.createAccount();
    const browser = new Browser();
    await letIn(browser, account, await createApp('Quillet <b>'), everything);
    const page = await browser.get(home);
    expect(page.html).toContain('<bdi>Quillet &lt;b&gt;</bdi>');
    for (const words of [
      'app.example.com',
      'not verified',
      'know',
      'your name',
      'your email',
      'In Invoices',
      'use your invoices',
      'connected while you’re not using it',
      'loses access at once',
    ]) {
      expect(page.text).toContain(words);
    }
  });

  test('one that is removed has nothing left, and must ask anew', async () => {
    const account = await server.createAccount();
    const client = await createApp();
    const browser = new Browser();
    const tokens = await letIn(browser, account, client, everything);
    const elsewhere = new Browser();
    const more = await letIn(elsewhere, account, client, everything);
    for (const one of [tokens, more])
      expect(await isActive(server.issuer, api, one.access_token)).toBe(true);

    const page = await browser.submit(await browser.get(home), {}, 'Yes, remove Quillet');
    expect([page.status, page.path]).toEqual([200, '/account']);
    expect(page.text).toContain('Quillet is removed.');
    expect(page.text).toContain('No connected apps yet');
    for (const one of [tokens, more]) {
      expect(await isActive(server.issuer, api, one.access_token)).toBe(false);
      const refused = await refresh(server.issuer, client, one.refresh_token as string);
      expect([refused.status, refused.body.error]).toEqual([400, 'invalid_grant']);
    }
    const events = await t.db.kysely
      .selectFrom('audit_events')
      .select(['type', 'client_id', 'request_id'])
      .where('account_id', '=', account.id)
      .where('type', '=', 'consent.removed')
      .execute();
    expect(events).toEqual([
      { type: 'consent.removed', client_id: client.clientId, request_id: expect.any(String) },
    ]);

    const silent = await browser.get(ask(server, client, { ...everything, prompt: 'none' }).url);
    expect(silent.params.get('error')).toBe('consent_required');
    const asked = await browser.get(ask(server, client, everything).url);
    expect(asked.title).toContain('Let Quillet use your account?');
    // It is not said of an app that may use the account again.
    await letIn(browser, account, client, everything);
    expect((await browser.get(page.url)).text).not.toContain('is removed');
  });

  test('another person’s are out of reach, and what is not there does no harm', async () => {
    const owner = await server.createAccount();
    const client = await createApp();
    const tokens = await letIn(new Browser(), owner, client, everything);
    const { browser } = await signIn(await server.createAccount());
    for (const id of [
      client.clientId,
      'c_unknown',
      'vouchsafe-account',
      '%00',
      '..%2F..',
      'x'.repeat(3_000),
    ]) {
      const page = await browser.post(`${home}/apps/${id}/remove`, {});
      expect([id, page.status, page.path]).toEqual([id, 200, '/account']);
      expect(page.text).not.toContain('is removed');
    }
    // What is no name at all, or is spelled otherwise, is no address.
    for (const id of ['%ff', '..%2f..'])
      expect((await browser.post(`${home}/apps/${id}/remove`, {})).status).toBe(404);
    expect(await isActive(server.issuer, api, tokens.access_token)).toBe(true);
    const consents = await t.db.kysely
      .selectFrom('consents')
      .select('client_id')
      .where('account_id', '=', owner.id)
      .execute();
    expect(consents).toEqual([{ client_id: client.clientId }]);
  });

  test('another site’s page removes nothing and signs nobody out', async () => {
    const account = await server.createAccount();
    const client = await createApp();
    const browser = new Browser();
    const tokens = await letIn(browser, account, client, everything);
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
    ]) {
      for (const path of [`/apps/${client.clientId}/remove`, '/sign-out']) {
        browser.headers = headers;
        expect((await browser.post(`${home}${path}`, {})).status).toBe(403);
      }
    }
    browser.headers = {};
    expect((await browser.once(home)).status).toBe(200);
    expect(await isActive(server.issuer, api, tokens.access_token)).toBe(true);
    expect((await browser.once(`${home}/apps/${client.clientId}/remove`)).status).toBe(405);
  });

  test('a post without a session signs in, lands on the page, and is not repeated', async () => {
    const account = await server.createAccount();
    const client = await createApp();
    const browser = new Browser();
    const tokens = await letIn(browser, account, client, everything);
    browser.deleteCookies();
    const signInPage = await browser.post(`${home}/apps/${client.clientId}/remove`, {});
    expect(signInPage.title).toBe('Sign in · Vouchsafe');
    const page = await enterPassword(browser, signInPage, account);
    expect(page.url).toBe(home);
    expect(page.text).toContain('Quillet');
    expect(await isActive(server.issuer, api, tokens.access_token)).toBe(true);
  });
});

describe('signing out', () => {
  test('ends the session and the tokens that are bound to it, and keeps the others', async () => {
    const account = await server.createAccount();
    const [bound, kept] = await Promise.all([
      server.createClient({ name: 'Bound' }),
      server.createClient({ name: 'Kept' }),
    ]);
    const browser = new Browser();
    const session = await letIn(browser, account, bound, { scope: 'openid email' });
    const offline = await letIn(browser, account, kept, { scope: 'openid email offline_access' });
    const before = browser.clone();

    const page = await browser.submit(await browser.get(home), {}, 'Sign out');
    expect([page.status, page.title]).toEqual([200, 'You’re signed out · Vouchsafe']);
    expect(page.link('/account')).toBe(home);
    expect(browser.cookies()).not.toHaveProperty(cookieOf(server.issuer, 'session'));
    expect(await isActive(server.issuer, bound, session.access_token)).toBe(false);
    expect(await isActive(server.issuer, kept, offline.access_token)).toBe(true);
    expect((await refresh(server.issuer, kept, offline.refresh_token as string)).status).toBe(200);
    // The old cookie is worth nothing.
    expect((await before.get(home)).title).toBe('Sign in · Vouchsafe');
    const ended = await t.db.kysely
      .selectFrom('audit_events')
      .select('outcome')
      .where('account_id', '=', account.id)
      .where('type', '=', 'session.ended')
      .execute();
    expect(ended).toHaveLength(1);
    // Doing it again is no dead end.
    const again = await before.post(`${home}/sign-out`, {});
    expect(again.title).toBe('You’re signed out · Vouchsafe');
  });
});

describe('mails kept here', () => {
  test('are shown to this machine alone', async () => {
    const url = `${server.issuer}/dev/mail`;
    const browser = new Browser();
    expect([
      (await browser.get(url)).status,
      (await browser.get(url.replace('localhost', '127.0.0.1'))).status,
    ]).toEqual([200, 200]);
    for (const headers of [
      { 'x-forwarded-for': '127.0.0.1' },
      { forwarded: 'for=127.0.0.1' },
      { 'x-real-ip': '127.0.0.1' },
      { via: '1.1 proxy' },
    ]) {
      browser.headers = headers as Record<string, string>;
      expect((await browser.get(url)).status).toBe(404);
    }
    const rebound = await asHost('evil.example', url);
    expect(rebound).toBe(404);
  });

  test('are not there where the server has a public issuer, sends mail, or listens to others', async () => {
    const { local } = await startedElsewhere();
    expect((await fetch(`${local}/id/dev/mail`)).status).toBe(404);
    const sending = await startServer(t, { SMTP_URL: 'smtp://127.0.0.1:1' });
    const open = await startServer(t, { HOST: '127.0.0.1' });
    for (const one of [sending, open]) {
      expect((await fetch(`${one.issuer}/dev/mail`)).status).toBe(404);
      await one.close();
    }
  });
});

/** A request with a host of one's own choice, which `fetch` doesn't allow. */
async function asHost(host: string, url: string): Promise<number | undefined> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    request(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}
