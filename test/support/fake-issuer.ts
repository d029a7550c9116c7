import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, type JWK, type JWTPayload, SignJWT } from 'jose';
import { newKey, now } from './proofs.ts';

/** An authorization server that an API may meet: it answers as it is told, and may lie, hang, or be away. */

export interface FakeKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** What it was asked. */
export interface Asked {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly form: URLSearchParams;
}

export type FakeRoute = (asked: Asked) => FakeAnswer | 'hang' | Promise<FakeAnswer>;

export async function fakeKey(alg = 'ES256', kid: string = randomUUID()): Promise<FakeKey> {
  const { publicJwk, privateKey } = await newKey(alg);
  return { kid, alg, privateKey, jwk: { ...publicJwk, kid, alg, use: 'sig' } };
}

export class FakeIssuer {
  readonly asked: Asked[] = [];
  /** By path; whatever is not here is not found. */
  readonly routes: Record<string, FakeRoute>;
  keys: FakeKey[];
  jwksHeaders: Record<string, string> = {};
  /** What introspection tells of a token; undefined for one that is none. */
  introspected = new Map<string, Record<string, unknown>>();
  #server: Server | undefined;
  #port = 0;

  constructor(keys: FakeKey[]) {
    this.keys = keys;
    this.routes = {
      '/.well-known/oauth-authorization-server': () => ({ body: this.metadata() }),
      '/jwks': () => ({
        headers: this.jwksHeaders,
        body: { keys: this.keys.map(({ jwk }) => jwk) },
      }),
      '/introspect': ({ form }) => ({
        body: this.introspected.get(form.get('token') ?? '') ?? { active: false },
      }),
    };
  }

  static async start(...keys: FakeKey[]): Promise<FakeIssuer> {
    const issuer = new FakeIssuer(keys.length === 0 ? [await fakeKey()] : keys);
    await issuer.up();
    return issuer;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  metadata(): Record<string, unknown> {
    return {
      issuer: this.issuer,
      jwks_uri: `${this.issuer}/jwks`,
      introspection_endpoint: `${this.issuer}/introspect`,
      revocations_endpoint: `${this.issuer}/revocations`,
    };
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  async up(): Promise<void> {
    this.#server = createServer((request, response) => {
      void this.#answer(request).then((answer) => {
        if (answer === 'hang') return;
        const { status = 200, headers = {}, body } = answer;
        response.writeHead(status, headers);
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    }).listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Nobody listens any more, and what was open is cut. */
  async down(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }

  async #answer(request: IncomingMessage): Promise<FakeAnswer | 'hang'> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { pathname, searchParams } = new URL(request.url ?? '/', this.issuer);
    const asked: Asked = {
      path: pathname,
      query: searchParams,
      authorization: request.headers.authorization,
      form: new URLSearchParams(Buffer.concat(chunks).toString()),
    };
    this.asked.push(asked);
    return (await this.routes[pathname]?.(asked)) ?? { status: 404, body: {} };
  }

  /** A JWT access token as RFC 9068 has it, changed by `claims` and `header`. */
  async token(
    audience: string,
    claims: Record<string, unknown> = {},
    {
      key = this.keys[0] as FakeKey,
      header = {},
    }: { key?: FakeKey; header?: Record<string, unknown> } = {},
  ): Promise<string> {
    const payload = {
      iss: this.issuer,
      aud: audience,
      sub: 'u_ann',
      client_id: 'quillet',
      iat: now(),
      exp: now() + 600,
      jti: randomUUID(),
      scope: 'read write',
      ...claims,
    };
    return sign(payload, key, { typ: 'at+jwt', ...header });
  }

  /** The revocation feed: `pages` by their cursor, the first one without. */
  feed(page: (since: string | null) => Record<string, unknown>): void {
    this.routes['/revocations'] = async ({ query }) => ({
      headers: { 'content-type': 'application/secevent+jwt' },
      body: await this.feedPage(page(query.get('since'))),
    });
  }

  async feedPage(
    event: Record<string, unknown>,
    claims: Record<string, unknown> = {},
    { key = this.keys[0] as FakeKey, typ = 'secevent+jwt' } = {},
  ): Promise<string> {
    const events = {
      'urn:vouchsafe:event:revocations': { cursor: '1', tokens: {}, clients: {}, ...event },
    };
    const payload = { iss: this.issuer, iat: now(), jti: randomUUID(), events, ...claims };
    return sign(payload, key, { typ });
  }
}

/** Claims that are undefined are left out. */
function sign(
  claims: Record<string, unknown>,
  key: FakeKey,
  header: Record<string, unknown>,
): Promise<string> {
  const payload = JSON.parse(JSON.stringify(claims)) as JWTPayload;
  return new SignJWT(payload)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
    .sign(key.privateKey);
}
