import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import type { Pages } from '../../src/pages/pages.ts';
import { presenters } from '../../src/pages/present.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { pageStates } from '../support/page-fixtures.ts';
import { enterPassword } from '../support/relying-party.ts';
import {
  startServer,
  testPassword as password,
  type TestServer,
  totpCode,
} from '../support/server.ts';

// What the browser tests look at is what the server shows: real requests, and the models of the pages that they get.

const invoices = 'https://invoices.example.com';
const redirectUri = 'https://heron.example/callback';

let t: TestDatabase;
let server: TestServer;
let heron: ClientCredentials;
let quillet: ClientCredentials;
let tv: ClientCredentials;
/** As the presenters got them, which run as they are. */
const shown: { page: string; model: unknown }[] = [];

beforeAll(async () => {
  for (const [page, present] of Object.entries(presenters))
    Object.assign(presenters, {
      [page]: (model: unknown, kit: unknown) => {
        shown.push({ page, model: plain(model) });
        return (present as (model: unknown, kit: unknown) => unknown)(model, kit);
      },
    });
  t = await createTestDatabase();
  server = await startServer(t);
  const words = {
    'invoices:read': 'see: your invoices, and who they are for',
    'invoices:write': 'change: your invoices: write, edit and send them',
  };
  await server.createApi(invoices, words);
  const albums = 'https://albums.example.com';
  await server.createApi(albums, { 'albums:read': 'see: your photo albums' });
  await t.db.kysely
    .updateTable('resource_servers')
    .set({ name: 'Albums' })
    .where('identifier', '=', albums)
    .execute();
  const apis = [{ identifier: invoices, scopes: Object.keys(words) }];
  const of = { developer: 'Wader Works', verified: true, redirectUris: [redirectUri], apis };
  heron = await server.createClient({ name: 'Heron', ...of });
  quillet = await server.createClient({
    name: 'Quillet',
    developer: 'Harrow & Finch',
    redirectUris: ['https://quillet.example/callback'],
    apis,
  });
  await t.db.kysely
    .updateTable('clients')
    .set({
      metadata: JSON.stringify({
        ...(await server.services.clients.find(quillet.clientId))?.metadata,
        policy_uri: 'https://quillet.example/privacy',
        tos_uri: 'https://quillet.example/terms',
      }),
    })
    .where('id', '=', quillet.clientId)
    .execute();
  tv = await server.createClient({
    name: 'Heron on a living-room TV',
    type: 'device',
    redirectUris: [],
    verified: true,
    apis: [{ identifier: albums, scopes: ['albums:read'] }],
  });
});

afterAll(async () => {
  await server?.close();
  await t?.drop();
});

/** What differs from request to request: addresses, ids, secrets and times. What was left out and what is undefined are one. */
const volatile = new Set(
  'id action switchUrl accountUrl changeUrl continueUrl signInUrl registerUrl nextUrl homeUrl startUrl totpUrl recoveryUrl downloadUrl enrolUrl stayUrl requestId at askedAt since lastUsed otpauthUri secret text description clientId retryAfter pausedFor'.split(
    ' ',
  ),
);
function plain(value: unknown, name = ''): unknown {
  if (value === undefined) return undefined;
  if (name === 'hidden') return Object.keys(value as object);
  // The page doesn't show their ids, and two mails of one moment come in either order.
  if (name === 'mails')
    return (value as { subject: string }[])
      .map((one) => plain({ ...one, id: undefined }))
      .toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  if (name === 'codes') return (value as string[]).map((code) => code.replace(/[0-9A-Z]/g, 'X'));
  if (volatile.has(name)) return `(${name})`;
  if (name === 'code') return (value as string).replace(/[A-Z]/g, 'X');
  // Several people take the way of one.
  if (name === 'email') return (value as string).replace(/^(ann|ben|cleo)@/, 'imani@');
  if (Array.isArray(value)) return value.map((one) => plain(one));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, one]) => one !== undefined && !['lang', 'dir'].includes(key))
      .map(([key, one]) => [key, plain(one, key)]),
  );
}

/** Whether a page of this state was shown; what comes nearest is what the failure shows. */
function expectShown(page: keyof Pages, ...states: string[]): void {
  for (const state of states) {
    const fixture = pageStates.find((one) => one.page === page && one.state === state);
    if (fixture === undefined) throw new Error(`there is no fixture ${page}-${state}`);
    const of = shown.filter((one) => one.page === page).map(({ model }) => model);
    const model = plain(fixture.model);
    const nearest =
      of.find((one) => JSON.stringify(one) === JSON.stringify(model)) ??
      of.find(
        (one) =>
          Object.keys(one as object)
            .toSorted()
            .join() ===
          Object.keys(model as object)
            .toSorted()
            .join(),
      ) ??
      of.at(-1);
    try {
      expect(of).toContainEqual(model);
    } catch {
      expect({ [`${page}-${state}`]: nearest }).toEqual({ [`${page}-${state}`]: model });
    }
  }
}

