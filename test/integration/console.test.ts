import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { enterPassword } from '../support/relying-party.ts';
import { startServer, type TestServer } from '../support/server.ts';

let t: TestDatabase;
let server: TestServer;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
});

afterAll(async () => {
  await server?.close();
  await t?.drop();
});

test('whoever is signed out signs in, and comes back to where they were going', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const signIn = await browser.get(`${server.issuer}/account?removed=nothing`);
  expect(signIn.title).toBe('Sign in · Vouchsafe');
  const page = await enterPassword(browser, signIn, account);
  expect(page.url).toBe(`${server.issuer}/account?removed=nothing`);
  expect(page.title).toBe('Your account · Vouchsafe');
  expect(page.text).toContain(account.email);
  expect(browser.cookies()).not.toHaveProperty('vs_console');
});
