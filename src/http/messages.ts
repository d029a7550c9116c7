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

/** Languages by their BCP 47 tag. A second language is a line here and a file beside `en.ts`. */
const catalogues: Record<string, Messages> = { en };

/** The words for a language; for "nl-BE" those of "nl", and English where there are none. */
export function messagesFor(lang = 'en'): { lang: string; messages: Messages } {
  for (const tag of [lang, lang.split('-')[0] ?? '']) {
    const messages = Object.hasOwn(catalogues, tag) ? catalogues[tag] : undefined;
    if (messages) return { lang: tag, messages };
  }
  return { lang: 'en', messages: en };
}
