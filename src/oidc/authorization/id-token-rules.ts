import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Client } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';

interface IdToken {
  readonly ctx?: KoaContextWithOIDC;
  scope: string;
  issue: (this: IdToken, options?: { readonly use?: string }) => Promise<string | undefined>;
}

/**
 * Decides what ID tokens contain, and whether a refresh returns one.
 *
 * Claims that scopes ask for are returned at userinfo. The ID token contains them only if the access token doesn't open
 * userinfo (OpenID Connect Core, section 5.4), or if the client's settings ask for them there. The engine has one setting
 * for all clients; with `conformIdTokenClaims` off it includes whatever was granted, and this removes it again.
 *
 * A client with `idTokenOnRefresh: 'never'` gets no ID token on refresh: nothing is signed, and the engine leaves the
 * member out of its answer.
 */
export function applyIdTokenRules(provider: Provider, clients: ClientService): void {
  const prototype = (provider as unknown as { IdToken: { prototype: IdToken } }).IdToken.prototype;
  const issue = prototype.issue;
  prototype.issue = async function issueByRules(options) {
    if (options?.use === 'idtoken') {
      const client = await clients.find(this.ctx?.oidc.client?.clientId ?? '');
      if (client?.settings.idTokenOnRefresh === 'never' && isRefresh(this.ctx)) return undefined;
      if (!includesAll(this.ctx, client)) this.scope = 'openid';
    }
    return issue.call(this, options);
  };
}

const isRefresh = (ctx: KoaContextWithOIDC | undefined) =>
  ctx?.oidc.route === 'token' && ctx.oidc.params?.grant_type === 'refresh_token';

const includesAll = (ctx: KoaContextWithOIDC | undefined, client: Client | undefined) =>
  ctx?.oidc.entities.AccessToken?.aud !== undefined ||
  client?.settings.idTokenClaims === 'identity';
