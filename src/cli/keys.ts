import { z } from 'zod';
import { noteAudit } from '../audit/audit.service.ts';
import { reseal } from '../db/reseal.ts';
import { renewCheck } from '../master-key.ts';
import {
  algorithms,
  JWKS_MAX_AGE,
  type KeyInfo,
  KeyService,
  type RemovedKey,
} from '../keys/keys.service.ts';
import { type Command, defineCommand, type Output, table } from './command.ts';
import { actor, type Session } from './session.ts';

const keysOf = async (session: Session) =>
  new KeyService(await session.db(), await session.sealer());

const kinds = [...algorithms, 'cookie'] as const;

function listed(all: readonly KeyInfo[]): Output {
  const json = (keys: readonly KeyInfo[]) =>
    keys.map((key) => ({
      kid: key.kid,
      alg: key.alg,
      state: key.state,
      created_at: key.createdAt.toISOString(),
      active_at: key.activeAt.toISOString(),
      retired_at: key.retiredAt?.toISOString() ?? null,
      removed_at: key.removedAt?.toISOString() ?? null,
    }));
  return {
    json: {
      keys: json(all.filter(({ alg }) => alg !== 'cookie')),
      cookie_keys: json(all.filter(({ alg }) => alg === 'cookie')),
    },
    text:
      all.length === 0
        ? 'There are no keys yet: the server creates them at its first start.'
        : table(
            all.map((key) => [
              `${key.alg.padEnd(6)}  ${key.state.padEnd(8)}  ${key.kid}`,
              timesOf(key),
            ]),
          ).join('\n'),
  };
}

function timesOf({ activeAt, retiredAt, removedAt }: KeyInfo): string {
  const until = retiredAt === undefined ? '' : ` until ${retiredAt.toISOString()}`;
  const stays = removedAt === undefined ? '' : `, published until ${removedAt.toISOString()}`;
  return `signs from ${activeAt.toISOString()}${until}${stays}`;
}

/** What stops working. */
function consequences({ removed, successor }: RemovedKey): string {
  const instead = successor === undefined ? '' : ` ${successor} signs instead from now on.`;
  if (removed.alg === 'cookie') {
    return removed.state === 'next'
      ? 'It had not signed anything yet.'
      : `Users whose session cookie it signed have to sign in again.${instead}`;
  }
  if (removed.state === 'next')
    return 'It had not signed anything yet; the current key continues to sign.';
  const minutes = JWKS_MAX_AGE / 60;
  return [
    `From now on, the server refuses every ${removed.alg} token that this key signed. APIs that verify signatures refuse them once they fetch the keys again (within ${minutes} minutes if they respect Cache-Control; restart those that don't).`,
    ...(successor === undefined
      ? []
      : [
          `${instead.trim()} Until then, an API that does not fetch the keys again for an unknown kid also refuses new tokens.`,
        ]),
  ].join(' ');
}

export const keyCommands: Command[] = [
  defineCommand({
    words: 'keys list',
    summary: 'Lists the signing keys and cookie keys, with their states',
    options: {},
    input: z.object({}),
    run: async (_input, session) => listed(await (await keysOf(session)).list()),
  }),
  defineCommand({
    words: 'keys rotate',
    summary: 'Creates the next keys, which are published at once and sign an hour later',
    options: {
      alg: {
        value: kinds.join('|'),
        multiple: true,
        help: 'only the key of this algorithm, or the cookie key (default: every signing key)',
      },
    },
    input: z.object({ alg: z.array(z.enum(kinds)).optional() }),
    async run({ alg }, session) {
      const keys = await keysOf(session);
      await keys.rotate(actor, alg === undefined ? algorithms : [...new Set(alg)]);
      return listed(await keys.list());
    },
  }),
  defineCommand({
    words: 'keys remove',
    summary: 'Removes a key at once, with everything that it signed: for a key that has leaked',
    options: {
      kid: { value: 'KID', required: true, help: 'the key, from keys list' },
      now: {
        help: 'remove it even if it is the current key; its successor then signs at once',
      },
    },
    input: z.object({ kid: z.string(), now: z.boolean().optional() }),
    async run({ kid, now }, session) {
      const keys = await keysOf(session);
      const outcome = await keys.remove(kid, actor, { now: now === true });
      const { removed, successor } = outcome;
      return {
        json: {
          removed: { kid: removed.kid, alg: removed.alg, state: removed.state },
          successor: successor ?? null,
        },
        text: `The key ${removed.kid} was removed. ${consequences(outcome)}`,
      };
    },
  }),
  defineCommand({
    words: 'keys reseal',
    summary:
      'Re-encrypts everything with the first key of MASTER_KEY, so that you can drop the other one',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const db = await session.db();
      const sealer = await session.sealer();
      const { count, earlierKeysUntil } = await reseal(db, sealer);
      await renewCheck(db, sealer);
      await noteAudit(db, {
        type: 'keys.resealed',
        outcome: 'success',
        actor,
        data: { count },
      });
      const until = earlierKeysUntil?.toISOString() ?? null;
      return {
        json: { resealed: count, earlier_keys_until: until },
        text: `Re-encrypted ${count} values. ${
          until === null
            ? 'Keep the old master key for a day, for sign-ins in progress and codes in emails.'
            : `Keep the old master key until ${until}, for refresh tokens that were issued with it.`
        }`,
      };
    },
  }),
];
