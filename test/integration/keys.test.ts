import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { JWK } from 'jose';
import { sql } from 'kysely';
import { Sealer } from '../../src/lib/seal.ts';
import { createKeyRotation } from '../../src/keys/key-rotation.ts';
import { COOKIE_LIFE, HINT_LIFE, KEY_LEAD, LONGEST_TOKEN } from '../../src/keys/keys.ts';
import { algorithms, KeyService } from '../../src/keys/keys.service.ts';
import { newResourceServerSchema } from '../../src/resource-server/resource-server.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ageKeys } from '../support/keys.ts';
import { testMasterKey } from '../support/server-process.ts';

const DAY = 86_400;
const sealer = new Sealer([testMasterKey]);
let database: TestDatabase;
let keys: KeyService;
/** As another process has it. */
let elsewhere: KeyService;

beforeEach(async () => {
  database = await createTestDatabase();
  keys = new KeyService(database.db, sealer);
  elsewhere = new KeyService(database.connect(), sealer);
});

afterEach(() => database.drop());

const everyKind = [...algorithms, 'cookie'];
const inState = async (state: string) =>
  (await keys.list()).filter((key) => key.state === state).sort((a, b) => (a.alg < b.alg ? -1 : 1));
const algsInState = async (state: string) => (await inState(state)).map(({ alg }) => alg);
const current = async (alg: string) => {
  const found = (await inState('current')).filter((key) => key.alg === alg);
  expect(found).toHaveLength(1);
  return found[0]?.kid as string;
};
const audit = async () => {
  const rows = await database.db.kysely
    .selectFrom('audit_events')
    .select(['type', 'actor', 'data'])
    .where('type', 'like', 'keys.%')
    .orderBy('at')
    .execute();
  return rows.map(({ type, actor, data }) => ({
    type,
    actor,
    algs: (data as { keys: { alg: string }[] }).keys.map(({ alg }) => alg).sort(),
  }));
};
const all = everyKind.toSorted();
const signingAlgs = [...algorithms].sort();

describe('made', () => {
  test('at the first start there is one of each, and it signs at once, however many processes start', async () => {
    await Promise.all([keys, elsewhere, keys, elsewhere].map((one) => one.ensure()));
    expect(await algsInState('current')).toEqual(all);
    expect(await keys.list()).toHaveLength(all.length);
    expect(await audit()).toEqual([{ type: 'keys.created', actor: 'server', algs: all }]);
    await keys.ensure();
    expect(await audit()).toHaveLength(1);
  });

  test('an algorithm that is new beside others is published first', async () => {
    await keys.ensure();
    // As the release before left it.
    await sql`delete from signing_keys where alg in ('PS256', 'EdDSA')`.execute(database.db.kysely);
    const before = await inState('current');
    await Promise.all([keys, elsewhere, keys].map((one) => one.ensure()));
    expect(await inState('current')).toEqual(before);
    const added = await inState('next');
    expect(added.map(({ alg }) => alg)).toEqual(['EdDSA', 'PS256']);
    for (const { createdAt, activeAt } of added)
      expect(activeAt.getTime() - createdAt.getTime()).toBe(KEY_LEAD * 1000);
    const { jwks } = await keys.load();
    expect(jwks.keys.map(({ alg, d }) => [alg, d !== undefined])).toEqual([
      ['RS256', true],
      ['ES256', true],
      ['PS256', false],
      ['EdDSA', false],
    ]);
    await ageKeys(database.db, KEY_LEAD);
    expect((await keys.load()).jwks.keys.every(({ d }) => d !== undefined)).toBe(true);
  });

  test('a key of each algorithm signs what its public part in the JWKS verifies', async () => {
    await keys.ensure();
    const { jwks } = await keys.load();
    expect(jwks.keys.map(({ alg }) => alg)).toEqual([...algorithms]);
    for (const key of jwks.keys) expect(key).toMatchObject({ use: 'sig', kid: expect.any(String) });
    for (const { kty, n } of jwks.keys.filter((key) => key.kty === 'RSA')) {
      expect(kty).toBe('RSA');
      expect(Buffer.from(n as string, 'base64url')).toHaveLength(256);
    }
  });
});