function authorize(
  { clientId }: ClientCredentials,
  scope: string,
  extra: Record<string, string> = {},
): string {
  const query = {
    client_id: clientId,
    redirect_uri: clientId === quillet.clientId ? 'https://quillet.example/callback' : redirectUri,
    response_type: 'code',
    scope,
    code_challenge: 'x'.repeat(43),
    code_challenge_method: 'S256',
    ...(scope.includes('invoices') ? { resource: invoices } : {}),
    ...extra,
  };
  return `${server.issuer}/authorize?${new URLSearchParams(query).toString()}`;
}

const seedOf = (page: Page) =>
  (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(page.html)?.[1] ?? '').replaceAll(/\s/g, '');

const everything = 'openid profile email offline_access invoices:read invoices:write';
const imani = 'imani@okoro.test';

test('36: setting up, and the pages around an account, are as the fixtures have them', async () => {
  const browser = new Browser();
  const link = `${server.issuer}/setup/`;
  await browser.get(`${link}gone`);
  const url = (await server.server.issueSetupLink()) as string;
  const setup = await browser.get(url);
  await browser.submit(setup, { email: '', password: 'vouchsafe' });
  await browser.submit(setup, { email: imani, name: 'Imani Okoro', password });
  await browser.get(url);
  expectShown('setup', 'plain', 'errors');
  expectShown('setup-done', 'plain');
  expectShown('link-expired', 'setup', 'setup-done');
  const enrol = await enterPassword(browser, await browser.get(`${server.issuer}/account`), {
    email: imani,
    password,
  });
  await browser.submit(enrol, { device_name: '', code: '' });
  const codes = await browser.submit(enrol, {
    device_name: 'Imani’s phone',
    code: await totpCode(seedOf(enrol)),
  });
  await browser.submit(codes, {});
  await browser.submit(codes, { saved: 'yes' });
  // From here on nobody special, with a password only, so that the pages are those of everybody.
  await t.db.kysely.updateTable('accounts').set({ admin: false, locale: 'en' }).execute();
  await t.db.kysely.deleteFrom('authenticators').execute();
  expectShown('totp-enrol', 'administrator');
  expectShown('recovery-codes', 'plain', 'not-saved');
  await new Browser().get(`${server.issuer}/account`);
  expectShown('sign-in', 'plain');
});

test('36: registering is as the fixtures have it', async () => {
  const browser = new Browser();
  const email = 'ann@okoro.test';
  const signIn = await browser.get(authorize(heron, 'openid'));
  const form = await browser.get(signIn.link('Create an account'));
  const sent = await browser.submit(form, { email, name: 'Ann', password });
  await browser.submit(sent, { code: '0000' });
  const [mail] = await server.mails(email);
  const verify = mail?.links[0] as string;
  await new Browser().get(verify);
  await browser.submit(await browser.get(verify));
  await browser.get(verify);
  const other = new Browser();
  const otherForm = (await other.get(authorize(heron, 'openid'))).link('Create an account');
  const begun = await other.submit(await other.get(otherForm), {
    email: 'ben@okoro.test',
    name: 'Ben',
    password,
  });
  expect(begun.title).toContain('Check your email');
  const [to] = await server.mails('ben@okoro.test');
  const elsewhere = new Browser();
  const page = await elsewhere.get(to?.links[0] as string);
  await elsewhere.submit(page, { password: 'not what was chosen' });
  await elsewhere.submit(page, { password });
  expectShown('sign-in', 'app');
  expectShown('register', 'app');
  expectShown('verify-email-done', 'plain');
  expectShown('link-expired', 'verify');
  expectShown('register-sent', 'app', 'app-wrong-code');
  expectShown('verify-email', 'email', 'elsewhere', 'incorrect');
});

test('36: consent, and what it leads to, is as the fixtures have it', async () => {
  const browser = new Browser();
  const signIn = await browser.get(authorize(heron, everything));
  await browser.submit(signIn, { email: imani, password: 'wrong' });
  const verified = await enterPassword(browser, signIn, { email: imani, password });
  expect(verified.title).toContain('Let Heron');
  expectShown('sign-in', 'incorrect');
  expectShown('consent', 'verified');
  const asked = await browser.get(authorize(quillet, everything));
  await browser.submit(asked, {
    claim:
      asked.forms[0]?.fields.flatMap(([name, value]) => (name === 'claim' ? [value] : [])) ?? [],
  });
  expectShown('consent', 'plain', 'undecided');
  await browser.submit(asked, { claim: ['email', 'email_verified'] }, 'allow');
  await browser.get(asked.url);
  expectShown('error', 'finished');
  const nothing = await browser.get(authorize(heron, 'openid'));
  expect(nothing.text).toContain('nothing else about you');
  await browser.submit(nothing, {}, 'allow');
  await browser.get(authorize(heron, 'openid', { prompt: 'login' }));
  await browser.get(authorize(heron, 'openid', { prompt: 'select_account' }));
  await browser.get(authorize(heron, 'openid', { redirect_uri: 'https://elsewhere.example' }));
  await browser.get(`${server.issuer}/nowhere`);
  expectShown('sign-in', 'confirm');
  expectShown('choose-account', 'plain');
  expectShown('error', 'not-found');
  const account = await browser.get(`${server.issuer}/account`);
  expect(account.text).toContain('Not shared: your name');
  await browser.submit(account, {}, 'Yes, remove Quillet');
  // 34: nobody is told that they are signed out while they are not.
  expect((await browser.get(`${server.issuer}/logout/success`)).path).toBe('/account');
  expect((await new Browser().get(`${server.issuer}/logout/success`)).title).toContain(
    'signed out',
  );
  await browser.get(`${server.issuer}/logout`);
  expectShown('sign-out', 'plain-account');
  expectShown('signed-out', 'again');
});

