import { findLanguage, type LanguageTag } from '../pages/messages.ts';
import { de } from './messages-de.ts';

/** Every word of every mail, in English. Another language is another file with the same keys (`MailMessages`). */
const en = {
  greeting: 'Hello,',
  signature: (house: string) => house,
  notYou:
    'If this wasn’t you, somebody may have your password: sign in, change it, and tell the people who run this service.',
  when: (date: string) => `It happened on ${date}.`,
  moment: (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' at ')} UTC`,

  verifyEmail: {
    subject: (house: string) => `Confirm your email for ${house}`,
    lead: 'Open this link to confirm your email:',
    code: (code: string) => `Or enter this code where you’re asked for it: ${code}`,
    until: 'Both work once, for a day, until you’re sent newer ones.',
    ignore:
      'Did you not ask for this? Then do nothing, and don’t pass it on: somebody may have mistyped their address.',
  },
  registrationAttempt: {
    subject: (house: string) => `You have an account with ${house} already`,
    lead: (house: string) =>
      `Somebody wanted to create an account with ${house} for this address. You have one already, so nothing was changed.`,
    signIn: 'If it was you, sign in with your password:',
    ignore: 'If it wasn’t you, there’s nothing to do.',
  },
  secondFactorAdded: {
    subject: (house: string) => `An authenticator app was added to your ${house} account`,
    lead: (device: string) =>
      `From now on, signing in takes a code from the authenticator app named “${device}”.`,
  },
  secondFactorReset: {
    subject: (house: string) => `The second factor of your ${house} account was taken away`,
    lead: 'Your authenticator apps and recovery codes no longer work, and you were signed out everywhere. Sign in to set them up anew:',
    notYou: 'If you didn’t ask for this, tell the people who run this service.',
  },
  recoveryCodesRegenerated: {
    subject: (house: string) => `New recovery codes for your ${house} account`,
    lead: 'You have ten new recovery codes. The earlier ones no longer work.',
  },
  tokenReplayed: {
    subject: (app: string, house: string) => `${app} was signed out of your ${house} account`,
    lead: (app: string) =>
      `The app “${app}” was signed in to your account with a one-time key, and that key was used a second time. Somebody may have copied it. It may also have been the app itself, by mistake.`,
    done: 'We signed the app out where that key was from, so nobody can use your account by it any more. Your password and your other devices are not affected.',
    next: (app: string) => `To use “${app}” again, just sign in to it again.`,
    again:
      'If you get this mail again, tell the people who run the app. If you don’t know the app, remove it from your account:',
  },
  asked: {
    subject: (app: string) => `${app} asks for your answer`,
    lead: (app: string, house: string) =>
      `The app “${app}” asks you to confirm something with your ${house} account. See what it is, and answer, here:`,
    until: (date: string) => `The link works until ${date}. You’ll be asked to sign in.`,
    ignore:
      'If you did not start this yourself, answer “Don’t allow”, or do nothing. Nobody who calls or writes to you needs you to allow it.',
  },
  administratorCreated: {
    subject: (house: string) => `You’re an administrator of ${house}`,
    lead: (house: string) => `Your account is an administrator of ${house}. Sign in here:`,
  },
};

export type MailMessages = typeof en;

/** Each language of the pages has its mails, or this does not compile. */
const languages: Record<LanguageTag, MailMessages> = { en, de };

/** The words for a BCP 47 tag, and English where there are none. */
export function mailMessagesFor(locale = 'en'): MailMessages {
  return languages[findLanguage([locale])?.lang ?? 'en'];
}
