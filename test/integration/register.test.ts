import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { cookieOf } from '../support/protocol.ts';
import { type Ask, ask, enterPassword, redeem } from '../support/relying-party.ts';
import {
  startServer,
  testPassword as password,
  type TestServer,
  totpCode,
} from '../support/server.ts';

let t: TestDatabase;
let server: TestServer;
let client: ClientCredentials;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  client = await server.createClient();
});

beforeEach(() => t.db.kysely.deleteFrom('rate_limits').execute());

afterAll(async () => {
  await server.close();
  await t.drop();
});

let count = 0;
const newEmail = () => `new${(count += 1)}@example.com`;

async function register(
  email: string,
  browser = new Browser(),
): Promise<{ browser: Browser; asked: Ask; page: Page }> {
  const asked = ask(server, client, { scope: 'openid email' });
  const signIn = await browser.get(asked.url);
  const form = await browser.get(signIn.link('Create an account'));
  expect(form.title).toContain('Create an account to continue to Quillet');
  return {
    browser,
    asked,
    page: await browser.submit(form, { email, name: 'Imani Okoro', password }),
  };
}

const accountOf = (email: string) => server.services.accounts.findByEmail(email);

test('a new account by the code from the mail, within the sign-in that wants it', async () => {
  const email = newEmail();
  const { browser, asked, page } = await register(email);
  expect(page.title).toContain('Check your email');
  expect(page.text).toContain(email);
  expect(await accountOf(email)).toBeUndefined();
  const [mail] = await server.mails(email);
  const consent = await browser.submit(page, { code: mail?.code as string });
  expect(consent.title).toContain('Let Quillet');
  const { idToken } = await redeem(
    server,
    client,
    asked,
    await browser.submit(consent, {}, 'allow'),
  );
  const account = await accountOf(email);
  expect(account).toMatchObject({ emailVerified: true, name: 'Imani Okoro', admin: false });
  expect(idToken).toMatchObject({ sub: account?.id, amr: ['pwd'] });
  // The code and the link of that mail are used up.
  const link = await new Browser().get(mail?.links[0] as string);
  expect(link.status).toBe(410);
  expect(link.text).toContain('This link no longer works');
});

test('35: by the link, whose page has a button: the sign-in continues, as by the code', async () => {
  const email = newEmail();
  const { browser, asked } = await register(email);
  const [mail] = await server.mails(email);
  const url = mail?.links[0] as string;
  expect(url.startsWith(`${server.issuer}/verify-email/`)).toBe(true);
  // A mail scanner opens it: nothing happens.
  expect((await new Browser().get(url)).title).toContain('Confirm your email');
  expect(await accountOf(email)).toBeUndefined();
  const page = await browser.get(url);
  expect(page.text).toContain(email);
  const consent = await browser.submit(page);
  expect(await accountOf(email)).toMatchObject({ emailVerified: true });
  expect(consent.title).toContain('Let Quillet');
  expect(
    (await redeem(server, client, asked, await browser.submit(consent, {}, 'allow'))).status,
  ).toBe(200);
  // Each link once.
  expect((await browser.get(url)).status).toBe(410);
  expect((await browser.submit(page)).status).toBe(410);
  expect((await new Browser().get(`${server.issuer}/verify-email/never-was`)).status).toBe(410);
});

test('the link of what a stranger registered makes no account with the stranger’s password', async () => {
  const email = newEmail();
  const stranger = await register(email);
  const [mail] = await server.mails(email);
  const url = mail?.links[0] as string;
  // The mailbox's owner presses the button in a browser of their own, with and without a guess.
  const owner = new Browser();
  const page = await owner.get(url);
  expect(page.text).toContain('Enter the password that you chose');
  for (const fields of [{}, { password: '' }, { password: 'my very own password' }]) {
    const refused = await owner.submit(page, fields);
    expect(refused.status).toBe(400);
    expect(refused.title).toContain('Error: Confirm your email');
  }
  // Neither does one who is in the middle of a registration of another address.
  const other = await register(newEmail());
  expect((await other.browser.submit(page, { password: undefined })).status).toBe(400);
  expect(await accountOf(email)).toBeUndefined();
  expect(
    (
      await enterPassword(stranger.browser, await stranger.browser.get(stranger.asked.url), {
        email,
        password,
      })
    ).text,
  ).toContain('Open the link in it');
  // The owner can still have the account: the stranger's link is nothing then.
  const mine = await register(email, owner);
  const [newest] = await server.mails(email, 2);
  expect((await owner.submit(mine.page, { code: newest?.code as string })).title).toContain(
    'Let Quillet',
  );
  expect((await owner.submit(page, { password })).status).toBe(410);
});

