import { sql, type Transaction } from 'kysely';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database } from '../db/database.ts';
import { applyMigrations, knownMigrations } from '../db/migrate.ts';
import { grantRights } from '../db/roles.ts';
import type { Schema } from '../db/schema.ts';
import { sqlState } from '../db/sql-state.ts';
import { ourTables } from '../db/tables.ts';
import { AppError } from '../errors.ts';
import { type Head, readBackup, type TablePart } from './backup.ts';
import { settleFormat } from './backup.service.ts';

type Trx = Transaction<Schema>;

const BATCH = 500;
/** What somebody has made, and not the server for itself: where one has a row, the database is not empty. */
const made = ['accounts', 'clients', 'resource_servers', 'trusted_issuers'] as const;

export interface RestoreOptions {
  /** A pool of the owner's without a time limit, on a database that has every migration. */
  readonly owner: Database;
  /** The server's role, where it is another one. */
  readonly serverRole: string | undefined;
  readonly file: string;
  /** Also where our tables hold something; all of it goes. */
  readonly replace: boolean;
  /** Whether the master key of this installation opens what it is given: the check of the key that sealed the backup. */
  readonly opensCheck: (check: string) => Promise<boolean>;
  readonly actor: string;
}

/**
 * Puts back what the backup holds, in one transaction: our tables are as the backup says, or as they were. Tables of other
 * programs stay as they are. A backup of an earlier release is brought to this one. Servers that run take it up.
 * @throws AppError `backup_unreadable`, `backup_newer`, `backup_other_key`, `not_empty`, `tables_in_use`
 */
export async function restoreBackup(
  options: RestoreOptions,
): Promise<{ rows: number; head: Head }> {
  const { owner, file, replace, serverRole, actor } = options;
  const head = await inspect(options);
  const rows = await owner.kysely.transaction().execute(async (trx) => {
    await settleFormat(trx);
    // Nothing is registered between the look and the end.
    await sql`lock table ${sql.join(made.map((name) => sql.table(name)))} in exclusive mode`.execute(
      trx,
    );
    if (!replace) await refuseUnlessEmpty(trx);
    const { rows: before } = await sql<{ topic: string; version: string }>`
      select topic, version from config_versions`.execute(trx);
    await dropTables(trx);
    await applyMigrations(trx, head.migrations);
    for (const partition of head.partitions) await addPartition(trx, partition);
    const count = await load(trx, file);
    const known = await knownMigrations();
    const missing = known.filter((name) => !head.migrations.includes(name));
    await applyMigrations(trx, missing);
    // Every cache is told, whatever version it knows.
    for (const { topic, version } of before)
      await sql`update config_versions set version = greatest(version, ${version}) + 1 where topic = ${topic}`.execute(
        trx,
      );
    if (serverRole !== undefined) await grantRights(trx, serverRole);
    await writeAudit(trx, { type: 'database.restored', outcome: 'success', actor });
    return count;
  });
  return { rows, head };
}

/** Reads the whole file before anything is touched. */
async function inspect({ file, opensCheck }: RestoreOptions): Promise<Head> {
  let head: Head | undefined;
  let table: TablePart | undefined;
  let check: string | undefined;
  for await (const part of readBackup(file)) {
    if (part.kind === 'head') head = part.head;
    else if (part.kind === 'table') table = part.table;
    else if (table?.table === 'instance') {
      const row = JSON.parse(part.row) as string[];
      if (row[table.columns.indexOf('key')] === 'master_key_check')
        check = row[table.columns.indexOf('value')];
    }
  }
  const known = await knownMigrations();
  const unknown = head?.migrations.filter((name) => !known.includes(name)) ?? [];
  if (unknown.length > 0)
    throw new AppError(
      'backup_newer',
      `${file} was written by a later release, which has ${unknown.join(', ')}. Restore it with that release. Nothing was changed.`,
    );
  if (check !== undefined && !(await opensCheck(check)))
    throw new AppError(
      'backup_other_key',
      `The master key is not the one that ${file} was sealed under. Set MASTER_KEY to that key, or put its master.key file back, and try again. Nothing was changed.`,
    );
  return head as Head;
}

async function refuseUnlessEmpty(trx: Trx): Promise<void> {
  for (const name of made) {
    const { rows } = await sql`select from ${sql.table(name)} limit 1`.execute(trx);
    if (rows.length > 0)
      throw new AppError(
        'not_empty',
        `This database holds ${name.replace('_', ' ')} already. To replace everything in Vouchsafe's tables with the backup, add --replace. Nothing was changed.`,
      );
  }
}

/** Without `cascade`, which would also drop what other programs have built on our tables. */
async function dropTables(trx: Trx): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and c.relname = any(${ourTables}::text[])`.execute(trx);
  try {
    await sql`drop table ${sql.join(rows.map(({ name }) => sql.table(name)))}`.execute(trx);
  } catch (cause) {
    if (sqlState(cause) !== '2BP01') throw cause;
    const { detail = '' } = cause as { detail?: string };
    throw new AppError(
      'tables_in_use',
      `Other objects in this database depend on Vouchsafe's tables (${detail.split('\n').join('; ')}). Remove them, or restore into another database. Nothing was changed.`,
      { cause },
    );
  }
}

/** A month of the audit, as the worker makes them (src/outbox/audit-months.ts). */
async function addPartition(trx: Trx, name: string): Promise<void> {
  const [, parent = '', year = '', month = ''] = /^(\w+)_(\d{4})_(\d\d)$/.exec(name) ?? [];
  const bound = (months: number) =>
    sql.lit(new Date(Date.UTC(Number(year), Number(month) - 1 + months, 1)).toISOString());
  await sql`create table ${sql.table(name)} partition of ${sql.table(parent)}
    for values from (${bound(0)}) to (${bound(1)})`.execute(trx);
}

async function load(trx: Trx, file: string): Promise<number> {
  let insert: ((rows: string) => Promise<unknown>) | undefined;
  let waiting: string[] = [];
  let count = 0;
  const flush = async () => {
    if (waiting.length > 0) await insert?.(`[${waiting.join(',')}]`);
    waiting = [];
  };
  for await (const part of readBackup(file)) {
    if (part.kind === 'table') {
      await flush();
      // Files that were written before there was this list may hold tables of other programs.
      insert = ourTables.includes(part.table.table) ? await insertInto(trx, part.table) : undefined;
    } else if (part.kind === 'row' && insert !== undefined) {
      waiting.push(part.row);
      count += 1;
      if (waiting.length === BATCH) await flush();
    }
  }
  await flush();
  return count;
}

async function insertInto(
  trx: Trx,
  { table, columns }: TablePart,
): Promise<(rows: string) => Promise<unknown>> {
  // What the migrations themselves have put there is in the backup as well.
  await sql`delete from ${sql.table(table)}`.execute(trx);
  const { rows } = await sql<{ name: string; type: string }>`
    select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
    where attrelid = ${table}::regclass and attnum > 0`.execute(trx);
  const types = new Map(rows.map(({ name, type }) => [name, type]));
  const values = columns.map(
    (column, place) => sql`(r->>${sql.lit(place)})::${sql.raw(types.get(column) ?? 'text')}`,
  );
  const names = columns.map((column) => sql.ref(column));
  return (batch) =>
    sql`insert into ${sql.table(table)} (${sql.join(names)})
      select ${sql.join(values)} from json_array_elements(${batch}::json) r`.execute(trx);
}
