import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import { raiseVersion } from '../../src/db/versions.ts';
import { until } from './process.ts';

/** As if so many seconds had passed for every key; running servers take it up by themselves. */
export async function ageKeys({ kysely }: Database, seconds: number): Promise<void> {
  const older = (column: string) =>
    sql`${sql.ref(column)} = ${sql.ref(column)} - make_interval(secs => ${seconds})`;
  await kysely.transaction().execute(async (trx) => {
    await sql`update signing_keys set ${sql.join(['created_at', 'active_at', 'retired_at', 'removed_at'].map(older))}`.execute(
      trx,
    );
    await sql`update cookie_keys set ${sql.join(['created_at', 'active_at', 'retired_at'].map(older))}`.execute(
      trx,
    );
    await raiseVersion(trx, 'keys');
  });
}

/** Lets a running server do now what it does to keys by the clock, and waits for it. */
export async function runKeyClock({ kysely }: Database): Promise<void> {
  await sql`update outbox set due_at = now() where id = 'clock:keys' and leased_until is null`.execute(
    kysely,
  );
  await until(async () => {
    const { rows } = await sql<{
      done: boolean;
    }>`select due_at > now() and leased_until is null as done from outbox where id = 'clock:keys'`.execute(
      kysely,
    );
    return rows[0]?.done === true;
  });
}

export interface PublishedKeys {
  readonly jwks: JSONWebKeySet;
  /** Seconds, as Cache-Control says. */
  readonly maxAge: number;
}

export async function fetchJwks(server: string): Promise<PublishedKeys> {
  const response = await fetch(new URL('/jwks', server));
  if (response.status !== 200) throw new Error(`the JWKS: ${response.status}`);
  const maxAge = /max-age=(\d+)/.exec(response.headers.get('cache-control') ?? '')?.[1];
  return { jwks: (await response.json()) as JSONWebKeySet, maxAge: Number(maxAge ?? 0) };
}

export const kidOf = (token: string) => decodeProtectedHeader(token).kid as string;

/** An API that checks signatures: by its own clock, with keys that it has kept for as long as it may, and never asks sooner. */
export class CachingVerifier {
  readonly #fetch: () => Promise<PublishedKeys>;
  readonly #now: () => number;
  readonly #keepFor: number | undefined;
  #kept:
    | { readonly until: number; readonly keys: ReturnType<typeof createLocalJWKSet> }
    | undefined;

  /** @param keepFor seconds; what Cache-Control says unless told. */
  constructor(fetchKeys: () => Promise<PublishedKeys>, now: () => number, keepFor?: number) {
    this.#fetch = fetchKeys;
    this.#now = now;
    this.#keepFor = keepFor;
  }

  async verify(token: string): Promise<void> {
    if (this.#kept === undefined || this.#now() >= this.#kept.until) {
      const now = this.#now();
      const { jwks, maxAge } = await this.#fetch();
      this.#kept = {
        until: now + (this.#keepFor ?? maxAge) * 1000,
        keys: createLocalJWKSet(jwks),
      };
    }
    await jwtVerify(token, this.#kept.keys, { currentDate: new Date(0) });
  }
}
