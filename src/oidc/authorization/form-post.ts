import type { Middleware } from 'koa';
import type { Renderer } from '../../pages/render.ts';
import { renderPage } from '../../pages/render-page.ts';

const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

/** The engine escapes what it puts into its page; this takes that back. */
const unescape = (text: string) =>
  text.replace(/&(amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? entity);

/**
 * The page that posts an answer onward (`response_mode=form_post`, and the engine's own sign-out on a change of account)
 * is built into the engine with an inline script. This shows ours in its place, with the same form.
 */
export function renderFormPost(renderer: Renderer): Middleware {
  return async (ctx, next) => {
    await next();
    if (typeof ctx.body !== 'string' || !ctx.body.includes('<title>Submitting Callback</title>'))
      return;
    const action = /<form method="post" action="([^"]*)">/.exec(ctx.body)?.[1];
    if (action === undefined) return;
    const inputs = [
      ...ctx.body.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/>/g),
    ];
    const hidden = Object.fromEntries(
      inputs.map(([, name = '', value = '']) => [unescape(name), unescape(value)]),
    );
    renderPage(
      ctx,
      renderer,
      'form-post',
      { action: unescape(action), hidden },
      { status: ctx.status, leadsToApp: true },
    );
  };
}
