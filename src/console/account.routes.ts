import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import type { AuthenticatorService } from '../authenticator/authenticator.service.ts';
import { isClientId } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';
import type { ConsentService } from '../consent/consent.service.ts';
import { refuseCrossSite } from '../http/form.ts';
import type { Pages } from '../pages/pages.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { acr } from '../oidc/authorization/acr.ts';
import { endBrowserSession, findBrowserSession } from '../oidc/browser-session.ts';
import type { Engine } from '../oidc/engine.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { listConnectedApps } from './connected-apps.ts';
import { signedIn } from './require-session.ts';
import type { ConsoleSignIn } from './sign-in.ts';

export interface AccountRoutesParts {
  readonly issuer: string;
  readonly engine: Engine;
  readonly renderer: Renderer;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly consents: ConsentService;
  readonly authenticators: AuthenticatorService;
  readonly signIn: ConsoleSignIn;
}

const clientIdSchema = z.string().refine(isClientId);

/** The account's own pages: who is signed in, what else signing in takes, and the apps that may use the account. */
export function accountRoutes(parts: AccountRoutesParts): Router {
  const { issuer, engine, renderer, consents } = parts;
  const { requireSession } = parts.signIn;
  const home = `${issuer}/account`;
  const router = new Router();

  router.get('/', (ctx) => see(ctx, home));

  router.get('/account/signed-in', parts.signIn.signedIn('account'));

  router.get('/account', requireSession({ console: 'account' }), async (ctx) => {
    renderPage(ctx, renderer, 'account', await describe(ctx, parts));
  });

  // Who has no second factor is led to one by the sign-in that this asks for.
  router.get(
    '/account/second-factor',
    requireSession({ console: 'account', acr: acr.twoFactors }),
    (ctx) => see(ctx, home),
  );

  router.post(
    '/account/apps/:clientId/remove',
    refuseCrossSite(issuer),
    requireSession({ console: 'account' }),
    async (ctx) => {
      const clientId = clientIdSchema.safeParse(ctx.params.clientId).data;
      const removed =
        clientId !== undefined &&
        (await consents.remove(signedIn(ctx).account.id, clientId, requestOrigin(ctx)));
      see(ctx, removed ? `${home}?removed=${encodeURIComponent(clientId)}` : home);
    },
  );

  // A user who is signed out already, or whose sign-in is too weak for the page, is not asked to sign in for this.
  router.post('/account/sign-out', refuseCrossSite(issuer), async (ctx) => {
    const session = await findBrowserSession(engine.provider, ctx);
    if (session !== undefined) endBrowserSession(engine.provider, ctx, session);
    see(ctx, `${issuer}/logout/success`);
  });

  return router;
}

async function describe(ctx: Context, parts: AccountRoutesParts): Promise<Pages['account']> {
  const { account } = signedIn(ctx);
  const home = `${parts.issuer}/account`;
  const [authenticators, consents] = await Promise.all([
    parts.authenticators.list(account.id),
    parts.consents.listForAccount(account.id),
  ]);
  const [authenticator] = authenticators;
  const apps = await listConnectedApps(
    consents,
    parts,
    (clientId) => `${home}/apps/${encodeURIComponent(clientId)}/remove`,
  );
  // Said only while it is true, whoever made the link.
  const removed = clientIdSchema.safeParse(ctx.query.removed).data;
  const gone =
    removed === undefined || apps.some(({ app }) => app.id === removed)
      ? undefined
      : await parts.clients.findStored(removed);
  return {
    account: { email: account.email, name: account.name, emailVerified: account.emailVerified },
    secondFactor:
      authenticator === undefined
        ? { on: false, enrolUrl: `${home}/second-factor` }
        : { on: true, deviceName: authenticator.label, since: authenticator.createdAt },
    apps,
    removed: gone?.name,
    signOut: { action: `${home}/sign-out` },
  };
}

/** After a post too: going back or reloading repeats nothing. */
function see(ctx: Context, url: string): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.status = 303;
  ctx.redirect(url);
}
