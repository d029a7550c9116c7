import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Limits } from '../../src/account/limits.service.ts';
import { limits as figures } from '../../src/account/limit-figures.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, type People, refusals } from '../support/people.ts';

let database: TestDatabase;
let people: People;

beforeAll(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
});

beforeEach(async () => {
  await database.db.kysely.deleteFrom('rate_limits').execute();
});

afterAll(() => database.drop());

const guess = (account: string, address: string, knownDevice?: string) => ({
  account,
  address,
  knownDevice,
});
const owner = 'imani@example.com';
const home = '192.0.2.7';

/** Addresses of as many networks: one of each /24. */
const elsewhere = (i: number) => `10.${Math.floor(i / 256)}.${i % 256}.7`;

/** How many of `count` at once get through. */
async function through(count: number, work: (i: number) => Promise<void>): Promise<number> {
  const results = await Promise.allSettled(Array.from({ length: count }, (_, i) => work(i)));
  expect(refusals(results).filter((code) => code !== 'too_many_attempts')).toEqual([]);
  return results.filter((result) => result.status === 'fulfilled').length;
}

/** Lets time pass for every bucket. */
async function pass(seconds: number): Promise<void> {
  await database.db.kysely
    .updateTable('rate_limits')
    .set({ expire: sql<number>`expire - ${seconds * 1000}` })
    .execute();
}

describe('guesses at a password', () => {
  test('a hundred at once count as a hundred, over two processes', async () => {
    const second = new Limits(database.connect(), people.sealer);
    const allowed = await through(100, (i) =>
      (i % 2 === 0 ? people.limits : second).consumePasswordGuess(guess(owner, home)),
    );
    expect(allowed).toBe(figures['password account+address'].points);
    // Each of them was counted by the bucket of its own, and the others reached no further.
    const rows = await database.db.kysely.selectFrom('rate_limits').select('points').execute();
    expect(rows.map(({ points }) => points).toSorted((a, b) => a - b)).toEqual([
      10, 10, 10, 10, 10, 100,
    ]);
  });

  test('are refused with the seconds to wait, and allowed when they have passed', async () => {
    await through(11, () => people.limits.consumePasswordGuess(guess(owner, home)));
    const refused = await people.limits
      .consumePasswordGuess(guess(owner, home))
      .catch((error: unknown) => error);
    const { retryAfter } = refused as { retryAfter: number };
    expect(retryAfter).toBeGreaterThan(14 * 60);
    expect(retryAfter).toBeLessThanOrEqual(15 * 60);
    await pass(retryAfter);
    await people.limits.consumePasswordGuess(guess(owner, home));
  });

  test('every spelling and alias of an address counts together', async () => {
    const spellings = [
      'imani@example.com',
      'IMANI@EXAMPLE.COM',
      ' imani@example.com',
      'Ｉmani@example.com',
      'imani+a@example.com',
      'imani+b@example.com',
    ];
    expect(
      await through(60, (i) =>
        people.limits.consumePasswordGuess(guess(spellings[i % 6] as string, home)),
      ),
    ).toBe(10);
    await expect(
      people.limits.consumePasswordGuess(guess('not an address', home)),
    ).resolves.toBeUndefined();
  });

  test('every address of an IPv6 network counts together, and an IPv4 address in its two forms', async () => {
    expect(
      await through(40, (i) =>
        people.limits.consumePasswordGuess(guess(owner, `2001:db8:1:2::${i.toString(16)}`)),
      ),
    ).toBe(10);
    await expect(
      people.limits.consumePasswordGuess(guess(owner, '2001:db8:1:3::1')),
    ).resolves.toBeUndefined();
    expect(
      await through(40, (i) =>
        people.limits.consumePasswordGuess(
          guess('lin@example.com', i % 2 === 0 ? home : `::ffff:${home}`),
        ),
      ),
    ).toBe(10);
  });

  test('many addresses against one account are bounded by the account', async () => {
    expect(
      await through(200, (i) => people.limits.consumePasswordGuess(guess(owner, elsewhere(i)))),
    ).toBe(figures['password account'].points);
    await expect(
      people.limits.consumePasswordGuess(guess('lin@example.com', '198.51.100.1')),
    ).resolves.toBeUndefined();
  });

  test('one address against many accounts is bounded by the address', async () => {
    expect(
      await through(400, (i) =>
        people.limits.consumePasswordGuess(guess(`person${i}@example.com`, home)),
      ),
    ).toBe(figures['password address'].points);
    await expect(
      people.limits.consumePasswordGuess(guess(owner, '198.51.100.1')),
    ).resolves.toBeUndefined();
  });

  test('many against many are bounded in all', async () => {
    const few = createPeople(database.db, { 'password all': { points: 25, seconds: 300 } });
    expect(
      await through(100, (i) =>
        few.limits.consumePasswordGuess(guess(`person${i}@example.com`, elsewhere(i))),
      ),
    ).toBe(25);
  });

  test('one address alone never uses up what belongs to the account', async () => {
    expect(
      await through(300, () => people.limits.consumePasswordGuess(guess(owner, '203.0.113.66'))),
    ).toBe(10);
    await expect(people.limits.consumePasswordGuess(guess(owner, home))).resolves.toBeUndefined();
  });

  test('the owner gets in on a known device, whatever strangers do, and strangers do not', async () => {
    await through(500, (i) =>
      people.limits.consumePasswordGuess(
        guess(owner, i % 2 === 0 ? home : `198.51.100.${i % 250}`),
      ),
    );
    await expect(people.limits.consumePasswordGuess(guess(owner, home))).rejects.toMatchObject({
      code: 'too_many_attempts',
    });
    expect(
      await through(100, () => people.limits.consumePasswordGuess(guess(owner, home, 'device-1'))),
    ).toBe(10);
    await expect(
      people.limits.consumePasswordGuess(guess(owner, home, 'device-2')),
    ).resolves.toBeUndefined();
    // Known to one account is not known to another.
    await people.limits.forgivePasswordGuess(guess(owner, home, 'device-1'));
    await expect(
      people.limits.consumePasswordGuess(guess(owner, home, 'device-1')),
    ).resolves.toBeUndefined();
  });

  test('a right one starts the own bucket anew, and gives the shared ones back what it took, no more', async () => {
    await through(9, () => people.limits.consumePasswordGuess(guess(owner, home)));
    await people.limits.consumePasswordGuess(guess(owner, home));
    await people.limits.forgivePasswordGuess(guess(owner, home));
    expect(await through(20, () => people.limits.consumePasswordGuess(guess(owner, home)))).toBe(
      10,
    );

    // Signing in to an account of one's own wipes out nothing.
    await database.db.kysely.deleteFrom('rate_limits').execute();
    let allowed = 0;
    for (let i = 0; i < 330; i++) {
      const own = guess('eve@example.com', home);
      const mine = await through(1, () => people.limits.consumePasswordGuess(own));
      if (mine === 1) await people.limits.forgivePasswordGuess(own);
      allowed += await through(1, () =>
        people.limits.consumePasswordGuess(guess(`victim${i}@example.com`, home)),
      );
    }
    expect(allowed).toBe(figures['password address'].points);
  });

  test('the database is told neither who was tried nor from where', async () => {
    await people.limits.consumePasswordGuess(guess(owner, home));
    await people.limits.consumeFactorGuess({
      accountId: 'u_imani',
      address: home,
      knownDevice: undefined,
    });
    const rows = await database.db.kysely.selectFrom('rate_limits').selectAll().execute();
    expect(rows).toHaveLength(10);
    for (const { key, expire } of rows) {
      expect(key).toMatch(/^[\w-]{43}$/);
      expect(expire).not.toBeNull();
    }
  });
});

