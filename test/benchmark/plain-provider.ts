import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { type AdapterFactory, type Configuration } from 'oidc-provider';
import pg from 'pg';
import {
  issuer,
  jwtApi,
  listen,
  POOL,
  POPULATION,
  redirectUri,
  serve,
  type Task,
  TOKEN_EXCHANGE,
} from './protocol.ts';
import { issueToPeople, registerExchange, signInPeople } from './plain-people.ts';
import { createTableAdapter } from './table-adapter.ts';

/**
 * oidc-provider as one gets it: in memory with its own adapter, or with a plain adapter over one table. Its clients stand
 * in its configuration, which is its quickest way to them.
 */

const secret = () => randomBytes(24).toString('base64url');
const introspector = { clientId: 'api', clientSecret: secret() };
const app = { clientId: 'app', clientSecret: secret() };
const exchanger = { clientId: 'exchanger', clientSecret: secret() };
const cookieKey = secret();
const clients = Array.from({ length: POPULATION }, (_, index) => ({
  clientId: `client-${index}`,
  clientSecret: secret(),
}));

const resourceServerInfo = (identifier: string) => ({
  scope: 'read',
  audience: identifier,
  accessTokenTTL: 3600,
  accessTokenFormat: identifier === jwtApi ? ('jwt' as const) : ('opaque' as const),
  jwt: { sign: { alg: 'ES256' as const } },
});

function configuration(adapter: AdapterFactory | undefined): Configuration {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const machine = { redirect_uris: [], response_types: [] as [] };
  return {
    ...(adapter === undefined ? {} : { adapter }),
    clients: [
      ...clients.map(({ clientId, clientSecret }) => ({
        ...machine,
        client_id: clientId,
        client_secret: clientSecret,
        grant_types: ['client_credentials'],
      })),
      {
        ...machine,
        client_id: introspector.clientId,
        client_secret: introspector.clientSecret,
        grant_types: [],
      },
      {
        client_id: app.clientId,
        client_secret: app.clientSecret,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
      },
      {
        ...machine,
        client_id: exchanger.clientId,
        client_secret: exchanger.clientSecret,
        grant_types: [TOKEN_EXCHANGE],
      },
    ],
    jwks: {
      keys: [{ ...key.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' } as never],
    },
    routes: { authorization: '/authorize', token: '/token', introspection: '/introspect' },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    cookies: { keys: [cookieKey] },
    claims: { email: ['email'] },
    // As Vouchsafe does both.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, identifier) => resourceServerInfo(identifier),
      },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 14 * 86_400 },
  };
}

serve(async ({ scenario, variant, connection }: Task) => {
  const adapter =
    variant === 'table' ? createTableAdapter(new pg.Pool({ ...connection, max: POOL })) : undefined;
  const provider = new Provider(issuer, configuration(adapter));
  registerExchange(provider, resourceServerInfo);
  const tokens = ['introspection-people', 'token-exchange'].includes(scenario)
    ? await issueToPeople(provider, clients)
    : undefined;
  const browsers = ['single-sign-on', 'code-exchange', 'refresh'].includes(scenario)
    ? await signInPeople(provider, app.clientId, cookieKey)
    : [];
  const handle = provider.callback();
  const port = await listen(createServer((request, response) => void handle(request, response)));
  const people = { app, browsers, exchanger };
  return {
    port,
    material: { clients, introspector, ...people, ...(tokens === undefined ? {} : { tokens }) },
  };
});