test('35: the link continues no sign-in but the one that waits for it, in its own browser', async () => {
  const email = newEmail();
  const { browser, asked } = await register(email);
  const [mail] = await server.mails(email);
  const url = mail?.links[0] as string;
  // Another browser that has the cookie for the email, but not the one for the sign-in.
  const other = new Browser();
  const waiting = cookieOf(server.issuer, 'waiting');
  other.setCookie(waiting, browser.cookies()[waiting] as string);
  const done = await other.submit(await other.get(url));
  expect(done.title).toContain('Your email address is confirmed');
  // The interaction is as it was: nobody is signed in.
  const rows = await t.db.kysely.selectFrom('interactions').select('progress').execute();
  const account = await accountOf(email);
  expect(
    rows.filter(({ progress }) => JSON.stringify(progress).includes(account?.id as string)),
  ).toEqual([]);
  expect((await browser.get(asked.url)).title).toContain('Sign in');
});

test('35: the link of an account continues no sign-in that waits for another address', async () => {
  const account = await server.createAccount({ verified: false });
  const owner = new Browser();
  await enterPassword(owner, await owner.get(ask(server, client).url), account);
  const [mail] = await server.mails(account.email);
  // Somebody who can read the email, and does not know the password, waits with a registration.
  const { browser, asked } = await register(newEmail());
  const done = await browser.submit(await browser.get(mail?.links[0] as string));
  expect(done.title).toContain('Your email address is confirmed');
  const rows = await t.db.kysely.selectFrom('interactions').select('progress').execute();
  const signedIn = rows.filter(({ progress }) => JSON.stringify(progress).includes(account.id));
  // The owner's own sign-in alone.
  expect(signedIn).toHaveLength(1);
  expect((await browser.get(asked.url)).title).toContain('Sign in');
  expect((await owner.get(ask(server, client).url)).title).toContain('Sign in');
});

test('34: the right password before the address is confirmed leads to its confirmation', async () => {
  const email = newEmail();
  const { browser } = await register(email);
  const again = ask(server, client, { scope: 'openid email' });
  const signIn = await browser.get(again.url);
  const wrong = await enterPassword(browser, signIn, {
    email,
    password: 'something else entirely',
  });
  expect([wrong.status, wrong.text]).toEqual([
    400,
    expect.stringContaining('Incorrect email or password'),
  ]);
  expect(wrong.text).toContain('Open the link in our email first');
  const sent = await enterPassword(browser, signIn, { email: ` ${email.toUpperCase()}`, password });
  expect(sent.title).toContain('Check your email');
  const [mail] = await server.mails(email);
  const consent = await browser.submit(sent, { code: mail?.code as string });
  expect(
    (await redeem(server, client, again, await browser.submit(consent, {}, 'allow'))).status,
  ).toBe(200);
});

test('34: whether an address has an account shows in no answer to that password', async () => {
  const taken = await server.createAccount();
  const free = newEmail();
  const pages = [];
  for (const email of [taken.email, free]) {
    const { browser } = await register(email);
    const signIn = await browser.get(ask(server, client).url);
    const here = await enterPassword(browser, signIn, { email, password });
    const elsewhere = new Browser();
    const there = await enterPassword(elsewhere, await elsewhere.get(ask(server, client).url), {
      email,
      password: 'not what anybody has chosen',
    });
    pages.push([here, there].map(({ status, text }) => [status, text.replaceAll(email, '…')]));
  }
  // The password of the account is another one than was chosen here.
  expect(taken.password).toBe(password);
  expect(pages[1]).toEqual([
    [200, expect.stringContaining('Check your email')],
    [400, expect.stringContaining('Incorrect email or password')],
  ]);
  expect(pages[0]?.[1]).toEqual(pages[1]?.[1]);
});

