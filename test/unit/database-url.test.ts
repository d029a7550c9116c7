import { expect, test } from '@jest/globals';
import { parseTargets } from '../../src/db/hosts.ts';
import { isConflict, isUnavailable } from '../../src/db/sql-state.ts';
import { transportNotices } from '../../src/db/transport.ts';

const urls = (url: string) =>
  parseTargets(url).map((target) => ('connectionString' in target ? target.connectionString : ''));

test('17: a URL with several hosts becomes one URL for each, with everything else of it', () => {
  for (const [url, expected] of [
    ['postgres://u:p@db:1/x', ['postgres://u:p@db:1/x']],
    ['postgres://u:p@/x?host=%2Frun%2Fpg&port=1', ['postgres://u:p@/x?host=%2Frun%2Fpg&port=1']],
    ['postgres://u:p@a,b:2/x?a=b', ['postgres://u:p@a/x?a=b', 'postgres://u:p@b:2/x?a=b']],
    ['postgresql://[::1]:5,[::2]/x', ['postgresql://[::1]:5/x', 'postgresql://[::2]/x']],
    [
      'postgres://u@/x?host=a,b,c&port=1,2,3',
      [1, 2, 3].map((n) => `postgres://u@/x?host=${'abc'[n - 1]}&port=${n}`),
    ],
    ['postgres://u@/x?host=a,b', ['postgres://u@/x?host=a', 'postgres://u@/x?host=b']],
    ['postgres://u@a,b/x?target_session_attrs=primary', ['postgres://u@a/x', 'postgres://u@b/x']],
    ['postgres://u@a/x?options=-c%20a%3Db', ['postgres://u@a/x?options=-c%20a%3Db']],
  ] as const)
    expect(urls(url)).toEqual(expected);
  for (const wrong of [
    'postgres://u@/x?host=a,b&port=1,2,3',
    'postgres://u@a,b/x?target_session_attrs=any',
    'mysql://u@a/x',
  ])
    expect(() => parseTargets(wrong)).toThrow('DATABASE_URL');
});

test('22: plain text to another machine, and a certificate that is not verified, are warned of', () => {
  const notices = (url: string) => transportNotices(parseTargets(url));
  for (const quiet of [
    'postgres://u:p@localhost/x',
    'postgres://u:p@127.0.0.5/x',
    'postgres://u:p@[::1]:5433/x',
    'postgres://u:p@/x?host=%2Frun%2Fpg',
    'postgres://u:p@db.internal/x?sslmode=verify-full',
  ])
    expect(notices(quiet)).toEqual([]);
  for (const [loud, words] of [
    ['postgres://u:p@db.internal/x', 'not encrypted'],
    ['postgres://u:p@10.0.0.1:5/x?sslmode=disable', 'not encrypted'],
    ['postgres://u:p@localhost,db.internal/x', 'db.internal:5432 is not encrypted'],
    ['postgres://u:p@db.internal/x?sslmode=no-verify', 'not verified'],
  ] as const) {
    const found = notices(loud);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(words);
    expect(found[0]).not.toContain('u:p');
  }
});

test('16: an error is never classified by its text', () => {
  const texts = ['timeout expired', 'Connection terminated', 'canceling statement due to timeout'];
  for (const text of texts) expect(isUnavailable(new Error(text))).toBe(false);
  for (const code of ['EPIPE', 'ECONNREFUSED', '', '08', 'toolong'])
    expect(isUnavailable(Object.assign(new Error('x'), { code }))).toBe(false);
  const partition = Object.assign(new Error('x'), { code: '23514' });
  expect(isConflict(partition)).toBe(true);
  expect(isConflict(Object.assign(partition, { constraint: 'a_check' }))).toBe(false);
});
