import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { sql } from 'kysely';
import { identityScopes, type NewClient } from '../../src/client/client.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type Certificate, certificate } from './certificates.ts';
import { addDetailType, payment } from './detail-types.ts';
import { type ClientKey, newKey } from './proofs.ts';
import { type Credentials, redirectUri, Seed, type SignedInBrowser } from './protocol.ts';
import { startServer, type TestServer } from './server.ts';
import {
  type Answer,
  answered,
  authorizationFields,
  basic,
  cookiesOf,
  type Fields,
  form,
  query,
  send,
} from './wire.ts';

/** A started server with everything that the claims of its metadata are proved by. */
export interface World {
  readonly server: TestServer;
  readonly issuer: string;
  readonly database: TestDatabase;
  readonly seed: Seed;
  /** A person of whom everything is known, and the browser in which that person is signed in. */
  readonly accountId: string;
  readonly browser: SignedInBrowser;
  /** An API that every client of `client` may ask for. */
  readonly api: Credentials;
  readonly keys: Readonly<Record<'RSA' | 'P-256' | 'P-384' | 'P-521' | 'Ed25519', ClientKey>>;
  readonly certificate: Certificate;
  metadata(): Promise<Record<string, unknown>>;
  /** A client that the person has let have everything. */
  client(input?: Partial<NewClient>): Promise<Credentials>;
  /** Posts a form to an endpoint of the metadata. */
  post(
    endpoint: unknown,
    client: Credentials | undefined,
    fields: Fields,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  /** What the authorization endpoint answers. */
  ask(client: Credentials, extra?: Fields, browser?: SignedInBrowser): Promise<Asked>;
  /** What the token endpoint gives for a code that was asked for so. */
  tokens(
    client: Credentials,
    extra?: Fields,
    headers?: Record<string, string>,
  ): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

export interface Asked {
  readonly answer: Answer;
  /** What the client was told, wherever that stands. */
  readonly told: Readonly<Record<string, string>>;
  readonly verifier: string;
}

/** OpenID Connect Core, section 5.1, what ID tokens say besides, and what there is elsewhere or should be nowhere. */
export const standardClaims = [
  'sub',
  'iss',
  'sid',
  'acr',
  'amr',
  'auth_time',
  'name',
  'given_name',
  'family_name',
  'middle_name',
  'nickname',
  'preferred_username',
  'profile',
  'picture',
  'website',
  'email',
  'email_verified',
  'gender',
  'birthdate',
  'zoneinfo',
  'locale',
  'phone_number',
  'phone_number_verified',
  'address',
  'updated_at',
  'groups',
  'roles',
  'password_hash',
];

export const apiIdentifier = 'https://api.example.com';
/** One that a client may exchange tokens of the first one for. */
export const otherApi = 'https://other.example.com';
/** In which header a proxy, which is the test itself, passes a certificate on. */
export const certificateEnv = {
  CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
  CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Client-Verify',
  CLIENT_CERTIFICATE_PROXIES: '127.0.0.1,::1',
};

/** For a server that has to know its port before it starts. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

export async function openWorld(env: Record<string, string> = {}): Promise<World> {
  const database = await createTestDatabase();
  const seed = new Seed(database.db, ['127.0.0.1']);
  const api = await seed.api(apiIdentifier);
  await seed.api(otherApi);
  await addDetailType(database.db, apiIdentifier, payment);
  const server = await startServer(database, { OUTBOUND_ALLOW: '127.0.0.1,localhost', ...env });
  const { issuer } = server;
  const { pathname } = new URL(issuer);
  const base = pathname === '/' ? '' : pathname;
  const accountId = await seed.account();
  await sql`update accounts set locale = 'en' where id = ${accountId}`.execute(database.db.kysely);
  const browser = await seed.signIn(accountId, undefined, issuer);
  const [rsa, p256, p384, p521, ed25519] = (await Promise.all(
    ['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA'].map((alg) => newKey(alg)),
  )) as [ClientKey, ClientKey, ClientKey, ClientKey, ClientKey];

  const world: World = {
    server,
    issuer,
    database,
    seed,
    accountId,
    browser,
    api,
    keys: { RSA: rsa, 'P-256': p256, 'P-384': p384, 'P-521': p521, Ed25519: ed25519 },
    certificate: certificate({
      subject: [['CN', 'client.example.com']],
      names: { dns: 'client.example.com' },
    }),
    async metadata() {
      const response = await fetch(`${issuer}/.well-known/openid-configuration`);
      return (await response.json()) as Record<string, unknown>;
    },
    async client(input = {}) {
      const client = await seed.client({
        apis: [{ identifier: apiIdentifier, scopes: ['read', 'write'] }],
        scopes: [...identityScopes],
        ...input,
      });
      await seed.consent(accountId, client.clientId, { [apiIdentifier]: ['read', 'write'] });
      // Single claims are a decision of their own.
      await sql`update consents set granted = jsonb_set(granted, '{claims}', ${JSON.stringify(standardClaims)}::jsonb) where client_id = ${client.clientId}`.execute(
        database.db.kysely,
      );
      return client;
    },
    post(endpoint, client, fields, headers = {}) {
      const own = client === undefined ? { headers: {}, fields: {} } : authenticated(client);
      const url = new URL(String(endpoint));
      return send(issuer, url.pathname + url.search, {
        method: 'POST',
        headers: { ...own.headers, ...headers },
        body: form({ ...own.fields, ...fields }),
      });
    },
    async ask(client, extra = {}, by = browser) {
      const { fields, verifier } = authorizationFields(client, extra);
      const answer = await send(issuer, `${base}/authorize?${query(fields)}`, {
        headers: { accept: 'text/html', ...cookiesOf(by) },
      });
      return { answer, told: { ...answered(answer.location), ...posted(answer.text) }, verifier };
    },
    async tokens(client, extra = {}, headers = {}) {
      const { answer, told, verifier } = await world.ask(client, extra);
      if (told.code === undefined)
        throw new Error(`no code: ${answer.status} ${answer.location ?? answer.text}`);
      const { json } = await world.post(
        `${issuer}/token`,
        client,
        {
          grant_type: 'authorization_code',
          code: told.code,
          code_verifier: verifier,
          redirect_uri: redirectUri,
        },
        headers,
      );
      return json;
    },
    async close() {
      await server.close();
      await database.drop();
    },
  };
  return world;
}

/** How a client with a secret, or with none, says who it is. */
function authenticated(client: Credentials): { headers: Record<string, string>; fields: Fields } {
  return client.clientSecret === undefined
    ? { headers: {}, fields: { client_id: client.clientId } }
    : { headers: basic(client), fields: {} };
}

/** What a page of `form_post` would post. */
function posted(html: string): Record<string, string> {
  return Object.fromEntries(
    [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [
        name,
        value.replaceAll('&amp;', '&').replaceAll('&#39;', "'"),
      ],
    ),
  );
}

/** The client's certificate, as a proxy tells of it that has verified it. */
export const certificateHeaders = ({ certificate: { cert } }: World): Record<string, string> => ({
  'x-client-certificate': encodeURIComponent(cert),
  'x-client-verify': 'SUCCESS',
});

export const unknownCode = (): string => `vs_ac_${randomBytes(32).toString('base64url')}`;

/**
 * Which of the candidates work, in order: what the metadata may list of them. `works` gives true or false where the answer
 * is one of the two that there should be, and throws at any other.
 */
export async function working<T extends string>(
  candidates: Iterable<T>,
  works: (candidate: T) => Promise<boolean>,
): Promise<T[]> {
  const found: T[] = [];
  for (const candidate of new Set(candidates)) if (await works(candidate)) found.push(candidate);
  return found.sort();
}
