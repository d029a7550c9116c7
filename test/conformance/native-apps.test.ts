import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import { Browser } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Made, OauthApp } from '../support/oauth-app.ts';
import { type Person, Walker, walk } from '../support/walk.ts';

/** Apps on a person's own machine (RFC 8252), with oauth4webapi: they listen where there is room, or own a scheme. */

let server: HttpsServer;
let person: Person;

beforeAll(async () => {
  server = await startHttpsServer();
  person = await server.person();
});

afterAll(() => server.stop());

const native = (...redirectUris: string[]): Made => ({
  registered: { type: 'native', redirectUris },
  auth: () => oauth.None(),
});

/** The app's own web server, on a port that the system chose: gives the address that the browser came back with. */
async function listen(host: string) {
  const back: string[] = [];
  const http = createServer((request, response) => {
    back.push(`${url}${request.url}`);
    response.end('You may close this window.');
  });
  http.listen(0, host);
  await once(http, 'listening');
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${(http.address() as AddressInfo).port}`;
  const close = async () => {
    http.closeAllConnections();
    http.close();
    await once(http, 'close');
  };
  return { url, back, close };
}

/** The page that says why nobody is sent anywhere. */
async function refusal(app: OauthApp, uri: string): Promise<string> {
  const { url } = await app.ask({ redirect_uri: uri });
  const page = await new Browser().get(url);
  return page.external ? page.url : `${page.status}`;
}

describe('COMPATIBILITY 18: loopback on any port', () => {
  test.each([
    ['127.0.0.1', 'http://127.0.0.1/callback'],
    ['::1', 'http://[::1]/callback'],
  ])('%s', async (host, registered) => {
    const app = await OauthApp.register(server, native(registered));
    const walker = new Walker(server.issuer, person);
    for (const times of [1, 2]) {
      const here = await listen(host);
      try {
        const redirect_uri = `${here.url}/callback`;
        const asked = await app.ask({ redirect_uri, scope: 'openid email offline_access' });
        const page = await walker.go(asked.url);
        expect(page.text).toBe('You may close this window.');
        const url = here.back[0] as string;
        const params = await app.answer({ external: true, url, text: '' }, asked.state);
        // Of another port than the one that it was sent to, the code is none of the app's.
        if (times === 2)
          await expect(
            app.redeem(params, { ...asked, redirectUri: registered }),
          ).rejects.toMatchObject({ error: 'invalid_grant' });
        else {
          const { tokens, claims } = await app.redeem(params, asked);
          expect(claims.sub).toBe(person.id);
          expect((await app.refresh(tokens.refresh_token as string)).access_token).toMatch(
            /^vs_at_/,
          );
        }
      } finally {
        await here.close();
      }
    }
    const { protocol, host: name } = new URL(registered);
    for (const wrong of [
      `${protocol}//${name}:4000/other`,
      `${protocol}//${name}:4000/callback?more=1`,
      `https://${name}:4000/callback`,
      'http://127.0.0.2:4000/callback',
      'http://localhost.example.com:4000/callback',
      'http://[::ffff:127.0.0.1]:4000/callback',
    ])
      expect([wrong, await refusal(app, wrong)]).toEqual([wrong, '400']);
  });

  test('of a web app the port is a part of the address', async () => {
    const app = await OauthApp.register(server, {
      registered: { type: 'web', redirectUris: ['http://127.0.0.1:4000/callback'] },
      auth: ({ clientSecret = '' }) => oauth.ClientSecretBasic(clientSecret),
    });
    expect(await refusal(app, 'http://127.0.0.1:4001/callback')).toBe('400');
  });
});

test('COMPATIBILITY 18: a private scheme, for who has registered it', async () => {
  const app = await OauthApp.register(
    server,
    native('com.example.app:/callback', 'com.example.app:/other'),
  );
  const asked = await app.ask({ redirect_uri: 'com.example.app:/callback' });
  const page = await walk(new Browser(), asked.url, person);
  expect(page.url).toMatch(/^com\.example\.app:\/callback\?/);
  const { claims } = await app.redeem(await app.answer(page, asked.state), asked);
  expect(claims.sub).toBe(person.id);
  for (const wrong of [
    'com.example.app:/callback/more',
    'com.example.app://callback',
    'com.example.app.evil:/callback',
    'com.example.APP:/callback',
  ])
    expect([wrong, await refusal(app, wrong)]).toEqual([wrong, '400']);
  // Nobody owns a scheme without a domain, and no web app owns one at all.
  for (const [type, uri] of [
    ['native', 'myapp:/callback'],
    ['web', 'com.example.app:/callback'],
  ] as const)
    await expect(server.seed.client({ type, redirectUris: [uri] })).rejects.toMatchObject({
      code: 'invalid_redirect_uri',
    });
});
