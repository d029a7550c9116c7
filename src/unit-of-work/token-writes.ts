import type { Database } from '../db/database.ts';
import type { Deadline } from '../lib/deadline.ts';
import { preparedRows } from './statement.ts';
import type { TokenWrite } from './writes.ts';

/** Machines' tokens rest on their client alone, and every read of one looks whether that is still there. */
const insert = preparedRows((places) => {
  const rows = places.map((place) => {
    const [id, client, payload, end] = [1, 2, 3, 4].map((column) => `$${4 * place + column}`);
    return `(${id}::bytea, 'machine', ${client}::text, ${payload}::jsonb, ${end}::timestamptz)`;
  });
  return `insert into tokens (id_hash, kind, client_id, payload, expires_at) values ${rows.join(', ')}`;
});

/** Stores opaque tokens of machines: all of them, on disk, or none. */
export async function insertMachineTokens(
  db: Database,
  writes: readonly TokenWrite[],
  deadline?: Deadline,
): Promise<undefined[]> {
  const values = writes.flatMap(({ idHash, clientId, payload, expiresAt }) => [
    idHash,
    clientId,
    JSON.stringify(payload),
    expiresAt,
  ]);
  await db.run(insert(writes.length, values), deadline);
  return writes.map(() => undefined);
}
