import { resolve } from 'node:path';
import { z } from 'zod';
import { noteAudit } from '../audit/audit.service.ts';
import { writeBackup } from '../backup/backup.service.ts';
import { restoreBackup } from '../backup/restore.service.ts';
import { roleOf } from '../db/roles.ts';
import { opensMasterKeyCheck } from '../master-key.ts';
import { type Command, defineCommand } from './command.ts';
import { actor } from './session.ts';

const argument = { name: 'file', value: 'FILE', help: 'the backup file' } as const;
const file = z
  .string()
  .min(1)
  .transform((path) => resolve(path));

export const backupCommands: Command[] = [
  defineCommand({
    words: 'backup',
    summary: "Writes everything in Vouchsafe's tables to a file, while servers run",
    argument,
    options: {},
    details: [
      'The file does not contain the master key: keep that in another place. Without the key, the backup is useless;',
      'with it, the backup reveals everything in the database.',
    ].join('\n'),
    input: z.object({ file }),
    async run(input, session) {
      const db = await session.db();
      const owner = (await session.opened()).openUnhurried();
      try {
        const { rows } = await writeBackup(owner, input.file);
        await noteAudit(db, {
          type: 'database.backed_up',
          outcome: 'success',
          actor,
          data: { rows },
        });
        return {
          json: { file: input.file, rows },
          text: `Wrote ${rows} rows to ${input.file}. Keep the master key in another place.`,
        };
      } finally {
        await owner.close();
      }
    },
  }),
];

export const restoreCommands: Command[] = [
  defineCommand({
    words: 'restore',
    summary:
      'Restores a backup into a database without accounts, clients or APIs, or with --replace into any',
    argument,
    options: { replace: { help: "replace everything in Vouchsafe's tables" } },
    input: z.object({ file, replace: z.boolean().optional() }),
    async run(input, session) {
      const opened = await session.opened();
      await opened.migrate();
      const owner = opened.openUnhurried();
      try {
        const { rows, head } = await restoreBackup({
          owner,
          serverRole: opened.owner === opened.db ? undefined : await roleOf(opened.db),
          file: input.file,
          replace: input.replace === true,
          opensCheck: (check) => opensMasterKeyCheck(session.config, check),
          actor,
        });
        return {
          json: { file: input.file, rows, created_at: head.created_at },
          text: [
            `Restored ${rows} rows from ${head.created_at}. Restart every running server.`,
            'Codes and refresh tokens that were used since then can be used again until they expire.',
          ].join('\n'),
        };
      } finally {
        await owner.close();
      }
    },
  }),
];
