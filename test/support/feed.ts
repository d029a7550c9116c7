import { createHash } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';

export interface FeedPage {
  readonly cursor: string;
  readonly more?: true;
  readonly tokens: Readonly<Record<string, number>>;
  readonly clients: Readonly<Record<string, number>>;
}

/** The revocation feed as an API follows it: each answer verified, and what it says kept. */
export class Feed {
  readonly #server: string;
  readonly #issuer: string;
  readonly #keys: ReturnType<typeof createRemoteJWKSet>;
  readonly tokens = new Map<string, number>();
  readonly clients = new Map<string, number>();
  cursor: string | undefined;

  constructor(server: string, issuer = 'http://localhost:3000') {
    this.#server = server;
    this.#issuer = issuer;
    this.#keys = createRemoteJWKSet(new URL('/jwks', server));
  }

  /** One answer, by whichever process. */
  async read(since?: string, server = this.#server): Promise<FeedPage> {
    const query = since === undefined ? '' : `?since=${encodeURIComponent(since)}`;
    const response = await fetch(`${server}/revocations${query}`);
    if (response.status !== 200) throw new Error(`the feed answers ${response.status}`);
    const { payload } = await jwtVerify(await response.text(), this.#keys, {
      issuer: this.#issuer,
      typ: 'secevent+jwt',
      algorithms: ['ES256'],
      requiredClaims: ['iat', 'jti'],
      maxTokenAge: 10,
    });
    const events = payload.events as Record<string, FeedPage>;
    return events['urn:vouchsafe:event:revocations'] as FeedPage;
  }

  /** Goes on from where it is; gives how many pages that took. */
  async poll(server = this.#server): Promise<number> {
    for (let pages = 1; ; pages++) {
      const { cursor, more, tokens, clients } = await this.read(this.cursor, server);
      for (const [hash, exp] of Object.entries(tokens)) this.tokens.set(hash, exp);
      for (const [id, time] of Object.entries(clients))
        this.clients.set(id, Math.max(time, this.clients.get(id) ?? 0));
      this.cursor = cursor;
      if (more !== true) return pages;
    }
  }

  /** Whether it names the token itself. */
  names(jwt: string): boolean {
    return this.tokens.has(jtiHash(jwt));
  }

  /** Whether an API that has read it refuses the token. */
  refuses(jwt: string): boolean {
    const { client_id: clientId, iat } = decodeJwt(jwt) as { client_id: string; iat: number };
    return this.names(jwt) || iat <= (this.clients.get(clientId) ?? 0);
  }
}

export const jtiHash = (jwt: string) =>
  createHash('sha256')
    .update(decodeJwt(jwt).jti as string)
    .digest('base64url');
