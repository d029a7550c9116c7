import { decodeJwt } from 'jose';
import type { Client, KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';

/**
 * Keeps `offline_access` in a request without `prompt=consent`. The engine drops it there; OpenID Connect Core
 * (section 11) asks for consent, which here is always had: the consent page names it as a permission of its own, and a
 * stored consent counts only where it holds it. The engine offers no hook for scopes; this one, meant for extra
 * parameters, runs after its scope check and before anything is decided. The parameter itself is never looked at.
 * For a client that never asks, and is to have refresh tokens all the same, it asks in the client's place.
 */
export const offlineAccessHook = (clients: ClientService) => ({
  vs_offline_access: async (
    ctx: KoaContextWithOIDC,
    _value: unknown,
    client: Client,
  ): Promise<void> => {
    const { params } = ctx.oidc;
    const asked = askedScope(ctx);
    const isAsked = typeof asked === 'string' && asked.split(' ').includes('offline_access');
    const always = (await clients.find(client.clientId))?.settings.offlineAccess === 'always';
    if (!isAsked && !always) return;
    const kept = typeof params?.scope === 'string' ? params.scope.split(' ') : [];
    const scopes = new Set(kept);
    const allowed =
      client.scope?.split(' ').includes('offline_access') &&
      client.grantTypeAllowed('refresh_token');
    if (!allowed || params?.response_type !== 'code' || scopes.has('offline_access')) return;
    params.scope = [...scopes, 'offline_access'].join(' ');
  },
});

/** As it was sent: pushed before, in a request object, or plainly. */
function askedScope(ctx: KoaContextWithOIDC): unknown {
  const { PushedAuthorizationRequest: pushed } = ctx.oidc.entities as {
    PushedAuthorizationRequest?: { readonly request: string };
  };
  const sent = (ctx.method === 'POST' ? ctx.oidc.body : ctx.query) as
    | { readonly scope?: unknown; readonly request?: unknown }
    | undefined;
  const request = pushed?.request ?? sent?.request;
  // It was verified by now, or written by ourselves.
  return typeof request === 'string' && request !== '' ? decodeJwt(request).scope : sent?.scope;
}
