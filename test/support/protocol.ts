import { createHash, createHmac, randomBytes } from 'node:crypto';
import { ClientService, createIntrospectionClient } from '../../src/client/client.service.ts';
import type { ClientChanges } from '../../src/client/client-settings.ts';
import { identityScopes, newClientSchema, type NewClient } from '../../src/client/client.ts';
import type { Database } from '../../src/db/database.ts';
import { cookieName, issuerPlace } from '../../src/lib/cookies.ts';
import { sha256 } from '../../src/lib/hash.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { acr } from '../../src/oidc/authorization/acr.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import {
  newResourceServerSchema,
  type ResourceServerChanges,
} from '../../src/resource-server/resource-server.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { testMasterKey } from './server-process.ts';

/** The protocol as a client, an API and a browser that is already signed in speak it, without the pages. */

export interface Credentials {
  readonly clientId: string;
  readonly clientSecret: string | undefined;
}

export const redirectUri = 'https://app.example.com/callback';

/** The name of a cookie of the server. */
export const cookieOf = (issuer: string, name: string) => cookieName(issuerPlace(issuer), name);

/** Rows for the protocol, made by the services that the product uses. */
export class Seed {
  readonly db: Database;
  readonly #resourceServers: ResourceServerService;
  readonly #clients: ClientService;

  /** @param inside hosts that its clients may name to be called, as OUTBOUND_ALLOW lists them. */
  constructor(db: Database, inside: readonly string[] = []) {
    this.db = db;
    this.#resourceServers = new ResourceServerService(db);
    this.#clients = new ClientService(db, this.#resourceServers, new OutboundAllow(inside));
  }

  async api(
    identifier: string,
    tokenFormat: 'opaque' | 'jwt' = 'opaque',
    scopes = ['read', 'write'],
    more: ResourceServerChanges = {},
  ): Promise<Credentials> {
    const input = newResourceServerSchema.parse({
      identifier,
      name: 'Invoices',
      ...more,
      tokenFormat,
      scopes: scopes.map((scope) => ({ scope, description: scope })),
    });
    const { credentials } = await this.#resourceServers.create(input, 'test', (db, id) =>
      createIntrospectionClient(db, id, input.name),
    );
    return credentials;
  }

  client(input: Partial<NewClient> = {}): Promise<Credentials> {
    const redirects = input.type === 'machine' ? {} : { redirectUris: [redirectUri] };
    return this.#clients.create(
      newClientSchema.parse({ name: 'Quillet', type: 'web', ...redirects, ...input }),
      'test',
    );
  }

  updateClient(clientId: string, changes: ClientChanges): Promise<void> {
    return this.#clients.update(clientId, changes, 'test');
  }

  disableClient(clientId: string): Promise<void> {
    return this.#clients.setDisabled(clientId, true, 'test');
  }

  async account(): Promise<string> {
    const id = `u_${randomBytes(16).toString('base64url')}`;
    const email = `${id.toLowerCase()}@example.com`;
    await this.db.kysely
      .insertInto('accounts')
      .values({
        id,
        email,
        email_key: email,
        email_verified_at: new Date(),
        name: 'Ann',
        locale: null,
        password_hash: null,
        password_changed_at: null,
        disabled_at: null,
      })
      .execute();
    return id;
  }

  /** What a person decides on the consent page. */
  async consent(
    accountId: string,
    clientId: string,
    resources: Record<string, string[]> = {},
  ): Promise<void> {
    await this.db.kysely
      .insertInto('consents')
      .values({
        id: randomBytes(8).toString('hex'),
        account_id: accountId,
        client_id: clientId,
        granted: JSON.stringify({ scopes: [...identityScopes], claims: [], resources }),
        rejected: JSON.stringify({ scopes: [], claims: [], resources: {} }),
        version: 1,
      })
      .execute();
  }

  /** A session as a sign-in leaves it, and the browser that holds it for the issuer. */
  async signIn(
    accountId: string | null,
    sealer = new Sealer([testMasterKey]),
    issuer = 'http://localhost:3000',
  ): Promise<SignedInBrowser> {
    const id = randomBytes(32).toString('base64url');
    const uid = randomBytes(16).toString('base64url');
    const payload = { loginTs: Math.floor(Date.now() / 1000), amr: ['pwd'], acr: acr.oneFactor };
    await this.db.kysely
      .insertInto('sessions')
      .values({
        uid,
        id_hash: sha256(id),
        account_id: accountId,
        payload: JSON.stringify(payload),
        expires_at: new Date(Date.now() + 3_600_000),
        previous_id_hash: null,
        previous_until: null,
        ended_at: null,
      })
      .execute();
    const { cookieKeys } = await new KeyService(this.db, sealer).load();
    const sign = (name: string) => signedCookie(name, id, cookieKeys[0] as string);
    return new SignedInBrowser(uid, sign(cookieOf(issuer, 'session')), sign);
  }
}

