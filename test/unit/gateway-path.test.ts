import { posix } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fits, parsePattern, readPath, type Segment } from '../../src/gateway/path.ts';

const texts = (target: string) => readPath(target)?.map(({ text }) => text);

describe('a path is read', () => {
  test.each([
    ['/', []],
    ['/a', ['a']],
    ['/a/', ['a']],
    ['/a/b.c/d-e_f~g', ['a', 'b.c', 'd-e_f~g']],
    ['/a?b=/../c', ['a']],
    ['/a%20b/c+d', ['a b', 'c+d']],
    ['/caf%C3%A9/%F0%9F%8D%8B', ['café', '🍋']],
    ['/100%25', ['100%']],
    ['/a:b/@c/d=e,f!g', ['a:b', '@c', 'd=e,f!g']],
    ['/..a/b..c/.d', ['..a', 'b..c', '.d']],
    [`/${'x'.repeat(4_000)}`, ['x'.repeat(4_000)]],
  ])('%s', (target, expected) => {
    expect(texts(target)).toEqual(expected);
  });

  test.each([
    '',
    'a',
    '*',
    'https://example.com/a',
    '//',
    '//a',
    '/a//',
    '/a//b',
    '/.',
    '/..',
    '/a/../b',
    '/a/..',
    '/./a',
    '/%2e',
    '/%2E%2e/a',
    '/.%2e/a',
    '/...',
    '/..%20/a',
    '/%20/a',
    '/%E2%80%A5/a',
    '/%EF%BC%8E%EF%BC%8E/a',
    '/%E2%80%8B..%E2%80%8B/a',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '/a;b',
    '/a%3bb',
    '/a#b',
    '/a%23b',
    '/a%3fb',
    '/a%00',
    '/a%0a',
    '/a%7f',
    '/a%c2%85',
    '/a%252fb',
    '/%2561',
    '/a%',
    '/a%2',
    '/a%zz',
    '/a%u0041',
    '/%c0%af',
    '/%c0%ae',
    '/%ff',
    '/%ed%a0%80',
    '/a b',
    '/ä',
    '/a\tb',
    '/a\nb',
    '/%E2%84%80',
    '/a%EF%BC%8Fb',
    '/a%EF%BC%BCb',
    '/a%EF%BC%9Bb',
    `/${'x'.repeat(4_100)}`,
  ])('not %j, which could be read in two ways', (target) => {
    expect(readPath(target)).toBeUndefined();
  });
});

describe('a pattern', () => {
  test.each([
    '/',
    '/a',
    '/a/',
    '/a/:id/b',
    '/a/*',
    '/a/*/b/**',
    '/**',
    '/items:batch',
    '/café/x.y',
  ])('%s', (path) => {
    expect(parsePattern(path)).toBeDefined();
  });

  test.each([
    '',
    'a',
    '/a//b',
    '/a/**/b',
    '/a*',
    '/*a',
    '/:',
    '/:1',
    '/:a-b',
    '/a%20b',
    '/a b',
    '/../a',
    '/a/./b',
    '/a;b',
    '/a?b',
    '/a#b',
    '/a\\b',
    '/...',
    '/***',
    '/a\n',
  ])('not %j', (path) => {
    expect(parsePattern(path)).toBeUndefined();
  });
});

function judge(pattern: string, target: string, reading: keyof Segment = 'text'): boolean {
  const parsed = parsePattern(pattern);
  const path = readPath(target);
  if (parsed === undefined || path === undefined) throw new Error(`${pattern} or ${target}`);
  return fits(parsed, path, reading);
}

test.each([
  ['/', '/', true],
  ['/', '/a', false],
  ['/**', '/', true],
  ['/**', '/a/b', true],
  ['/a', '/a', true],
  ['/a', '/a/', true],
  ['/a/', '/a', true],
  ['/a', '/A', false],
  ['/a', '/%61', true],
  ['/a', '/a/b', false],
  ['/a/**', '/a', true],
  ['/a/**', '/a/b/c', true],
  ['/a/**', '/ab', false],
  ['/a/:id', '/a', false],
  ['/a/:id', '/a/b', true],
  ['/a/:id', '/a/b/c', false],
  ['/a/*/c', '/a/b/c', true],
  ['/a/*/c', '/a/b/d', false],
  ['/a/*/**', '/a', false],
  ['/a/*/**', '/a/b', true],
  ['/café', '/caf%C3%A9', true],
  ['/café', '/cafe%CC%81', false],
])('%s fits %s: %s', (pattern, target, expected) => {
  expect(judge(pattern, target)).toBe(expected);
});

test.each([
  ['/admin', '/ADMIN'],
  ['/Admin', '/admin'],
  ['/admin', '/admin.'],
  ['/admin', '/admin%20'],
  ['/admin', '/%20admin..'],
  ['/admin', '/%EF%BD%81dmin'],
  ['/admin', '/adm%C2%ADin'],
  ['/café', '/cafe%CC%81'],
  ['/kiss', '/%E2%84%AAi%C5%BFs'],
])('a lenient reader takes %s for %s', (pattern, target) => {
  expect(judge(pattern, target)).toBe(false);
  expect(judge(pattern, target, 'folded')).toBe(true);
});

test('SECURITY: what is accepted is one thing to every reader', () => {
  const pieces =
    'a B . .. / // \\ ; % %2e %2E %2f %5c %25 25 2e %252e %00 %20 %C3%A9 %EF%BC%8F %EF%BC%8E %c0%ae # : ~';
  const piece = fc.constantFrom(...pieces.split(' '));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
      const target = `/${parts.join('')}`;
      const read = texts(target);
      if (read === undefined) return;
      const plain = `/${read.join('/')}`;
      const trimmed = (path: string) => path.replace(/(.)\/$/, '$1');
      // Decoded first and normalized then, as many servers do; normalized first, as browsers and proxies do; and again.
      expect(trimmed(posix.normalize(decodeURIComponent(target)))).toBe(plain);
      const { pathname } = new URL(target, 'http://localhost');
      expect(trimmed(decodeURIComponent(pathname))).toBe(plain);
      expect(posix.normalize(plain.normalize('NFKC'))).toBe(plain.normalize('NFKC'));
      expect(readPath(pathname)).toEqual(readPath(target));
    }),
    { numRuns: 20_000 },
  );
});
