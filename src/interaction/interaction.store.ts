import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { sha256 } from '../lib/hash.ts';
import type { Progress } from './progress.ts';

/** Puts `next` in the place of the progress at `step`; gives whether it was still there. */
export async function replaceProgress(
  db: Db,
  uid: string,
  step: number,
  next: Progress,
): Promise<boolean> {
  const result = await db
    .updateTable('interactions')
    .set({ progress: JSON.stringify(next) })
    .where('id_hash', '=', sha256(uid))
    .where(sql<number>`coalesce((progress->>'step')::integer, 0)`, '=', step)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}
