import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Account } from './account.ts';
import * as store from './account.store.ts';
import { readEmail } from './email-address.ts';
import { isHashable, type Passwords } from './passwords.service.ts';

export type CredentialCheck =
  | {
      readonly account: Account;
      readonly hasSecondFactor: boolean;
      readonly refusal?: undefined;
    }
  | {
      readonly account?: undefined;
      /** Only for the audit: the user gets the same answer for all of them. */
      readonly refusal: {
        readonly reason: RefusalReason;
        readonly accountId: string | undefined;
      };
    };

/** `password_too_long`: no account has such a password, and it is compared with no hash, so it is no guess. */
type RefusalReason =
  | 'account_disabled'
  | 'password_too_long'
  | 'unknown_account'
  | 'wrong_password';

/** See `AccountService.checkCredentials`. */
export async function checkCredentials(
  db: Database,
  passwords: Passwords,
  {
    email,
    password,
    counted,
  }: {
    readonly email: string;
    readonly password: string;
    readonly counted?: Promise<void> | undefined;
  },
): Promise<CredentialCheck> {
  const address = readEmail(email);
  const [found] = await Promise.all([
    typeof address === 'string'
      ? undefined
      : store.findAccount(db.kysely, { emailKey: address.key }),
    counted,
  ]);
  const hash = found?.passwordHash;
  const refuse = (reason: RefusalReason): CredentialCheck => ({
    refusal: { reason, accountId: found?.account.id },
  });
  if (!isHashable(password)) return refuse('password_too_long');
  const right = await passwords.verify(hash, password);
  if (found === undefined) return refuse('unknown_account');
  if (!right || hash === undefined) return refuse('wrong_password');
  if (found.account.disabled) return refuse('account_disabled');
  if (passwords.isOutdated(hash))
    await renewHash(db, passwords, { id: found.account.id, oldHash: hash, password });
  return { account: found.account, hasSecondFactor: found.hasSecondFactor };
}

/** If too many passwords wait to be hashed, the old hash stays until the next sign-in. */
async function renewHash(
  db: Database,
  passwords: Passwords,
  {
    id,
    oldHash,
    password,
  }: { readonly id: string; readonly oldHash: string; readonly password: string },
): Promise<void> {
  try {
    await store.replaceHash(db.kysely, id, oldHash, await passwords.hash(password));
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'busy')) throw error;
  }
}
