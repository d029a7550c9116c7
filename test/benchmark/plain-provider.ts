import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { type AdapterFactory, type Configuration } from 'oidc-provider';
import pg from 'pg';
import {
  api,
  type IssuedToken,
  jwtApi,
  listen,
  POOL,
  POPULATION,
  serve,
  type Task,
} from './protocol.ts';
import { createTableAdapter } from './table-adapter.ts';

/**
 * oidc-provider as one gets it: in memory with its own adapter, or with a plain adapter over one table. Its clients stand
 * in its configuration, which is its quickest way to them.
 */

const secret = () => randomBytes(24).toString('base64url');
const introspector = { clientId: 'api', clientSecret: secret() };
const clients = Array.from({ length: POPULATION }, (_, index) => ({
  clientId: `client-${index}`,
  clientSecret: secret(),
}));

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
    ],
    jwks: {
      keys: [{ ...key.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' } as never],
    },
    routes: { token: '/token', introspection: '/introspect' },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    cookies: { keys: [secret()] },
    scopes: ['openid', 'offline_access', 'read'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, identifier) => ({
          scope: 'read',
          audience: identifier,
          accessTokenTTL: 3600,
          accessTokenFormat: identifier === jwtApi ? 'jwt' : 'opaque',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 14 * 86_400 },
  };
}

/** Tokens that people have given to clients, each with its grant. */
async function issueToPeople(provider: Provider): Promise<IssuedToken[]> {
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

serve(async ({ scenario, variant, connection }: Task) => {
  const adapter =
    variant === 'table' ? createTableAdapter(new pg.Pool({ ...connection, max: POOL })) : undefined;
  const provider = new Provider('http://localhost:4600', configuration(adapter));
  const tokens = scenario === 'introspection-people' ? await issueToPeople(provider) : undefined;
  const handle = provider.callback();
  const port = await listen(createServer((request, response) => void handle(request, response)));
  return { port, material: { clients, introspector, ...(tokens === undefined ? {} : { tokens }) } };
});
