import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { z } from 'zod';
import { AccountRefused, roleSchema } from '../account/account.ts';
import type { AccountService, CheckedAccount } from '../account/account.service.ts';
import { AppError } from '../errors.ts';
import { languageTags } from '../pages/messages.ts';
import { accountList } from './account-list.ts';
import { type Command, defineCommand, table } from './command.ts';
import { accountRevocation } from './revocation.ts';
import { actor } from './session.ts';

const email = { value: 'E', required: true, help: 'the email address of the account' } as const;
const byEmail = z.object({ email: z.string().min(1) });

/** Longer than any password can be: reading stops there. */
const LONGEST_LINE = 65_536;

/** The first line of standard input, without its line end; what is typed in a terminal is not shown. */
async function readFirstLine(input: NodeJS.ReadStream): Promise<string> {
  if (input.isTTY) return askUnseen(input);
  let text = '';
  input.setEncoding('utf8');
  input.on('data', (chunk: string) => {
    text += chunk;
    if (text.includes('\n') || text.length > LONGEST_LINE) input.destroy();
  });
  // A file that ends is never closed; a pipe that is destroyed never ends.
  await Promise.race([once(input, 'end'), once(input, 'close')]);
  return text.split('\n', 1)[0]?.replace(/\r$/, '') ?? '';
}

async function askUnseen(input: NodeJS.ReadStream): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true });
  lines.on('SIGINT', () => process.exit(130));
  process.stderr.write('Password: ');
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

/** @throws AppError `account_refused`, with the requirements for a password. */
function check(
  accounts: AccountService,
  input: Parameters<AccountService['check']>[0],
): CheckedAccount {
  try {
    return accounts.check(input);
  } catch (error) {
    if (!(error instanceof AccountRefused) || error.problems.password !== 'too-short') throw error;
    throw new AppError(
      error.code,
      `${error.message} It needs at least ${accounts.passwordMinimum} characters.`,
      { status: error.status, cause: error },
    );
  }
}

export const accountCommands: Command[] = [
  accountList,
  defineCommand({
    words: 'account create',
    summary: 'Creates an account',
    options: {
      email: { value: 'E', required: true, help: 'the email address to sign in with' },
      'password-stdin': {
        required: true,
        help: 'read the password from the first line of standard input',
      },
      name: { value: 'N', help: 'the full name' },
      locale: {
        value: languageTags.join('|'),
        help: 'the language of emails and the `locale` claim',
      },
      verified: { help: 'mark the email address as verified' },
      admin: { help: 'make the account an administrator' },
      totp: { help: 'enrol an authenticator app and print its key' },
    },
    details:
      '  printf \'%s\\n\' "$PASSWORD" | npm run -s cli -- account create --email ann@example.com --password-stdin',
    input: z.object({
      email: z.string(),
      name: z.string().optional(),
      locale: z.enum(languageTags).optional(),
      verified: z.boolean().default(false),
      admin: z.boolean().default(false),
      totp: z.boolean().default(false),
    }),
    async run(input, session) {
      const password = await readFirstLine(process.stdin);
      const db = await session.db();
      const { accounts, passwords, authenticators } = await session.people();
      const chosen = check(accounts, { email: input.email, name: input.name, password });
      const passwordHash = await passwords.hash(password);
      const totp = input.totp
        ? authenticators.newTotpSecret(session.config.brand.name, chosen.email)
        : undefined;
      const account = await db.transaction(async (db) => {
        const made = await accounts.insert(
          db,
          {
            email: chosen.email,
            key: chosen.key,
            name: chosen.name,
            locale: input.locale,
            passwordHash,
            verified: input.verified,
            admin: input.admin,
          },
          { actor },
        );
        // No code was shown, so none is used up.
        if (totp !== undefined)
          await authenticators.enrolTotp(
            db,
            made.id,
            { secret: totp.secret, step: 0 },
            'Authenticator app',
            { actor },
          );
        return made;
      });
      const rows: [string, string][] = [['id', account.id]];
      if (totp !== undefined)
        rows.push(['authenticator key', totp.secret], ['the key as a URI', totp.uri]);
      return {
        json: {
          id: account.id,
          email: account.email,
          ...(totp === undefined ? {} : { totp: { secret: totp.secret, uri: totp.uri } }),
        },
        text: [`The account ${account.email} was created.`, '', ...table(rows)].join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'account reset-factor',
    summary: 'Removes every second factor of an account, and ends its sessions and tokens',
    options: { email },
    input: byEmail,
    async run(input, session) {
      const { accounts, authenticators } = await session.people();
      const account = await accounts.findByEmail(input.email);
      if (account === undefined)
        throw new AppError('unknown_account', `There is no account ${input.email}.`, {
          status: 404,
        });
      await authenticators.reset(account.id, actor);
      return {
        json: { id: account.id, email: account.email },
        text: `Removed every second factor of ${account.email}. All its sessions and tokens have ended.`,
      };
    },
  }),
  defineCommand({
    words: 'account set-roles',
    summary: 'Sets the roles of an account, which gateway rules can require',
    options: {
      email,
      role: {
        value: 'R',
        multiple: true,
        help: 'a role, such as billing; without this option, all roles are removed',
      },
    },
    input: z.object({ email: z.string().min(1), role: z.array(roleSchema).max(50).default([]) }),
    async run(input, session) {
      const { accounts } = await session.people();
      const account = await accounts.setRoles(input.email, input.role, actor);
      const roles = [...new Set(input.role)].sort();
      return {
        json: { id: account.id, email: account.email, roles },
        text:
          roles.length === 0
            ? `${account.email} has no roles.`
            : `${account.email} has the roles ${roles.join(', ')}.`,
      };
    },
  }),
  accountRevocation,
  ...[true, false].map((disabled) =>
    defineCommand({
      words: disabled ? 'account disable' : 'account enable',
      summary: disabled
        ? 'Disables an account: its sessions and tokens end at once'
        : 'Enables an account that was disabled; its sessions and tokens stay ended',
      options: { email },
      input: byEmail,
      async run(input, session) {
        const { accounts } = await session.people();
        const account = await accounts.setDisabled(input.email, disabled, actor);
        return {
          json: { id: account.id, email: account.email, disabled },
          text: `The account ${account.email} is ${disabled ? 'disabled' : 'enabled'}.`,
        };
      },
    }),
  ),
];
