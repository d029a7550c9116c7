import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/** The one row of the table. */
const id = 'pairwise';

/** Where the key is sealed for. */
export const keyPlace = `subject_keys:${id}`;

export async function findSubjectKey(db: Db): Promise<Buffer | undefined> {
  const row = await db
    .selectFrom('subject_keys')
    .select('key_sealed')
    .where('id', '=', id)
    .executeTakeFirst();
  return row?.key_sealed;
}

/** Does nothing where another process was first. */
export async function insertSubjectKey(db: Db, keySealed: Buffer): Promise<void> {
  await db
    .insertInto('subject_keys')
    .values({ id, key_sealed: keySealed })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Whether somebody is known to a client by a subject that was derived from the key. */
export async function isKeyInUse(db: Db): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (
      select from clients c where c.metadata->>'subject_type' = 'pairwise'
        and (exists (select from consents where client_id = c.id) or exists (select from grants where client_id = c.id))
    ) as found`.execute(db);
  return rows[0]?.found === true;
}
