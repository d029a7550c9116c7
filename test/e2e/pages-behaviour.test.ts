import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  devices,
  type Page,
} from 'playwright-core';
import { pageStates } from '../support/page-fixtures.ts';
import { launchBrowser, type ServedPages, servePages } from '../support/pages-in-browser.ts';
import { until } from '../support/process.ts';

// What the pages do when they are used: what is posted, and what the small script adds.
let pages: ServedPages;
let browser: Browser;
let context: BrowserContext;
let page: Page;

beforeAll(async () => {
  pages = await servePages();
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  pages?.close();
});
beforeEach(() => {
  pages.posted.length = 0;
});
afterEach(() => context.close());

async function open(name: string, options: BrowserContextOptions = {}): Promise<void> {
  context = await browser.newContext(options);
  page = await context.newPage();
  await page.goto(`${pages.origin}/${name}`);
}

/** What was posted, once it has arrived. */
async function posted(): Promise<(typeof pages.posted)[number] | undefined> {
  // Between two pages there is no title.
  await until(async () => (await page.title().catch(() => '')) === 'Posted');
  return pages.posted[0];
}

describe('on the consent page', () => {
  test('Enter denies, wherever in the form it is pressed', async () => {
    await open('consent-plain');
    await page.locator('[value="invoices:write"]').focus();
    await page.keyboard.press('Enter');
    const everything = ['name', 'locale', 'updated_at', 'email', 'email_verified'].map((claim) => [
      'claim',
      claim,
    ]);
    everything.push(
      ['scope', 'invoices:read'],
      ['scope', 'invoices:write'],
      ['scope', 'offline_access'],
    );
    expect(await posted()).toEqual({
      path: '/post',
      fields: [...everything, ['decision', 'deny']],
    });
  });

  test('36: Allow posts what is ticked, in closed rows too, and nothing that is not', async () => {
    await open('consent-trimmed', { javaScriptEnabled: false });
    await page.locator('[value="invoices:write"]').uncheck();
    await page.locator('[value=offline_access]').uncheck();
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    expect((await posted())?.fields).toEqual([
      ['claim', 'email'],
      ['claim', 'groups'],
      ['scope', 'invoices:read'],
      ['scope', 'stock:all'],
      ['decision', 'allow'],
    ]);
  });

  test('36: the closed row says what is declined, without a script', async () => {
    await open('consent-plain', { javaScriptEnabled: false });
    const [profile, email] = [
      page.locator('details.claims').nth(0),
      page.locator('details.claims').nth(1),
    ];
    const closed = profile.locator('summary');
    const says = async () => (await closed.innerText()).replace(/\s+/g, ' ').trim();
    const whole =
      'know your name Imani Okoro, your language English and when your details last changed';
    expect(await says()).toBe(whole);
    expect(await page.locator('[value=locale]').isVisible()).toBe(false);
    await closed.click();
    await page.locator('[value=locale]').uncheck();
    await closed.click();
    expect(await page.locator('[value=locale]').isVisible()).toBe(false);
    expect(await says()).toBe(`${whole} Not shared: your language`);
    const struck = closed.locator('.said > span', { hasText: 'your language' });
    expect(await struck.evaluate((one) => getComputedStyle(one as never).textDecorationLine)).toBe(
      'line-through',
    );
    expect(await email.locator('summary').innerText()).not.toContain('Not shared');
    await closed.click();
    await page.locator('[value=locale]').check();
    expect(await says()).toBe(whole);
    // Said once, and nowhere else.
    expect((await page.locator('body').innerText()).match(/optional/gi)).toHaveLength(1);
  });
});

test('13: a phone is offered the link to its authenticator app, other devices are not', async () => {
  const link = () => page.locator('a[href^="otpauth://totp/"]');
  await open('totp-enrol-plain', { ...devices['Pixel 7'], javaScriptEnabled: false });
  expect(await link().isVisible()).toBe(true);
  expect(await link().getAttribute('href')).toContain('secret=JX4MRQ2T7KDAWV5N3HUCELZ6PBGFYO2S');
  await context.close();
  await open('totp-enrol-plain');
  expect(await link().isVisible()).toBe(false);
});

test('34: a required second factor can be put off without filling anything in', async () => {
  await open('totp-enrol-everyone', { javaScriptEnabled: false });
  await page.getByRole('button', { name: 'Not now' }).click();
  expect((await posted())?.fields).toContainEqual(['later', 'yes']);
});

test('the codes can be downloaded before they are said to be saved, and not passed over', async () => {
  await open('recovery-codes-plain', { javaScriptEnabled: false });
  await page.getByRole('button', { name: 'Continue' }).click();
  expect(pages.posted).toEqual([]);
  await page.getByRole('button', { name: 'Download' }).click();
  await page.waitForURL('**/codes.txt');
  expect(pages.posted).toEqual([{ path: '/codes.txt', fields: [] }]);
});

test('signing out is said with a field, staying without', async () => {
  await open('sign-out-form');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  expect((await posted())?.fields).toEqual([['xsrf', 'Zm9vYmFy']]);
  pages.posted.length = 0;
  await page.goBack();
  await page.getByRole('button', { name: 'Sign out' }).click();
  expect((await posted())?.fields).toEqual([
    ['xsrf', 'Zm9vYmFy'],
    ['logout', 'yes'],
  ]);
});

test('a password can be shown, and is hidden again before it is sent', async () => {
  await open('sign-in-app');
  const field = page.locator('#password');
  await page.locator('#email').fill('imani@okoro.test');
  await field.fill('a heron waits in the reeds');
  await page.getByRole('button', { name: 'Show password' }).click();
  expect(await field.getAttribute('type')).toBe('text');
  await page.getByRole('button', { name: 'Hide password' }).click();
  expect(await field.getAttribute('type')).toBe('password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  expect((await posted())?.fields).toContainEqual(['password', 'a heron waits in the reeds']);
});

test('all ten codes are copied, a line each', async () => {
  await open('recovery-codes-plain', { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.getByRole('button', { name: 'Copy the codes' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  const copied = await page.evaluate<string>('navigator.clipboard.readText()');
  expect(copied.split('\n')).toHaveLength(10);
  expect(copied).toMatch(/^K7QW-M2XF-M2XF-K7QW\nM2XF-K7QW-K7QW-M2XF\n/);
});

test('a mail cannot be asked for again during the pause', async () => {
  await open('register-sent-paused');
  expect(await page.getByRole('button', { name: 'Send it again' }).isDisabled()).toBe(true);
});

test('a form_post answer posts itself, even with a field called submit', async () => {
  await open('form-post-plain');
  expect(await posted()).toEqual({
    path: '/post',
    fields: [
      ['code', 'Zm9vYmFy'],
      ['submit', 'yes'],
    ],
  });
});

test('without scripts every form can be sent, and nothing is shown that would need one', async () => {
  context = await browser.newContext({ javaScriptEnabled: false });
  page = await context.newPage();
  for (const { page: name, state } of pageStates) {
    await page.goto(`${pages.origin}/${name}-${state}`);
    const { shown, forms } = await page.evaluate<{ shown: number; forms: string[][] }>(`({
      shown: [...document.querySelectorAll('.scripted')].filter((one) =>
        one.checkVisibility({ visibilityProperty: true })).length,
      forms: [...document.forms].map((form) => [form.method, form.getAttribute('action'),
        form.querySelector('button:not([type=button])') === null ? 'no button' : 'a button']),
    })`);
    expect([name, state, shown]).toEqual([name, state, 0]);
    for (const form of forms)
      expect(form).toEqual(['post', expect.stringMatching(/^\//), 'a button']);
  }
});