test('whoever registered confirms it on another device by the password', async () => {
  const email = newEmail();
  await register(email);
  const [mail] = await server.mails(email);
  const phone = new Browser();
  const done = await phone.submit(await phone.get(mail?.links[0] as string), { password });
  expect(done.title).toContain('Your email address is confirmed');
  expect(done.link('Continue')).toBe(`${server.issuer}/account`);
  expect(await accountOf(email)).toMatchObject({ emailVerified: true });
});

test('guesses at the password behind a link are limited', async () => {
  await register(newEmail(), new Browser());
  const email = newEmail();
  await register(email);
  const [mail] = await server.mails(email);
  const phone = new Browser();
  const page = await phone.get(mail?.links[0] as string);
  const statuses: number[] = [];
  for (let i = 0; i < 31; i++) statuses.push((await phone.submit(page, { password: 'x' })).status);
  expect(statuses).toEqual([...Array<number>(30).fill(400), 429]);
  expect(await accountOf(email)).toBeUndefined();
});

test('an address that has an account gets the same answer, and its owner a mail', async () => {
  const taken = await server.createAccount();
  const free = newEmail();
  const answers = [];
  for (const email of [taken.email, free]) {
    const { browser, page } = await register(email);
    const wrong = await browser.submit(page, { code: '0000 0000' });
    const resent = await browser.submit(wrong, {}, 'resend');
    const plain = (one: Page) => ({
      status: one.status,
      html: one.html
        .replaceAll(email, 'ADDRESS')
        .replaceAll(one.path.split('/')[2] as string, 'UID')
        .replaceAll(/(data-pause=")\d+|in \d+ seconds?|in 1 minute/g, '…'),
      headers: [...one.headers.keys()].filter((name) => name !== 'content-length'),
    });
    answers.push({
      pages: [page, wrong, resent].map(plain),
      // The mark of the browser in which it began has the interaction in its name.
      cookies: Object.keys(browser.cookies()).map((name) =>
        name.replace(/(vs_begun_\d+_).*/, '$1'),
      ),
    });
  }
  expect(answers[0]).toEqual(answers[1]);
  const [mail] = await server.mails(taken.email);
  expect(mail?.code).toBeUndefined();
  expect(mail?.text).not.toContain('/verify-email/');
});

test('what can’t be is said field by field, and what was typed stays', async () => {
  const browser = new Browser();
  const form = await browser.get(
    (await browser.get(ask(server, client).url)).link('Create an account'),
  );
  const page = await browser.submit(form, {
    email: 'nobody',
    name: 'x'.repeat(101),
    password: 'short',
  });
  expect(page.status).toBe(400);
  expect(page.title).toContain('Error');
  expect(page.text).toContain('Enter an email address like name@example.com');
  expect(page.text).toContain('Use at least 15 characters');
  expect(page.text).toContain('Use at most 100 characters');
  expect(page.forms[0]?.fields).toContainEqual(['email', 'nobody']);
  expect(page.html).not.toContain('value="short"');
  expect(
    (await browser.submit(page, { email: newEmail(), name: '', password: 'passwordpassword' }))
      .text,
  ).toContain('This password is too common');
  expect(
    (await browser.submit(page, { email: newEmail(), name: 'ceo@bank.example', password })).text,
  ).toContain('Use a name without an email');
});

test('25: an email that can never get mail is refused on the page, and leaves no row', async () => {
  const mails = () =>
    t.db.kysely.selectFrom('outbox').select('id').where('kind', '=', 'mail').execute();
  const before = await mails();
  const { page } = await register('nobody@shop.invalid');
  expect(page.status).toBe(400);
  expect(page.text).toContain('No email can reach this address');
  expect(await mails()).toEqual(before);
});

test('wrong codes are counted; another mail brings another code, after a pause', async () => {
  const email = newEmail();
  const { browser, page } = await register(email);
  const [first] = await server.mails(email);
  const guesses = await Promise.all(
    Array.from({ length: 20 }, () => browser.clone().submit(page, { code: '00000000' })),
  );
  expect(guesses.every(({ status }) => status === 400)).toBe(true);
  // The mail's guesses are spent: its right code is worth nothing now.
  expect((await browser.submit(page, { code: first?.code as string })).status).toBe(400);
  expect(await accountOf(email)).toBeUndefined();
  const paused = await browser.submit(page, {}, 'resend');
  expect(paused.text).not.toContain('We’ve sent it again');
  expect(paused.text).toContain('You can send it again');
  await t.db.kysely
    .updateTable('action_links')
    .set({ sent_at: new Date(Date.now() - 61_000) })
    .where('email', '=', email)
    .execute();
  const resent = await browser.submit(paused, {}, 'resend');
  expect(resent.text).toContain('We’ve sent it again');
  const [second] = await server.mails(email, 2);
  expect(second?.code).not.toBe(first?.code);
  expect((await browser.submit(resent, { code: first?.code as string })).status).toBe(400);
  expect(
    (await browser.submit(resent, { code: String(second?.code).replace(' ', '-') })).title,
  ).toContain('Let Quillet');
});

test('a wrong address can be mended', async () => {
  const wrong = newEmail();
  const right = newEmail();
  const { browser, page } = await register(wrong);
  const form = await browser.get(page.link('Use another email address'));
  expect(form.forms[0]?.fields).toContainEqual(['email', wrong]);
  const sent = await browser.submit(form, { email: right, password });
  const [mail] = await server.mails(right);
  expect((await browser.submit(sent, { code: mail?.code as string })).title).toContain(
    'Let Quillet',
  );
  expect(await accountOf(right)).toBeDefined();
  expect(await accountOf(wrong)).toBeUndefined();
});

test('a code is worth something only where it was asked for', async () => {
  const email = newEmail();
  await register(email);
  const [mail] = await server.mails(email);
  const stranger = await register(newEmail());
  expect(
    (await stranger.browser.submit(stranger.page, { code: mail?.code as string })).status,
  ).toBe(400);
  expect(await accountOf(email)).toBeUndefined();
});

test('an account whose address was never confirmed is led to that by its sign-in', async () => {
  const account = await server.createAccount({ verified: false });
  const browser = new Browser();
  const asked = ask(server, client, { scope: 'openid email' });
  const page = await enterPassword(browser, await browser.get(asked.url), account);
  expect(page.title).toContain('Check your email');
  expect(
    await t.db.kysely
      .selectFrom('sessions')
      .select('uid')
      .where('account_id', '=', account.id)
      .execute(),
  ).toHaveLength(0);
  const [mail] = await server.mails(account.email);
  const consent = await browser.submit(page, { code: mail?.code as string });
  expect(
    (await redeem(server, client, asked, await browser.submit(consent, {}, 'allow'))).idToken.sub,
  ).toBe(account.id);
  expect(await accountOf(account.email)).toMatchObject({ emailVerified: true });
});

test('35: the same by its link, in the same browser: the sign-in continues', async () => {
  const account = await server.createAccount({ verified: false });
  const browser = new Browser();
  await enterPassword(browser, await browser.get(ask(server, client).url), account);
  const [mail] = await server.mails(account.email);
  const consent = await browser.submit(await browser.get(mail?.links[0] as string));
  expect(consent.title).toContain('Let Quillet');
});

test('a new account goes through the second factor where everyone must have one, and 8 characters do', async () => {
  const own = await createTestDatabase();
  const strict = await startServer(own, { REQUIRE_SECOND_FACTOR: 'everyone' });
  try {
    const app = await strict.createClient();
    const email = newEmail();
    const browser = new Browser();
    const signIn = await browser.get(ask(strict, app).url);
    const sent = await browser.submit(await browser.get(signIn.link('Create an account')), {
      email,
      password: 'quay9Lan',
    });
    const [mail] = await strict.mails(email);
    const enrol = await browser.submit(sent, { code: mail?.code as string });
    expect(enrol.title).toContain('Set up an authenticator app');
  } finally {
    await strict.close();
    await own.drop();
  }
});

test('without registration there is none', async () => {
  const closed = await startServer(t, { REGISTRATION: 'false' });
  try {
    const browser = new Browser();
    const signIn = await browser.get(ask(closed, client).url);
    expect(signIn.text).not.toContain('Create an account');
    const page = await browser.post(
      `${closed.issuer}/interaction/${signIn.path.split('/')[2]}/register`,
      { email: newEmail(), password },
    );
    expect(page.title).toContain('Sign in');
    expect(
      await t.db.kysely
        .selectFrom('action_links')
        .select('id_hash')
        .where('expires_at', '>', new Date())
        .where('created_at', '>', new Date(Date.now() - 100))
        .execute(),
    ).toHaveLength(0);
  } finally {
    await closed.close();
  }
});

test('registrations are limited', async () => {
  const browser = new Browser();
  const form = await browser.get(
    (await browser.get(ask(server, client).url)).link('Create an account'),
  );
  const email = newEmail();
  const statuses = [];
  for (let i = 0; i < 7; i++)
    statuses.push((await browser.submit(form, { email, password })).status);
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
});

test('37: the first administrator: what was created and what to do first, then the sign-in', async () => {
  const link = await server.server.issueSetupLink();
  const browser = new Browser();
  const page = await browser.get(link as string);
  expect(page.title).toContain('Set up your server');
  const taken = await server.createAccount();
  expect((await browser.submit(page, { email: taken.email, password })).text).toContain(
    'This email address already has an account',
  );
  expect((await browser.submit(page, { email: 'admin@example.com', password: 'x' })).status).toBe(
    400,
  );
  const done = await browser.submit(page, { email: 'admin@example.com', name: 'Ada', password });
  expect([done.status, done.title]).toEqual([200, 'Your server is ready · Vouchsafe']);
  for (const words of [
    'administrator account admin@example.com',
    'Sign in.',
    'recovery codes',
    'client create',
  ])
    expect(done.text).toContain(words);
  const signIn = await browser.get(done.link('Sign in'));
  expect(signIn.title).toContain('Sign in');
  expect(signIn.forms[0]?.fields).toContainEqual(['email', 'admin@example.com']);
  const enrol = await browser.submit(signIn, { password });
  expect(enrol.title).toContain('Set up an authenticator app');
  expect(enrol.text).toContain('Administrators need a second factor to sign in.');
  const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(enrol.html)?.[1] ?? '').replaceAll(
    /\s/g,
    '',
  );
  const codes = await browser.submit(enrol, { code: await totpCode(seed) });
  const account = await browser.submit(codes, { saved: 'yes' });
  expect(account.url).toBe(`${server.issuer}/account`);
  expect(account.title).toContain('Your account');
  expect(account.text).toContain('admin@example.com');
  // The link is used up, and there is no other.
  const over = await browser.get(link as string);
  expect([over.status, over.text]).toEqual([410, expect.stringContaining('already set up')]);
  expect((await browser.submit(page, { email: 'second@example.com', password })).status).toBe(410);
  expect(await server.server.issueSetupLink()).toBeUndefined();
  expect(await accountOf('second@example.com')).toBeUndefined();
});

test('a form from another site confirms and sets up nothing', async () => {
  const email = newEmail();
  await register(email);
  const [mail] = await server.mails(email);
  const browser = new Browser();
  const page = await browser.get(mail?.links[0] as string);
  browser.headers = { 'sec-fetch-site': 'cross-site' };
  expect((await browser.submit(page)).status).toBe(403);
  expect(await accountOf(email)).toBeUndefined();
});
