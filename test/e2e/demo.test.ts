import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generate } from 'otplib';
import type { Browser, Page } from 'playwright-core';
import { look as lookAt } from '../support/look.ts';
import { launchBrowser } from '../support/pages-in-browser.ts';
import { freePort, until } from '../support/process.ts';

// The demo as its README tells to start it, on the embedded PostgreSQL, in a real browser.

const email = 'imani@okoro.test';
const password = 'nine quiet herons over the quay';

let folder: string;
let demo: ChildProcess;
let said = '';
let issuer: string;
let app: string;
let api: string;
let browser: Browser;
let page: Page;
/** What must stay empty: refused by a policy, thrown by a script, not found, asked of a foreign host. */
const complaints: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-demo-'));
  const [port, appPort, apiPort] = [await freePort(), await freePort(), await freePort()];
  issuer = `http://localhost:${port}`;
  app = `http://127.0.0.1:${appPort}`;
  api = `http://127.0.0.1:${apiPort}`;
  const { PATH = '', HOME = '/' } = process.env;
  const ports = {
    PORT: String(port),
    DEMO_APP_PORT: String(appPort),
    DEMO_API_PORT: String(apiPort),
  };
  demo = spawn(process.execPath, ['demo/main.ts'], {
    env: { PATH, HOME, DATA_DIR: folder, ...ports },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [demo.stdout, demo.stderr])
    stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const starting = until(
    () => said.includes('The demo is ready') || demo.exitCode !== null,
    60_000,
  );
  [browser] = await Promise.all([launchBrowser(), starting]);
  if (demo.exitCode !== null) throw new Error(said);
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.page()?.url()}: ${message.text()}`);
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  context.on('request', (request) => {
    if (![issuer, app, 'data:'].some((start) => request.url().startsWith(start)))
      complaints.push(`asked for ${request.url()}`);
  });
  page = await context.newPage();
});

afterAll(async () => {
  await browser?.close();
  if (demo?.exitCode === null) {
    const ended = once(demo, 'exit');
    demo.kill('SIGTERM');
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
});

const look = async (name: string, at = page) =>
  expect(await lookAt(at, name, process.env.SCREENSHOTS)).toEqual([]);
const heading = (at = page) => at.locator('h1').innerText();
const press = (name: string, at = page) => at.getByRole('button', { name, exact: true }).click();

test('an account is created on the way to the app', async () => {
  await page.goto(app);
  await look('app-welcome');
  await page.getByRole('link', { name: 'Sign in with Vouchsafe' }).click();
  expect(await heading()).toBe('Sign in to continue to Quillet');
  await look('demo-sign-in');
  await page.getByRole('link', { name: 'Create an account' }).click();
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Name').fill('Imani Okoro');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await look('demo-register');
  await press('Create account');
  expect(await heading()).toBe('Check your email');
  await look('demo-register-sent');
});

test('the mail is kept at /dev/mail, and its link confirms the address and continues the sign-in', async () => {
  const mail = await page.context().newPage();
  const letter = mail.getByRole('article').filter({ hasText: email });
  await until(async () => {
    await mail.goto(`${issuer}/dev/mail`);
    return (await letter.count()) > 0;
  });
  await look('dev-mail', mail);
  await letter.getByRole('link').first().click();
  await look('demo-verify-email', mail);
  await press('Confirm email address', mail);
  expect(await heading(mail)).toBe('Set up an authenticator app');
  await page.close();
  page = mail;
});

test('a second factor is set up on the way', async () => {
  await look('demo-totp-enrol');
  const secret = (await page.locator('#key').inputValue()).replaceAll(' ', '');
  await page.getByLabel('Name this device').fill('Imani’s phone');
  await page.getByLabel('Enter the code from the app').fill(await generate({ secret }));
  await press('Turn on');
  expect(await heading()).toBe('Save your recovery codes');
  expect(await page.locator('#codes > li').count()).toBe(10);
  await look('demo-recovery-codes');
  await page.getByLabel('I have saved these').check();
  await press('Continue');
  expect(await heading()).toBe('Let Quillet use your account?');
});

test('the app gets what was allowed, and its API takes the token', async () => {
  await look('demo-consent');
  await press('Allow');
  await page.waitForURL(`${app}/`);
  expect(await heading()).toBe('Your invoices');
  expect(await page.locator('tbody tr').count()).toBe(3);
  const claims = page.locator('dl');
  expect(await claims.innerText()).toContain(email);
  expect(await claims.innerText()).toContain('urn:vouchsafe:acr:2fa');
  expect(await claims.innerText()).toContain(issuer);
  await press('Add an invoice');
  expect(await page.locator('tbody tr').count()).toBe(4);
  await look('app-signed-in');
});

test('the API refuses as soon as the app is removed', async () => {
  const account = await page.context().newPage();
  await account.goto(`${issuer}/account`);
  expect(await heading(account)).toBe('Your account');
  expect(await account.locator('main').innerText()).toContain('Imani’s phone');
  await look('account', account);
  await account.getByText('Quillet').first().click();
  await account.getByText('Remove Quillet').first().click();
  await look('account-remove', account);
  await press('Yes, remove Quillet', account);
  expect(await account.getByRole('status').innerText()).toBe('Quillet is removed.');
  await look('account-removed', account);
  await account.close();

  await page.getByRole('link', { name: 'Ask the API again' }).click();
  expect(await page.getByRole('status').innerText()).toContain('The API refused.');
  const answer = await page.locator('pre').innerText();
  expect(answer).toContain('HTTP 401');
  expect(answer).toContain('WWW-Authenticate: Bearer realm="Ledger", error="invalid_token"');
  await look('app-refused');
});

test('it is asked anew, and what is not ticked is not given', async () => {
  await page.getByRole('link', { name: 'Connect Quillet again' }).click();
  expect(await heading()).toBe('Let Quillet use your account?');
  await press('Don’t allow');
  expect(await heading()).toBe('You didn’t let Quillet in');
  await look('app-denied');
  await page.getByRole('link', { name: 'Sign in with Vouchsafe' }).click();
  await page.getByRole('checkbox', { name: /write and send/ }).uncheck();
  await press('Allow');
  await page.waitForURL(`${app}/`);
  expect(await page.locator('tbody tr').count()).toBe(4);
  await press('Add an invoice');
  expect(await page.getByRole('status').innerText()).toContain(
    'Quillet may only read your invoices.',
  );
  expect(await page.locator('pre').innerText()).toContain('error="insufficient_scope"');
  await look('app-read-only');
});

test('signing out of the app signs out here too, if one wants', async () => {
  await press('Sign out');
  expect(await heading()).toBe('Sign out?');
  await look('demo-sign-out');
  await press('Sign out');
  await page.waitForURL(`${app}/`);
  expect(await heading()).toBe('Invoices, written well');
  await page.goto(`${issuer}/account`);
  expect(await heading()).toBe('Sign in');
});

test('nobody is let in without a token, and it all ends in order', async () => {
  const answer = await fetch(`${api}/invoices`);
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
    401,
    `Bearer realm="Ledger", resource_metadata="${api}/.well-known/oauth-protected-resource"`,
  ]);
  const metadata = await fetch(`${api}/.well-known/oauth-protected-resource`);
  expect(await metadata.json()).toMatchObject({
    resource: api,
    authorization_servers: [issuer],
    scopes_supported: ['invoices:read', 'invoices:write'],
  });
  expect(complaints).toEqual([]);
  const ended = once(demo, 'exit');
  demo.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
});
