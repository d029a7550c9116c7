import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
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
    expect(await posted()).toEqual({
      path: '/post',
      fields: [
        ['csrf', 'Zm9vYmFy'],
        ['decision', 'deny'],
      ],
    });
  });

  test('Allow posts what is ticked, and nothing that is not', async () => {
    await open('consent-trimmed');
    await page.locator('[value="invoices:write"]').check();
    await page.locator('[value=offline_access]').uncheck();
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    expect((await posted())?.fields).toEqual([
      ['csrf', 'Zm9vYmFy'],
      ['claim', 'address'],
      ['scope', 'invoices:write'],
      ['decision', 'allow'],
    ]);
  });
});

test('the codes can be downloaded before they are said to be saved, and not passed over', async () => {
  await open('recovery-codes-plain', { javaScriptEnabled: false });
  await page.getByRole('button', { name: 'Continue' }).click();
  expect(pages.posted).toEqual([]);
  await page.getByRole('button', { name: 'Download' }).click();
  await page.waitForURL('**/codes.txt');
  expect(pages.posted).toEqual([{ path: '/codes.txt', fields: [['csrf', 'Zm9vYmFy']] }]);
});

test('signing out is said with a field, staying without', async () => {
  await open('sign-out-app');
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  expect((await posted())?.fields).toEqual([['csrf', 'Zm9vYmFy']]);
  pages.posted.length = 0;
  await page.goBack();
  await page.getByRole('button', { name: 'Sign out' }).click();
  expect((await posted())?.fields).toEqual([
    ['csrf', 'Zm9vYmFy'],
    ['logout', 'yes'],
  ]);
});

test('a password can be shown, and is hidden again before it is sent', async () => {
  await open('sign-in-app');
  const field = page.locator('#password');
  await page.locator('#email').fill('imani@okoro.example');
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
  expect(copied).toMatch(/^K7QW-M2XF\nM2XF-K7QW\n/);
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
      ['csrf', 'Zm9vYmFy'],
      ['submit', 'yes'],
    ],
  });
});

test('without scripts every form can be sent, and nothing is shown that would need one', async () => {
  context = await browser.newContext({ javaScriptEnabled: false });
  page = await context.newPage();
  for (const { page: name, state } of pageStates) {
    await page.goto(`${pages.origin}/${name}-${state}`);
    for (const control of await page.locator('.scripted').all()) {
      expect(await control.isVisible()).toBe(false);
    }
    for (const form of await page.locator('form').all()) {
      expect(await form.getAttribute('method')).toBe('post');
      expect(await form.getAttribute('action')).toMatch(/^\//);
      expect(await form.locator('button:not([type=button])').count()).toBeGreaterThan(0);
    }
  }
});
