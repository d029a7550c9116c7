import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { type Ask, ask, enterPassword, redeem } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer } from '../support/server.ts';

const invoices = 'https://invoices.example.com';
const letters = 'https://letters.example.com';

let t: TestDatabase;
let server: TestServer;
let client: ClientCredentials;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  await server.createApi(invoices, {
    'invoices:read': 'see: your invoices, and who they are for',
    'invoices:write': 'change: your invoices',
    'invoices:secret': 'what is not open to this app',
  });
  await server.createApi(letters, { read: 'your letters', write: 'your letters' });
  client = await server.createClient({
    apis: [
      { identifier: invoices, scopes: ['invoices:read', 'invoices:write'] },
      { identifier: letters, scopes: ['read', 'write'] },
    ],
  });
});

afterAll(async () => {
  await server.close();
  await t.drop();
});

interface AtConsent {
  readonly account: TestAccount;
  readonly browser: Browser;
  readonly asked: Ask;
  readonly page: Page;
}

async function atConsent(
  extra: Record<string, string | undefined> = {},
  given?: { account: TestAccount; browser: Browser },
  app = client,
): Promise<AtConsent> {
  const account = given?.account ?? (await server.createAccount());
  const browser = given?.browser ?? new Browser();
  const asked = ask(server, app, extra);
  let page = await browser.get(asked.url);
  if (page.title.includes('Sign in')) page = await enterPassword(browser, page, account);
  return { account, browser, asked, page };
}

const boxes = (page: Page) =>
  page.forms[0]?.fields.map(([name, value]) => `${name}=${value}`).toSorted();

async function consentOf(account: TestAccount, app = client) {
  return t.db.kysely
    .selectFrom('consents')
    .select(['granted', 'rejected', 'version'])
    .where('account_id', '=', account.id)
    .where('client_id', '=', app.clientId)
    .executeTakeFirst();
}

async function userinfo(accessToken: string) {
  return (await (
    await fetch(`${server.issuer}/userinfo`, {
      headers: { authorization: `Bearer ${accessToken}` },
    })
  ).json()) as Record<string, unknown>;
}

test('identity: the exact values, each with a box that is ticked; what is posted as it stands is allowed', async () => {
  const { account, browser, asked, page } = await atConsent({ scope: 'openid profile email' });
  expect(page.text).toContain('Imani Okoro');
  expect(page.text).toContain(account.email);
  expect(boxes(page)).toEqual([
    'claim=email',
    'claim=email_verified',
    'claim=locale',
    'claim=name',
    'claim=updated_at',
  ]);
  const tokens = await redeem(server, client, asked, await browser.submit(page, {}, 'allow'));
  expect(await userinfo(tokens.access_token)).toMatchObject({
    sub: account.id,
    name: 'Imani Okoro',
    email: account.email,
    email_verified: true,
  });
  expect(await consentOf(account)).toMatchObject({
    granted: { scopes: ['openid', 'profile', 'email'] },
    rejected: { scopes: [], claims: [] },
    version: 1,
  });
});

test('trimmed: what is unticked is not given, and not asked for again', async () => {
  const { account, browser, asked, page } = await atConsent({ scope: 'openid profile email' });
  const tokens = await redeem(
    server,
    client,
    asked,
    await browser.submit(page, { claim: ['name'] }, 'allow'),
  );
  const claims = await userinfo(tokens.access_token);
  expect(claims).toEqual({ sub: account.id, name: 'Imani Okoro' });
  expect(await consentOf(account)).toMatchObject({
    granted: { scopes: ['openid', 'profile'], claims: ['name'] },
    rejected: { scopes: ['email'] },
  });
  const again = await browser.get(ask(server, client, { scope: 'openid profile email' }).url);
  expect(again.params.get('code')).toEqual(expect.any(String));
});

