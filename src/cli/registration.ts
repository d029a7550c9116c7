import { z } from 'zod';
import {
  InitialTokens,
  newInitialTokenSchema,
} from '../client-registration/initial-tokens.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor, type Session } from './session.ts';

/** Initial access tokens, with which clients register themselves by protocol. */

const { name, uses, days, apis } = newInitialTokenSchema.shape;

const number = z
  .string()
  .regex(/^\d{1,6}$/, 'expected a number')
  .transform(Number)
  .optional();

/** The identifier, then the scopes. */
function readApi(text: string): { identifier: string; scopes: string[] } {
  const [identifier = '', ...scopes] = text.trim().split(/\s+/);
  return { identifier, scopes };
}

const tokensOf = async (session: Session) =>
  new InitialTokens(await session.db(), await session.resourceServers());

export const registrationCommands: Command[] = [
  defineCommand({
    words: 'registration create-token',
    summary: 'Creates an initial access token, with which clients register themselves',
    options: {
      name: { value: 'N', required: true, help: 'who it is for; only operators see this' },
      uses: { value: 'N', help: 'how many clients it can register, 1 to 1000 (default: 1)' },
      days: { value: 'N', help: 'how many days it is valid, 1 to 365 (default: 7)' },
      api: {
        value: '"URI scope scope"',
        multiple: true,
        help: 'scopes that its clients can request in addition to open scopes',
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
          'The token was created.',
          '',
          ...table([
            ['id', id],
            ['token', token],
            ['valid until', expiresAt.toISOString()],
          ]),
          '',
          'The token is shown only once; only its hash is stored.',
        ].join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'registration list-tokens',
    summary: 'Lists the initial access tokens that can still be used',
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
            ? 'There are no tokens.'
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
    summary: 'Revokes an initial access token; the clients that it registered stay',
    options: {
      id: { value: 'ID', required: true, help: 'its ID, from registration list-tokens' },
    },
    input: z.object({ id: z.string().min(1) }),
    async run({ id }, session) {
      await (await tokensOf(session)).revoke(id, actor);
      return { json: { id, revoked: true }, text: `The token ${id} was revoked.` };
    },
  }),
];
