import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { parseObject } from '../../src/client-registration/json.ts';
import { readMetadata } from '../../src/client-registration/metadata.ts';

/** What anybody may send as the description of a client. */

describe('SECURITY 27: text that is no JSON', () => {
  test('is turned down in one pass, however many quotes it holds', async () => {
    // Where each quote leads to another pass over the rest, this takes longer than a test may.
    const text = `"${'\\"'.repeat(100_000)}`;
    for (const one of [text, `${text}\\`])
      expect(() => parseObject(one)).toThrow('This is no JSON object.');
    // The runner sees that only once it is its turn.
    await delay(1);
  });

  test('brackets are counted outside of strings alone', () => {
    const deep = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(parseObject(deep(8))).toHaveProperty('a');
    expect(() => parseObject(deep(9))).toThrow('nested too deep');
    expect(parseObject('{"a":"\\"[[[[[[[[[[[[","b":"\\\\"}')).toEqual({
      a: '"[[[[[[[[[[[[',
      b: '\\',
    });
  });
});

describe('SECURITY 30: a name that shows as another, or not at all', () => {
  const nameOf = (name: string) =>
    readMetadata({ redirect_uris: ['https://app.example.com/cb'], client_name: name }).name;

  test.each([
    ['zero-width space', 'Qui\u200bllet'],
    ['nothing but a joiner', '\u200d'],
    ['soft hyphen', 'Qui\u00adllet'],
    ['word joiner', 'Qui\u2060llet'],
    ['byte order mark', 'Quillet\ufeff.'],
    ['Hangul filler', '\u3164'],
    ['halfwidth Hangul filler', '\uffa0'],
    ['Braille blank', '\u2800'],
    ['tags', 'Quillet\u{e0041}\u{e007f}'],
    ['variation selectors alone', '\ufe0f\ufe0f'],
    ['right-to-left override', 'Quillet\u202egnp'],
    ['a line of its own', 'Quillet\u2028verified'],
    ['half a character', 'Quillet\ud800'],
  ])('%s', (_, name) => {
    expect(() => nameOf(name)).toThrow('client_name');
  });

  test('those of people’s languages and their pictures stay', () => {
    for (const name of ['Quillet', '手紙', 'نامه\u200cها', 'क्\u200dष', '👩‍💻 Code', '❤️ Notes'])
      expect(nameOf(name)).toBe(name.normalize('NFC'));
  });
});