/** As the `cookies` package signs (keygrip). */
function signedCookie(name: string, value: string, key: string): Map<string, string> {
  const signature = createHmac('sha1', key).update(`${name}=${value}`).digest('base64url');
  return new Map([
    [name, value],
    [`${name}.sig`, signature],
  ]);
}

export interface Authorization {
  readonly code: string;
  readonly verifier: string;
}

/** Keeps cookies, and follows redirects of the server itself. */
export class SignedInBrowser {
  readonly sessionUid: string;
  readonly cookies: Map<string, string>;

  /** The session's cookie by another name: on loopback the name has the port of the issuer. */
  readonly #sign: ((name: string) => Map<string, string>) | undefined;
  readonly #servers = new Set<string>();

  constructor(
    sessionUid: string,
    cookies: Map<string, string>,
    sign?: (name: string) => Map<string, string>,
  ) {
    this.sessionUid = sessionUid;
    this.cookies = cookies;
    this.#sign = sign;
  }

  /** For a server that is its own issuer, where the session was seeded for another one. */
  #addSession(server: string): void {
    if (this.#sign === undefined || this.#servers.has(server)) return;
    this.#servers.add(server);
    for (const [name, value] of this.#sign(cookieOf(server, 'session')))
      if (!this.cookies.has(name)) this.cookies.set(name, value);
  }

  /** Another tab, which starts with the same cookies. */
  tab(): SignedInBrowser {
    return new SignedInBrowser(this.sessionUid, new Map(this.cookies));
  }

  async get(server: string, path: string): Promise<Response> {
    this.#addSession(server);
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(new URL(path, server), {
      redirect: 'manual',
      headers: { cookie, accept: 'text/html' },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  /** The answer of the authorization endpoint, whatever it is. */
  async ask(
    server: string,
    client: Credentials,
    extra: Record<string, string> = {},
  ): Promise<{ response: Response; verifier: string }> {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: client.clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid email offline_access',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      state: 'state',
      ...extra,
    });
    return { response: await this.get(server, `/authorize?${query.toString()}`), verifier };
  }

  /** A code by single sign-on: signed in, and consented before. */
  async authorize(
    server: string,
    client: Credentials,
    extra: Record<string, string> = {},
  ): Promise<Authorization> {
    const { response, verifier } = await this.ask(server, client, extra);
    const location = response.headers.get('location');
    const code = location?.startsWith(redirectUri)
      ? new URL(location).searchParams.get('code')
      : null;
    if (code === null)
      throw new Error(`no code: ${response.status} ${location ?? (await response.text())}`);
    return { code, verifier };
  }
}

// What comes back from the server is looked at by the tests, field by field.
export interface TokenAnswer {
  readonly status: number;
  readonly body: Record<string, unknown> & {
    access_token: string;
    refresh_token: string;
    error?: string;
    scope?: string;
    active?: boolean;
  };
}

/** A form post with the client's own authentication. */
export async function post(
  server: string,
  path: string,
  client: Credentials,
  form: Record<string, string>,
): Promise<TokenAnswer> {
  const fields = new URLSearchParams(
    client.clientSecret === undefined ? { client_id: client.clientId, ...form } : form,
  );
  const headers: Record<string, string> =
    client.clientSecret === undefined
      ? {}
      : {
          authorization: `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`,
        };
  const response = await fetch(new URL(path, server), { method: 'POST', headers, body: fields });
  const text = await response.text();
  return {
    status: response.status,
    body: (text === '' ? {} : JSON.parse(text)) as TokenAnswer['body'],
  };
}

export const exchange = (
  server: string,
  client: Credentials,
  { code, verifier }: Authorization,
  extra: Record<string, string> = {},
) =>
  post(server, '/token', client, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri,
    ...extra,
  });

export const refresh = (
  server: string,
  client: Credentials,
  refreshToken: string,
  extra: Record<string, string> = {},
) =>
  post(server, '/token', client, {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    ...extra,
  });

export const revoke = (server: string, client: Credentials, token: string) =>
  post(server, '/revoke', client, { token });

export async function isActive(
  server: string,
  client: Credentials,
  token: string,
): Promise<boolean> {
  const { status, body } = await post(server, '/introspect', client, { token });
  if (status !== 200 || typeof body.active !== 'boolean')
    throw new Error(`introspection: ${status} ${JSON.stringify(body)}`);
  return body.active;
}
