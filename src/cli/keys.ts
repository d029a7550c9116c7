import { z } from 'zod';
import { type KeyInfo, KeyService } from '../oidc/keys.service.ts';
import { type Command, defineCommand, type Output, table } from './command.ts';
import { actor, type Session } from './session.ts';

const keysOf = async (session: Session) =>
  new KeyService(await session.db(), await session.sealer());

function listed(keys: readonly KeyInfo[]): Output {
  return {
    json: {
      keys: keys.map((key) => ({
        kid: key.kid,
        alg: key.alg,
        state: key.state,
        created_at: key.createdAt.toISOString(),
        active_at: key.activeAt.toISOString(),
        retired_at: key.retiredAt?.toISOString() ?? null,
      })),
    },
    text:
      keys.length === 0
        ? 'There are no keys yet: the server makes them at its first start.'
        : table(
            keys.map((key) => [
              `${key.alg}  ${key.state.padEnd(8)}  ${key.kid}`,
              `signs from ${key.activeAt.toISOString()}${key.retiredAt === undefined ? '' : ` until ${key.retiredAt.toISOString()}`}`,
            ]),
          ).join('\n'),
  };
}

export const keyCommands: Command[] = [
  defineCommand({
    words: 'keys list',
    summary: 'Shows the signing keys and what each is for now',
    options: {},
    input: z.object({}),
    run: async (_input, session) => listed(await (await keysOf(session)).list()),
  }),
  defineCommand({
    words: 'keys rotate',
    summary:
      'Makes the next signing keys; they are published at once, and sign when every cached key set has them',
    options: {},
    input: z.object({}),
    run: async (_input, session) => listed(await (await keysOf(session)).rotate(actor)),
  }),
];
