import { describe, expect, test } from '@jest/globals';
import { generate } from 'otplib';
import {
  findStep,
  newRecoveryCode,
  newTotpSecret,
  normalizeRecoveryCode,
} from '../../src/authenticator/totp.ts';

const base32 = (text: string) => {
  const bits = [...Buffer.from(text)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? [])
    .map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five, 2)])
    .join('');
};

describe('a time-based code', () => {
  const secret = base32('12345678901234567890');

  // RFC 6238, appendix B, cut to six digits.
  test.each([
    [59, '287082'],
    [1_111_111_109, '081804'],
    [1_111_111_111, '050471'],
    [1_234_567_890, '005924'],
    [2_000_000_000, '279037'],
    [20_000_000_000, '353130'],
  ])('at %i is %s', async (seconds, code) => {
    expect(await findStep(secret, code, seconds * 1000)).toBe(Math.floor(seconds / 30));
  });

  test('is taken one step early or late, not two', async () => {
    const now = 1_700_000_010;
    for (const [offset, taken] of [
      [-60, false],
      [-30, true],
      [0, true],
      [30, true],
      [60, false],
    ] as const) {
      const code = await generate({ secret, epoch: now + offset });
      expect(await findStep(secret, code, now * 1000)).toBe(
        taken ? Math.floor((now + offset) / 30) : undefined,
      );
    }
  });

  test('is read with spaces and dashes, and in the digits of another width', async () => {
    const at = 59_000;
    for (const typed of ['287 082', ' 287082 ', '287-082', '2 8 7 0 8 2', '２８７０８２', '٢٨٧٠٨٢'])
      expect(await findStep(secret, typed, at)).toBe(1);
  });

  test.each([
    '',
    '28708',
    '2870822',
    '28708a',
    '-287082x',
    '1e5',
    '0x1234',
    'null',
    '287082\u0000',
    '9'.repeat(10_000),
  ])('%j is none, and no error', async (typed) => {
    expect(await findStep(secret, typed, 59_000)).toBeUndefined();
  });
});

test('a seed has 160 bits, and its URI names brand and account as apps expect it', () => {
  const { secret, uri } = newTotpSecret('Example & ID', 'imani+x@example.com');
  expect(secret).toMatch(/^[A-Z2-7]{32}$/);
  expect(newTotpSecret('Example', 'x@example.com').secret).not.toBe(secret);
  const url = new URL(uri);
  expect(url.protocol).toBe('otpauth:');
  expect(decodeURIComponent(url.pathname)).toContain('Example & ID:imani+x@example.com');
  expect(Object.fromEntries(url.searchParams)).toMatchObject({ secret, issuer: 'Example & ID' });
  // What is not said is what every app takes for granted.
  expect(url.searchParams.get('algorithm') ?? 'SHA1').toBe('SHA1');
  expect(url.searchParams.get('digits') ?? '6').toBe('6');
  expect(url.searchParams.get('period') ?? '30').toBe('30');
});

test.each([
  ['Example: ID', 'imani@okoro.test', 'Example ID', 'imani@okoro.test'],
  ['Acme::Login', '"a:b"@okoro.test', 'Acme Login', '"a b"@okoro.test'],
  ['Bücher & Söhne：Konto', 'imani+x@okoro.test', 'Bücher & Söhne Konto', 'imani+x@okoro.test'],
  [' : ', 'imani@okoro.test', 'Account', 'imani@okoro.test'],
])(
  '13: the URI of %j has one colon, wherever an app looks for it',
  (brand, email, issuer, account) => {
    const { uri } = newTotpSecret(brand, email);
    const [, label = ''] = /^otpauth:\/\/totp\/([^?]*)\?/.exec(uri) ?? [];
    // Some apps split before they decode, and some after.
    expect(label.split(':').map(decodeURIComponent)).toEqual([issuer, account]);
    expect(decodeURIComponent(label).split(':')).toEqual([issuer, account]);
    expect(new URL(uri).searchParams.get('issuer')).toBe(issuer);
    // Some apps show a plus sign as it is.
    expect(uri).not.toContain('+');
  },
);

describe('a recovery code', () => {
  test('has 80 bits in letters that are not mistaken for each other', () => {
    const codes = Array.from({ length: 2_000 }, newRecoveryCode);
    for (const code of codes)
      expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(new Set(codes).size).toBe(codes.length);
    // Every letter comes up in every place.
    for (let place = 0; place < 19; place++) {
      if (place % 5 === 4) continue;
      expect(new Set(codes.map((code) => code[place])).size).toBe(32);
    }
  });

  test.each([
    '0A1B-2C3D-4E5F-6G7H',
    '0a1b2c3d4e5f6g7h',
    ' 0A1B 2C3D 4E5F 6G7H ',
    'OAIB–2C3D—4E5F_6G7H',
    'oalb.2c3d.4e5f.6g7h',
    '０Ａ１Ｂ2c3d4e5f6g7h',
  ])('%j is read as the same one', (typed) => {
    expect(normalizeRecoveryCode(typed)).toBe('0A1B2C3D4E5F6G7H');
  });
});
