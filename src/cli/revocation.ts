import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { ConsentService } from '../consent/consent.service.ts';
import { AppError } from '../errors.ts';
import { type Family, listFamilies, revokeFamily } from '../grant/grant.service.ts';
import { KeyService } from '../keys/keys.service.ts';
import { revokeToken } from '../revocation/token.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor } from './session.ts';

/** What ends tokens without ending who they are of: docs/revocation.md says when to take which. */

const email = { value: 'E', required: true, help: 'the email of the account' } as const;
const clientId = { value: 'ID', required: true, help: 'the client id' } as const;

const families = (count: number) => (count === 1 ? '1 token family' : `${count} token families`);

export const accountRevocation: Command = defineCommand({
  words: 'account sign-out',
  summary: 'Signs an account out everywhere: its sessions and tokens end at once',
  options: { email },
  input: z.object({ email: z.string().min(1) }),
  async run(input, session) {
    const { accounts } = await session.people();
    const ended = await accounts.signOut(input.email, actor);
    const { id, email } = ended.account;
    return {
      json: { id, email, sessions: ended.sessions, families: ended.families },
      text: `${email} is signed out: ${ended.sessions} of its sessions and ${families(ended.families)} have ended.`,
    };
  },
});

export const clientRevocation: Command = defineCommand({
  words: 'client revoke-tokens',
  summary: 'Ends every token of a client at once; the client goes on, and may get new ones',
  options: { 'client-id': clientId },
  input: z.object({ 'client-id': z.string().min(1) }),
  async run(input, session) {
    const id = input['client-id'];
    const ended = await (await session.clients()).revokeTokens(id, actor);
    return {
      json: { client_id: id, families: ended.families, until: ended.until.toISOString() },
      text: [
        `Every token of ${id} has ended, and ${families(ended.families)} with them.`,
        `What it is given before ${ended.until.toISOString()} is worth nothing either: clocks may be a little apart.`,
      ].join('\n'),
    };
  },
});

export const consentCommands: Command[] = [
  defineCommand({
    words: 'consent remove',
    summary: 'Takes back what an account has allowed a client: every token of it ends at once',
    options: { email, 'client-id': clientId },
    input: z.object({ email: z.string().min(1), 'client-id': z.string().min(1) }),
    async run(input, session) {
      const { accounts } = await session.people();
      const account = await accounts.get(input.email);
      const id = input['client-id'];
      const taken = await new ConsentService(await session.db()).takeBack(account.id, id, {
        actor,
      });
      if (taken === undefined)
        throw new AppError('no_consent', `${account.email} has allowed ${id} nothing.`, {
          status: 404,
        });
      return {
        json: { id: account.id, client_id: id, ...taken },
        text: `What ${account.email} allowed ${id} is taken back; ${families(taken.families)} of it have ended.`,
      };
    },
  }),
];

const described = (family: Family) => ({
  family_id: family.id,
  account_id: family.accountId,
  client_id: family.clientId,
  offline: family.offline,
  created_at: family.createdAt.toISOString(),
  expires_at: family.expiresAt.toISOString(),
});

export const familyCommands: Command[] = [
  defineCommand({
    words: 'family list',
    summary: 'The live token families of an account: what each of its sign-ins gave a client',
    options: { email },
    input: z.object({ email: z.string().min(1) }),
    async run(input, session) {
      const { accounts } = await session.people();
      const account = await accounts.get(input.email);
      const found = (await listFamilies(await session.db(), account.id)).map(described);
      return {
        json: { families: found },
        text:
          found.length === 0
            ? `${account.email} has no live token family.`
            : table(
                found.map(({ family_id: id, client_id: client, created_at: since, offline }) => [
                  id,
                  `${client}  since ${since}${offline ? ', stays when the browser signs out' : ''}`,
                ]),
              ).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'family revoke',
    summary: 'Ends one token family: its tokens end at once, and the consent stays',
    options: { 'family-id': { value: 'ID', required: true, help: 'as `family list` shows it' } },
    input: z.object({ 'family-id': z.string().min(1) }),
    async run(input, session) {
      const family = await revokeFamily(await session.db(), input['family-id'], actor);
      return {
        json: { family_id: family.id, account_id: family.accountId, client_id: family.clientId },
        text: `The token family ${family.id} of ${family.clientId} has ended.`,
      };
    },
  }),
];

export const tokenCommands: Command[] = [
  defineCommand({
    words: 'token revoke',
    summary: 'Ends a token that was found somewhere: a refresh token and a code with their family',
    options: {
      'token-stdin': { required: true, help: 'the token is what standard input holds' },
    },
    details:
      '  printf %s "$TOKEN" | npm run -s cli -- token revoke --token-stdin\n\nISSUER must be the one of the server.',
    input: z.object({}),
    async run(_, session) {
      const db = await session.db();
      const keys = new KeyService(db, await session.sealer());
      const token = (await text(process.stdin)).trim();
      const found = await revokeToken({ db, keys, issuer: await session.issuer() }, token, actor);
      const of = found.accountId === undefined ? '' : ` for the account ${found.accountId}`;
      return {
        json: {
          ended: found.ended,
          client_id: found.clientId,
          ...(found.accountId === undefined ? {} : { account_id: found.accountId }),
          ...(found.grantId === undefined ? {} : { family_id: found.grantId }),
        },
        text: `The ${found.ended === 'family' ? 'token and its whole family' : 'token'} of the client ${found.clientId}${of} ended.`,
      };
    },
  }),
];
