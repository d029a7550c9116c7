import type { Context } from 'koa';
import { languageOf } from './language.ts';
import type { Pages } from './pages.ts';
import type { Renderer } from './render.ts';

const base =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'none'; base-uri 'none'; frame-ancestors 'none'";

export interface PageOptions {
  readonly status?: number;
  /**
   * Set for pages whose forms end in a redirect to an app: Chromium applies `form-action` to every redirect after a post,
   * the app's own onward ones too, so such pages leave that directive out.
   */
  readonly leadsToApp?: boolean;
}

/** Answers with a page of ours, in the reader's language: never cached, never framed, nothing from a foreign host. */
export function renderPage<K extends keyof Pages>(
  ctx: Context,
  renderer: Renderer,
  name: K,
  model: Pages[K],
  options: PageOptions = {},
): void {
  ctx.status = options.status ?? 200;
  ctx.type = 'html';
  ctx.set('Content-Security-Policy', options.leadsToApp ? base : `${base}; form-action 'self'`);
  ctx.set('Cache-Control', 'no-store');
  ctx.body = renderer.page(name, { lang: languageOf(ctx).lang, ...model });
}

/** Hashed assets: they never change under their name, so they may be kept for ever. */
export function serveAssets(
  renderer: Renderer,
): (ctx: Context, next: () => Promise<unknown>) => unknown {
  return (ctx, next) => {
    if (!ctx.path.startsWith('/assets/') || (ctx.method !== 'GET' && ctx.method !== 'HEAD'))
      return next();
    const asset = renderer.asset(ctx.path);
    if (asset === undefined) return undefined;
    ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
    ctx.set('ETag', asset.etag);
    ctx.status = 200;
    if (ctx.fresh) {
      ctx.status = 304;
      return undefined;
    }
    ctx.type = asset.type;
    ctx.body = asset.body;
    return undefined;
  };
}
