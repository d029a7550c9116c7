import { z } from 'zod';
import { type Command, defineCommand } from './command.ts';
import { actor } from './session.ts';

export const setupLinkCommands: Command[] = [
  defineCommand({
    words: 'setup-link',
    summary:
      'Prints a new link that creates the first administrator, valid for an hour; earlier links end',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const { setup } = await session.people();
      const url = `${await session.issuer()}/setup/${await setup.issueSetupLink(actor)}`;
      return { json: { url }, text: url };
    },
  }),
];
