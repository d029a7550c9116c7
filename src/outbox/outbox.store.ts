import { sql } from 'kysely';
import { afterCommit, type Db } from '../db/database.ts';
import { ring } from './bell.ts';
import type { OutboxWrite } from './outbox.ts';

export async function insertRow(db: Db, write: OutboxWrite): Promise<void> {
  await db
    .insertInto('outbox')
    .values({
      id: write.id,
      kind: write.kind,
      payload_sealed: write.payloadSealed ?? null,
      about: write.about === undefined ? null : JSON.stringify(write.about),
      due_at: write.dueAt,
      leased_until: null,
      last_error: null,
      done_at: null,
      dead_at: null,
    })
    .execute();
  afterCommit(db, ring);
}

export async function insertRows(
  db: Db,
  writes: readonly Pick<OutboxWrite, 'id' | 'kind' | 'about'>[],
): Promise<void> {
  const ids = writes.map(({ id }) => id);
  const kinds = writes.map(({ kind }) => kind);
  const abouts = writes.map(({ about = {} }) => JSON.stringify(about));
  await sql`
    insert into outbox (id, kind, about) select id, kind, about::jsonb
    from unnest(${ids}::text[], ${kinds}::text[], ${abouts}::text[]) as row (id, kind, about)`.execute(
    db,
  );
  afterCommit(db, ring);
}

/** Makes the row of a recurring job where there is none. */
export async function insertClockwork(db: Db, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .insertInto('outbox')
    .values(
      ids.map((id) => ({
        id,
        kind: id,
        payload_sealed: null,
        leased_until: null,
        last_error: null,
        done_at: null,
        dead_at: null,
      })),
    )
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** A row in the hands of a worker. Its count of attempts is the proof that the row is still held: it rises with each taking. */
export interface TakenRow {
  readonly id: string;
  readonly kind: string;
  readonly payload_sealed: Buffer | null;
  readonly about: Record<string, unknown> | null;
  readonly attempts: number;
}

/**
 * Takes up to `limit` due rows for `leaseSeconds`; what another worker takes at the same moment is passed over, and what is
 * about one of those who are served.
 */
export async function takeDue(
  db: Db,
  kinds: readonly string[],
  limit: number,
  leaseSeconds: number,
  served?: { readonly member: string; readonly names: readonly string[] },
): Promise<TakenRow[]> {
  const others =
    served === undefined || served.names.length === 0
      ? sql``
      : sql`and (about->>${served.member} = any(${served.names}::text[])) is not true`;
  const { rows } = await sql<TakenRow>`
    update outbox set leased_until = now() + make_interval(secs => ${leaseSeconds}), attempts = attempts + 1
    where id in (
      select id from outbox
      where done_at is null and dead_at is null and due_at <= now() and (leased_until is null or leased_until < now())
        and kind = any(${kinds}::text[]) ${others}
      order by due_at limit ${limit} for update skip locked)
    returning id, kind, payload_sealed, about, attempts`.execute(db);
  return rows;
}

/** The row was delivered: what it held is gone. */
export async function settleDone(db: Db, row: TakenRow): Promise<void> {
  await db
    .updateTable('outbox')
    .set({
      done_at: sql<Date>`now()`,
      payload_sealed: null,
      about: null,
      leased_until: null,
      last_error: null,
    })
    .where('id', '=', row.id)
    .where('attempts', '=', row.attempts)
    .where('done_at', 'is', null)
    .execute();
}

/** The row is to be tried again in `seconds`; also how a recurring job waits for its next time. */
export async function settleLater(
  db: Db,
  row: TakenRow,
  seconds: number,
  error: string | null,
): Promise<void> {
  await db
    .updateTable('outbox')
    .set({
      due_at: sql<Date>`now() + make_interval(secs => ${seconds})`,
      leased_until: null,
      last_error: error,
    })
    .where('id', '=', row.id)
    .where('attempts', '=', row.attempts)
    .where('done_at', 'is', null)
    .execute();
}

/** The row was tried often enough. Its payload stays for the operator, sealed, until it is cleaned away. */
export async function settleDead(db: Db, row: TakenRow, error: string): Promise<void> {
  await db
    .updateTable('outbox')
    .set({ dead_at: sql<Date>`now()`, leased_until: null, last_error: error })
    .where('id', '=', row.id)
    .where('attempts', '=', row.attempts)
    .where('done_at', 'is', null)
    .execute();
}
