import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import OpenIDConnectStrategy, { type Profile } from 'passport-openidconnect';
import type { AppSettings } from './app-process.ts';

/** An Express app that signs people in with us by passport-openidconnect (see app-process.ts). */

const app = express();
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
process.send?.({ port: (server.address() as AddressInfo).port });
const [settings] = (await once(process, 'message')) as [AppSettings];
const { issuer, url, clientId, clientSecret } = settings;

passport.use(
  new OpenIDConnectStrategy(
    {
      issuer,
      authorizationURL: `${issuer}/authorize`,
      tokenURL: `${issuer}/token`,
      userInfoURL: `${issuer}/userinfo`,
      clientID: clientId,
      clientSecret,
      callbackURL: `${url}/callback`,
      scope: ['email', 'profile'],
      skipUserProfile: false,
    },
    (_issuer: string, profile: Profile, done: (error: null, user: Profile) => void) =>
      done(null, profile),
  ),
);
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user: Express.User, done) => done(null, user));
app.use(session({ secret: 'a secret of the app', resave: false, saveUninitialized: false }));
app.use(passport.session());
app.get('/login', passport.authenticate('openidconnect'));
app.get('/callback', (request, response, next) => {
  const answered = (error: unknown, user: Express.User | false, info: unknown) => {
    if (user === false || error !== null)
      response.status(401).json({ refused: String((error as Error | null)?.message), info });
    else request.logIn(user, () => response.redirect('/'));
  };
  (
    passport.authenticate('openidconnect', answered) as (
      ...args: [typeof request, typeof response, typeof next]
    ) => void
  )(request, response, next);
});
app.get('/', (request, response) => void response.json(request.user ?? null));
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
