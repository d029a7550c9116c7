import { jwtVerify } from 'jose';
import type { LiveToken } from './auth.ts';
import { epochSeconds } from './clock.ts';
import { Unavailable } from './errors.ts';
import { isObject } from './fetch-document.ts';
import { sha256 } from './hash.ts';
import type { IssuerKeys } from './keys.ts';

/** What names the event in the envelope (RFC 8417). */
const EVENT = 'urn:vouchsafe:event:revocations';

/** One page of the feed, verified. */
export interface RevocationPage {
  /** When the issuer signed it (epoch seconds). */
  readonly issuedAt: number;
  readonly cursor: string;
  /** There is more, to be had with the cursor. */
  readonly more: boolean;
  /** By the hash of the token's `jti`: when the token ends by itself (epoch seconds). */
  readonly tokens: readonly (readonly [hash: string, exp: number])[];
  /** By client: its tokens of this time, and of every time before, are dead (epoch seconds). */
  readonly clients: readonly (readonly [clientId: string, before: number])[];
  /** By the hash of a permission: tokens of this time, and of every time before, that carry it are dead (epoch seconds). */
  readonly permissions: readonly (readonly [hash: string, before: number])[];
}

export interface PageRules {
  readonly issuer: string;
  readonly algorithms: readonly string[];
  readonly clockTolerance: number;
  /** How old a page may be (seconds): one that was kept by somebody tells of nothing new. */
  readonly maxAge: number;
}

/**
 * A page of the feed, as the issuer signed it, and no older than the rules allow.
 * @throws Unavailable where it is none
 */
export async function verifyPage(
  jws: string,
  keys: IssuerKeys,
  { issuer, algorithms, clockTolerance, maxAge }: PageRules,
): Promise<RevocationPage> {
  try {
    const { payload } = await jwtVerify(jws, keys.find, {
      issuer,
      algorithms: [...algorithms],
      typ: 'secevent+jwt',
      clockTolerance,
      maxTokenAge: maxAge,
      requiredClaims: ['jti', 'events'],
    });
    // Without a time it has no age, and was refused.
    return { issuedAt: payload.iat as number, ...readEvent(payload['events']) };
  } catch (cause) {
    if (cause instanceof Unavailable) throw cause;
    throw new Unavailable('the revocation feed is not as the issuer signs it', { cause });
  }
}

function readEvent(events: unknown): Omit<RevocationPage, 'issuedAt'> {
  const event = isObject(events) ? events[EVENT] : undefined;
  if (!isObject(event)) throw new TypeError('it holds no revocations');
  const { cursor, more = false, tokens = {}, clients = {}, permissions = {} } = event;
  if (typeof cursor !== 'string' || cursor === '' || typeof more !== 'boolean')
    throw new TypeError('it holds no cursor');
  return {
    cursor,
    more,
    tokens: times(tokens),
    clients: times(clients),
    permissions: times(permissions),
  };
}

/** Whether a page that was signed then may be gone by still. */
export function isInTime(
  issuedAt: number,
  { clockTolerance, maxAge }: Pick<PageRules, 'clockTolerance' | 'maxAge'>,
): boolean {
  return Math.floor(epochSeconds()) - issuedAt <= maxAge + clockTolerance;
}

function times(value: unknown): [string, number][] {
  if (!isObject(value)) throw new TypeError('it holds no revocations');
  return Object.entries(value).map(([name, time]) => {
    if (typeof time !== 'number' || !Number.isFinite(time)) throw new TypeError('it holds no time');
    return [name, time];
  });
}

/** What is asked of a token. */
export interface AskedToken {
  readonly jti: string;
  readonly issuedAt: number;
  readonly token: Pick<LiveToken, 'claims' | 'clientId' | 'isClient' | 'scopes'>;
}

/** What is revoked, as far as it still matters; never more than `size` entries. */
export class Revocations {
  readonly #size: number;
  readonly #clockTolerance: number;
  readonly #tokens = new Map<string, number>();
  readonly #clients = new Map<string, number>();
  readonly #permissions = new Map<string, number>();

  constructor(size: number, clockTolerance: number) {
    this.#size = size;
    this.#clockTolerance = clockTolerance;
  }

  /** @throws Unavailable where there are more entries than may be kept */
  add({
    tokens,
    clients,
    permissions,
  }: Pick<RevocationPage, 'clients' | 'permissions' | 'tokens'>): void {
    for (const [hash, exp] of tokens) this.#tokens.set(hash, exp);
    raise(this.#clients, clients);
    raise(this.#permissions, permissions);
    if (this.#count <= this.#size) return;
    this.dropEnded();
    if (this.#count > this.#size)
      throw new Unavailable(`more than ${this.#size} revocations: raise revocationFeed.size`);
  }

  get #count(): number {
    return this.#tokens.size + this.#clients.size + this.#permissions.size;
  }

  /** Forgets the tokens that have ended by themselves. */
  dropEnded(): void {
    const now = epochSeconds();
    for (const [hash, exp] of this.#tokens) {
      if (exp + this.#clockTolerance < now) this.#tokens.delete(hash);
    }
  }

  has({ jti, issuedAt, token }: AskedToken): boolean {
    const isBefore = (before: number | undefined) => before !== undefined && issuedAt <= before;
    if (isBefore(this.#clients.get(token.clientId)) || this.#tokens.has(sha256(jti))) return true;
    return (
      this.#permissions.size > 0 &&
      permissionsOf(token).some((text) => isBefore(this.#permissions.get(sha256(text))))
    );
  }
}

/** The later time counts. */
function raise(known: Map<string, number>, page: readonly (readonly [string, number])[]): void {
  for (const [name, before] of page) known.set(name, Math.max(before, known.get(name) ?? before));
}

/** The texts of all permissions that a token carries: client, API, kind and name, one a line. */
function permissionsOf({ claims, clientId, isClient, scopes }: AskedToken['token']): string[] {
  const { aud, authorization_details: details } = claims;
  const types = Array.isArray(details)
    ? details.map((one: unknown) => (isObject(one) ? one['type'] : undefined))
    : [];
  const names = [
    'api\n',
    ...[...scopes].map((scope) => `scope\n${scope}`),
    ...types.filter((type) => typeof type === 'string').map((type) => `detail\n${type}`),
  ];
  const audiences = [aud].flat().filter((one) => typeof one === 'string');
  const carried = audiences.flatMap((audience) => names.map((name) => `${audience}\n${name}`));
  if (isClient) carried.push('\ngrant\nmachine');
  return ['*', clientId].flatMap((client) => carried.map((one) => `${client}\n${one}`));
}
