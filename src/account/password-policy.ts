import type { PasswordProblem } from './account.ts';
import { breachedPasswords, commonWords, walks } from './common-passwords.ts';
import { normalizePassword, PASSWORD_MAX_BYTES } from './passwords.service.ts';

export interface PasswordRules {
  /** Characters (code points), of which each counts the same; there are no rules of composition. */
  readonly minimum: number;
  /** The person's own words: address and name. */
  readonly personal: readonly string[];
  /** Words of the place: the brand's name. */
  readonly context: readonly string[];
}

/** Guesses, as a power of two, that a password must be worth after all that is common in it is taken as known. */
const LEAST_BITS = 30;
const WORD_BITS = 8;
const OWN_WORD_BITS = 1;
const RUN_BITS = 5;
const YEAR_BITS = 6;
const WORD_MAX = 32;
/** What comes behind it can only make a password better, and is not looked at. */
const LOOKED_AT = 256;

const bothWays = [...walks, ...walks.map((walk) => Array.from(walk).reverse().join(''))];
const leet: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
  '|': 'l',
  '+': 't',
};

/**
 * What is wrong with a password that somebody wants to have, or undefined. NIST SP 800-63B-4, section 3.1.1.2: long
 * enough, and not one that is commonly used, expected or compromised; nothing else.
 */
export function findPasswordProblem(
  password: string,
  rules: PasswordRules,
): PasswordProblem | undefined {
  const chosen = normalizePassword(password);
  if (chosen === '') return 'missing';
  if (Buffer.byteLength(chosen) > PASSWORD_MAX_BYTES) return 'too-long';
  if (Array.from(chosen).length < rules.minimum) return 'too-short';
  const folded = fold(chosen);
  if (breachedPasswords.has(folded) || breachedPasswords.has(folded.replace(/\s/gu, '')))
    return 'breached';
  const common = new Set(rules.context.flatMap(wordsOf));
  if (bitsOf(folded, common) < LEAST_BITS) return 'common';
  const own = new Set([...common, ...rules.personal.flatMap(wordsOf)]);
  if (bitsOf(folded, own) < LEAST_BITS) return 'personal';
  return undefined;
}

/** Case, accents and the writing of letters are what guessing programs vary first. */
function fold(text: string): string {
  return Array.from(text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase())
    .slice(0, LOOKED_AT)
    .join('');
}

/** A name or an address, and its parts of three letters and more. */
function wordsOf(text: string): string[] {
  const folded = fold(text);
  const parts = folded.split(/[^\p{L}\p{N}]+/u);
  return [...parts, parts.join(''), folded].filter(
    (word) => word.length >= 3 && word.length <= WORD_MAX,
  );
}

/** An estimate from above of how many guesses it takes, as a power of two. */
function bitsOf(text: string, ownWords: ReadonlySet<string>): number {
  // Marks between letters change little: p-a-s-s-w-o-r-d.
  const letters = text.replace(/[^\p{L}\p{N}]/gu, '');
  return Math.min(
    bitsOfRepeated(text, ownWords),
    letters.length === 0 ? Infinity : bitsOfRepeated(letters, ownWords) + 3,
  );
}

/** A block over and over is worth little more than the block. */
function bitsOfRepeated(text: string, ownWords: ReadonlySet<string>): number {
  for (let period = 1; period <= text.length / 2; period++) {
    if (text.startsWith(text.slice(period))) return cheapest(text.slice(0, period), ownWords) + 2;
  }
  return cheapest(text, ownWords);
}

/** The cheapest way to put the text together from words, runs, years and single characters. */
function cheapest(text: string, ownWords: ReadonlySet<string>): number {
  const plain = Array.from(text, (char) => leet[char] ?? char).join('');
  const bits: number[] = [0, ...Array.from({ length: text.length }, () => Infinity)];
  const offer = (end: number, cost: number) => {
    if (cost < (bits[end] as number)) bits[end] = cost;
  };
  for (let start = 0; start < text.length; start++) {
    const before = bits[start] as number;
    offer(start + 1, before + bitsOfChar(text[start] as string));
    for (let end = start + 1; end <= Math.min(text.length, start + WORD_MAX); end++) {
      const cost = wordBits(text.slice(start, end), plain.slice(start, end), ownWords);
      if (cost !== undefined) offer(end, before + cost);
    }
    for (let end = start + 3; end <= repeatEnd(text, start); end++) offer(end, before + RUN_BITS);
    for (let end = start + 4; end <= walkEnd(text, start); end++) offer(end, before + RUN_BITS);
  }
  return bits[text.length] as number;
}

function wordBits(raw: string, plain: string, ownWords: ReadonlySet<string>): number | undefined {
  if (ownWords.has(raw) || ownWords.has(plain)) return OWN_WORD_BITS;
  if (commonWords.has(raw) || commonWords.has(plain)) return WORD_BITS;
  return /^(19|20)\d\d$/.test(raw) ? YEAR_BITS : undefined;
}

/** Where one character again and again ends. */
function repeatEnd(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && text[end] === text[start]) end++;
  return end;
}

/** Where the longest walk over the keyboard, or through the alphabet, ends. */
function walkEnd(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && bothWays.some((row) => row.includes(text.slice(start, end + 1))))
    end++;
  return end;
}

function bitsOfChar(char: string): number {
  if (/\d/.test(char)) return 3.3;
  return /\p{L}/u.test(char) ? 4.7 : 3;
}
