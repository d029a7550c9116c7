import { type AccountInput, type AccountProblems, AccountRefused } from './account.ts';
import { type EmailAddress, readName, readNewEmail } from './email-address.ts';
import { findPasswordProblem } from './password-policy.ts';

/** What was chosen for an account, once it is checked. */
export interface CheckedAccount extends EmailAddress {
  readonly name: string | undefined;
  readonly password: string;
}

export interface NewAccount {
  readonly email: string;
  readonly name?: string | undefined;
  /** None: the account can't sign in by password. */
  readonly password?: string | undefined;
  readonly verified: boolean;
  readonly admin: boolean;
}

/**
 * Checks the email address, the name and the password that were chosen for an account.
 * @param context words that the password must not rest on.
 * @throws AccountRefused `account_refused` (400) with every problem, field by field.
 */
export function checkAccount(
  input: AccountInput,
  { minimum, context }: { readonly minimum: number; readonly context: readonly string[] },
): CheckedAccount {
  const address = readNewEmail(input.email);
  const known = typeof address === 'object' ? address : undefined;
  const named = readName(input.name, known?.key ?? '');
  const problems: AccountProblems = {
    email: typeof address === 'string' ? address : undefined,
    name: typeof named === 'string' ? named : undefined,
    password: findPasswordProblem(input.password, {
      minimum,
      personal: [known?.email ?? '', input.name ?? ''],
      context,
    }),
  };
  if (known === undefined || typeof named === 'string' || problems.password !== undefined)
    throw new AccountRefused(problems);
  return { ...known, name: named.name, password: input.password };
}

/** The same for an account that has no password. */
export function checkWithoutPassword(
  input: NewAccount,
): EmailAddress & { name: string | undefined; password: undefined } {
  const address = readNewEmail(input.email);
  const named = readName(input.name, typeof address === 'object' ? address.key : '');
  if (typeof address === 'string' || typeof named === 'string') {
    throw new AccountRefused({
      email: typeof address === 'string' ? address : undefined,
      name: typeof named === 'string' ? named : undefined,
    });
  }
  return { ...address, name: named.name, password: undefined };
}
