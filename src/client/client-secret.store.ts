import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ShownSecret } from './client.ts';

/** What may be shown of the client's secrets, the oldest first. */
export async function listSecrets(db: Db, clientId: string): Promise<ShownSecret[]> {
  const rows = await db
    .selectFrom('client_secrets')
    .select(['last_four', 'created_at', 'expires_at'])
    .where('client_id', '=', clientId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    lastFour: row.last_four,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
  }));
}

export async function insertSecret(
  db: Db,
  secret: { id: string; clientId: string; hash: Buffer; lastFour: string },
): Promise<void> {
  await db
    .insertInto('client_secrets')
    .values({
      id: secret.id,
      client_id: secret.clientId,
      secret_hash: secret.hash,
      last_four: secret.lastFour,
      expires_at: null,
    })
    .execute();
}

/** How many secrets of the client are live. Locks the client, so that two additions at once are counted. */
export async function countSecrets(db: Db, clientId: string): Promise<number> {
  await db.selectFrom('clients').select('id').where('id', '=', clientId).forUpdate().execute();
  const row = await db
    .selectFrom('client_secrets')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('client_id', '=', clientId)
    .where(({ eb }) =>
      eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]),
    )
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Deletes the oldest secret of the client that is live, or does nothing where there is none. */
export async function deleteOldestSecret(db: Db, clientId: string): Promise<void> {
  await sql`delete from client_secrets where id = (
    select id from client_secrets where client_id = ${clientId} order by created_at, id limit 1)`.execute(
    db,
  );
}

/** Deletes every secret of the client. */
export async function deleteSecrets(db: Db, clientId: string): Promise<void> {
  await db.deleteFrom('client_secrets').where('client_id', '=', clientId).execute();
}
