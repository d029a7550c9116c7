import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Account } from './account.ts';

interface AccountRow {
  readonly id: string;
  readonly email: string;
  readonly email_key: string;
  readonly email_verified_at: Date | null;
  readonly name: string | null;
  readonly locale: string | null;
  readonly password_hash: string | null;
  readonly admin: boolean;
  readonly roles: string[];
  readonly disabled_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

const columns = [
  'id',
  'email',
  'email_key',
  'email_verified_at',
  'name',
  'locale',
  'password_hash',
  'admin',
  'roles',
  'disabled_at',
  'created_at',
  'updated_at',
] as const;

function toAccount(row: AccountRow): Account {
  return {
    id: row.id,
    email: row.email,
    emailKey: row.email_key,
    emailVerified: row.email_verified_at !== null,
    name: row.name ?? undefined,
    locale: row.locale ?? undefined,
    admin: row.admin,
    roles: row.roles,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export type AccountKey = { readonly id: string } | { readonly emailKey: string };

export interface FoundAccount {
  readonly account: Account;
  /** Apart from the account, so that none travels where it is not needed. */
  readonly passwordHash: string | undefined;
  readonly hasSecondFactor: boolean;
}

/** The account with what a sign-in asks of it, in one read. */
export async function findAccount(db: Db, key: AccountKey): Promise<FoundAccount | undefined> {
  const query = db
    .selectFrom('accounts')
    .select(columns)
    .select((eb) =>
      eb
        .exists(
          eb
            .selectFrom('authenticators')
            .select('authenticators.id')
            .whereRef('authenticators.account_id', '=', 'accounts.id'),
        )
        .as('has_second_factor'),
    );
  const row = await ('id' in key
    ? query.where('id', '=', key.id)
    : query.where('email_key', '=', key.emailKey)
  ).executeTakeFirst();
  return (
    row && {
      account: toAccount(row),
      passwordHash: row.password_hash ?? undefined,
      hasSecondFactor: Boolean(row.has_second_factor),
    }
  );
}

export interface AccountInsert {
  readonly id: string;
  readonly email: string;
  readonly emailKey: string;
  readonly name: string | undefined;
  readonly locale?: string | undefined;
  readonly passwordHash: string | undefined;
  readonly verified: boolean;
  readonly admin: boolean;
}

/** Inserts the account, or gives undefined where the address has one already. */
export async function insertAccount(db: Db, account: AccountInsert): Promise<Account | undefined> {
  const row = await db
    .insertInto('accounts')
    .values({
      id: account.id,
      email: account.email,
      email_key: account.emailKey,
      email_verified_at: account.verified ? sql<Date>`now()` : null,
      name: account.name ?? null,
      locale: account.locale ?? null,
      password_hash: account.passwordHash ?? null,
      password_changed_at: account.passwordHash === undefined ? null : sql<Date>`now()`,
      admin: account.admin,
      disabled_at: null,
    })
    .onConflict((conflict) => conflict.column('email_key').doNothing())
    .returning(columns)
    .executeTakeFirst();
  return row && toAccount(row);
}

export async function updateLocale(db: Db, id: string, locale: string): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ locale, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
}

/** Puts the same password at a new cost in the place of `oldHash`; does nothing where it was changed meanwhile. */
export async function replaceHash(
  db: Db,
  id: string,
  oldHash: string,
  newHash: string,
): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ password_hash: newHash })
    .where('id', '=', id)
    .where('password_hash', '=', oldHash)
    .execute();
}

/** Marks the address as the person's own, if it is still the account's; gives the account, or undefined. */
export async function verifyEmail(db: Db, id: string, email: string): Promise<Account | undefined> {
  const row = await db
    .updateTable('accounts')
    .set({
      email_verified_at: sql<Date>`coalesce(email_verified_at, now())`,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('email', '=', email)
    .where('disabled_at', 'is', null)
    .returning(columns)
    .executeTakeFirst();
  return row && toAccount(row);
}

/** Locks every administrator until the transaction ends, and gives the ids of those who are not disabled. */
export async function lockAdministrators(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('accounts')
    .select(['id', 'disabled_at'])
    .where('admin', '=', true)
    .orderBy('id')
    .forUpdate()
    .execute();
  return rows.filter((row) => row.disabled_at === null).map((row) => row.id);
}

export async function hasAdministrator(db: Db): Promise<boolean> {
  return (
    (await db
      .selectFrom('accounts')
      .select('id')
      .where('admin', '=', true)
      .limit(1)
      .executeTakeFirst()) !== undefined
  );
}

/** Disables or enables, and gives the account as it is then. Holds its row, so that a sign-in that is committing is waited for. */
export async function setDisabled(
  db: Db,
  id: string,
  disabled: boolean,
): Promise<Account | undefined> {
  const row = await db
    .updateTable('accounts')
    .set({
      disabled_at: disabled ? sql<Date>`coalesce(disabled_at, now())` : null,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .returning(columns)
    .executeTakeFirst();
  return row && toAccount(row);
}

/** Gives the account exactly these roles; gives it as it is then, or undefined where there is none. */
export async function setRoles(
  db: Db,
  id: string,
  roles: readonly string[],
): Promise<Account | undefined> {
  const row = await db
    .updateTable('accounts')
    .set({ roles: [...roles], updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .returning(columns)
    .executeTakeFirst();
  return row && toAccount(row);
}

/** Holds the account's row until the transaction ends: sign-ins that are committing are over, later ones wait. */
export async function lockAccount(db: Db, id: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('accounts')
    .select(columns)
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  return row && toAccount(row);
}

/** The accounts after this key, in the order of their keys; `text` is looked for in keys and in email addresses as written. */
export async function listAccounts(
  db: Db,
  { text, after, limit }: { text: string | undefined; after: string | undefined; limit: number },
): Promise<Account[]> {
  let query = db.selectFrom('accounts').select(columns).orderBy('email_key').limit(limit);
  if (after !== undefined) query = query.where('email_key', '>', after);
  if (text !== undefined)
    query = query.where(
      sql<boolean>`(position(${text} in email_key) > 0 or position(${text} in lower(email)) > 0)`,
    );
  return (await query.execute()).map(toAccount);
}
