import { z } from 'zod';
import { writeAudit } from '../audit/audit.service.ts';
import { reseal } from '../db/reseal.ts';
import { renewCheck } from '../master-key.ts';
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
  defineCommand({
    words: 'keys reseal',
    summary: 'Seals everything under the first key of MASTER_KEY, so that the other one can go',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const db = await session.db();
      const sealer = await session.sealer();
      const { count, earlierKeysUntil } = await reseal(db, sealer);
      await renewCheck(db, sealer);
      await writeAudit(db.kysely, {
        type: 'keys.resealed',
        outcome: 'success',
        actor,
        data: { count },
      });
      const until = earlierKeysUntil?.toISOString() ?? null;
      return {
        json: { resealed: count, earlier_keys_until: until },
        text: `${count} values were sealed anew. ${
          until === null
            ? 'Keep the earlier master key for an hour, for sign-ins that are under way.'
            : `Keep the earlier master key until ${until}, for refresh tokens that were given out under it.`
        }`,
      };
    },
  }),
];
