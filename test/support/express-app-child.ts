import type { AddressInfo } from 'node:net';
import express from 'express';
import openidConnect from 'express-openid-connect';

/** An Express app that signs people in with us; a process of its own, since jest can't load what express-openid-connect requires. */

const routes = express();
const app = routes.listen(0, '127.0.0.1', () =>
  process.send?.({ port: (app.address() as AddressInfo).port }),
);

/** What the library keeps of those who were signed out. */
const kept = new Map<string, unknown>();
const store = {
  get: (id: string, done: (error: null, value: unknown) => void) => done(null, kept.get(id)),
  set(id: string, value: unknown, done: (error: null) => void) {
    kept.set(id, value);
    done(null);
  },
  destroy(id: string, done: (error: null) => void) {
    kept.delete(id);
    done(null);
  },
};

process.on(
  'message',
  (settings: Record<'issuer' | 'url' | 'clientId' | 'clientSecret', string>) => {
    routes.use((request, response, next) => {
      // What it has answered to each logout token.
      if (request.path === '/backchannel-logout')
        response.on('finish', () => process.send?.({ answered: response.statusCode }));
      next();
    });
    routes.use(
      openidConnect.auth({
        issuerBaseURL: settings.issuer,
        baseURL: settings.url,
        clientID: settings.clientId,
        clientSecret: settings.clientSecret,
        secret: 'a secret of the app for its own cookies',
        authRequired: false,
        authorizationParams: { response_type: 'code', scope: 'openid' },
        backchannelLogout: { store: store as never },
      }),
    );
    routes.get('/', (request, response) => void response.json(request.oidc.isAuthenticated()));
    process.send?.({ ready: true });
  },
);
process.on('disconnect', () => process.exit());
