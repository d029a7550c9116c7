import { randomBytes } from 'node:crypto';
import type { JSONWebKeySet, JWK } from 'jose';
import type { AuditType } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import { makeKeyPair, withoutPrivatePart } from './key-material.ts';
import { algorithms, KEY_LEAD, type KeyInfo, type KeySet, LoadedKeys, publicPart } from './keys.ts';
import * as store from './keys.store.ts';

export { algorithms, JWKS_MAX_AGE, type KeyInfo } from './keys.ts';

/** What the audit names where nobody asked: the process, and the clock. */
const SERVER = 'server';
const COOKIE = 'cookie';

/** A key that is in no table yet. */
interface NewKey {
  readonly kid: string;
  readonly alg: string;
  insert(db: Db, activeInSeconds: number): Promise<void>;
}

export interface RemovedKey {
  readonly removed: KeyInfo;
  /** The kid of what signs in its place from now on. */
  readonly successor: string | undefined;
}

/**
 * Signing keys, one of each algorithm, and cookie keys: made at the first start, sealed at rest, and changed so that what
 * comes next is known to everybody before it signs. Every change is one transaction: who dies in the middle has changed
 * nothing.
 */
export class KeyService {
  readonly #db: Database;
  readonly #sealer: Sealer;

  constructor(db: Database, sealer: Sealer) {
    this.#db = db;
    this.#sealer = sealer;
  }

  /**
   * Makes what is missing; several processes may call it at once. The first keys of an installation sign at once; one that
   * is added to others (an algorithm that is new in a release) is published first, as after a rotation.
   */
  async ensure(): Promise<void> {
    const { missing } = await this.#inventory(this.#db.kysely);
    if (missing.length === 0) return;
    const made = await Promise.all(missing.map((alg) => this.#make(alg)));
    await this.#change(async (db) => {
      const found = await this.#inventory(db);
      const wanted = made.filter(({ alg }) => found.missing.includes(alg));
      for (const key of wanted)
        await key.insert(db, key.alg !== COOKIE && found.published ? KEY_LEAD : 0);
      return audited('keys.created', SERVER, wanted);
    });
  }

  /** What signs and verifies now. */
  async load(): Promise<KeySet> {
    return (await this.read()).at(0);
  }

  /** What verifies now, as everybody may know it. */
  async published(): Promise<JSONWebKeySet> {
    const { jwks } = await this.load();
    return { keys: jwks.keys.map(publicPart) };
  }

  /** Everything that signs or verifies now or later. */
  async read(): Promise<LoadedKeys> {
    const [signing, cookies] = await Promise.all([
      store.readSigningKeys(this.#db.kysely),
      store.readCookieKeys(this.#db.kysely),
    ]);
    return new LoadedKeys(
      signing.map(({ kid, private_sealed: sealed, public_jwk: publicJwk, ...key }) => ({
        ...key,
        publicJwk: publicJwk as JWK,
        privateJwk: sealed === null ? undefined : this.#open(kid, sealed),
      })),
      cookies.map(({ id, key_sealed: sealed, ...key }) => ({
        ...key,
        key: this.#sealer.open(sealed, `cookie_keys:${id}`).toString('base64url'),
      })),
    );
  }

  /** The signing keys and the cookie keys. */
  async list(): Promise<KeyInfo[]> {
    return this.#list(this.#db.kysely);
  }

  /**
   * Makes the next key of each algorithm (or of the cookies, `cookie`). It is published at once, signs when everybody
   * knows it, and the key before it stays until nothing lives that it signed.
   * @throws AppError `rotation_under_way` where one of them has a next key already.
   */
  async rotate(actor: string, algs: readonly string[] = algorithms): Promise<void> {
    refuseUnderWay(await this.list(), algs);
    const made = await Promise.all(algs.map((alg) => this.#make(alg)));
    await this.#change(async (db) => {
      refuseUnderWay(await this.#list(db), algs);
      await this.#succeed(db, made);
      return audited('keys.rotated', actor, made);
    });
  }

  /** Rotates what has signed for longer than `days` and has no successor; several processes may call it at once. */
  async rotateDue(days: number): Promise<void> {
    const kinds = [...algorithms, COOKIE] as readonly string[];
    const due = await store.findDue(this.#db.kysely, days);
    const made = await Promise.all(
      due.filter((alg) => kinds.includes(alg)).map((alg) => this.#make(alg)),
    );
    if (made.length === 0) return;
    await this.#change(async (db) => {
      const still = await store.findDue(db, days);
      const wanted = made.filter(({ alg }) => still.includes(alg));
      await this.#succeed(db, wanted);
      return audited('keys.rotated', SERVER, wanted);
    });
  }

  /** Erases the private part of what signs no more, and deletes what verifies nothing any more. */
  async clean(): Promise<void> {
    const { kysely } = this.#db;
    for (const { kid, public_jwk: publicJwk } of await store.findToErase(kysely)) {
      const placeholder = JSON.stringify(withoutPrivatePart(publicJwk as JWK));
      await store.erase(kysely, kid, this.#sealer.seal(placeholder, `signing_keys:${kid}`));
    }
    await this.#db.transaction(async (db) => {
      const deleted = await store.deleteEnded(db);
      if (deleted.length > 0) await writeAudit(db, audited('keys.deleted', SERVER, deleted));
    });
  }

  /**
   * Takes a key away at once and for good, with everything that it signed. What signs just now is only taken `now`, and
   * then its successor, which waits or is made, signs in its place from this moment.
   * @throws AppError `unknown_key`, `key_signs`
   */
  async remove(kid: string, actor: string, { now = false } = {}): Promise<RemovedKey> {
    const known = findKey(await this.list(), kid);
    const spare = await this.#make(known.alg);
    let outcome: RemovedKey = { removed: known, successor: undefined };
    await this.#change(async (db) => {
      const keys = await this.#list(db);
      const removed = findKey(keys, kid);
      if (removed.state === 'current' && !now) throw signs(removed, keys);
      await store.deleteKey(db, removed);
      outcome = { removed, successor: await this.#replace(db, removed, spare) };
      return audited('keys.removed', actor, [removed], removed.state);
    });
    return outcome;
  }

  /** What signs in the place of a key that was taken away; undefined where it did not sign. */
  async #replace(db: Db, { alg, state }: KeyInfo, spare: NewKey): Promise<string | undefined> {
    if (state === 'current') {
      const waiting = await store.bringForward(db, alg);
      if (waiting === undefined) await spare.insert(db, 0);
      return waiting ?? spare.kid;
    }
    if (state !== 'next') return undefined;
    await store.unretire(db, alg);
    // The first one of an algorithm had nothing before it.
    const { missing } = await this.#inventory(db);
    if (missing.includes(alg)) await spare.insert(db, KEY_LEAD);
    return undefined;
  }

