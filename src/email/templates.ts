import type { Letter, Mail } from './email.ts';
import { mailMessagesFor } from './messages.ts';

/** The sender. Links use only the configured issuer, never anything that a request said. */
export interface MailBrand {
  readonly name: string;
  readonly issuer: string;
}

/** The page behind the link of a verification email. */
function verifyEmailUrl(issuer: string, token: string): string {
  return `${issuer}/verify-email/${token}`;
}

/** The page behind the link of an email in which an app asks for an answer. */
function askedUrl(issuer: string, token: string): string {
  return `${issuer}/asked/${token}`;
}

type Written = Pick<Letter, 'subject' | 'text'>;

/** The words of an email, in its reader's language: plain text, with each link on its own line. */
export function renderMail(mail: Mail, brand: MailBrand): Written {
  const m = mailMessagesFor(mail.locale);
  const write = (subject: string, paragraphs: readonly string[]): Written => ({
    subject: oneLine(subject),
    text: `${[m.greeting, ...paragraphs, m.signature(brand.name)].join('\n\n')}\n`,
  });
  const account = `${brand.issuer}/account`;
  switch (mail.template) {
    case 'verify_email': {
      const { subject, lead, code, until, ignore } = m.verifyEmail;
      return write(subject(brand.name), [
        lead,
        verifyEmailUrl(brand.issuer, mail.token),
        code(grouped(mail.code)),
        until,
        ignore,
      ]);
    }
    case 'registration_attempt': {
      const { subject, lead, signIn, ignore } = m.registrationAttempt;
      return write(subject(brand.name), [lead(brand.name), signIn, account, ignore]);
    }
    case 'second_factor_added': {
      const { subject, lead } = m.secondFactorAdded;
      return write(subject(brand.name), [
        lead(oneLine(mail.device)),
        m.when(m.moment(new Date(mail.at))),
        m.notYou(brand.name),
      ]);
    }
    case 'second_factor_reset': {
      const { subject, lead, notYou } = m.secondFactorReset;
      return write(subject(brand.name), [
        lead,
        account,
        m.when(m.moment(new Date(mail.at))),
        notYou(brand.name),
      ]);
    }
    case 'recovery_codes_regenerated': {
      const { subject, first, replaced, either } = m.recoveryCodesRegenerated;
      const lead = { true: replaced, false: first, undefined: either }[String(mail.replaced)];
      return write(subject(brand.name), [
        lead ?? either,
        m.when(m.moment(new Date(mail.at))),
        m.notYou(brand.name),
      ]);
    }
    case 'token_replayed': {
      const { subject, lead, done, next, again } = m.tokenReplayed;
      const app = oneLine(mail.app);
      return write(subject(app, brand.name), [
        lead(app),
        m.when(m.moment(new Date(mail.at))),
        done,
        next(app),
        again,
        account,
      ]);
    }
    case 'asked': {
      const { subject, lead, until, ignore } = m.asked;
      const app = oneLine(mail.app);
      return write(subject(app), [
        lead(app, brand.name),
        askedUrl(brand.issuer, mail.token),
        until(m.moment(new Date(mail.until))),
        ignore,
      ]);
    }
    case 'administrator_created': {
      const { subject, lead } = m.administratorCreated;
      return write(subject(brand.name), [lead(brand.name), account]);
    }
  }
}

/** 12345678 → 1234 5678: easier to read over; spaces are ignored where it is entered. */
function grouped(code: string): string {
  return code.replace(/(\d{4})(?=\d)/g, '$1 ');
}

/** A name must not be able to start a line, or a header, of its own. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}
