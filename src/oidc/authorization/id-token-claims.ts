import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';

interface IdToken {
  readonly ctx?: KoaContextWithOIDC;
  scope: string;
  issue: (this: IdToken, options?: { readonly use?: string }) => Promise<string>;
}

/**
 * What scopes ask for is told at userinfo, and in the ID token only where the access token does not open that (OpenID
 * Connect Core, section 5.4), or where the client is one that reads it there. The engine has one answer for all of them;
 * with `conformIdTokenClaims` off it puts in whatever was granted, and this takes it out again.
 */
export function applyIdTokenClaims(provider: Provider, clients: ClientService): void {
  const prototype = (provider as unknown as { IdToken: { prototype: IdToken } }).IdToken.prototype;
  const issue = prototype.issue;
  prototype.issue = async function issueWithClaims(options) {
    if (options?.use === 'idtoken' && !(await tellsAll(this.ctx, clients))) this.scope = 'openid';
    return issue.call(this, options);
  };
}

async function tellsAll(
  ctx: KoaContextWithOIDC | undefined,
  clients: ClientService,
): Promise<boolean> {
  if (ctx?.oidc.entities.AccessToken?.aud !== undefined) return true;
  const client = await clients.find(ctx?.oidc.client?.clientId ?? '');
  return client?.settings.idTokenClaims === 'identity';
}
