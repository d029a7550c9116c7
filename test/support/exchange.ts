import { decodeJwt } from 'jose';
import { ClientService } from '../../src/client/client.service.ts';
import { type NewClient, TOKEN_EXCHANGE } from '../../src/client/client.ts';
import { ExchangeRules } from '../../src/exchange/exchange.service.ts';
import { type NewExchangeRule, newExchangeRuleSchema } from '../../src/exchange/exchange.ts';
import { TrustedIssuers } from '../../src/issuer/issuer.service.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import type { TestDatabase } from './database.ts';
import { type Credentials, exchange, post, type Seed, type TokenAnswer } from './protocol.ts';
import { basic } from './wire.ts';

/** Token exchange (RFC 8693) as an API speaks it, and what it needs. */

export const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
export const exchangeGrant: Pick<NewClient, 'grantTypes'> = {
  grantTypes: ['client_credentials', TOKEN_EXCHANGE],
};

/** As `exchange allow` does it; gives the rule's id. */
export function allow(
  database: TestDatabase,
  rule: Omit<NewExchangeRule, 'impersonation' | 'actors'> & Partial<NewExchangeRule>,
): Promise<string> {
  const resourceServers = new ResourceServerService(database.db);
  const clients = new ClientService(database.db, resourceServers);
  const rules = new ExchangeRules(database.db, clients, resourceServers);
  return rules.allow(newExchangeRuleSchema.parse(rule), 'test');
}

/** Whose assertions are taken, as the command line changes it. */
export function trustedIssuers({ db }: TestDatabase, inside: readonly string[] = []) {
  const resourceServers = new ResourceServerService(db);
  const outboundAllow = new OutboundAllow(inside);
  return new TrustedIssuers({
    db,
    ownIssuer: 'http://localhost:3000',
    clients: new ClientService(db, resourceServers),
    resourceServers,
    outboundAllow,
  });
}

export const exchangeForm = (
  subjectToken: string,
  resource: string,
  extra: Record<string, string> = {},
): Record<string, string> => ({
  grant_type: TOKEN_EXCHANGE,
  subject_token: subjectToken,
  subject_token_type: accessTokenType,
  resource,
  scope: 'read',
  ...extra,
});

export const exchangeToken = (
  server: string,
  client: Credentials,
  subjectToken: string,
  resource: string,
  extra: Record<string, string> = {},
): Promise<TokenAnswer> =>
  post(server, '/token', client, exchangeForm(subjectToken, resource, extra));

export interface PersonTokens {
  readonly accountId: string;
  readonly sessionUid: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** A person signs in to the app, which gets a token for the API. */
export async function personTokens(
  server: string,
  seed: Seed,
  app: Credentials,
  { api, scope = 'read', offline = true }: { api: string; scope?: string; offline?: boolean },
): Promise<PersonTokens> {
  const accountId = await seed.account();
  await seed.consent(accountId, app.clientId, { [api]: scope.split(' ') });
  const browser = await seed.signIn(accountId);
  const code = await browser.authorize(server, app, {
    resource: api,
    scope: `openid email ${offline ? 'offline_access ' : ''}${scope}`,
  });
  const { body } = await exchange(server, app, code);
  return {
    accountId,
    sessionUid: browser.sessionUid,
    accessToken: body.access_token,
    refreshToken: body.refresh_token,
  };
}

export async function machineToken(
  server: string,
  machine: Credentials,
  resource: string,
  scope = 'read',
): Promise<string> {
  const { body } = await post(server, '/token', machine, {
    grant_type: 'client_credentials',
    resource,
    scope,
  });
  return body.access_token;
}

/** What introspection tells the caller. */
export const introspect = async (server: string, caller: Credentials, token: string) =>
  (await post(server, '/introspect', caller, { token })).body;

/** The same by the engine, which alone answers who takes a signed answer (RFC 9701). */
export async function introspectByEngine(server: string, caller: Credentials, token: string) {
  const response = await fetch(new URL('/introspect', server), {
    method: 'POST',
    headers: { ...basic(caller), accept: 'application/token-introspection+jwt' },
    body: new URLSearchParams({ token }),
  });
  const text = await response.text();
  return (text.startsWith('{') ? JSON.parse(text) : decodeJwt(text).token_introspection) as unknown;
}
