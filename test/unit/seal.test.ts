import { expect, test } from '@jest/globals';
import { Sealer } from '../../src/lib/seal.ts';
import { successorId } from '../../src/oidc/grants/successor.ts';

const first = Buffer.alloc(32, 1);
const second = Buffer.alloc(32, 2);
const place = 'authenticators:a1:secret';

const unsealFailed = expect.objectContaining({ code: 'unseal_failed' });

test('what was sealed opens for the same place, and shows nothing of itself', () => {
  const sealer = new Sealer([first]);
  const sealed = sealer.seal('the plain text', place);
  expect(sealer.open(sealed, place).toString()).toBe('the plain text');
  expect(sealed.toString('latin1')).not.toContain('the plain text');
  expect(sealed.toString('latin1')).not.toContain(first.toString('latin1'));
  expect(sealer.open(sealer.seal('', place), place)).toHaveLength(0);
});

test('sealed twice, the same text is two different values', () => {
  const sealer = new Sealer([first]);
  expect(sealer.seal('same', place).equals(sealer.seal('same', place))).toBe(false);
});

test('a value moved to another place does not open', () => {
  const sealer = new Sealer([first]);
  expect(() => sealer.open(sealer.seal('text', place), 'authenticators:a2:secret')).toThrow(
    unsealFailed,
  );
});

test.each(['text', ''])('%j changed anywhere, or cut anywhere, does not open', (plain) => {
  const sealer = new Sealer([first]);
  const sealed = sealer.seal(plain, place);
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] as number) ^ 1;
    expect(() => sealer.open(changed, place)).toThrow(unsealFailed);
    expect(() => sealer.open(sealed.subarray(0, at), place)).toThrow(unsealFailed);
  }
});

test('a value under another master key does not open, and the error names the place alone', () => {
  const sealed = new Sealer([first]).seal('the plain text', place);
  const open = () => new Sealer([second]).open(sealed, place);
  expect(open).toThrow(unsealFailed);
  expect(open).toThrow(place);
  expect(open).not.toThrow('plain text');
});

test('during a rotation the new key seals, and the old one still opens', () => {
  const before = new Sealer([first]);
  const during = new Sealer([second, first]);
  const after = new Sealer([second]);
  expect(during.open(before.seal('old', place), place).toString()).toBe('old');
  expect(after.open(during.seal('new', place), place).toString()).toBe('new');
  expect(during.keyId).toBe(after.keyId);
  expect(during.keyId).not.toBe(before.keyId);
});

test('a derived key belongs to its purpose and its master key', () => {
  const during = new Sealer([second, first]);
  const before = new Sealer([first]);
  expect(during.derive('a')).toHaveLength(32);
  expect(during.derive('a').equals(during.derive('a'))).toBe(true);
  expect(during.derive('a').equals(during.derive('b'))).toBe(false);
  expect(during.derive('a').equals(before.derive('a'))).toBe(false);
  expect(during.derive('a', before.keyId).equals(before.derive('a'))).toBe(true);
  expect(() => before.derive('a', during.keyId)).toThrow(unsealFailed);
  expect(during.deriveEach('a')).toEqual([during.derive('a'), before.derive('a')]);
  expect(during.derive('a').equals(second)).toBe(false);
});

test('a master key has 32 bytes, and there is at least one', () => {
  expect(() => new Sealer([])).toThrow(expect.objectContaining({ code: 'master_key_missing' }));
  expect(() => new Sealer([Buffer.alloc(31)])).toThrow(
    expect.objectContaining({ code: 'master_key_invalid' }),
  );
});

test('a family whose master key was dropped goes on under the current one, the same way each time', () => {
  const [old, current] = [first, second];
  const family = { id: 'family', keyId: new Sealer([old]).keyId };
  const both = successorId(new Sealer([current, old]), family, 'presented');
  expect(successorId(new Sealer([old]), family, 'presented')).toBe(both);
  const dropped = successorId(new Sealer([current]), family, 'presented');
  expect(dropped).not.toBe(both);
  expect(successorId(new Sealer([current]), family, 'presented')).toBe(dropped);
});