describe('24: what one network does', () => {
  // A tenth of the real ones, so that the test is quick.
  const small = Object.fromEntries(
    Object.entries(figures)
      .filter(([name]) => / (subnet|site|all)$/.test(name))
      .map(([name, { points, seconds }]) => [name, { points: points / 10, seconds }]),
  ) as unknown as typeof figures;
  let few: People;
  beforeAll(() => {
    few = createPeople(database.db, small);
  });

  const networks: [string, (i: number) => string, number][] = [
    ['an IPv4 /24', (i) => `203.0.113.${i % 256}`, small['password site'].points],
    [
      'a /56 of IPv6',
      (i) => `2001:db8:1:${(0x100 + (i % 256)).toString(16)}::${i.toString(16)}`,
      small['password subnet'].points,
    ],
    [
      'a /48 of IPv6',
      (i) => `2001:db8:1:${((i * 977) % 65_536).toString(16)}::1`,
      small['password site'].points,
    ],
  ];

  test.each(networks)(
    '%s has a share of all guesses, and others the rest',
    async (_, at, share) => {
      expect(
        await through(share + 40, (i) =>
          few.limits.consumePasswordGuess(guess(`person${i}@example.com`, at(i))),
        ),
      ).toBe(share);
      // What was refused has cost others nothing.
      const own = new Limits(database.db, few.sealer, {
        ...small,
        'password all': { points: share + 1, seconds: 300 },
      });
      await expect(own.consumePasswordGuess(guess(owner, home))).resolves.toBeUndefined();
      await expect(own.consumePasswordGuess(guess(owner, home))).rejects.toMatchObject({
        code: 'too_many_attempts',
      });
    },
  );

  test.each(networks)('%s does not keep the owner out of a new device', async (_, at) => {
    for (let quarter = 0; quarter < 3; quarter++) {
      await through(100, (i) => people.limits.consumePasswordGuess(guess(owner, at(i))));
      await pass(15 * 60);
    }
    await expect(
      people.limits.consumePasswordGuess(guess(owner, '198.51.100.1')),
    ).resolves.toBeUndefined();
    await expect(
      people.limits.consumePasswordGuess(guess('lin@example.com', '198.51.100.1')),
    ).resolves.toBeUndefined();
  });

  test('a guess that was never hashed takes nothing from others', async () => {
    for (let i = 0; i < 30; i++) {
      const one = guess(owner, `203.0.113.${i}`);
      await people.limits.consumePasswordGuess(one);
      await people.limits.returnPasswordGuess(one);
    }
    const rows = await database.db.kysely.selectFrom('rate_limits').select('points').execute();
    // Its sender's own two stay counted; the four shared ones are as they were.
    expect(rows.filter(({ points }) => points === 1)).toHaveLength(60);
    expect(rows.filter(({ points }) => points === 0)).toHaveLength(4);
  });

  test('registrations, emails and user codes have shares too', async () => {
    const at = (i: number) => `203.0.113.${i % 256}`;
    expect(
      await through(40, (i) =>
        few.limits.consumeRegistration({ email: `p${i}@example.com`, address: at(i) }),
      ),
    ).toBe(small['register site'].points);
    expect(
      await through(90, (i) =>
        few.limits.consumeUserCodeGuess({ address: at(i), accountId: undefined }),
      ),
    ).toBe(small['user code site'].points);
    expect(await through(150, (i) => few.limits.consumeDocument(`h${i}.example`, at(i)))).toBe(
      small['document site'].points,
    );
    for (const one of [
      few.limits.consumeRegistration({ email: 'last@example.com', address: home }),
      few.limits.consumeUserCodeGuess({ address: home, accountId: undefined }),
      few.limits.consumeDocument('last.example', home),
    ])
      await expect(one).resolves.toBeUndefined();
  });

  test('a sign-in is counted by one statement, and given back by one', async () => {
    const texts: string[] = [];
    const watched = new Limits(
      database.connect({
        observer: (text) => {
          texts.push(text);
          return undefined;
        },
      }),
      few.sealer,
    );
    const one = guess(owner, '2001:db8:1:2::1');
    await watched.consumePasswordGuess(one);
    await watched.forgivePasswordGuess(one);
    expect(texts.filter((text) => text.includes('rate_limits'))).toHaveLength(2);
  });
});

