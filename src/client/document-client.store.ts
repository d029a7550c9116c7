import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Client } from './client.ts';

/** The rows of clients whose id is the address of a metadata document. */

/** The row of a metadata document's client, as the document is now. */
export async function insertDocumentClient(
  db: Db,
  {
    id,
    name,
    type,
    metadata,
    said,
    settings: { sector },
  }: Pick<Client, 'id' | 'metadata' | 'name' | 'said' | 'settings' | 'type'>,
): Promise<void> {
  await db
    .insertInto('clients')
    .values({
      id,
      name,
      type,
      metadata: JSON.stringify(metadata),
      // Of policy nothing is its own to say; its sector follows from what it says.
      settings: JSON.stringify(sector === undefined ? {} : { sector }),
      registered_by: 'document',
      said: said === undefined ? null : JSON.stringify(said),
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** Notes, once an hour, that the document still says the same. */
export async function touchDocumentClient(db: Db, id: string): Promise<void> {
  await db
    .updateTable('clients')
    .set({ updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('updated_at', '<', sql<Date>`now() - interval '1 hour'`)
    .execute();
}

/** The row of a document that was seen within a day. */
export async function findRecentDocumentClient(db: Db, id: string) {
  return db
    .selectFrom('clients')
    .select(['name', 'type', 'metadata', 'settings', 'said'])
    .where('id', '=', id)
    .where('updated_at', '>', sql<Date>`now() - interval '1 day'`)
    .where('disabled_at', 'is', null)
    .executeTakeFirst();
}

/** About how many clients of metadata documents, other than this one, the account has decided. */
export async function countDocuments(db: Db, accountId: string, butFor: string): Promise<number> {
  const row = await db
    .selectFrom('consents')
    .innerJoin('clients', 'clients.id', 'consents.client_id')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('consents.account_id', '=', accountId)
    .where('consents.client_id', '<>', butFor)
    .where('clients.registered_by', '=', 'document')
    .executeTakeFirstOrThrow();
  return row.count;
}
