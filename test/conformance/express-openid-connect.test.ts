import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Seed, type SignedInBrowser } from '../support/protocol.ts';
import {
  type Door,
  openDoor,
  type ServerProcess,
  startServerProcess,
} from '../support/server-process.ts';
import { cookiesOf, form, send } from '../support/wire.ts';
import { until } from '../support/process.ts';

/** express-openid-connect, which we did not write, is told of sign-outs by two processes of ours, and verifies it itself. */

const inside = '127.0.0.1';
let database: TestDatabase;
let door: Door;
let servers: ServerProcess[];
let issuer: string;
let app: ChildProcess;
let appUrl: string;

beforeAll(async () => {
  database = await createTestDatabase();
  door = await openDoor();
  issuer = `http://localhost:${door.port}`;
  servers = await Promise.all(
    [1, 2].map(() =>
      startServerProcess(database, issuer, { OUTBOUND_ALLOW: inside, LOG_LEVEL: 'silent' }),
    ),
  );
  await door.leadTo(servers[0] as ServerProcess);
});

afterAll(async () => {
  app.kill();
  await Promise.all(servers.map((server) => server.stop()));
  await door.close();
  await database.drop();
});

/** Starts the app, and registers it: gives what it answers to logout tokens as they come. */
async function startApp(): Promise<{ clientId: string; answered: number[] }> {
  app = fork(join(import.meta.dirname, '../support/express-app-child.ts'), [], { execArgv: [] });
  const said = async <T>() => (await once(app, 'message'))[0] as T;
  appUrl = `http://${inside}:${(await said<{ port: number }>()).port}`;
  const { clientId, clientSecret } = await new Seed(database.db, [inside]).client({
    redirectUris: [`${appUrl}/callback`],
    backchannelLogoutUri: `${appUrl}/backchannel-logout`,
  });
  app.send({ issuer, url: appUrl, clientId, clientSecret });
  await said();
  const answered: number[] = [];
  app.on('message', (message: { answered: number }) => void answered.push(message.answered));
  return { clientId, answered };
}

/** Goes to the app in a browser that is signed in with us, and comes back with the app's own cookies. */
async function signInToApp(browser: SignedInBrowser): Promise<Map<string, string>> {
  const cookies = new Map<string, string>();
  const visit = async (url: string) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    return response.headers.get('location') as string;
  };
  const toUs = new URL(await visit(`${appUrl}/login`));
  expect(toUs.origin).toBe(issuer);
  const back = (await browser.get(issuer, `${toUs.pathname}${toUs.search}`)).headers;
  await visit(back.get('location') as string);
  return cookies;
}

async function isSignedInToApp(cookies: Map<string, string>): Promise<unknown> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  return (await fetch(appUrl, { headers: { cookie } })).json();
}

test('COMPATIBILITY 20 and 21: an Express app signs in, and signs out who has signed out here, on either process', async () => {
  const { clientId, answered } = await startApp();
  const seed = new Seed(database.db);
  for (const server of servers) {
    const people = await Promise.all(
      [1, 2].map(async () => {
        const accountId = await seed.account();
        await seed.consent(accountId, clientId);
        const browser = await seed.signIn(accountId, undefined, issuer);
        return { browser, cookies: await signInToApp(browser) };
      }),
    );
    const [ann, ben] = people as [(typeof people)[0], (typeof people)[0]];
    expect(await isSignedInToApp(ann.cookies)).toBe(true);
    const answer = await send(server.url, '/account/sign-out', {
      method: 'POST',
      headers: { origin: issuer, ...cookiesOf(ann.browser) },
      body: form({}),
    });
    expect(answer.status).toBe(303);
    await until(async () => (await isSignedInToApp(ann.cookies)) === false);
    expect(await isSignedInToApp(ben.cookies)).toBe(true);
  }
  expect(answered).toEqual([204, 204]);
});