  /** In a transaction of its own, under the lock: changes, its event, and the word to every process. */
  async #change(work: (db: Db) => Promise<ReturnType<typeof audited>>): Promise<void> {
    await this.#db.transaction(async (db) => {
      await store.lockKeys(db);
      const event = await work(db);
      if (event.data.keys.length === 0) return;
      await writeAudit(db, event);
      await raiseVersion(db, 'keys');
    });
  }

  async #succeed(db: Db, made: readonly NewKey[]): Promise<void> {
    for (const key of made) {
      await store.retire(db, key.alg, KEY_LEAD);
      await key.insert(db, KEY_LEAD);
    }
  }

  async #list(db: Db): Promise<KeyInfo[]> {
    return [
      ...(await store.listKeys(db, 'signing_keys')),
      ...(await store.listKeys(db, 'cookie_keys')),
    ];
  }

  async #inventory(db: Db): Promise<{ missing: string[]; published: boolean }> {
    const keys = await this.#list(db);
    const there = new Set(
      keys.filter(({ retiredAt }) => retiredAt === undefined).map(({ alg }) => alg),
    );
    return {
      missing: [...algorithms, COOKIE].filter((alg) => !there.has(alg)),
      published: keys.some(({ alg, state }) => alg !== COOKIE && state !== 'removed'),
    };
  }

  async #make(alg: string): Promise<NewKey> {
    if (alg === COOKIE) {
      const id = randomToken(12);
      const keySealed = this.#sealer.seal(randomBytes(32), `cookie_keys:${id}`);
      return {
        kid: id,
        alg,
        insert: (db, seconds) => store.insertCookieKey(db, { id, keySealed }, seconds),
      };
    }
    const { kid, publicJwk, privateJwk } = await makeKeyPair(alg);
    const privateSealed = this.#sealer.seal(JSON.stringify(privateJwk), `signing_keys:${kid}`);
    const key = { kid, alg, publicJwk, privateSealed };
    return { kid, alg, insert: (db, seconds) => store.insertSigningKey(db, key, seconds) };
  }

  #open(kid: string, sealed: Buffer): JWK {
    return JSON.parse(this.#sealer.open(sealed, `signing_keys:${kid}`).toString()) as JWK;
  }
}

function audited(
  type: AuditType,
  actor: string,
  keys: readonly { readonly kid: string; readonly alg: string }[],
  state?: string,
) {
  const data = { keys: keys.map(({ kid, alg }) => ({ kid, alg })), state };
  return { type, outcome: 'success', actor, data } as const;
}

function findKey(keys: readonly KeyInfo[], kid: string): KeyInfo {
  const found = keys.find((key) => key.kid === kid);
  if (found === undefined)
    throw new AppError('unknown_key', `There is no key ${kid}.`, { status: 404 });
  return found;
}

function refuseUnderWay(keys: readonly KeyInfo[], algs: readonly string[]): void {
  const next = keys.find(({ alg, state }) => state === 'next' && algs.includes(alg));
  if (next === undefined) return;
  throw new AppError(
    'rotation_under_way',
    `A rotation is under way: the next key (${next.alg}, ${next.kid}) is published, and signs from ${next.activeAt.toISOString()}.`,
    { status: 409 },
  );
}

function signs({ kid, alg }: KeyInfo, keys: readonly KeyInfo[]): AppError {
  const next = keys.find((key) => key.alg === alg && key.state === 'next');
  const gently =
    next === undefined
      ? 'Make its successor with keys rotate, and remove it when that one signs.'
      : `Its successor signs from ${next.activeAt.toISOString()}: remove it then.`;
  return new AppError(
    'key_signs',
    `${kid} is the key that signs now. ${gently} Or remove it with --now: the successor then signs at once, and who has not heard of it yet refuses what it signs for a while.`,
    { status: 409 },
  );
}
