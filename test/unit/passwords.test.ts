import { expect, test } from '@jest/globals';
import argon2 from 'argon2';
import { Passwords } from '../../src/account/passwords.service.ts';
import { Semaphore } from '../../src/account/semaphore.ts';
import { AppError } from '../../src/errors.ts';
import { refusals } from '../support/people.ts';

const passwords = new Passwords();

test('a hash is Argon2id at 19 MiB and two passes, salted, and knows its password', async () => {
  const [one, two] = await Promise.all([
    passwords.hash('vellum otter quince'),
    passwords.hash('vellum otter quince'),
  ]);
  expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,(t=2,p=1|p=1,t=2)\$/);
  expect(one).not.toBe(two);
  expect(await passwords.verify(one, 'vellum otter quince')).toBe(true);
  expect(await passwords.verify(one, 'vellum otter quinc')).toBe(false);
  expect(await passwords.verify(one, 'Vellum otter quince')).toBe(false);
  expect(passwords.isOutdated(one)).toBe(false);
});

test('nothing is cut off: a difference in the last of 1024 bytes counts, and after a NUL', async () => {
  const long = 'é'.repeat(512);
  const hash = await passwords.hash(long);
  expect(await passwords.verify(hash, long)).toBe(true);
  expect(await passwords.verify(hash, `${long.slice(0, -1)}è`)).toBe(false);
  const withNul = await passwords.hash('vellum\u0000otter');
  expect(await passwords.verify(withNul, 'vellum\u0000quince')).toBe(false);
});

test('the same letters typed on another keyboard are the same password; letters that look different are not', async () => {
  const hash = await passwords.hash('caf\u00e9 \u00b2 vellum');
  expect(await passwords.verify(hash, 'cafe\u0301 \u00b2 vellum')).toBe(true);
  expect(await passwords.verify(hash, 'caf\u00e9 2 vellum')).toBe(false);
});

test('without an account there is as much work and no password is right', async () => {
  const hash = await passwords.hash('vellum otter quince');
  const times = { known: [] as number[], unknown: [] as number[] };
  for (let round = 0; round < 15; round++) {
    for (const [kind, stored] of [
      ['known', hash],
      ['unknown', undefined],
    ] as const) {
      const started = performance.now();
      expect(await passwords.verify(stored, 'wrong')).toBe(false);
      times[kind].push(performance.now() - started);
    }
  }
  const median = (list: number[]) => list.toSorted((a, b) => a - b)[7] as number;
  const ratio = median(times.unknown) / median(times.known);
  // A missing verification would be a hundred times faster.
  expect(ratio).toBeGreaterThan(0.4);
  expect(ratio).toBeLessThan(2.5);
});

test('a hash of another cost or kind is to be made anew', async () => {
  expect(
    passwords.isOutdated(await argon2.hash('x', { memoryCost: 8192, timeCost: 2, parallelism: 1 })),
  ).toBe(true);
  expect(
    passwords.isOutdated(
      await argon2.hash('x', {
        memoryCost: 19_456,
        timeCost: 2,
        parallelism: 1,
        type: argon2.argon2i,
      }),
    ),
  ).toBe(true);
});

test('hashing takes half of the threads, in order, and turns away who would wait too long', async () => {
  const semaphore = new Semaphore(2, 3);
  let running = 0;
  let most = 0;
  const done: number[] = [];
  const release: (() => void)[] = [];
  const work = (id: number) =>
    semaphore.run(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => release.push(resolve));
      running -= 1;
      done.push(id);
    });
  const all = [1, 2, 3, 4, 5].map(work);
  const refused = await work(6).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AppError);
  expect(refused).toMatchObject({ code: 'busy', status: 429, retryAfter: 2 });
  while (done.length < 5) {
    release.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(all);
  expect(most).toBe(2);
  expect(done).toEqual([1, 2, 3, 4, 5]);
  // A failure gives its place back.
  await expect(semaphore.run(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
  const again = [7, 8].map(work);
  release.splice(0).forEach((go) => go());
  await Promise.all(again);
});

test('a hundred at once are all answered, or told to come back', async () => {
  const few = new Passwords({ threadPoolSize: 4, maxWaiting: 10 });
  const hash = await few.hash('vellum otter quince');
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, () => few.verify(hash, 'vellum otter quince')),
  );
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(12);
  expect(refusals(results)).toEqual(['busy']);
});