test('single claims: an essential one is told, a voluntary one has a box', async () => {
  const claims = JSON.stringify({
    userinfo: { email: { essential: true }, name: null, constructor: null, phone_number: null },
    id_token: { auth_time: { essential: true } },
  });
  const { account, browser, asked, page } = await atConsent({ claims });
  expect(boxes(page)).toEqual(['claim=name']);
  expect(page.text).toContain(account.email);
  const tokens = await redeem(
    server,
    client,
    asked,
    await browser.submit(page, { claim: undefined }, 'allow'),
  );
  expect(await userinfo(tokens.access_token)).toEqual({ sub: account.id, email: account.email });
});

test('36: an API’s scopes in its own verbs and words, under its name', async () => {
  const { account, browser, asked, page } = await atConsent({
    scope: 'openid invoices:read invoices:write invoices:secret',
    resource: invoices,
  });
  expect(boxes(page)).toEqual(['scope=invoices:read', 'scope=invoices:write']);
  expect(page.text).toContain(
    'In Invoices see your invoices, and who they are for change your invoices',
  );
  expect(page.text).not.toContain('not open to this app');
  const tokens = await redeem(
    server,
    client,
    asked,
    await browser.submit(page, { scope: 'invoices:read' }, 'allow'),
  );
  expect(tokens.scope.split(' ')).toContain('invoices:read');
  expect(tokens.scope).not.toContain('write');
  expect(await consentOf(account)).toMatchObject({
    granted: { resources: { [invoices]: ['invoices:read'] } },
    rejected: { resources: { [invoices]: ['invoices:write'] } },
  });
});

test('36: a scope without a verb, of an earlier release, is said with "use"; nothing is guessed', async () => {
  const { page } = await atConsent({ scope: 'openid read write', resource: letters });
  expect(page.text).toContain('use your letters');
  expect(page.text).not.toMatch(/\b(see|change) your letters/);
});

test('36: ticks that were taken away are still away after a post that decides nothing', async () => {
  const { browser, page } = await atConsent({ scope: 'openid profile email offline_access' });
  const undecided = await browser.submit(page, { claim: ['name', 'email'], scope: undefined });
  expect(undecided.status).toBe(400);
  expect(boxes(undecided)).toEqual(['claim=email', 'claim=name']);
});

test('34: going back after Allow says that it is done, not that it was left too long', async () => {
  const { browser, page } = await atConsent({ scope: 'openid email' });
  expect((await browser.submit(page, {}, 'allow')).external).toBe(true);
  const back = await browser.get(page.url);
  expect([back.status, back.title]).toEqual([410, 'You’ve already finished this step · Vouchsafe']);
  expect(back.text).not.toContain('expired');
  expect(back.text).not.toContain('Nothing was shared');
  // And so does the page before it.
  expect((await browser.get(back.link('Start again'))).external).toBe(true);
  // Pressed once more, it leads on to the app with a code of its own.
  expect((await browser.submit(page, {}, 'allow')).params.get('code')).toEqual(expect.any(String));
});

test('only what is new is asked when an app asks for more; the rest is told', async () => {
  const first = await atConsent({ scope: 'openid email invoices:read', resource: invoices });
  await first.browser.submit(first.page, {}, 'allow');
  const { page, browser, account } = await atConsent(
    { scope: 'openid email invoices:read invoices:write', resource: invoices },
    first,
  );
  expect(page.title).toContain('Quillet asks for more');
  expect(boxes(page)).toEqual(['scope=invoices:write']);
  expect(page.text).toContain('What you’ve already allowed');
  expect(page.text).toContain('see your invoices, and who they are for');
  await browser.submit(page, {}, 'allow');
  expect(await consentOf(account)).toMatchObject({
    granted: {
      scopes: ['openid', 'email'],
      resources: { [invoices]: ['invoices:read', 'invoices:write'] },
    },
    version: 2,
  });
  // With prompt=consent all of it is asked again.
  const all = await atConsent(
    { scope: 'openid email invoices:read invoices:write', resource: invoices, prompt: 'consent' },
    first,
  );
  expect(boxes(all.page)).toEqual([
    'claim=email',
    'claim=email_verified',
    'scope=invoices:read',
    'scope=invoices:write',
  ]);
});

