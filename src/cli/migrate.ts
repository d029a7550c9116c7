import { z } from 'zod';
import { migrationStatus } from '../db/migrate.ts';
import { type Command, defineCommand, table } from './command.ts';

export const migrateCommands: Command[] = [
  defineCommand({
    words: 'migrate up',
    summary: 'Migrates the database to this release, if it is older',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const applied = await (await session.opened()).migrate();
      return {
        json: { applied },
        text:
          applied.length === 0
            ? 'The database is up to date.'
            : ['Applied these migrations:', ...applied.map((name) => `  ${name}`)].join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'migrate status',
    summary: 'Lists the migrations, and which the database has',
    options: {},
    input: z.object({}),
    async run(_input, session) {
      const migrations = await migrationStatus((await session.opened()).db.kysely);
      return {
        json: {
          migrations: migrations.map(({ name, appliedAt }) => ({
            name,
            applied_at: appliedAt?.toISOString() ?? null,
          })),
        },
        text: table(
          migrations.map(({ name, appliedAt }) => [
            name,
            appliedAt === undefined ? 'pending' : `applied ${appliedAt.toISOString()}`,
          ]),
        ).join('\n'),
      };
    },
  }),
];
