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
        ? 'There are no keys yet: the server makes them at its first start.'
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
  const stays = removedAt === undefined ? '' : `, stays until ${removedAt.toISOString()}`;
  return `signs from ${activeAt.toISOString()}${until}${stays}`;
}

/** What stops working, in words. */
function consequences({ removed, successor }: RemovedKey): string {
  const instead = successor === undefined ? '' : ` ${successor} signs in its place from now on.`;
  if (removed.alg === 'cookie') {
    return removed.state === 'next'
      ? 'It had signed nothing yet.'
      : `Whoever is signed in by a cookie that it signed has to sign in again.${instead}`;
  }
  if (removed.state === 'next') return 'It had signed nothing yet; what signs now goes on.';
  const minutes = JWKS_MAX_AGE / 60;
  return [
    `This server refuses every ${removed.alg} token that it signed from now on, APIs that verify signatures do once they have fetched the keys again (within ${minutes} minutes, if they heed Cache-Control; restart those that don't).`,
    ...(successor === undefined
      ? []
      : [
          `${instead.trim()} For as long, an API that does not ask again for a key that it doesn't know refuses new tokens as well.`,
        ]),
  ].join(' ');
}

export const keyCommands: Command[] = [
  defineCommand({
    words: 'keys list',
    summary: 'Shows the signing keys and the cookie keys, and what each is for now',
    options: {},
    input: z.object({}),
    run: async (_input, session) => listed(await (await keysOf(session)).list()),
  }),
  defineCommand({
    words: 'keys rotate',
    summary:
      'Makes the next keys; they are published at once, and sign an hour later, when everybody knows them',
    options: {
      alg: {
        value: kinds.join('|'),
        multiple: true,
        help: 'only the key of this algorithm, or the key that signs cookies; every signing key unless told',
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
    summary: 'Takes a key away at once, with everything that it signed: for one that has leaked',
    options: {
      kid: { value: 'KID', required: true, help: 'which one; keys list shows them' },
      now: {
        help: 'also where it is the one that signs: its successor then signs from this moment',
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
        text: `The key ${removed.kid} is gone. ${consequences(outcome)}`,
      };
    },
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
      await noteAudit(db, {
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
            ? 'Keep the earlier master key for a day, for sign-ins that are under way and codes that were mailed.'
            : `Keep the earlier master key until ${until}, for refresh tokens that were given out under it.`
        }`,
      };
    },
  }),
];
