import { findLanguage, type LanguageTag } from '../pages/messages.ts';
import { de } from './messages-de.ts';
import { en, type MailMessages } from './messages-en.ts';

/** Each language of the pages has its mails, or this does not compile. */
const languages: Record<LanguageTag, MailMessages> = { en, de };

/** The words for a BCP 47 tag, and English where there are none. */
export function mailMessagesFor(locale = 'en'): MailMessages {
  return languages[findLanguage([locale])?.lang ?? 'en'];
}
