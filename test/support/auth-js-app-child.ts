import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ExpressAuth, getSession, type ExpressAuthConfig } from '@auth/express';
import express from 'express';
import type { AppSettings } from './app-process.ts';

/** An Express app that signs people in with us by Auth.js (see app-process.ts): by the ID token alone, and by userinfo. */

const app = express();
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: (server.address() as AddressInfo).port });
const [settings] = (await once(process, 'message')) as [AppSettings];
const { issuer, clientId, clientSecret } = settings;

const provider = { name: 'Vouchsafe', type: 'oidc', issuer, clientId, clientSecret } as const;
const config: ExpressAuthConfig = {
  secret: 'a secret of the app for its own cookies',
  trustHost: true,
  logger: { error: () => undefined },
  providers: [
    { ...provider, id: 'by-id-token', checks: ['pkce', 'state', 'nonce'] },
    { ...provider, id: 'by-userinfo', checks: ['pkce', 'state', 'nonce'], idToken: false },
  ],
  callbacks: {
    jwt: ({ token, account }) =>
      account === null || account === undefined
        ? token
        : { ...token, subject: account.providerAccountId },
    session: ({ session, token }) => ({ ...session, subject: token.subject }),
  },
};
app.use('/auth', ExpressAuth(config));
app.get(
  '/',
  (request, response) => void getSession(request, config).then((session) => response.json(session)),
);
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
