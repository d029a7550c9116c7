import { describe, expect, test } from '@jest/globals';
import { findLateStep, findStep, normalizeRecoveryCode } from '../../src/authenticator/totp.ts';
import { readTypedCode } from '../../src/lib/typed-code.ts';
import { readUserCode } from '../../src/oidc/decoupled/secrets.ts';

describe('13: codes are read in the digits of any script', () => {
  // ICU's own digits, and every other decimal digit that Unicode has.
  const systems = Intl.supportedValuesOf('numberingSystem').flatMap((system) => {
    const digits = Array.from('0123456789', (digit) =>
      new Intl.NumberFormat(`en-u-nu-${system}`, { useGrouping: false }).format(Number(digit)),
    );
    return digits.every((digit) => /^\p{Nd}$/u.test(digit)) ? [[system, digits] as const] : [];
  });

  test('there are many to try', () => expect(systems.length).toBeGreaterThan(60));

  test.each(systems)('%s', async (_system, digits) => {
    const write = (code: string) => code.replace(/\d/g, (digit) => digits[Number(digit)] as string);
    expect(readTypedCode(write('0123456789'))).toBe('0123456789');
    expect(await findStep('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', write('287 082'), 59_000)).toBe(1);
    expect(normalizeRecoveryCode(write('0A1B-2C3D-4E5F-6G7H'))).toBe('0A1B2C3D4E5F6G7H');
  });

  test('whatever stands between them, and whichever way the text runs', () => {
    for (const typed of [
      '1234 5678',
      '1234-5678',
      '1234–5678',
      ' 12.34_56/78 ',
      '\u200f1234\u200e5678\u2069',
    ])
      expect(readTypedCode(typed)).toBe('12345678');
    expect(readTypedCode('1234\u00005678')).not.toBe('12345678');
    expect(readUserCode('ｂｃｄｆ－ｇｈｊｋ')).toBe('BCDFGHJK');
    expect(readUserCode('BCDF-GHJK9')).toBeUndefined();
  });
});

describe('13: a code that was right is told apart from a wrong one only once it has expired', () => {
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  // RFC 6238, appendix B: 081804 is the code of this second.
  const at = 1_111_111_109;
  const step = Math.floor(at / 30);

  test.each([
    ['right now', 0, undefined],
    ['a step ago', 30, undefined],
    ['a minute ago', 60, step],
    ['four minutes ago', 240, step],
    ['ten minutes ago', 600, undefined],
    ['in a minute', -60, undefined],
    ['in half a minute', -30, undefined],
  ])('%s', async (_when, later, expected) => {
    expect(await findLateStep(secret, '081804', (at + later) * 1000)).toBe(expected);
  });

  test('what is no code is none', async () => {
    for (const typed of ['', '08180', 'abcdef', '0818045'])
      expect(await findLateStep(secret, typed, (at + 60) * 1000)).toBeUndefined();
  });
});
