import { createHmac } from 'node:crypto';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import { api, type IssuedToken, POPULATION, TOKEN_EXCHANGE, targetApi } from './protocol.ts';

/** What people have left behind in a plain provider, and the grant that it does not have. */

/** Tokens that people have given to clients, each with its grant. */
export function issueToPeople(
  provider: Provider,
  clients: readonly { readonly clientId: string }[],
): Promise<IssuedToken[]> {
  return Promise.all(
    clients.map(async ({ clientId }, index) => {
      const client = await provider.Client.find(clientId);
      if (client === undefined) throw new TypeError(`there is no ${clientId}`);
      const accountId = `account-${index}`;
      const grant = new provider.Grant({ accountId, clientId });
      grant.addResourceScope(api, 'read');
      const grantId = await grant.save();
      const token = new provider.AccessToken({
        accountId,
        client,
        grantId,
        gty: 'authorization_code',
        scope: 'read',
        aud: api,
      } as never);
      return { token: await token.save(), clientId };
    }),
  );
}

/** Browsers that are signed in, and what their users have allowed the app: the `Cookie` header of each. */
export function signInPeople(
  provider: Provider,
  clientId: string,
  cookieKey: string,
): Promise<string[]> {
  const name = provider.cookieName('session');
  return Promise.all(
    Array.from({ length: POPULATION }, async (_, index) => {
      const accountId = `account-${index}`;
      const grant = new provider.Grant({ accountId, clientId });
      grant.addOIDCScope('openid email offline_access');
      const grantId = await grant.save();
      const session = new provider.Session();
      session.loginAccount({ accountId });
      session.authorizations = { [clientId]: { sid: `sid-${index}`, grantId } } as never;
      await session.save(86_400);
      const value = `${name}=${session.jti}`;
      const signature = createHmac('sha1', cookieKey).update(value).digest('base64url');
      return `${value}; ${name}.sig=${signature}`;
    }),
  );
}

/**
 * Token exchange as the shortest grant that is still right: the subject token, its grant and its account are live, and it was
 * issued for the API that it may be exchanged at.
 */
export function registerExchange(
  provider: Provider,
  resourceServerInfo: (identifier: string) => ConstructorParameters<Provider['ResourceServer']>[1],
): void {
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      const { client } = ctx.oidc;
      const params = (ctx.oidc.params ?? {}) as Readonly<Record<string, unknown>>;
      const subject = await provider.AccessToken.find(String(params.subject_token));
      const grant =
        subject?.grantId === undefined ? undefined : await provider.Grant.find(subject.grantId);
      if (
        client === undefined ||
        subject === undefined ||
        grant === undefined ||
        subject.aud !== api
      )
        throw new errors.InvalidGrant('the subject token is not live');
      if (params.resource !== targetApi) throw new errors.InvalidTarget();
      const token = new provider.AccessToken({
        accountId: subject.accountId,
        client,
        grantId: subject.grantId,
        gty: 'token_exchange',
        scope: 'read',
      } as never);
      token.resourceServer = new provider.ResourceServer(targetApi, resourceServerInfo(targetApi));
      ctx.body = {
        access_token: await token.save(),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: token.expiration,
        scope: 'read',
      };
    },
    ['subject_token', 'subject_token_type', 'resource', 'scope'],
  );
}
