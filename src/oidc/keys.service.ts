import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { sql } from 'kysely';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';

/** RS256 because many clients assume it, ES256 for what we decide ourselves. */
const algorithms = ['RS256', 'ES256'] as const;
type Algorithm = (typeof algorithms)[number];

/** How long the JWKS may be cached (seconds); a next key stands in it for twice as long before it signs. */
export const JWKS_MAX_AGE = 300;
/** The longest life of anything that is signed (seconds): so long does a retired key stay published. */
const LONGEST_TOKEN = 86_400;

export type KeyState = 'next' | 'current' | 'retiring' | 'removed';

export interface KeyInfo {
  readonly kid: string;
  readonly alg: string;
  readonly state: KeyState;
  readonly createdAt: Date;
  readonly activeAt: Date;
  readonly retiredAt: Date | undefined;
}

export interface KeySet {
  /** Private keys in the order in which they sign: the current one of each algorithm first. */
  readonly jwks: { readonly keys: readonly JWK[] };
  readonly cookieKeys: readonly string[];
  /** When the order changes by itself, because a next key becomes current; undefined if none is waiting. */
  readonly changesAt: Date | undefined;
}

/** Signing keys and cookie keys: made at the first start, sealed at rest, rotated with the next key public before it signs. */
export class KeyService {
  readonly #db: Database;
  readonly #sealer: Sealer;

  constructor(db: Database, sealer: Sealer) {
    this.#db = db;
    this.#sealer = sealer;
  }

  /** Makes what is missing; several processes may call it at once. */
  async ensure(): Promise<void> {
    await this.#db.transaction(async (db) => {
      await lock(db);
      const { rows } = await sql<{
        alg: string;
      }>`select distinct alg from signing_keys where retired_at is null`.execute(db);
      const present = new Set(rows.map((row) => row.alg));
      const missing = algorithms.filter((alg) => !present.has(alg));
      for (const alg of missing) await this.#insert(db, alg, 0);
      const cookies = await db
        .selectFrom('cookie_keys')
        .select('id')
        .where('removed_at', 'is', null)
        .execute();
      if (cookies.length === 0) await this.#insertCookieKey(db);
      if (missing.length > 0 || cookies.length === 0) await raiseVersion(db, 'keys');
    });
  }

  /** What signs and verifies now. */
  async load(): Promise<KeySet> {
    const rows = await this.#db.kysely
      .selectFrom('signing_keys')
      .select(['kid', 'private_sealed', 'active_at', 'retired_at'])
      .select(sql<boolean>`active_at <= now()`.as('active'))
      .where(sql<boolean>`(removed_at is null or removed_at > now())`)
      .orderBy('active_at', 'desc')
      .execute();
    const cookies = await this.#db.kysely
      .selectFrom('cookie_keys')
      .select(['id', 'key_sealed'])
      .where('removed_at', 'is', null)
      .orderBy('active_at', 'desc')
      .execute();
    const open = (row: (typeof rows)[number]) =>
      JSON.parse(
        this.#sealer.open(row.private_sealed, `signing_keys:${row.kid}`).toString(),
      ) as JWK;
    const waiting = rows.filter((row) => !row.active);
    const signing = [...rows.filter((row) => row.active), ...waiting];
    return {
      jwks: { keys: signing.map(open) },
      cookieKeys: cookies.map((row) =>
        this.#sealer.open(row.key_sealed, `cookie_keys:${row.id}`).toString('base64url'),
      ),
      changesAt: waiting.at(-1)?.active_at,
    };
  }

  /**
   * Makes the next key of each algorithm. It is published at once, signs once every cached JWKS has it, and the key
   * before it stays published until the last token that it signed has died.
   */
  async rotate(actor: string): Promise<KeyInfo[]> {
    await this.#db.transaction(async (db) => {
      await lock(db);
      const wait = 2 * JWKS_MAX_AGE;
      await sql`update signing_keys set retired_at = now() + make_interval(secs => ${wait}), removed_at = now() + make_interval(secs => ${wait + LONGEST_TOKEN})
        where retired_at is null or retired_at > now()`.execute(db);
      for (const alg of algorithms) await this.#insert(db, alg, wait);
      await writeAudit(db, { type: 'keys.rotated', outcome: 'success', actor });
      await raiseVersion(db, 'keys');
    });
    return this.list();
  }

  async list(): Promise<KeyInfo[]> {
    const rows = await this.#db.kysely
      .selectFrom('signing_keys')
      .select(['kid', 'alg', 'created_at', 'active_at', 'retired_at'])
      .select(
        sql<KeyState>`case when removed_at <= now() then 'removed' when active_at > now() then 'next' when retired_at <= now() then 'retiring' else 'current' end`.as(
          'state',
        ),
      )
      .orderBy('active_at', 'desc')
      .orderBy('alg')
      .execute();
    return rows.map((row) => ({
      kid: row.kid,
      alg: row.alg,
      state: row.state,
      createdAt: row.created_at,
      activeAt: row.active_at,
      retiredAt: row.retired_at ?? undefined,
    }));
  }

  async #insert(db: Db, alg: Algorithm, activeInSeconds: number): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair(alg, {
      extractable: true,
      modulusLength: 2048,
    });
    const kid = randomToken(12);
    const shared = { kid, alg, use: 'sig' };
    const privateJwk = { ...(await exportJWK(privateKey)), ...shared };
    const publicJwk = { ...(await exportJWK(publicKey)), ...shared };
    await db
      .insertInto('signing_keys')
      .values({
        kid,
        alg,
        public_jwk: JSON.stringify(publicJwk),
        private_sealed: this.#sealer.seal(JSON.stringify(privateJwk), `signing_keys:${kid}`),
        active_at: sql<Date>`now() + make_interval(secs => ${activeInSeconds})`,
        retired_at: null,
        removed_at: null,
      })
      .execute();
  }

  async #insertCookieKey(db: Db): Promise<void> {
    const id = randomToken(12);
    await db
      .insertInto('cookie_keys')
      .values({
        id,
        key_sealed: this.#sealer.seal(
          Buffer.from(randomToken(32), 'base64url'),
          `cookie_keys:${id}`,
        ),
        active_at: sql<Date>`now()`,
        removed_at: null,
      })
      .execute();
  }
}

/** One process at a time changes keys. */
async function lock(db: Db): Promise<void> {
  await db
    .selectFrom('config_versions')
    .select('topic')
    .where('topic', '=', 'keys')
    .forUpdate()
    .execute();
}
