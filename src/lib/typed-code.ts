const digit = /^\p{Nd}$/u;

/** The value of a decimal digit of any script: Unicode keeps the ten digits of a script in a row, from zero to nine. */
function valueOf(character: string): number {
  const point = character.codePointAt(0) as number;
  let before = 0;
  while (digit.test(String.fromCodePoint(point - before - 1))) before++;
  return before % 10;
}

/**
 * Reads a code as a person types or pastes it: digits of any script become 0 to 9, letters upper case; spaces, punctuation
 * and invisible direction marks are left out. Every code that a user enters goes through here (TOTP, email, recovery and
 * device codes). Control characters stay, so that they match no code.
 */
export function readTypedCode(typed: string): string {
  return typed
    .normalize('NFKC')
    .replace(/\p{Nd}/gu, (character) => String(valueOf(character)))
    .replace(/[\s\p{P}\p{S}\p{Cf}\p{M}]/gu, '')
    .toUpperCase();
}
