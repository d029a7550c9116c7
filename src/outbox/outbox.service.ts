import type { Db } from '../db/database.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import type { OutboxWrite } from './outbox.ts';
import { ring } from './bell.ts';
import { insertRow, insertRows } from './outbox.store.ts';

/**
 * A row of the outbox for a handler of `kind`, its payload (JSON) sealed. It leaves at `dueAt`, or at once, and not before
 * the commit that it is written in (`insertOutbox`).
 */
export function outboxWrite(
  sealer: Sealer,
  kind: string,
  payload: unknown,
  dueAt?: Date,
): OutboxWrite {
  const id = randomToken(16);
  return { id, kind, payloadSealed: sealer.seal(JSON.stringify(payload), `outbox:${id}`), dueAt };
}

/** The same for what is known by ids alone, which lie in the database in the clear anyhow. */
export function openOutboxWrite(kind: string, about: Record<string, unknown>): OutboxWrite {
  return { id: randomToken(16), kind, payloadSealed: undefined, about };
}

/** Writes the row in the transaction of the change that causes it. */
export function insertOutbox(db: Db, write: OutboxWrite): Promise<void> {
  return insertRow(db, write);
}

/** The same for many that are due at once and have nothing sealed, in one statement, however many they are. */
export async function insertAllOutbox(
  db: Db,
  writes: readonly Pick<OutboxWrite, 'id' | 'kind' | 'about'>[],
): Promise<void> {
  if (writes.length > 0) await insertRows(db, writes);
}

/** For rows that were committed by other ways: they need not wait to be found. */
export function hurryOutbox(): void {
  ring();
}
