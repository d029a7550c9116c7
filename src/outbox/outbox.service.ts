import type { Db } from '../db/database.ts';
import { randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import type { OutboxWrite } from './outbox.ts';
import { insertRow } from './outbox.store.ts';

/**
 * A row of the outbox for a handler of `kind`, its payload (JSON) sealed. It leaves at `dueAt`, and not before the
 * commit that it is written in (`insertOutbox`).
 */
export function outboxWrite(
  sealer: Sealer,
  kind: string,
  payload: unknown,
  dueAt = new Date(),
): OutboxWrite {
  const id = randomToken(16);
  return { id, kind, payloadSealed: sealer.seal(JSON.stringify(payload), `outbox:${id}`), dueAt };
}

/** Writes the row in the transaction of the change that causes it. */
export function insertOutbox(db: Db, write: OutboxWrite): Promise<void> {
  return insertRow(db, write);
}
