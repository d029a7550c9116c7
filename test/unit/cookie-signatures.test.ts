import { expect, test } from '@jest/globals';
import Keygrip from 'keygrip';
import { CookieSignatures } from '../../src/lib/cookie-signatures.ts';

const keys = ['a first key of 32 characters or so', 'an older one, which verifies only'];
const ours = new CookieSignatures(keys);
const theirs = new Keygrip(keys);
const texts = ['vs_session=abc', 'vs_session=', 'ü=€', 'x'.repeat(4_000)];

test.each(texts)('39: what Keygrip signs is verified, and the other way round: %#', (text) => {
  expect(ours.sign(text)).toBe(theirs.sign(text));
  const older = new Keygrip(keys.slice(1)).sign(text);
  expect([ours.index(text, ours.sign(text)), ours.index(text, older)]).toEqual([0, 1]);
  expect(theirs.index(text, ours.sign(text))).toBe(0);
});

test.each(['', 'x', 'ü', ours.sign('other'), `${ours.sign('a')}=`, ours.sign('a').slice(1)])(
  '39: another signature is refused: %j',
  (digest) => {
    expect([ours.verify('a', digest), ours.index('a', digest)]).toEqual([false, -1]);
  },
);

test('39: without a key nothing is signed', () => {
  expect(() => new CookieSignatures([])).toThrow(TypeError);
});
