import Koa, { type Context } from 'koa';
import * as oauth from 'openid-client';
import { discovered } from './discovery.ts';
import { callApi } from './calls.ts';
import { sendFile, sendPage } from './page.ts';
import { type Credentials, scopes } from './registration.ts';
import { addAttempt, Sessions, takeAttempt } from './sessions.ts';
import { problem, signedInPage, welcome } from './views.ts';

export interface AppOptions {
  readonly issuer: string;
  /** The app's own address. */
  readonly url: string;
  /** The API's address, which is also the `resource` that its tokens are for. */
  readonly api: string;
  readonly credentials: Credentials;
}

/**
 * An example app: it signs people in with the authorization code flow, PKCE, state and nonce, and calls an API with the
 * access token it got. Tokens stay on the server; the browser holds nothing but a session cookie.
 */
export function createApp({ issuer, url, api, credentials }: AppOptions): Koa {
  const server = discovered(issuer, credentials);
  const sessions = new Sessions();
  const show = (
    ctx: Context,
    [title, body]: readonly [string, Parameters<typeof sendPage>[3]],
    status = 200,
  ) => sendPage(ctx, issuer, title, body, status);

  async function home(ctx: Context): Promise<void> {
    const session = sessions.find(ctx);
    if (session?.signedIn === undefined) return show(ctx, welcome());
    const answer = await callApi(await server(), session.signedIn, api, 'GET');
    show(ctx, signedInPage(session.signedIn.claims, answer, issuer));
  }

  async function addInvoice(ctx: Context): Promise<void> {
    const session = sessions.find(ctx);
    if (session?.signedIn === undefined) return ctx.redirect('/');
    const answer = await callApi(await server(), session.signedIn, api, 'POST');
    if (answer.status === 201) ctx.redirect('/');
    else show(ctx, signedInPage(session.signedIn.claims, answer, issuer));
  }

  async function signIn(ctx: Context): Promise<void> {
    const codeVerifier = oauth.randomPKCECodeVerifier();
    const state = oauth.randomState();
    const nonce = oauth.randomNonce();
    const target = oauth.buildAuthorizationUrl(await server(), {
      redirect_uri: `${url}/callback`,
      scope: `openid offline_access ${scopes.read} ${scopes.write}`,
      // ID tokens hold no more than who it is, unless more is asked for (OpenID Connect Core, section 5.5).
      claims: JSON.stringify({
        id_token: { name: null, email: { essential: true }, email_verified: null },
      }),
      // Quillet handles money: a password alone is not enough for it.
      acr_values: 'urn:vouchsafe:acr:2fa',
      resource: api,
      // What was decided before is not asked again, unless somebody wants to decide anew.
      ...(ctx.query.again === 'yes' ? { prompt: 'consent' } : {}),
      state,
      nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    });
    addAttempt(sessions.findOrStart(ctx), state, { nonce, codeVerifier });
    ctx.redirect(target.href);
  }

  async function callback(ctx: Context): Promise<void> {
    const attempt = takeAttempt(sessions.find(ctx), ctx.URL.searchParams.get('state'));
    if (attempt === undefined)
      return show(
        ctx,
        problem('This sign-in didn’t begin here', 'It may have been left too long.'),
        400,
      );
    if (ctx.URL.searchParams.get('error') === 'access_denied') {
      return show(ctx, problem('You didn’t let Quillet in', 'That’s fine. Nothing was shared.'));
    }
    const checks = {
      pkceCodeVerifier: attempt.codeVerifier,
      expectedState: ctx.URL.searchParams.get('state') ?? '',
      expectedNonce: attempt.nonce,
      idTokenExpected: true,
    };
    const tokens = await oauth.authorizationCodeGrant(
      await server(),
      new URL(ctx.url, url),
      checks,
      { resource: api },
    );
    const claims = tokens.claims();
    if (claims === undefined || tokens.id_token === undefined) throw new TypeError('no ID token');
    sessions.signIn(ctx, {
      claims,
      idToken: tokens.id_token,
      tokens: { accessToken: tokens.access_token, refreshToken: tokens.refresh_token },
    });
    ctx.redirect('/');
  }

  /** Ends the app's session, what it holds, and then, if the person wants it too, the one with the server. */
  async function signOut(ctx: Context): Promise<void> {
    const signedIn = sessions.find(ctx)?.signedIn;
    sessions.end(ctx);
    if (signedIn === undefined) return ctx.redirect('/');
    const { refreshToken, accessToken } = signedIn.tokens;
    await oauth.tokenRevocation(await server(), refreshToken ?? accessToken).catch(() => undefined);
    ctx.status = 303;
    ctx.redirect(
      oauth.buildEndSessionUrl(await server(), {
        id_token_hint: signedIn.idToken,
        post_logout_redirect_uri: `${url}/`,
      }).href,
    );
  }

  const routes: Record<string, (ctx: Context) => Promise<void> | void> = {
    'GET /': home,
    'GET /sign-in': signIn,
    'GET /callback': callback,
    'GET /style.css': sendFile,
    'GET /icon.svg': sendFile,
    'POST /invoices': addInvoice,
    'POST /sign-out': signOut,
  };
  const app = new Koa();
  app.use(async (ctx) => {
    try {
      await routes[`${ctx.method} ${ctx.path}`]?.(ctx);
    } catch {
      show(
        ctx,
        problem(
          'That didn’t work',
          'The sign-in could not be finished, or the server does not answer.',
        ),
        502,
      );
    }
  });
  return app;
}
