import Router from '@koa/router';
import type { Middleware } from 'koa';
import { wayHome } from '../http/errors.ts';
import { renderPage } from '../pages/render-page.ts';
import { sha256 } from '../lib/hash.ts';
import { findRequestByLink } from '../unit-of-work/polled-reads.ts';
import { beginAnswer } from '../oidc/decoupled/start.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import type { InteractionParts } from './parts.ts';
import { redirect } from './visit.ts';

/**
 * Where the link in the mail leads by which a person is asked for an answer (CIBA). Opening it decides nothing, whoever does,
 * a mail scanner too: it asks for the sign-in of the very account that is asked, and then for the answer.
 */
export function createAskedRoutes({
  config,
  engine,
  renderer,
}: Pick<InteractionParts, 'config' | 'engine' | 'renderer'>): Middleware {
  const router = new Router({ prefix: '/asked' });
  router.use(wayHome(config.issuer));
  router.get('/:token', async (ctx) => {
    const request = await findRequestByLink(currentUnit().db, sha256(ctx.params.token as string));
    if (request !== undefined) {
      redirect(ctx, await beginAnswer(ctx, engine.provider, request));
      return;
    }
    const model = { link: 'asked', nextUrl: `${config.issuer}/account` } as const;
    renderPage(ctx, renderer, 'link-expired', model, { status: 410 });
  });
  return router.routes() as unknown as Middleware;
}
