import { z } from 'zod';
import { type Command, defineCommand, table } from './command.ts';

const MOST = 500;

export const accountList: Command = defineCommand({
  words: 'account list',
  summary: 'Lists the accounts, ordered by email address',
  options: {
    email: {
      value: 'TEXT',
      help: 'only accounts whose email address contains this text, such as @example.com',
    },
    limit: { value: 'N', help: `accounts per page, 1 to ${MOST} (default: 50)` },
    after: { value: 'E', help: 'continue after this email address: `next` of the previous page' },
  },
  input: z.object({
    email: z.string().trim().min(1).optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/, 'expected a number')
      .transform(Number)
      .pipe(z.number().min(1).max(MOST))
      .default(50),
    after: z.string().min(1).optional(),
  }),
  async run({ email, limit, after }, session) {
    const { accounts } = await session.people();
    const page = await accounts.list({ text: email, after, limit });
    return {
      json: {
        accounts: page.accounts.map((account) => ({
          id: account.id,
          email: account.email,
          name: account.name ?? null,
          verified: account.emailVerified,
          admin: account.admin,
          disabled: account.disabled,
          roles: account.roles,
          created_at: account.createdAt.toISOString(),
        })),
        next: page.next ?? null,
      },
      text:
        page.accounts.length === 0
          ? 'No accounts match.'
          : [
              ...table(
                page.accounts.map(
                  ({ id, email: address, name, emailVerified, admin, disabled }) => [
                    id,
                    address,
                    [
                      emailVerified ? '' : 'not verified',
                      admin ? 'administrator' : '',
                      disabled ? 'disabled' : '',
                    ]
                      .filter((word) => word !== '')
                      .join(', '),
                    name ?? '',
                  ],
                ),
              ),
              ...(page.next === undefined ? [] : ['', `More: add --after ${page.next}`]),
            ].join('\n'),
    };
  },
});
