import { de } from './messages/de.ts';
import { en, type Messages } from './messages/en.ts';

export type { Messages } from './messages/en.ts';

/** The languages that there are, as BCP 47 tags. */
export type LanguageTag = 'en' | 'de';

export interface Language {
  /** For the page's `lang`. */
  lang: LanguageTag;
  dir: 'ltr' | 'rtl';
  /** For dates and numbers. */
  locale: string;
  messages: Messages;
}

const english: Language = { lang: 'en', dir: 'ltr', locale: 'en-GB', messages: en };
const german: Language = { lang: 'de', dir: 'ltr', locale: 'de-DE', messages: de };

/** Another language is a line here, and a file beside `en.ts`. */
const languages: readonly Language[] = [english, german];

/** English first. */
export const languageTags: readonly LanguageTag[] = languages.map(({ lang }) => lang);

/** The first of the BCP 47 tags that there are words for, in any case: for "de-AT" those of "de". */
export function findLanguage(tags: readonly string[]): Language | undefined {
  for (const tag of tags) {
    const [primary] = tag.toLowerCase().split('-', 1);
    const found = languages.find(({ lang }) => lang === primary);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The words for a BCP 47 tag, and English where there are none. */
export function messagesFor(tag = 'en'): Language {
  return findLanguage([tag]) ?? english;
}
