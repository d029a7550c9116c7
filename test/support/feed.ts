import { createHash } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';

export interface FeedPage {
  readonly cursor: string;
  readonly more?: true;
  readonly tokens: Readonly<Record<string, number>>;
  readonly clients: Readonly<Record<string, number>>;
  readonly permissions: Readonly<Record<string, number>>;
}

/** The revocation feed as an API follows it: each answer verified, and what it says kept. */
export class Feed {
  readonly #server: string;
  readonly #issuer: string;
  readonly #keys: ReturnType<typeof createRemoteJWKSet>;
  readonly tokens = new Map<string, number>();
  readonly clients = new Map<string, number>();
  readonly permissions = new Map<string, number>();
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
      const { cursor, more, tokens, clients, permissions } = await this.read(this.cursor, server);
      for (const [hash, exp] of Object.entries(tokens)) this.tokens.set(hash, exp);
      for (const [id, time] of Object.entries(clients))
        this.clients.set(id, Math.max(time, this.clients.get(id) ?? 0));
      for (const [hash, time] of Object.entries(permissions))
        this.permissions.set(hash, Math.max(time, this.permissions.get(hash) ?? 0));
      this.cursor = cursor;
      if (more !== true) return pages;
    }
  }

  #carriesEnded(jwt: string): boolean {
    const claims = decodeJwt(jwt) as unknown as Carrying;
    return permissionsOf(claims).some((text) => {
      const hash = createHash('sha256').update(text).digest('base64url');
      return claims.iat <= (this.permissions.get(hash) ?? 0);
    });
  }

  /** Whether it names the token itself. */
  names(jwt: string): boolean {
    return this.tokens.has(jtiHash(jwt));
  }

  /** Whether an API that has read it refuses the token. */
  refuses(jwt: string): boolean {
    const { client_id: clientId, iat } = decodeJwt(jwt) as { client_id: string; iat: number };
    return this.names(jwt) || iat <= (this.clients.get(clientId) ?? 0) || this.#carriesEnded(jwt);
  }
}

interface Carrying {
  readonly iat: number;
  readonly sub: string;
  readonly client_id: string;
  readonly aud: string;
  readonly scope?: string;
  readonly authorization_details?: readonly { readonly type: string }[];
}

/** As docs/revocation.md has it: client, API, kind and name, one a line. */
function permissionsOf(claims: Carrying): string[] {
  const { aud, client_id: id, sub, scope = '', authorization_details: details = [] } = claims;
  return ['*', id].flatMap((client) => [
    `${client}\n${aud}\napi\n`,
    ...scope.split(' ').map((one) => `${client}\n${aud}\nscope\n${one}`),
    ...details.map(({ type }) => `${client}\n${aud}\ndetail\n${type}`),
    ...(sub === id ? [`${client}\n\ngrant\nmachine`] : []),
  ]);
}

export const jtiHash = (jwt: string) =>
  createHash('sha256')
    .update(decodeJwt(jwt).jti as string)
    .digest('base64url');
