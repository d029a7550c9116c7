import type { Database } from '../db/database.ts';
import { prepared } from './statement.ts';
import type { TokenWrite } from './writes.ts';

/** Machines' tokens rest on their client alone, and every read of one looks whether that is still there. */
const insert = prepared(`insert into tokens (id_hash, kind, client_id, payload, expires_at)
  select id_hash, 'machine', client_id, payload::jsonb, expires_at
  from unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[]) as t (id_hash, client_id, payload, expires_at)`);

/** Stores opaque tokens of machines: all of them, on disk, or none. */
export async function insertMachineTokens(
  db: Database,
  writes: readonly TokenWrite[],
): Promise<undefined[]> {
  await db.run(
    insert(
      writes.map(({ idHash }) => idHash),
      writes.map(({ clientId }) => clientId),
      writes.map(({ payload }) => JSON.stringify(payload)),
      writes.map(({ expiresAt }) => expiresAt),
    ),
  );
  return writes.map(() => undefined);
}
