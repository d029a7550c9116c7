import type { Html, Words } from './html.ts';
import type { Messages } from './messages.ts';
import type {
  EmailProblem,
  Limited,
  NameProblem,
  NewAccount,
  PasswordProblem,
} from './page-parts.ts';
import { inSeconds } from './dates.ts';

/** What a presenter needs besides the model. */
export interface Kit {
  m: Messages;
  /** For dates, numbers and lists. */
  locale: string;
  now: Date;
  /** The server's own name. */
  brand: string;
}

/** The box above a form that takes the focus and says what is wrong; an item with `href` leads to its field. */
export interface Summary {
  title: Words;
  items: { href?: string; words: Words }[];
}

/** What every page's template is given beside its model. */
export interface View {
  /** The first heading; its text is the page's title too. */
  title: Words;
  /** The post was refused: the title begins with "Error:" (WCAG 2.2, 3.3.1). */
  invalid: boolean;
  cut: Html;
  summary?: Summary | undefined;
}

const PASSWORD_MINIMUM = 15;

function retryWords({ retryAfter }: Limited, { m, locale }: Kit): Words {
  return retryAfter === undefined ? m.tooManyLater : m.tooManyUntil(inSeconds(retryAfter, locale));
}

export function tooMany(model: Limited, kit: Kit): Summary {
  return { title: kit.m.tooMany, items: [{ words: retryWords(model, kit) }] };
}

/** The summary of a page with one code field. */
export function codeSummary(
  model: Limited & { problem?: 'wrong-code' | 'late-code' | 'too-many' | undefined },
  words: { wrong: Words; wrongDo: Words; late?: Words },
  kit: Kit,
): Summary | undefined {
  if (model.problem === 'too-many') return tooMany(model, kit);
  if (model.problem === undefined) return undefined;
  const title = (model.problem === 'late-code' ? words.late : undefined) ?? words.wrong;
  return { title, items: [{ href: '#code', words: words.wrongDo }] };
}

/** A summary of the fields in the order in which they stand, or none if nothing is wrong. */
export function fieldSummary(
  wrong: Record<string, Words | undefined>,
  { m }: Kit,
): Summary | undefined {
  const items = Object.entries(wrong).flatMap(([field, words]) =>
    words === undefined ? [] : [{ href: `#${field}`, words }],
  );
  return items.length > 0 ? { title: m.problem, items } : undefined;
}

function emailWords(problem: EmailProblem, { m }: Kit): Words {
  const words = {
    missing: m.fields.emailMissing,
    malformed: m.fields.emailMalformed,
    'too-long': m.fields.emailTooLong,
    undeliverable: m.fields.emailUndeliverable,
    taken: m.fields.emailTaken,
  };
  return words[problem];
}

function nameWords(problem: NameProblem, { m }: Kit): Words {
  return problem === 'too-long' ? m.fields.nameTooLong : m.fields.nameMalformed;
}

function passwordWords(problem: PasswordProblem, least: number, { m }: Kit): Words {
  const words = {
    missing: m.fields.passwordMissing,
    'too-short': m.fields.passwordTooShort(least),
    'too-long': m.fields.passwordTooLong,
    common: m.fields.passwordCommon,
    breached: m.fields.passwordBreached,
    personal: m.fields.passwordPersonal,
  };
  return words[problem];
}

/** The three fields of a new account, their hint and what is wrong with each. */
export function newAccount(model: NewAccount, kit: Kit) {
  const least = model.passwordMinimum ?? PASSWORD_MINIMUM;
  const { email, name, password } = model.errors ?? {};
  const wrong = {
    email: email && emailWords(email, kit),
    name: name && nameWords(name, kit),
    password: password && passwordWords(password, least, kit),
  };
  return {
    wrong,
    least,
    passwordHint: kit.m.fields.passwordHint(least),
    summary: fieldSummary(wrong, kit),
  };
}
