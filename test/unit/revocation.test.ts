import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Cursors } from '../../src/revocation/cursors.ts';
import { KnownRevocations } from '../../src/revocation/known-revocations.ts';
import { keyOfClient, keyOfToken, LONGEST_TOKEN } from '../../src/revocation/revocation.ts';

const known = (...all: { key: string; time: number; seen: number }[]) => {
  const revocations = new KnownRevocations();
  revocations.add(all);
  return revocations;
};
const keysOf = ({ revocations }: { revocations: readonly { key: string }[] }) =>
  revocations.map(({ key }) => key);

describe('pages', () => {
  const keys = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 60 });

  test('hold each revocation exactly once, whatever comes in between, in whatever portions they came', () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 10 }), fc.nat(600), (all, most, portion) => {
        const revocations = new KnownRevocations();
        for (let start = 0; start < all.length; start += portion + 1)
          revocations.add(
            all.slice(start, start + portion + 1).map((key) => ({ key, time: 1, seen: 1 })),
          );
        const told: string[] = [];
        for (let after = '', more = true; more; after = told.at(-1) ?? '') {
          const page = revocations.pageOfAll(after, most);
          expect(page.revocations.length).toBeLessThanOrEqual(most);
          told.push(...keysOf(page));
          more = page.more;
          // One that comes in behind the reader is not told in these pages: it is new the next time.
          revocations.add([{ key: '', time: 1, seen: 2 }]);
        }
        expect(told.filter((key) => key !== '')).toEqual([...all].sort());
      }),
    );
  });

  test('of what is new likewise', () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 10 }), (all, most) => {
        const revocations = known(
          { key: '~old', time: 1, seen: 10 },
          ...all.map((key) => ({ key, time: 1, seen: 11 })),
        );
        const told: string[] = [];
        for (let after = '', more = true; more; after = told.at(-1) ?? '') {
          const page = revocations.pageOfRecent(10, after, most);
          told.push(...keysOf(page));
          more = page.more;
        }
        expect(told.sort()).toEqual([...all].sort());
      }),
    );
  });
});

test('many that come at once are told in the same order, all of them and what is new', () => {
  const names = Array.from({ length: 2_000 }, (_, index) =>
    keyOfToken(createHash('sha256').update(String(index)).digest()),
  );
  const of = (keys: readonly string[], seen: number) => keys.map((key) => ({ key, time: 1, seen }));
  const [early, late] = [names.slice(0, 700), names.slice(700)];
  const revocations = known(...of(early, 1));
  revocations.add(of(late, 2));
  expect(keysOf(revocations.pageOfAll('', 9_999))).toEqual(names.toSorted());
  const sorted = late.toSorted();
  const first = revocations.pageOfRecent(1, '', 500);
  expect([keysOf(first), first.more]).toEqual([sorted.slice(0, 500), true]);
  const rest = revocations.pageOfRecent(1, sorted[499] as string, 800);
  expect([keysOf(rest).toSorted(), rest.more]).toEqual([sorted.slice(500), false]);
});

test('what is told again with nothing new is not new; a later time of a client is, and an earlier one never counts', () => {
  const client = keyOfClient('c_1');
  const revocations = known({ key: client, time: 100, seen: 1 });
  revocations.add([{ key: client, time: 100, seen: 5 }]);
  revocations.add([{ key: client, time: 90, seen: 6 }]);
  expect(keysOf(revocations.pageOfRecent(1, '', 9))).toEqual([]);
  revocations.add([{ key: client, time: 101, seen: 7 }]);
  expect(revocations.pageOfRecent(1, '', 9).revocations).toMatchObject([{ time: 101 }]);
  expect(revocations.size).toBe(1);
});

test('a token is forgotten ten minutes after its end, a client when the last of its tokens has ended', () => {
  const now = 1_000_000;
  const token = (name: string) => keyOfToken(Buffer.from(name));
  const revocations = known(
    { key: token('over'), time: now - 601, seen: 1 },
    { key: token('just over'), time: now - 599, seen: 1 },
    { key: keyOfClient('over'), time: now - LONGEST_TOKEN - 601, seen: 1 },
    { key: keyOfClient('just over'), time: now - LONGEST_TOKEN - 599, seen: 1 },
  );
  revocations.forget(now, 0);
  expect(keysOf(revocations.pageOfAll('', 9))).toEqual([
    keyOfClient('just over'),
    token('just over'),
  ]);
  expect(revocations.pageOfRecent(0, '', 9).revocations).toHaveLength(2);
  revocations.forget(now, 2);
  expect(keysOf(revocations.pageOfRecent(0, '', 9))).toEqual([]);
  expect(revocations.size).toBe(2);
});

describe('a cursor', () => {
  const [old, current] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const cursors = new Cursors([current]);
  const some = [
    { at: 1 },
    { at: 1_800_000_000_000, page: { since: 0, after: keyOfClient('c_1') } },
  ];

  test('is read as it was written, also under the key before', () => {
    for (const cursor of some) {
      expect(cursors.parse(cursors.format(cursor))).toEqual(cursor);
      expect(new Cursors([current, old]).parse(new Cursors([old]).format(cursor))).toEqual(cursor);
    }
  });

  test('that somebody else has written, or changed, is none, and throws nothing', () => {
    fc.assert(fc.property(fc.string(), (text) => cursors.parse(text) === undefined));
    for (const cursor of some) {
      const text = cursors.format(cursor);
      const [said = '', mark = ''] = text.split('.');
      const other = Buffer.from(JSON.stringify([cursor.at + 1])).toString('base64url');
      for (const forged of [
        said,
        `${said}.`,
        `.${mark}`,
        `${other}.${mark}`,
        `${said}.${mark.slice(1)}`,
        new Cursors([old]).format(cursor),
        'x'.repeat(10_000),
      ])
        expect(cursors.parse(forged)).toBeUndefined();
    }
  });
});
