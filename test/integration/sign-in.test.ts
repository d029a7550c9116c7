import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ask, enterPassword, redeem } from '../support/relying-party.ts';
import { startServer, type TestServer } from '../support/server.ts';

let t: TestDatabase;
let server: TestServer;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
});

afterAll(async () => {
  await server.close();
  await t.drop();
});

test('a person signs in, consents, and the app gets its code', async () => {
  const account = await server.createAccount();
  const client = await server.createClient();
  const browser = new Browser();
  const asked = ask(server, client, { scope: 'openid email' });
  const signIn = await browser.get(asked.url);
  expect(signIn.status).toBe(200);
  expect(signIn.title).toContain('Sign in to continue to Quillet');
  const consent = await enterPassword(browser, signIn, account);
  expect(consent.title).toContain('Let Quillet use your account?');
  expect(consent.text).toContain(account.email);
  const back = await browser.submit(consent, {}, 'allow');
  expect(back.external).toBe(true);
  expect(Object.fromEntries(back.params)).toEqual({
    code: expect.any(String),
    state: 'the-state',
    iss: server.issuer,
  });
  const tokens = await redeem(server, client, asked, back);
  expect(tokens.status).toBe(200);
  expect(tokens.idToken).toMatchObject({
    sub: account.id,
    amr: ['pwd'],
    acr: 'urn:vouchsafe:acr:1fa',
  });
});