test('what is taken back at prompt=consent is taken from the families too', async () => {
  const first = await atConsent({
    scope: 'openid invoices:read invoices:write',
    resource: invoices,
  });
  const before = await redeem(
    server,
    client,
    first.asked,
    await first.browser.submit(first.page, {}, 'allow'),
  );
  const again = await atConsent(
    { scope: 'openid invoices:read invoices:write', resource: invoices, prompt: 'consent' },
    first,
  );
  const after = await redeem(
    server,
    client,
    again.asked,
    await again.browser.submit(again.page, { scope: 'invoices:read' }, 'allow'),
  );
  expect(after.scope).not.toContain('write');
  const introspected = async (token: string) => {
    const authorization = `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`;
    return (await (
      await fetch(`${server.issuer}/introspect`, {
        method: 'POST',
        headers: { authorization },
        body: new URLSearchParams({ token }),
      })
    ).json()) as { active: boolean };
  };
  expect((await introspected(before.access_token)).active).toBe(false);
  expect((await introspected(after.access_token)).active).toBe(true);
});

test('staying connected is a row of its own; unticked, there is no refresh token', async () => {
  const asking = { scope: 'openid offline_access', prompt: 'consent' };
  const { browser, asked, page, account } = await atConsent(asking);
  expect(boxes(page)).toEqual(['scope=offline_access']);
  expect(page.text).toContain('connected while you’re not using it');
  const tokens = await redeem(
    server,
    client,
    asked,
    await browser.submit(page, { scope: undefined }, 'allow'),
  );
  expect(tokens.refresh_token).toBeUndefined();
  expect(await consentOf(account)).toMatchObject({ rejected: { scopes: ['offline_access'] } });
  const again = await atConsent(asking, { account, browser });
  const more = await redeem(
    server,
    client,
    again.asked,
    await again.browser.submit(again.page, {}, 'allow'),
  );
  expect(more.refresh_token).toEqual(expect.any(String));
});

test('the first button denies: back to the app, nothing kept', async () => {
  const { account, browser, page } = await atConsent({ scope: 'openid email' });
  expect(page.forms[0]?.buttons.map(({ value }) => value)).toEqual(['deny', 'allow']);
  const back = await browser.submit(page, {}, 'deny');
  expect(Object.fromEntries(back.params)).toMatchObject({
    error: 'access_denied',
    state: 'the-state',
    iss: server.issuer,
  });
  expect(await consentOf(account)).toBeUndefined();
  const audit = await t.db.kysely
    .selectFrom('audit_events')
    .select(['type', 'outcome'])
    .where('account_id', '=', account.id)
    .where('type', 'like', 'consent%')
    .execute();
  expect(audit).toEqual([{ type: 'consent.denied', outcome: 'refused' }]);
  // It may ask again.
  expect((await browser.get(ask(server, client, { scope: 'openid email' }).url)).title).toContain(
    'Let Quillet',
  );
});

test('a post that names no button decides nothing', async () => {
  const { account, browser, page } = await atConsent();
  for (const fields of [{}, { decision: '' }, { decision: 'maybe' }] as Record<string, string>[]) {
    const again = await browser.submit(page, fields);
    expect(again.status).toBe(400);
    expect(again.text).toContain('Nothing is decided yet');
    expect(again.title).toContain('Error');
  }
  expect(await consentOf(account)).toBeUndefined();
});

