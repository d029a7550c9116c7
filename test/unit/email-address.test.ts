import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { aliasKey, readEmail, readName, readNewEmail } from '../../src/account/email-address.ts';

const key = (value: string) => {
  const read = readEmail(value);
  return typeof read === 'string' ? read : read.key;
};

describe('an address', () => {
  test('is kept as it was typed, without what surrounds it, and compared without case', () => {
    expect(readEmail('  Imani.Okafor@Example.COM\n')).toEqual({
      email: 'Imani.Okafor@example.com',
      key: 'imani.okafor@example.com',
    });
  });

  test.each([
    ['Ｉｍａｎｉ@example.com', 'imani@example.com', 'full-width letters'],
    ['\u212Aelvin@example.com', 'kelvin@example.com', 'the Kelvin sign'],
    ['re\u0301mi@example.com', 'r\u00e9mi@example.com', 'a letter in two parts'],
    ['imani@B\u00dcCHER.example', 'imani@xn--bcher-kva.example', 'a domain outside ASCII'],
    ['imani@xn--bcher-kva.example', 'imani@xn--bcher-kva.example', 'the same in ASCII'],
    ['admin@localhost', 'admin@localhost', 'this machine'],
    ['a+b.c_d-e=f@a-b.c0.example', 'a+b.c_d-e=f@a-b.c0.example', 'every plain mark'],
  ])('%j is compared as %j: %s', (typed, expected) => {
    expect(key(typed)).toBe(expected);
  });

  test.each([
    'imani',
    'imani@',
    '@example.com',
    'imani@example',
    'imani@example.1',
    'imani@127.0.0.1',
    'imani@[127.0.0.1]',
    'imani@0x7f.1',
    'imani@-example.com',
    'imani@exa_mple.com',
    'imani@ex%61mple.com',
    'imani@example..com',
    'imani@example.com.',
    'a@b@example.com',
    'a\uFF20b@example.com',
    'imani\uFF20example.com',
    '.imani@example.com',
    'imani.@example.com',
    'im..ani@example.com',
    'im ani@example.com',
    '"imani"@example.com',
    'imani <imani@example.com>',
    'imani@example.com,eve@example.org',
    'imani@example.com\r\nBcc: eve@example.org',
    'imani\u0000@example.com',
    'im\u200Bani@example.com',
    'im\u00ADani@example.com',
    'im\u202Eani@example.com',
    'im\uFE0Fani@example.com',
    'im\u3164ani@example.com',
    'im\u2800\u00A0ani@example.com',
    '\u0301imani@example.com',
    'imani@exam\u200Bple.com',
    'imani@example\u3002com',
  ])('%j is none', (typed) => {
    expect(readEmail(typed)).toBe('malformed');
  });

  test('may be missing or too long', () => {
    expect(readEmail(' \t')).toBe('missing');
    expect(readEmail(`${'a'.repeat(64)}@example.com`)).toHaveProperty('key');
    expect(readEmail(`${'a'.repeat(65)}@example.com`)).toBe('too-long');
    expect(readEmail(`a@${'b.'.repeat(150)}com`)).toBe('too-long');
    // One character that its compared form writes with eighteen.
    expect(readEmail(`${'\ufdfa'.repeat(4)}@example.com`)).not.toHaveProperty('key');
  });

  test('whatever is typed: the key has one @, nothing hidden, and is its own key', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.emailAddress()), (typed) => {
        const read = readEmail(typed);
        if (typeof read === 'string') return;
        expect(read.key.split('@')).toHaveLength(2);
        expect(read.key).not.toMatch(/[\p{C}\p{Z}]/u);
        expect(readEmail(read.key)).toMatchObject({ key: read.key });
      }),
      { numRuns: 2_000 },
    );
  });
});

test.each([
  ['imani+news@example.com', 'imani@example.com'],
  ['imani@example.com', 'imani@example.com'],
  ['im.ani@example.com', 'im.ani@example.com'],
  ['i.m.ani+x@googlemail.com', 'imani@gmail.com'],
  ['+x@example.com', '+x@example.com'],
])('guesses at %s are counted with those at %s', (one, other) => {
  expect(aliasKey(one)).toBe(other);
});

describe('a name', () => {
  const own = 'imani@example.com';

  test.each([
    ['Imani Okafor', 'Imani Okafor'],
    ['  Imani \n Okafor ', 'Imani Okafor'],
    ['René', 'René'],
    ['نام\u200cخانوادگی', 'نام\u200cخانوادگی'],
    ['👩\u200d🚀', '👩\u200d🚀'],
    ['', undefined],
    [' ', undefined],
    [undefined, undefined],
    ['Imani@Example.com', 'Imani@Example.com'],
    ['x'.repeat(100), 'x'.repeat(100)],
    ['👩'.repeat(100), '👩'.repeat(100)],
  ])('%j is taken as %j', (given, taken) => {
    expect(readName(given, own)).toEqual({ name: taken });
  });

  test.each([
    'eve@example.com',
    'support@vouchsafe.example',
    'eve＠example.com',
    'eve﹫example.com',
    'e v e @ example.com',
    'eve\u200d@\u200dexample.com',
    'Imani <eve@example.com>',
    'Imani\u202Eoop',
    'Imani\u0007',
    'Imani\uE000',
  ])('%j is refused', (given) => {
    expect(readName(given, own)).toBe('malformed');
  });

  test('of more than a hundred characters is refused', () => {
    expect(readName('x'.repeat(101), own)).toBe('too-long');
  });
});

describe('25: an email address that can never get mail', () => {
  test.each(['a@b.invalid', 'a@shop.EXAMPLE', 'a@x.y.onion', 'a@wallet.alt', 'a@b.ＩＮＶＡＬＩＤ'])(
    '%s is refused at entry, and still found',
    (email) => {
      expect(readNewEmail(email)).toBe('undeliverable');
      expect(readEmail(email)).toHaveProperty('key');
    },
  );

  test.each([
    'a@example.com',
    'a@example.org',
    'a@shop.test',
    'admin@localhost',
    'a@mail.internal',
    'a@invalid.com',
    'a@notinvalid.net',
  ])('%s is taken: mail may reach it', (email) => {
    expect(readNewEmail(email)).toEqual(readEmail(email));
    expect(readNewEmail(email)).toHaveProperty('key');
  });

  test('what is no address says so as before', () => {
    expect([readNewEmail(''), readNewEmail('a@invalid')]).toEqual(['missing', 'malformed']);
  });
});
