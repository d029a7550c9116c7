import type { Middleware } from 'koa';

/** What has no elements is left out of the metadata (RFC 8414, section 3.2), and nothing is told that is not so. */
export function leaveOutEmpty(): Middleware {
  return async (ctx, next) => {
    await next();
    const { route } = (ctx as { oidc?: { route?: string } }).oidc ?? {};
    if (route !== 'discovery' || ctx.status !== 200) return;
    const metadata = ctx.body as Record<string, unknown>;
    for (const [name, value] of Object.entries(metadata))
      if (Array.isArray(value) && value.length === 0) delete metadata[name];
    // The engine says that it takes them; a code by which a person is told from others is none of ours (CIBA Core, section 4).
    metadata.backchannel_user_code_parameter_supported = false;
  };
}
