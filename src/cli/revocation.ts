import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { ConsentService } from '../consent/consent.service.ts';
import { AppError } from '../errors.ts';
import { type Family, listFamilies, revokeFamily } from '../grant/grant.service.ts';
import { KeyService } from '../keys/keys.service.ts';
import { revokeToken } from '../revocation/token.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor } from './session.ts';

/** Commands that end tokens but keep their owner: docs/revocation.md explains when to use which. */

const email = { value: 'E', required: true, help: 'the email address of the account' } as const;
const clientId = { value: 'ID', required: true, help: 'the client ID' } as const;

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
      text: `${email} is signed out. Ended: ${ended.sessions === 1 ? '1 session' : `${ended.sessions} sessions`}, ${families(ended.families)}.`,
    };
  },
});

export const clientRevocation: Command = defineCommand({
  words: 'client revoke-tokens',
  summary: 'Ends every token of a client at once; the client can get new ones',
  options: { 'client-id': clientId },
  input: z.object({ 'client-id': z.string().min(1) }),
  async run(input, session) {
    const id = input['client-id'];
    const ended = await (await session.clients()).revokeTokens(id, actor);
    return {
      json: { client_id: id, families: ended.families, until: ended.until.toISOString() },
      text: [
        `Ended every token of ${id}, in ${families(ended.families)}.`,
        `Tokens issued before ${ended.until.toISOString()} are also invalid, because clocks can differ a little.`,
      ].join('\n'),
    };
  },
});

export const consentCommands: Command[] = [
  defineCommand({
    words: 'consent remove',
    summary: 'Removes the consent of an account to a client: its tokens there end at once',
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
        throw new AppError('no_consent', `${account.email} has given ${id} no consent.`, {
          status: 404,
        });
      return {
        json: { id: account.id, client_id: id, ...taken },
        text: `Removed the consent of ${account.email} to ${id}. Ended: ${families(taken.families)}.`,
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
    summary: 'Lists the live token families of an account: one for each sign-in to a client',
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
            ? `${account.email} has no live token families.`
            : table(
                found.map(({ family_id: id, client_id: client, created_at: since, offline }) => [
                  id,
                  `${client}  since ${since}${offline ? ', survives a sign-out in the browser' : ''}`,
                ]),
              ).join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'family revoke',
    summary: 'Ends one token family and its tokens at once; the consent stays',
    options: { 'family-id': { value: 'ID', required: true, help: 'its ID, from family list' } },
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
    summary: 'Ends a token of any kind; a refresh token or a code ends with its token family',
    options: {
      'token-stdin': { required: true, help: 'read the token from standard input' },
    },
    details:
      '  printf %s "$TOKEN" | npm run -s cli -- token revoke --token-stdin\n\nISSUER must be that of the server.',
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
        text: `Ended the ${found.ended === 'family' ? 'token and its whole token family' : 'token'} of the client ${found.clientId}${of}.`,
      };
    },
  }),
];
