import type { KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../client/client.service.ts';
import { askLanguage } from '../pages/language.ts';
import type { ErrorKind } from '../pages/pages.ts';
import type { Renderer } from '../pages/render.ts';
import { renderPage } from '../pages/render-page.ts';
import { toApp } from './apps.ts';
import { findBrowserSession } from './browser-session.ts';
import { createRequestPages, type RequestPages } from './decoupled/pages.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

/** The pages that the engine shows by itself: each is one of ours. */
export interface EnginePages {
  error(
    ctx: KoaContextWithOIDC,
    out: { error: string; error_description?: string },
    cause: Error,
  ): Promise<void>;
  signOut(ctx: KoaContextWithOIDC, form: { action: string; xsrf: string }): Promise<void>;
  signedOut(ctx: KoaContextWithOIDC): Promise<void>;
  readonly requests: RequestPages;
}

/** Our pages in place of every one that the engine brings. */
export function createEnginePages({
  renderer,
  clients,
  issuer,
}: {
  renderer: Renderer;
  clients: ClientService;
  issuer: string;
}): EnginePages {
  const home = `${issuer}/account`;
  const appOf = async (ctx: KoaContextWithOIDC) => {
    const client = ctx.oidc.client && (await clients.find(ctx.oidc.client.clientId));
    return client && toApp(client);
  };
  return {
    requests: createRequestPages({ renderer, clients, issuer }),
    async error(ctx, out, cause) {
      askLanguage(ctx, ctx.oidc.params?.ui_locales);
      const kind = kindOf(out.error, cause, ctx.oidc.route);
      const model = {
        kind,
        requestId: ctx.state.requestId,
        at: new Date(),
        // A redirect URI that was not checked stands nowhere on the page, not even as text.
        oauth: {
          error: out.error,
          description: out.error_description,
          clientId: ctx.oidc.client?.clientId,
        },
        app: await appOf(ctx),
        homeUrl: home,
      };
      renderPage(ctx, renderer, 'error', model, { status: ctx.status });
    },
    async signOut(ctx, form) {
      askLanguage(ctx, ctx.oidc.params?.ui_locales);
      const { session } = ctx.oidc;
      const account =
        session?.accountId === undefined
          ? undefined
          : await currentUnit().findAccount(session.accountId);
      renderPage(
        ctx,
        renderer,
        'sign-out',
        {
          action: form.action,
          hidden: { xsrf: form.xsrf },
          app: await appOf(ctx),
          account: account && { email: account.email },
          stayUrl: home,
        },
        { leadsToApp: true },
      );
    },
    async signedOut(ctx) {
      // Anybody can open the address: the page is only for those who are signed out.
      if ((await findBrowserSession(ctx.oidc.provider, ctx)) !== undefined) {
        ctx.status = 303;
        ctx.redirect(home);
        return;
      }
      renderPage(ctx, renderer, 'signed-out', { app: await appOf(ctx), signInUrl: home });
    },
  };
}

function kindOf(error: string, cause: Error, route: string): ErrorKind {
  switch (cause.name) {
    case 'InvalidClient':
      return 'app-unknown';
    case 'InvalidRedirectUri':
      return 'app-redirect';
    case 'SessionNotFound':
      return 'expired';
    default:
      if (error === 'server_error') return 'ours';
      return route.startsWith('end_session') ? 'app-sign-out' : 'app-request';
  }
}
