import { sql } from 'kysely';
import type { Database, Db } from '../db/database.ts';
import { sqlState } from '../db/sql-state.ts';
import type { Logger } from '../lib/log.ts';
import type { Clockwork } from './outbox.ts';

const parents = ['audit_events', 'audit_people'] as const;
type Parent = (typeof parents)[number];

/** This month, and how many after it, have a partition of their own. */
const AHEAD = 2;
const BATCH = 1_000;
/** So many rows are moved out of the default partition at once; where there are more, the month stays in it. */
const MOVED_MOST = 20_000;

/**
 * Keeps the audit by month: partitions for this month and the next two, and those that are older than the retention are
 * dropped. What was written before its month had a partition is moved into it. A role that may not do so leaves
 * everything in the default partition, where it is found as well, and says so.
 * @param retentionMonths whole months that are kept besides this one; 0 keeps all.
 */
export function createAuditMonths(
  db: Database,
  logger: Logger,
  retentionMonths: number,
): Clockwork {
  return {
    everySeconds: 6 * 3_600,
    async run(signal) {
      try {
        return await keepAuditMonths(db, retentionMonths, signal);
      } catch (error) {
        // insufficient_privilege: where two roles are configured, the audit is the migrator's.
        if (sqlState(error) !== '42501') throw error;
        logger.warn(
          'the audit can be kept by month by the role that owns it alone: run the migrations once a month',
        );
        return false;
      }
    },
  };
}

/** One round of it; gives whether there is more to do. */
export async function keepAuditMonths(
  db: Database,
  retentionMonths: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const { rows } = await sql<{
    month: string;
  }>`select to_char(now() at time zone 'UTC', 'YYYY-MM') as month`.execute(db.kysely);
  const month = rows[0]?.month as string;
  let more = false;
  for (const parent of parents) {
    const there = await listMonths(db.kysely, parent);
    for (let ahead = 0; ahead <= AHEAD; ahead++) {
      const wanted = monthAfter(month, ahead);
      if (!there.includes(wanted)) await addMonth(db, parent, wanted);
    }
    if (retentionMonths === 0) continue;
    const oldest = monthAfter(month, -retentionMonths);
    for (const old of there.filter((one) => one < oldest)) {
      await db.transaction(async (trx) => {
        await patience(trx);
        await sql`drop table if exists ${sql.table(partition(parent, old))}`.execute(trx);
      });
    }
    more = (await deleteRest(db, parent, oldest, signal)) || more;
  }
  return more;
}

/** The months that have a partition, as in `2026-01`. */
async function listMonths(db: Db, parent: Parent): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = ${parent}::regclass`.execute(
    db,
  );
  return rows
    .map((row) => /_(\d{4})_(\d\d)$/.exec(row.name))
    .flatMap((found) => (found === null ? [] : [`${found[1]}-${found[2]}`]));
}

async function addMonth(db: Database, parent: Parent, month: string): Promise<void> {
  const table = sql.table(partition(parent, month));
  const rest = sql.table(`${parent}_rest`);
  const from = start(month);
  const to = start(monthAfter(month, 1));
  await db.transaction(async (trx) => {
    await patience(trx);
    const inMonth = sql`at >= ${from}::timestamptz and at < ${to}::timestamptz`;
    // Nobody writes there from now on: what is moved is all there is when the partition is attached.
    await sql`lock table ${rest} in share row exclusive mode`.execute(trx);
    const { rows } =
      await sql`select from ${rest} where ${inMonth} limit ${MOVED_MOST + 1}`.execute(trx);
    if (rows.length > MOVED_MOST) return;
    await sql`create table ${table} (like ${sql.table(parent)} including all)`.execute(trx);
    await sql`with moved as (delete from ${rest} where ${inMonth} returning *) insert into ${table} select * from moved`.execute(
      trx,
    );
    await sql`alter table ${sql.table(parent)} attach partition ${table} for values from (${sql.lit(from)}) to (${sql.lit(to)})`.execute(
      trx,
    );
  });
}

/** What is too old and lies in the default partition goes row by row. Gives whether there is more. */
async function deleteRest(
  db: Database,
  parent: Parent,
  oldest: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const rest = sql.table(`${parent}_rest`);
  const key = sql.ref(parent === 'audit_events' ? 'id' : 'event_id');
  for (let batch = 0; batch < 20; batch++) {
    if (signal?.aborted) return true;
    const result = await sql`
      delete from ${rest} where (${key}, at) in (
        select ${key}, at from ${rest} where at < ${start(oldest)}::timestamptz limit ${BATCH})`.execute(
      db.kysely,
    );
    if (Number(result.numAffectedRows ?? 0n) < BATCH) return false;
  }
  return true;
}

/** Who has to wait for a lock holds up everyone behind him: give up soon, and come back later. */
async function patience(trx: Db): Promise<void> {
  await sql`set local lock_timeout = '2s'`.execute(trx);
}

function partition(parent: Parent, month: string): string {
  return `${parent}_${month.replace('-', '_')}`;
}

function start(month: string): string {
  return `${month}-01 00:00:00+00`;
}

function monthAfter(month: string, count: number): string {
  const [year = 0, one = 1] = month.split('-').map(Number);
  return new Date(Date.UTC(year, one - 1 + count, 1)).toISOString().slice(0, 7);
}