test('36: signing in with a code, and the account afterwards, are as the fixtures have them', async () => {
  const account = await server.createAccount({ email: 'cleo@okoro.test', totp: true });
  await t.db.kysely
    .updateTable('authenticators')
    .set({ label: 'Imani’s phone' })
    .where('account_id', '=', account.id)
    .execute();
  const browser = new Browser();
  const asked = await browser.get(authorize(heron, 'openid'));
  const totp = await enterPassword(browser, asked, account);
  await browser.submit(totp, { code: '000000' });
  await browser.submit(totp, { code: await totpCode(account.seed as string, -4) });
  const recovery = await browser.get(totp.link('recovery code'));
  await browser.submit(recovery, { code: 'AAAA-AAAA-AAAA-AAAA' });
  expectShown('totp', 'plain', 'wrong-code', 'late-code');
  expectShown('recovery-code', 'wrong-code');
  const plain = new Browser();
  const again = await enterPassword(plain, await plain.get(`${server.issuer}/account`), account);
  const atRecovery = await plain.get(again.link('recovery code'));
  expectShown('recovery-code', 'plain');
  const home = await plain.submit(atRecovery, { code: account.recoveryCodes[0] as string });
  expect(home.path).toBe('/account');
  const consent = await plain.get(authorize(quillet, 'openid email'));
  await plain.submit(consent, {}, 'allow');
  const apps = await plain.get(`${server.issuer}/account`);
  await plain.submit(apps, {}, 'Yes, remove Quillet');
  expectShown('account', 'removed');

  const { email } = await server.services.accounts.create(
    {
      email: 'maximiliana.featherstonehaugh-cholmondeley@correspondence.test',
      password,
      admin: false,
      verified: true,
    },
    'test',
  );
  const other = new Browser();
  await enterPassword(other, await other.get(`${server.issuer}/account`), { email, password });
  expectShown('account', 'new');
});

test('36: an answer by form_post is as the fixture has it', async () => {
  const browser = new Browser();
  const state = { response_mode: 'form_post', state: 'Zm9vYmFy' };
  const signIn = await browser.get(authorize(heron, 'openid', state));
  await enterPassword(browser, signIn, { email: imani, password });
  expectShown('form-post', 'answer');
});

test('36: mails on a developer’s machine are as the fixtures have them', async () => {
  const own = await createTestDatabase();
  const at = await startServer(own);
  try {
    await new Browser().get(`${at.issuer}/dev/mail`);
    const email = 'maximiliana.featherstonehaugh-cholmondeley@correspondence.test';
    await at.createAccount({ email, totp: true });
    await at.mails(email);
    const browser = new Browser();
    const signIn = await browser.get(`${at.issuer}/account`);
    const form = await browser.get(signIn.link('Create an account'));
    await browser.submit(form, { email: imani, name: 'Imani', password });
    await at.mails(imani);
    expectShown('dev-mail', 'empty', 'plain');
  } finally {
    await at.close();
    await own.drop();
  }
});

test('36: a device’s request is as the fixtures have it', async () => {
  const browser = new Browser();
  const response = await fetch(`${server.issuer}/device_authorization`, {
    method: 'POST',
    body: new URLSearchParams({
      client_id: tv.clientId,
      scope: 'openid profile offline_access albums:read',
      resource: 'https://albums.example.com',
    }),
  });
  const { user_code: code } = (await response.json()) as { user_code: string };
  await t.db.kysely
    .updateTable('accounts')
    .set({ locale: null })
    .where('email', '=', imani)
    .execute();
  await browser.submit(await browser.get(`${server.issuer}/device`), { code: 'KVPT-RMX' });
  await browser.get(`${server.issuer}/device?user_code=${code}`);
  const signIn = await browser.submit(await browser.get(`${server.issuer}/device`), { code });
  // 34: it has no website, and does not run here.
  expect(signIn.text).toContain('on another device');
  expect(signIn.text).not.toContain('on this device');
  const page = await enterPassword(browser, signIn, { email: imani, password });
  expect(page.title).toContain('Is this your device?');
  await browser.submit(page, {}, 'allow');
  expectShown('device', 'plain', 'prefilled', 'wrong-code');
  expectShown('consent', 'device');
  expectShown('request-answered', 'device');
});
