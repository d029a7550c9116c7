import { z } from 'zod';
import { AppError } from '../errors.ts';

/** The end user. `id` is `sub` on the wire: random, and never used again. */
export interface Account {
  readonly id: string;
  readonly email: string;
  /** The form in which addresses are compared. */
  readonly emailKey: string;
  readonly emailVerified: boolean;
  readonly name: string | undefined;
  readonly locale: string | undefined;
  readonly admin: boolean;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A role is a word that an API's rules know; it goes in a header, where a space parts it from the next. */
export const roleSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9:._-]{0,63}$/,
    'expected a role in small letters, as in billing or invoices:admin',
  );

export type EmailProblem = 'missing' | 'malformed' | 'too-long' | 'undeliverable';
/** `malformed`: it holds control characters, or an address that is not the account's own. */
export type NameProblem = 'too-long' | 'malformed';
export type PasswordProblem =
  | 'missing'
  | 'too-short'
  | 'too-long'
  | 'common'
  | 'breached'
  | 'personal';

export interface AccountProblems {
  readonly email?: EmailProblem | undefined;
  readonly name?: NameProblem | undefined;
  readonly password?: PasswordProblem | undefined;
}

/** What somebody chose for an account; nothing of it is checked yet. */
export interface AccountInput {
  readonly email: string;
  readonly password: string;
  readonly name?: string | undefined;
  /** The language in which it was chosen, as a BCP 47 tag: mails to the person are in it. */
  readonly locale?: string | undefined;
}

const words: {
  readonly [Field in keyof AccountProblems]-?: Record<NonNullable<AccountProblems[Field]>, string>;
} = {
  email: {
    missing: 'An email is needed.',
    malformed: 'The email is not one like name@example.com.',
    'too-long': 'The email is longer than 254 characters.',
    undeliverable: 'No mail can be sent to that email: its domain is reserved and does not exist.',
  },
  name: {
    'too-long': 'The name is longer than 100 characters.',
    malformed: 'The name holds control characters, or an email that is not its own.',
  },
  password: {
    missing: 'A password is needed.',
    'too-short': 'The password is too short.',
    'too-long': 'The password is longer than 1024 bytes.',
    common: 'Many people use that password, or it follows a simple pattern.',
    breached: 'That password is known from a data breach.',
    personal: 'The password is too close to the name or the email.',
  },
};

/** What was chosen for an account is refused: 400 `account_refused`, with every problem, field by field. */
export class AccountRefused extends AppError {
  readonly problems: AccountProblems;

  constructor(problems: AccountProblems) {
    const { email, name, password } = problems;
    const said = [
      email && words.email[email],
      name && words.name[name],
      password && words.password[password],
    ];
    super('account_refused', said.filter((one) => one !== undefined).join(' '), { status: 400 });
    this.problems = problems;
  }
}