describe('guesses at a second factor', () => {
  test('count by the account across interactions, and start anew when one was right', async () => {
    const mine = { accountId: 'u_imani', address: home, knownDevice: undefined };
    expect(await through(100, () => people.limits.consumeFactorGuess(mine))).toBe(
      figures['factor account+site'].points,
    );
    // Another network still gets in.
    await expect(
      people.limits.consumeFactorGuess({ ...mine, address: '203.0.113.1' }),
    ).resolves.toBeUndefined();
    await expect(
      people.limits.consumeFactorGuess({
        accountId: 'u_lin',
        address: home,
        knownDevice: undefined,
      }),
    ).resolves.toBeUndefined();
    // Who has stolen the password does not lock the owner's own device out.
    await expect(
      people.limits.consumeFactorGuess({ ...mine, knownDevice: 'd1' }),
    ).resolves.toBeUndefined();
    await people.limits.forgiveFactorGuess(mine);
    await expect(people.limits.consumeFactorGuess(mine)).resolves.toBeUndefined();
  });

  test('are bounded by the day, too', async () => {
    let allowed = 0;
    for (let quarter = 0; quarter < 12; quarter++) {
      allowed += await through(60, (i) =>
        people.limits.consumeFactorGuess({
          accountId: 'u_imani',
          address: elsewhere(i % 3),
          knownDevice: undefined,
        }),
      );
      await pass(15 * 60);
    }
    // Refused ones cost nothing of the day's.
    expect(allowed).toBe(figures['factor account, a day'].points);
  });
});

describe('registration and mail', () => {
  test('are bounded by the client and by the mailbox', async () => {
    const toOne = await through(50, (i) =>
      people.limits.consumeRegistration({
        email: 'imani+x@example.com',
        address: elsewhere(i),
      }),
    );
    expect(toOne).toBe(figures['mail mailbox'].points);
    await expect(
      people.limits.consumeMail({ email: 'IMANI@example.com', address: '203.0.113.1' }),
    ).rejects.toMatchObject({ code: 'too_many_attempts' });
    // One network leaves some of a mailbox to others.
    expect(
      await through(50, () =>
        people.limits.consumeMail({ email: 'lin@example.com', address: '203.0.113.1' }),
      ),
    ).toBe(figures['mail mailbox+site'].points);
    await expect(
      people.limits.consumeMail({ email: 'lin@example.com', address: home }),
    ).resolves.toBeUndefined();
    expect(
      await through(50, (i) =>
        people.limits.consumeRegistration({ email: `person${i}@example.com`, address: home }),
      ),
    ).toBe(figures['register address'].points);
    expect(await through(50, () => people.limits.consumeCodeGuess(home))).toBe(
      figures['code address'].points,
    );
  });
});

test('no timer keeps the process, and a database that is away is an error, not a yes', async () => {
  const gone = database.connect();
  const limits = new Limits(gone, people.sealer);
  await gone.pool.end();
  await expect(limits.consumePasswordGuess(guess(owner, home))).rejects.not.toMatchObject({
    code: 'too_many_attempts',
  });
});