test('what was not offered is not given, whatever is posted', async () => {
  const { account, browser, asked, page } = await atConsent({
    scope: 'openid invoices:read',
    resource: invoices,
  });
  const forged = {
    scope: [
      'invoices:read',
      'invoices:write',
      'invoices:secret',
      'offline_access',
      'email',
      'openid',
      `write ${letters}`,
      '__proto__',
    ],
    claim: ['email', 'name', 'constructor'],
  };
  const tokens = await redeem(server, client, asked, await browser.submit(page, forged, 'allow'));
  expect(tokens.scope).toBe('invoices:read');
  expect(await consentOf(account)).toEqual({
    granted: { scopes: ['openid'], claims: [], resources: { [invoices]: ['invoices:read'] } },
    rejected: { scopes: [], claims: [], resources: {} },
    version: 1,
  });
});

test('one scope name at two APIs is two questions', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client, { scope: 'openid read invoices:read' });
  const url = `${asked.url}&resource=${encodeURIComponent(letters)}&resource=${encodeURIComponent(invoices)}`;
  const page = await enterPassword(browser, await browser.get(url), account);
  expect(boxes(page)).toEqual([`scope=invoices:read ${invoices}`, `scope=read ${letters}`]);
  await browser.submit(page, { scope: `read ${letters}` }, 'allow');
  expect(await consentOf(account)).toMatchObject({
    granted: { resources: { [letters]: ['read'] } },
    rejected: { resources: { [invoices]: ['invoices:read'] } },
  });
});

test('the consent of one interaction is not the consent of another', async () => {
  const mine = await atConsent({ scope: 'openid email' });
  const theirs = await atConsent({ scope: 'openid email' });
  const refused = await mine.browser.post(theirs.browser.filled(theirs.page, {}).action, {
    decision: 'allow',
  });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('This started in another browser');
  expect(await consentOf(theirs.account)).toBeUndefined();
  expect(await consentOf(mine.account)).toBeUndefined();
});

test('a consent page whose session has ended decides nothing', async () => {
  const { account, browser, page } = await atConsent();
  await t.db.kysely
    .updateTable('sessions')
    .set({ ended_at: new Date() })
    .where('account_id', '=', account.id)
    .execute();
  const again = await browser.submit(page, {}, 'allow');
  expect(again.title).toContain('Sign in');
  expect(again.text).toContain('We’ve started it again');
  expect(await consentOf(account)).toBeUndefined();
});

test('allowed in two tabs at once: one consent, no failure', async () => {
  const { account, browser, page } = await atConsent({ scope: 'openid email' });
  const other = await browser.get(ask(server, client, { scope: 'openid profile' }).url);
  const tabs = [browser.clone(), browser.clone(), browser.clone()];
  const answers = await Promise.all([
    tabs[0]?.submit(page, {}, 'allow'),
    tabs[1]?.submit(other, {}, 'allow'),
    tabs[2]?.submit(page, {}, 'allow'),
  ]);
  for (const answer of answers) expect(answer?.status).toBeLessThan(500);
  expect(await consentOf(account)).toMatchObject({
    granted: { scopes: expect.arrayContaining(['openid', 'email', 'profile']) },
  });
});

test('an app on the person’s own machine is shown as such, each time', async () => {
  const native = await server.createClient({
    name: 'Pebble',
    type: 'native',
    redirectUris: ['http://127.0.0.1/callback'],
  });
  const redirect = { redirect_uri: 'http://127.0.0.1:50123/callback' };
  const { account, browser, page } = await atConsent(
    { ...redirect, scope: 'openid email' },
    undefined,
    native,
  );
  expect(page.text).toContain('It runs on this device');
  expect((await browser.submit(page, {}, 'allow')).url).toMatch(
    /^http:\/\/127\.0\.0\.1:50123\/callback\?code=/,
  );
  const again = await atConsent(redirect, { account, browser }, native);
  expect(again.page.title).toContain('Let Pebble use your account?');
  expect(
    (await browser.get(ask(server, native, { ...redirect, prompt: 'none' }).url)).params.get(
      'error',
    ),
  ).toBe('consent_required');
});

