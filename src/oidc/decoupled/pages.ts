import type { KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import type { ErrorKind } from '../../pages/pages.ts';
import type { Renderer } from '../../pages/render.ts';
import { renderPage } from '../../pages/render-page.ts';
import { toApp } from '../apps.ts';
import type { AskedRequest } from '../../unit-of-work/polled-requests.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** The last page of a request that a program polls for. */
export interface RequestPages {
  answered(ctx: KoaContextWithOIDC, isAllowed: boolean): Promise<void>;
  /** Where it came to no answer; without an error, somebody came to the engine's own page for codes. */
  stopped(ctx: KoaContextWithOIDC, error: Error | undefined): Promise<void>;
}

export function createRequestPages({
  renderer,
  clients,
  issuer,
}: {
  readonly renderer: Renderer;
  readonly clients: ClientService;
  readonly issuer: string;
}): RequestPages {
  const homeUrl = `${issuer}/account`;
  const codeUrl = `${issuer}/device`;
  const appOf = async (request: AskedRequest | undefined) => {
    const client = request && (await clients.find(request.clientId));
    return client && toApp(client);
  };
  async function answered(ctx: KoaContextWithOIDC, isAllowed: boolean): Promise<void> {
    const request = await findRequest(ctx);
    renderPage(ctx, renderer, 'request-answered', {
      kind: request?.kind ?? 'device',
      app: await appOf(request),
      isAllowed,
      homeUrl,
    });
  }
  return {
    answered,
    async stopped(ctx, error) {
      leaveSession(ctx);
      if (ctx.oidc.route === 'code_verification') {
        ctx.status = 303;
        ctx.redirect(codeUrl);
        return;
      }
      if (error?.name === 'AbortedError') return answered(ctx, false);
      const request = await findRequest(ctx);
      const kind = kindOf(error, request);
      const model = {
        kind,
        requestId: ctx.state.requestId,
        at: new Date(),
        app: await appOf(request),
        startUrl: request?.kind === 'device' ? codeUrl : undefined,
        homeUrl,
      };
      // What renders the same form again answers 200 in the engine.
      renderPage(ctx, renderer, 'error', model, { status: ctx.status < 400 ? 400 : ctx.status });
    },
  };
}

/**
 * The engine has just put the secret of a form into the session that is on none of our pages, and would save it: it fails
 * where the browser has no session, and a 500 stands in for what went wrong. What is to stay of the session is saved already.
 */
function leaveSession({ oidc }: KoaContextWithOIDC): void {
  if (oidc.session !== undefined) Object.assign(oidc.session, { touched: false });
}

async function findRequest({ oidc }: KoaContextWithOIDC): Promise<AskedRequest | undefined> {
  const id = oidc.deviceCode?.jti ?? oidc.entities.Interaction?.deviceCode;
  return id === undefined ? undefined : currentUnit().polled.find(id);
}

function kindOf(error: Error | undefined, request: AskedRequest | undefined): ErrorKind {
  switch (error?.name) {
    case 'ExpiredError':
    case 'AlreadyUsedError':
    case 'NotFoundError':
    case 'SessionNotFound':
      return 'expired';
    case 'LoginRequired':
      return request?.kind === 'ciba' ? 'not-yours' : 'sign-in-stopped';
    case 'InvalidClient':
      return 'app-unknown';
    default:
      return error !== undefined && 'expose' in error && error.expose === true
        ? 'app-request'
        : 'ours';
  }
}
