import type { Client, KoaContextWithOIDC } from 'oidc-provider';

/**
 * Keeps `offline_access` in a request without `prompt=consent`. The engine drops it there; OpenID Connect Core
 * (section 11) asks for consent, which here is always had: the consent page names it as a permission of its own, and a
 * stored consent counts only where it holds it. The engine offers no hook for scopes; this one, meant for extra
 * parameters, runs after its scope check and before anything is decided. The parameter itself is never looked at.
 */
export const offlineAccessHook = {
  vs_offline_access: (ctx: KoaContextWithOIDC, _value: unknown, client: Client): void => {
    const { params } = ctx.oidc;
    const asked =
      ctx.method === 'POST'
        ? (ctx.oidc.body as { scope?: unknown } | undefined)?.scope
        : ctx.query.scope;
    if (typeof asked !== 'string' || !asked.split(' ').includes('offline_access')) return;
    const kept = typeof params?.scope === 'string' ? params.scope.split(' ') : [];
    const scopes = new Set(kept);
    const allowed =
      client.scope?.split(' ').includes('offline_access') &&
      client.grantTypeAllowed('refresh_token');
    if (!allowed || params?.response_type !== 'code' || scopes.has('offline_access')) return;
    params.scope = [...scopes, 'offline_access'].join(' ');
  },
};