test('an app that nobody has checked says so; a verified one names its developer', async () => {
  const unknown = await atConsent();
  expect(unknown.page.text).toContain('Not verified.');
  const verified = await server.createClient({
    name: 'Heron',
    verified: true,
    developer: 'Heron Photos Ltd',
  });
  const { page } = await atConsent({}, undefined, verified);
  expect(page.text).not.toContain('Not verified.');
  expect(page.text).toContain('Heron Photos Ltd');
});

test('a confidential app of our own is not asked about, a public one is', async () => {
  const ours = await server.createClient({ name: 'House', firstParty: true });
  const { page } = await atConsent({ scope: 'openid email' }, undefined, ours);
  expect(page.params.get('code')).toEqual(expect.any(String));
  const spa = await server.createClient({ name: 'Spa', type: 'spa' });
  const asked = await atConsent({ scope: 'openid email' }, undefined, spa);
  expect(asked.page.title).toContain('Let Spa');
});

test('removed: the consent is gone, its tokens are dead, and the app must ask again', async () => {
  const { account, browser, asked, page } = await atConsent({
    scope: 'openid offline_access',
    prompt: 'consent',
  });
  const tokens = await redeem(server, client, asked, await browser.submit(page, {}, 'allow'));
  expect(await server.services.consents.listForAccount(account.id)).toMatchObject([
    { clientId: client.clientId, version: 1 },
  ]);
  expect(await server.services.consents.remove(account.id, client.clientId)).toBe(true);
  expect(await server.services.consents.remove(account.id, client.clientId)).toBe(false);
  const authorization = `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`;
  const refreshed = await fetch(`${server.issuer}/token`, {
    method: 'POST',
    headers: { authorization },
    body: new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token as string,
    }),
  });
  expect(await refreshed.json()).toMatchObject({ error: 'invalid_grant' });
  expect((await browser.get(ask(server, client).url)).title).toContain('Let Quillet');
});

test('ten thousand scopes are no burden', async () => {
  const scope = `openid ${Array.from({ length: 1_500 }, (_, i) => `s${i}`).join(' ')}`;
  const { page } = await atConsent({ scope, resource: invoices });
  expect(page.status).toBe(200);
  expect(boxes(page)).toEqual([]);
});

test('taken back while the app gets its code: the code is worth nothing', async () => {
  for (const race of ['remove', 'narrow'] as const) {
    const { account, browser, page } = await atConsent({ scope: 'openid email' });
    await browser.submit(page, {}, 'allow');
    // Signed in elsewhere, where the app has no family yet: it is given one by the consent.
    const firstParty = await server.createClient({ name: 'House', firstParty: true });
    const elsewhere = await atConsent({}, { account, browser: new Browser() }, firstParty);
    const asked = ask(server, client, { scope: 'openid email' });
    let answer: Promise<Page> | undefined;
    await t.db.transaction(async (db) => {
      const families = db
        .updateTable('grants')
        .set({ revoked_at: new Date() })
        .where('account_id', '=', account.id);
      if (race === 'remove')
        await db.deleteFrom('consents').where('account_id', '=', account.id).execute();
      else
        await db
          .updateTable('consents')
          .set({
            version: 2,
            granted: JSON.stringify({ scopes: ['openid'], claims: [], resources: {} }),
            rejected: JSON.stringify({
              scopes: ['email'],
              claims: ['email', 'email_verified'],
              resources: {},
            }),
          })
          .where('account_id', '=', account.id)
          .execute();
      await families.execute();
      // It reads the consent as it was, and waits for us where it commits.
      answer = elsewhere.browser.get(asked.url);
      await waitingForLock();
    });
    const back = await answer;
    expect(back?.external).toBe(false);
    const live = await t.db.kysely
      .selectFrom('grants')
      .select('id')
      .where('account_id', '=', account.id)
      .where('revoked_at', 'is', null)
      .execute();
    expect({ race, live }).toEqual({ race, live: [] });
  }
});

/** Until a statement waits for a lock that another transaction holds. */
const waitingForLock = () =>
  until(async () => {
    const { rows } = await t.db.pool.query(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });
