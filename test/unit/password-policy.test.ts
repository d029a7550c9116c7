import { describe, expect, test } from '@jest/globals';
import type { PasswordProblem as OurProblem } from '../../src/account/account.ts';
import { findPasswordProblem } from '../../src/account/password-policy.ts';
import type { PasswordProblem as PageProblem } from '../../src/pages/page-parts.ts';

// The pages have words for exactly these.
const same: [OurProblem] extends [PageProblem]
  ? [PageProblem] extends [OurProblem]
    ? true
    : never
  : never = true;
void same;

const rules = {
  minimum: 15,
  personal: ['imani.okafor@quillet.example', 'Imani Okafor'],
  context: ['Vouchsafe'],
};
const check = (password: string, minimum = 15) =>
  findPasswordProblem(password, { ...rules, minimum });

describe('taken', () => {
  test.each([
    'purple staplers hum at dusk',
    'vellum-otter-quince-47',
    'kR9#vTq2!mZp6@Lw',
    'зелёный слон пьёт чай утром',
    '我们昨天在公园里看见了一只狐狸和兔子',
    '🦊🐻🦉🐝🦀🐙🦑🦞🐡🐬🐳🦭🐘🦏🦛',
    '   spaces   around and within   ',
    'imani grows enormous turnips',
    '7391 0284 6625 1170 93',
    `${'vellum otter quince '.repeat(40)}`,
  ])('%j', (password) => {
    expect(check(password)).toBeUndefined();
  });

  test('64 characters of anything, and the longest of 1024 bytes', () => {
    const long = Array.from({ length: 1024 }, (_, i) =>
      String.fromCharCode(33 + ((i * i * 7 + i * 13) % 90)),
    ).join('');
    expect(check(long.slice(0, 64))).toBeUndefined();
    expect(check(long)).toBeUndefined();
  });

  test('eight characters where everyone has a second factor', () => {
    expect(check('vq7#Rm2x', 8)).toBeUndefined();
    expect(check('vq7#Rm2', 8)).toBe('too-short');
  });
});

test('missing, too short, too long', () => {
  expect(check('')).toBe('missing');
  expect(check('short')).toBe('too-short');
  expect(check('vellum otter q')).toBe('too-short');
  // Characters are counted, not bytes or UTF-16 units; and after composition.
  expect(check('🦊🐻🦉🐝🦀🐙🦑🦞🐡🐬🐳🦭🐘🦏')).toBe('too-short');
  expect(check('e\u0301'.repeat(7) + 'vellum!')).toBe('too-short');
  expect(check('x'.repeat(1025))).toBe('too-long');
  expect(check('é'.repeat(513))).toBe('too-long');
  expect(check('a'.repeat(1_000_000))).toBe('too-long');
});

describe('common', () => {
  test.each([
    'passwordpassword',
    'PasswordPassword1!',
    'p4ssw0rdP4SSW0RD',
    'password12345678',
    'qwertyuiopasdfgh',
    'qwertyuiop123456',
    '1qaz2wsx3edc4rfv',
    '123456789012345',
    '987654321987654',
    'aaaaaaaaaaaaaaaa',
    'abcabcabcabcabcabc',
    'abcdefghijklmnop',
    'xkcdxkcdxkcdxkcd',
    'iloveyouforever1',
    'letmeinletmein12',
    'Summer2024Winter2024',
    'p-a-s-s-w-o-r-d-p-a-s-s',
    'administrator2024',
    'vouchsafevouchsafe',
    'Vouchsafe-2026!!',
    'йцукенгшщзхъфыва',
    'monkeymonkeymonkey',
    '                    ',
    '!!!!!!!!!!!!!!!!!!!!',
    'welcomewelcome2023',
    'MOTDEPASSE1234567',
  ])('%j', (password) => {
    expect(check(password)).toBe('common');
  });

  test.each([
    'password',
    'Passw0rd!',
    '12345678',
    'iloveyou',
    'qwerty123',
    'monkey12',
    '19871987',
    'Summer2024',
  ])('%j, where eight characters are enough', (password) => {
    expect(check(password, 8)).toBe('common');
  });
});

describe('breached', () => {
  test.each([
    'correcthorsebatterystaple',
    'Correct Horse Battery Staple',
    'e10adc3949ba59abbe56e057f20f883e',
    'thequickbrownfoxjumpsoverthelazydog',
  ])('%j', (password) => {
    expect(check(password)).toBe('breached');
  });
});

describe('personal', () => {
  test.each([
    'imani.okafor@quillet.example',
    'ImaniOkafor2024!',
    'imani-okafor-quillet',
    'okaforimaniokafor',
    '1m4n1 0k4f0r 1m4n1',
  ])('%j', (password) => {
    expect(check(password)).toBe('personal');
  });
});

test('whatever is asked, an answer comes soon', () => {
  const started = performance.now();
  for (const password of [
    'a'.repeat(1024),
    'ab'.repeat(512),
    'qwerty'.repeat(170),
    '\u{1F98A}'.repeat(256),
    'e\u0301'.repeat(300),
  ])
    check(password);
  expect(performance.now() - started).toBeLessThan(500);
});
