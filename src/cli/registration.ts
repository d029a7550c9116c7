import { z } from 'zod';
import {
  InitialTokens,
  newInitialTokenSchema,
} from '../client-registration/initial-tokens.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor, type Session } from './session.ts';

/** Initial access tokens: with one, clients register themselves by protocol, for what it says. */

const { name, uses, days, apis } = newInitialTokenSchema.shape;

const number = z
  .string()
  .regex(/^\d{1,6}$/, 'expected a number')
  .transform(Number)
  .optional();

/** The identifier, and behind it the scopes. */
function readApi(text: string): { identifier: string; scopes: string[] } {
  const [identifier = '', ...scopes] = text.trim().split(/\s+/);
  return { identifier, scopes };
}

const tokensOf = async (session: Session) =>
  new InitialTokens(await session.db(), await session.resourceServers());

export const registrationCommands: Command[] = [
  defineCommand({
    words: 'registration create-token',
    summary: 'Makes an initial access token, with which clients register themselves',
    options: {
      name: { value: 'N', required: true, help: 'for whom it is; only operators see it' },
      uses: { value: 'N', help: 'how many clients it registers, 1 to 1000; one unless told' },
      days: { value: 'N', help: 'for how many days it is good, 1 to 365; 7 unless told' },
      api: {
        value: '"URI scope scope"',
        multiple: true,
        help: 'what its clients may ask for besides what is open to all',
      },
    },
    input: z
      .object({
        name,
        uses: number.pipe(uses),
        days: number.pipe(days),
        api: z.preprocess((texts) => (texts as string[] | undefined)?.map(readApi), apis),
      })
      .transform(({ api, ...rest }) => ({ ...rest, apis: api })),
    async run(input, session) {
      const { id, token, expiresAt } = await (await tokensOf(session)).create(input, actor);
      return {
        json: { id, token, expires_at: expiresAt.toISOString() },
        text: [
          'The token was made.',
          '',
          ...table([
            ['id', id],
            ['token', token],
            ['good until', expiresAt.toISOString()],
          ]),
          '',
          'It is shown this once: only its hash is kept.',
        ].join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'registration list-tokens',
    summary: 'Shows the initial access tokens that are good for something',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const tokens = await (await tokensOf(session)).list();
      return {
        json: {
          tokens: tokens.map(({ id, name, usesLeft, apis, expiresAt }) => ({
            id,
            name,
            uses_left: usesLeft,
            apis,
            expires_at: expiresAt.toISOString(),
          })),
        },
        text:
          tokens.length === 0
            ? 'There are none.'
            : table(
                tokens.map(({ id, name, usesLeft, expiresAt }) => [
                  id,
                  `${usesLeft} left`,
                  `until ${expiresAt.toISOString()}`,
                  name,
                ]),
              ).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'registration revoke-token',
    summary: 'Ends an initial access token; the clients that it has registered stay',
    options: {
      id: { value: 'ID', required: true, help: 'as `registration list-tokens` shows it' },
    },
    input: z.object({ id: z.string().min(1) }),
    async run({ id }, session) {
      await (await tokensOf(session)).revoke(id, actor);
      return { json: { id, revoked: true }, text: `The token ${id} is good for nothing any more.` };
    },
  }),
];
