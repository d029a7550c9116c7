import { sql } from 'kysely';
import type { Sealer } from '../lib/seal.ts';
import type { Database } from './database.ts';

/** Every sealed column: what it holds is sealed for the place `table:key`. */
export const sealedColumns = [
  { table: 'signing_keys', key: 'kid', column: 'private_sealed' },
  { table: 'cookie_keys', key: 'id', column: 'key_sealed' },
  { table: 'subject_keys', key: 'id', column: 'key_sealed' },
  { table: 'authenticators', key: 'id', column: 'secret_sealed' },
  { table: 'outbox', key: 'id', column: 'payload_sealed' },
  { table: 'action_links', key: 'id_hash', column: 'payload_sealed' },
  { table: 'polled_requests', key: 'id', column: 'payload_sealed' },
] as const;

const BATCH = 200;

export interface Resealed {
  /** How many values were sealed anew. */
  readonly count: number;
  /** Until then token families need an earlier master key, from which their refresh tokens are derived. */
  readonly earlierKeysUntil: Date | undefined;
}

/**
 * Seals everything that lies under an earlier master key under the current one; what is written meanwhile is not lost.
 * It can be broken off and run again.
 * @throws AppError `unseal_failed` where a master key is needed that was not given.
 */
export async function reseal(db: Database, sealer: Sealer): Promise<Resealed> {
  let count = 0;
  for (const place of sealedColumns) {
    for (let batch = BATCH; batch === BATCH; count += batch) {
      batch = await resealBatch(db, sealer, place);
    }
  }
  const { rows } = await sql<{ until: Date | null }>`
    select max(expires_at) as until from grants where key_id <> ${sealer.keyId} and revoked_at is null and expires_at > now()`.execute(
    db.kysely,
  );
  return { count, earlierKeysUntil: rows[0]?.until ?? undefined };
}

async function resealBatch(
  { kysely }: Database,
  sealer: Sealer,
  { table, key, column }: (typeof sealedColumns)[number],
): Promise<number> {
  const [tableRef, keyRef, columnRef] = [sql.table(table), sql.ref(key), sql.ref(column)];
  const { rows } = await sql<{ key: string | Buffer; sealed: Buffer }>`
    select ${keyRef} as key, ${columnRef} as sealed from ${tableRef}
    where ${columnRef} is not null and substring(${columnRef} from 2 for 8) <> ${Buffer.from(sealer.keyId, 'hex')}
    limit ${BATCH}`.execute(kysely);
  for (const row of rows) {
    const place = `${table}:${typeof row.key === 'string' ? row.key : row.key.toString('hex')}`;
    const sealed = sealer.seal(sealer.open(row.sealed, place), place);
    // A change made meanwhile has sealed it with the current key already.
    await sql`update ${tableRef} set ${columnRef} = ${sealed} where ${keyRef} = ${row.key} and ${columnRef} = ${row.sealed}`.execute(
      kysely,
    );
  }
  return rows.length;
}
