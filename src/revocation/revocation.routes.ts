import Router from '@koa/router';
import type { RevocationFeed } from './revocation.service.ts';

/** The revocation feed, for everybody: it tells of hashes and of clients, and whom they are of only to who has the token. */
export function revocationRoutes(feed: RevocationFeed): Router {
  const router = new Router();
  router.get('/revocations', async (ctx) => {
    ctx.set('Access-Control-Allow-Origin', '*');
    // Whatever keeps it, keeps what was true: nobody does.
    ctx.set('Cache-Control', 'no-store');
    const { since } = ctx.query;
    ctx.body = await feed.read(typeof since === 'string' ? since : undefined);
    ctx.type = 'application/secevent+jwt';
  });
  return router;
}
