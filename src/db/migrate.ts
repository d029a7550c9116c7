import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Kysely } from 'kysely';
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import { AppError } from '../errors.ts';
import type { Db } from './database.ts';
import type { Schema } from './schema.ts';

const folder = join(import.meta.dirname, '../../migrations');

/** The names of the migrations that this release knows, in their order. */
export async function knownMigrations(): Promise<string[]> {
  const files = await readdir(folder);
  return files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3))
    .sort();
}

const provider: MigrationProvider = {
  async getMigrations() {
    const names = await knownMigrations();
    const loaded = names.map(async (name) => {
      const migration = (await import(pathToFileURL(join(folder, `${name}.ts`)).href)) as Migration;
      return [name, migration] as const;
    });
    return Object.fromEntries(await Promise.all(loaded));
  },
};

export interface MigrationStatus {
  readonly name: string;
  readonly appliedAt: Date | undefined;
}

function migrator(db: Kysely<Schema>): Migrator {
  return new Migrator({ db, provider });
}

/**
 * Brings the schema up to date; does nothing when it is. Several processes may call it at once: one migrates, the
 * others wait for it. Gives the names of the migrations that were run.
 * @throws AppError `migration_failed`; the failed migration left nothing behind.
 */
export async function migrateUp(db: Kysely<Schema>): Promise<string[]> {
  const { error, results = [] } = await migrator(db).migrateToLatest();
  if (error !== undefined) {
    const failed = results.find((result) => result.status === 'Error')?.migrationName;
    throw new AppError(
      'migration_failed',
      `The migration ${failed ?? ''} failed; the schema is as it was before it.`,
      { cause: error },
    );
  }
  return results.map((result) => result.migrationName);
}

/** Runs these migrations, in their order, in the caller's transaction; that they were applied is noted already. */
export async function applyMigrations(trx: Db, names: readonly string[]): Promise<void> {
  const migrations = await provider.getMigrations();
  for (const name of [...names].sort()) await migrations[name]?.up(trx);
}

/** Every migration this release knows, with the time at which it was applied. */
export async function migrationStatus(db: Kysely<Schema>): Promise<MigrationStatus[]> {
  const migrations = await migrator(db).getMigrations();
  return migrations.map(({ name, executedAt }) => ({ name, appliedAt: executedAt }));
}
