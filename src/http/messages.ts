import type { Html, Words } from './html.ts';
import { en } from './messages/en.ts';

/** Another language may put markup where English has none, but never another parameter. */
type Translation<T> = T extends string | Html
  ? Words
  : T extends (...args: infer A) => unknown
    ? (...args: A) => Words
    : { [K in keyof T]: Translation<T[K]> };

/** The keys that every language has. One that is missing, or takes other parameters, does not compile. */
export type Messages = Translation<typeof en>;

export interface Language {
  /** For the page's `lang`. */
  lang: string;
  /** For dates and numbers. */
  locale: string;
  messages: Messages;
}

const english: Language = { lang: 'en', locale: 'en-GB', messages: en };

/** A second language is a line here and a file beside `en.ts`. */
const languages: Language[] = [english];

/** The words for a BCP 47 tag; for "nl-BE" those of "nl", and English where there are none. */
export function messagesFor(tag = 'en'): Language {
  const primary = tag.split('-')[0]?.toLowerCase();
  return (
    languages.find(({ lang }) => lang === tag) ??
    languages.find(({ lang }) => lang === primary) ??
    english
  );
}