describe('rotated', () => {
  beforeEach(() => keys.ensure());

  test('the next key of each waits its time, signs, and the one before it outlives what it signed', async () => {
    const first = await inState('current');
    await keys.rotate('cli');
    expect(await algsInState('next')).toEqual(signingAlgs);
    expect((await inState('current')).map(({ kid }) => kid)).toEqual(first.map(({ kid }) => kid));
    await ageKeys(database.db, KEY_LEAD - 5);
    expect(await algsInState('next')).toEqual(signingAlgs);
    await ageKeys(database.db, 5);
    expect(await algsInState('retiring')).toEqual(signingAlgs);
    expect(await algsInState('current')).toEqual(all);
    await ageKeys(database.db, LONGEST_TOKEN - 5);
    expect(await algsInState('retiring')).toEqual(signingAlgs);
    expect((await keys.load()).jwks.keys).toHaveLength(8);
    await ageKeys(database.db, 5);
    expect(await algsInState('removed')).toEqual(signingAlgs);
    expect((await keys.load()).jwks.keys).toHaveLength(4);
  });

  test('a retired key stays for the longest life that an API can be given, or has', async () => {
    const { accessTokenTtl } = newResourceServerSchema.shape;
    expect(accessTokenTtl.safeParse(LONGEST_TOKEN).success).toBe(false);
    expect(accessTokenTtl.safeParse(DAY).success).toBe(true);
    expect(LONGEST_TOKEN).toBeGreaterThan(DAY);
    await database.db.kysely
      .insertInto('resource_servers')
      .values({
        id: 'api_long',
        identifier: 'https://long.example.com',
        name: 'Long',
        token_format: 'jwt',
        access_token_ttl: 3 * DAY,
        signing_alg: 'ES256',
      })
      .execute();
    await keys.rotate('cli', ['ES256']);
    const [old] = (await keys.list()).filter(({ retiredAt }) => retiredAt !== undefined);
    const stays = (old?.removedAt?.getTime() ?? 0) - (old?.retiredAt?.getTime() ?? 0);
    expect(stays).toBe(3 * DAY * 1000);
  });

  test('one rotation at a time: another one says so and changes nothing', async () => {
    const outcomes = await Promise.allSettled([keys.rotate('cli'), elsewhere.rotate('cli')]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const before = await keys.list();
    await expect(keys.rotate('cli', ['ES256'])).rejects.toMatchObject({
      code: 'rotation_under_way',
      message: expect.stringMatching(/ES256.*signs from 20/),
    });
    expect(await keys.list()).toEqual(before);
    await keys.rotate('cli', ['cookie']);
    expect(await algsInState('next')).toEqual(all);
    expect((await audit()).map(({ type }) => type)).toEqual([
      'keys.created',
      'keys.rotated',
      'keys.rotated',
    ]);
  });

  test('a rotation of one algorithm leaves the others', async () => {
    await keys.rotate('cli', ['RS256']);
    expect(await algsInState('next')).toEqual(['RS256']);
    expect(await audit()).toContainEqual({ type: 'keys.rotated', actor: 'cli', algs: ['RS256'] });
  });
});

describe('by the clock', () => {
  const tick = (days = 90) =>
    Promise.all(
      [keys, elsewhere].map((one) => createKeyRotation(one, days).run(AbortSignal.timeout(9_000))),
    );
  beforeEach(() => keys.ensure());

  test('what has signed for ninety days is followed by the next one, once', async () => {
    await ageKeys(database.db, 90 * DAY - 60);
    await tick();
    expect(await algsInState('next')).toEqual([]);
    await ageKeys(database.db, 61);
    await tick(0);
    expect(await algsInState('next')).toEqual([]);
    await tick();
    await tick();
    expect(await algsInState('next')).toEqual(all);
    expect((await audit()).slice(1)).toEqual([
      { type: 'keys.rotated', actor: 'server', algs: all },
    ]);
    // Also not by hand, nor when the next ones sign.
    await expect(keys.rotate('cli')).rejects.toMatchObject({ code: 'rotation_under_way' });
    await ageKeys(database.db, KEY_LEAD);
    await tick();
    expect(await algsInState('next')).toEqual([]);
    expect(await algsInState('current')).toEqual(all);
  });

  test('what was rotated by hand meanwhile is not due', async () => {
    await ageKeys(database.db, 91 * DAY);
    await keys.rotate('cli', ['ES256']);
    await tick();
    expect((await audit()).at(-1)?.algs).toEqual(all.filter((alg) => alg !== 'ES256'));
  });

  const privateParts = async () => {
    const rows = await database.db.kysely.selectFrom('signing_keys').selectAll().execute();
    return new Map(
      rows.map((row) => [
        row.kid,
        JSON.parse(sealer.open(row.private_sealed, `signing_keys:${row.kid}`).toString()) as JWK,
      ]),
    );
  };

  test('the private part goes when the key signs no more; the release before can still read the row', async () => {
    await keys.rotate('cli');
    const waiting = await privateParts();
    const old = (await inState('current')).filter(({ alg }) => alg !== 'cookie');
    await ageKeys(database.db, KEY_LEAD - 5);
    await tick();
    expect(await privateParts()).toEqual(waiting);
    await ageKeys(database.db, 5);
    await tick();
    const left = await privateParts();
    for (const { kid } of await inState('current')) expect(left.get(kid)).toEqual(waiting.get(kid));
    for (const { kid, alg } of old) {
      const key = left.get(kid);
      const members =
        alg.endsWith('S256') && alg !== 'ES256' ? ['d', 'p', 'q', 'dp', 'dq', 'qi'] : ['d'];
      for (const member of members as 'd'[]) expect(key?.[member]).toBe('erased');
      expect(key?.kid).toBe(kid);
    }
    expect((await keys.load()).jwks.keys).toHaveLength(8);
  });

  test('rows go when nothing is verified by them any more; the audit keeps what they were', async () => {
    expect(COOKIE_LIFE).toBeGreaterThan(30 * DAY);
    await keys.rotate('cli', everyKind);
    await ageKeys(database.db, KEY_LEAD + COOKIE_LIFE - 5);
    await tick(0);
    expect((await keys.load()).cookieKeys).toHaveLength(2);
    expect(await algsInState('retiring')).toEqual(['cookie']);
    await ageKeys(database.db, LONGEST_TOKEN);
    await tick(0);
    expect(await algsInState('removed')).toEqual(signingAlgs);
    expect((await keys.load()).hintKeys).toHaveLength(4);
    expect((await keys.load()).cookieKeys).toHaveLength(1);
    await ageKeys(database.db, HINT_LIFE - COOKIE_LIFE + 60);
    await tick(0);
    expect(await keys.list()).toHaveLength(all.length);
    const deleted = (await audit()).filter(({ type }) => type === 'keys.deleted');
    expect(deleted.flatMap(({ algs }) => algs).sort()).toEqual(all);
  });
});

describe('removed', () => {
  beforeEach(() => keys.ensure());
  const remove = (kid: string, now = false) => keys.remove(kid, 'cli', { now });

  test('the one that signs is not, unless somebody says so', async () => {
    const kid = await current('ES256');
    await expect(remove(kid)).rejects.toMatchObject({
      code: 'key_signs',
      message: expect.stringMatching(/keys rotate.*--now/),
    });
    await keys.rotate('cli', ['ES256']);
    await expect(remove(kid)).rejects.toMatchObject({
      code: 'key_signs',
      message: expect.stringMatching(/signs from 20.*--now/),
    });
    expect(await current('ES256')).toBe(kid);
    expect((await audit()).filter(({ type }) => type === 'keys.removed')).toEqual([]);
    await expect(remove('nothing')).rejects.toMatchObject({ code: 'unknown_key' });
  });

  test.each(everyKind)(
    '%s, at once: a successor is made, and signs from that moment',
    async (alg) => {
      const kid = await current(alg);
      const { successor } = await remove(kid, true);
      expect(await current(alg)).toBe(successor);
      expect((await keys.list()).map((key) => key.kid)).not.toContain(kid);
      expect(await keys.list()).toHaveLength(all.length);
      expect(await audit()).toContainEqual({ type: 'keys.removed', actor: 'cli', algs: [alg] });
      const { jwks, hintKeys, cookieKeys } = await keys.load();
      expect([...jwks.keys, ...hintKeys].map((key) => key.kid)).not.toContain(kid);
      expect(cookieKeys).toHaveLength(1);
    },
  );

  test.each(everyKind)('%s, at once: the next one that waits comes forward', async (alg) => {
    await keys.rotate('cli', [alg]);
    const kid = await current(alg);
    const [next] = await inState('next');
    expect((await remove(kid, true)).successor).toBe(next?.kid);
    expect(await current(alg)).toBe(next?.kid);
    expect(await keys.list()).toHaveLength(all.length);
  });

  test.each(everyKind)(
    '%s, the next one: what signs goes on, and can be rotated anew',
    async (alg) => {
      await keys.rotate('cli', [alg]);
      const kid = await current(alg);
      const [next] = await inState('next');
      expect(await remove(next?.kid as string)).toMatchObject({ successor: undefined });
      await ageKeys(database.db, KEY_LEAD + LONGEST_TOKEN + COOKIE_LIFE);
      expect(await current(alg)).toBe(kid);
      await keys.rotate('cli', [alg]);
      expect(await algsInState('next')).toEqual([alg]);
    },
  );

  test('the first one of an algorithm that is new: another one is made in its place', async () => {
    await sql`delete from signing_keys where alg = 'EdDSA'`.execute(database.db.kysely);
    await keys.ensure();
    const [next] = await inState('next');
    await remove(next?.kid as string);
    const [other] = await inState('next');
    expect(other).toMatchObject({ alg: 'EdDSA' });
    expect(other?.kid).not.toBe(next?.kid);
  });

  test('one that retires is gone at once', async () => {
    const kid = await current('RS256');
    await keys.rotate('cli');
    await ageKeys(database.db, KEY_LEAD);
    await remove(kid);
    expect((await keys.load()).jwks.keys).toHaveLength(7);
    expect(await algsInState('current')).toEqual(all);
  });

  test('by two at once, it is removed once', async () => {
    const kid = await current('ES256');
    const outcomes = await Promise.allSettled(
      [keys, elsewhere].map((one) => one.remove(kid, 'cli', { now: true })),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await algsInState('current')).toEqual(all);
  });
});
