import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { sql, type Transaction } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { ourTables } from '../db/tables.ts';
import { AppError } from '../errors.ts';
import type { Head, TablePart } from './backup.ts';

type Trx = Transaction<Schema>;

const BATCH = 500;

/** How rows are written as text, whatever the server's own settings are. */
export async function settleFormat(trx: Trx): Promise<void> {
  await sql`select set_config('DateStyle', 'ISO', true), set_config('TimeZone', 'UTC', true),
    set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
    set_config('extra_float_digits', '1', true)`.execute(trx);
}

/**
 * Writes everything that our tables hold at one moment to the file, while servers go on; gives how many rows there
 * were. The file is readable by its owner only, and has its name once it is whole.
 * @param owner a pool of the owner's without a time limit
 * @throws AppError `backup_failed` where the file can't be written
 */
export async function writeBackup(owner: Database, file: string): Promise<{ rows: number }> {
  const unfinished = `${file}.${randomBytes(4).toString('hex')}.unfinished`;
  let rows = 0;
  try {
    const handle = await open(unfinished, 'wx', 0o600);
    try {
      await inOneMoment(owner, (trx) =>
        pipeline(
          Readable.from(linesOf(trx, (count) => (rows = count))),
          createGzip(),
          async (packed: AsyncIterable<Buffer>) => {
            for await (const chunk of packed) await handle.writeFile(chunk);
          },
        ),
      );
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true });
    const { syscall, code } = cause as NodeJS.ErrnoException;
    if (syscall === undefined || code === 'ECONNREFUSED') throw cause;
    throw new AppError('backup_failed', `${file} can't be written: ${code ?? 'unknown error'}.`, {
      cause,
    });
  }
  return { rows };
}

/**
 * Runs `work` in a transaction that sees one moment. The level is the connection's: a `begin` goes along with the check
 * for a standby, after which no transaction can change it.
 */
function inOneMoment(owner: Database, work: (trx: Trx) => Promise<void>): Promise<void> {
  return owner.kysely.connection().execute(async (connection) => {
    await sql`set default_transaction_isolation = 'repeatable read'`.execute(connection);
    try {
      await connection.transaction().execute(work);
    } finally {
      await sql`reset default_transaction_isolation`.execute(connection);
    }
  });
}

async function* linesOf(trx: Trx, count: (rows: number) => void): AsyncGenerator<string> {
  await settleFormat(trx);
  yield line(await headOf(trx));
  let rows = 0;
  const tables = await tablesOf(trx);
  for (const { table, columns } of tables) {
    yield line({ table, columns } satisfies TablePart);
    const texts = columns.map((column) => sql`${sql.ref(column)}::text`);
    await sql`declare backup no scroll cursor for
      select json_build_array(${sql.join(texts)})::text as row from ${sql.table(table)}`.execute(
      trx,
    );
    for (;;) {
      const batch = await sql<{ row: string }>`fetch ${sql.lit(BATCH)} from backup`.execute(trx);
      rows += batch.rows.length;
      if (batch.rows.length > 0) yield `${batch.rows.map(({ row }) => row).join('\n')}\n`;
      if (batch.rows.length < BATCH) break;
    }
    await sql`close backup`.execute(trx);
  }
  count(rows);
  yield line({ end: true, tables: tables.length, rows });
}

const line = (value: object) => `${JSON.stringify(value)}\n`;

async function headOf(trx: Trx): Promise<Head> {
  const { rows } = await sql<Pick<Head, 'migrations' | 'partitions'>>`
    select (select array_agg(name::text order by name) from kysely_migration) as migrations,
      coalesce((select array_agg(c.relname::text order by c.relname)
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent in ('audit_events'::regclass, 'audit_people'::regclass) and c.relname ~ '^audit_(events|people)_[0-9]{4}_[0-9]{2}$'), '{}') as partitions`.execute(
    trx,
  );
  const { migrations, partitions } = rows[0] as (typeof rows)[0];
  return {
    vouchsafe: 'backup',
    format: 1,
    created_at: new Date().toISOString(),
    migrations,
    partitions,
  };
}

/** Every table of ours but those of the migrations; one that refers to another comes after it. */
async function tablesOf(trx: Trx): Promise<TablePart[]> {
  const { rows } = await sql<TablePart & { refers: string[] }>`
    select c.relname as table,
      (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
      array(select distinct r.relname::text from pg_constraint f join pg_class r on r.oid = f.confrelid
        where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid) as refers
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and c.relname = any(${ourTables}::text[])
    order by c.relname`.execute(trx);
  const sorted: TablePart[] = [];
  const names = () => new Set(sorted.map(({ table }) => table));
  for (let rest = rows; rest.length > 0; ) {
    const ready = rest.filter(({ refers }) => refers.every((other) => names().has(other)));
    if (ready.length === 0) throw new Error('tables refer to each other in a circle');
    sorted.push(...ready);
    rest = rest.filter((one) => !ready.includes(one));
  }
  return sorted;
}
