import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/** A token that was presented, and is ours. */
export interface FoundToken {
  readonly kind: string;
  readonly idHash: Buffer;
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly grantId: string | undefined;
  readonly expiresAt: Date;
}

/** An opaque one by its hash, used or not. */
export async function findOpaque(db: Db, idHash: Buffer): Promise<FoundToken | undefined> {
  const row = await db
    .selectFrom('tokens')
    .select(['kind', 'client_id', 'account_id', 'grant_id', 'expires_at'])
    .where('id_hash', '=', idHash)
    .where('kind', '<>', 'jwt')
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  return (
    row && {
      kind: row.kind,
      idHash,
      clientId: row.client_id,
      accountId: row.account_id ?? undefined,
      grantId: row.grant_id ?? undefined,
      expiresAt: row.expires_at,
    }
  );
}

/** Whose a JWT is, by its row; undefined for a machine's, which has none. */
export async function findAccountOf(db: Db, idHash: Buffer): Promise<string | undefined> {
  const row = await db
    .selectFrom('tokens')
    .select('account_id')
    .where('id_hash', '=', idHash)
    .executeTakeFirst();
  return row?.account_id ?? undefined;
}

/** An access token's row is gone; what was made from it ends by the denylist, which tells of a JWT until that ends by itself. */
export async function endToken(db: Db, { kind, idHash, expiresAt }: FoundToken): Promise<void> {
  await db.deleteFrom('tokens').where('id_hash', '=', idHash).execute();
  await db
    .insertInto('revoked_tokens')
    .values({ id_hash: idHash, expires_at: expiresAt, opaque: kind !== 'jwt' })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
