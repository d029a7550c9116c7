import { z } from 'zod';
import { noteAudit } from '../audit/audit.service.ts';
import { issuerSchema } from '../config-variables.ts';
import { findIssuer, setIssuer } from '../instance.ts';
import { type Command, defineCommand } from './command.ts';
import { actor } from './session.ts';

export const instanceCommands: Command[] = [
  defineCommand({
    words: 'instance show',
    summary: 'Shows the issuer that the database belongs to',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const issuer = await findIssuer(await session.db());
      return {
        json: { issuer: issuer ?? null },
        text: issuer ?? 'None yet: the first server that starts stores its issuer.',
      };
    },
  }),
  defineCommand({
    words: 'instance set-issuer',
    summary: 'Moves the database to another issuer; restart the servers with it afterwards',
    options: {
      issuer: {
        value: 'URL',
        required: true,
        help: 'the new ISSUER, such as https://id.example.com',
      },
    },
    details: [
      'After a move, every client and API must be configured with the new issuer, APIs that check',
      'signatures refuse tokens of the old one, and users sign in again if the host changes.',
    ].join('\n'),
    input: z.object({ issuer: issuerSchema }),
    async run({ issuer }, session) {
      const db = await session.db();
      const before = await findIssuer(db);
      if (before !== issuer) {
        await setIssuer(db, issuer);
        await noteAudit(db, {
          type: 'instance.issuer_changed',
          outcome: 'success',
          actor,
          data: { before: before ?? null, issuer },
        });
      }
      return {
        json: { issuer, before: before ?? null },
        text:
          before === issuer
            ? `The issuer is already ${issuer}.`
            : `The issuer is now ${issuer}. Restart each server with ISSUER=${issuer}, and configure every client and API with it.`,
      };
    },
  }),
];
