import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Client } from '../client/client.ts';
import { isDecided } from '../db/decided-clients.ts';
import type { InitialToken } from './client-registration.ts';

/** Open registrations wait for each other, so that what is counted stays true until the commit. */
export async function lockAnybody(db: Db): Promise<void> {
  await sql`select from instance where key = 'anybody_registers' for update`.execute(db);
}

/** An operator has decided something about the client: it stays, and takes no room from those that nobody here knows. */
const decided = sql.raw(isDecided('c'));

/**
 * How many clients of anybody have never been used: from this address, and in all. Those that were deleted count until they
 * are gone, or registering and deleting in turn would leave rows without end.
 */
export async function countUnused(db: Db, from: Buffer): Promise<{ here: number; all: number }> {
  const { rows } = await sql<{ here: number; all: number }>`
    select count(*) filter (where r.registered_from_mac = ${from}) as here, count(*) as "all"
    from clients c join client_registrations r on r.client_id = c.id
    where c.registered_by is not null and c.used_at is null and c.registered_by = 'anybody'
      and (c.disabled_at is null or c.deleted_at is not null) and not ${decided}`.execute(db);
  return rows[0] as { here: number; all: number };
}

export async function insertRegistration(
  db: Db,
  registration: {
    readonly clientId: string;
    readonly tokenHash: Buffer;
    readonly from: Buffer | undefined;
    readonly initialTokenId: string | undefined;
  },
): Promise<void> {
  await db
    .insertInto('client_registrations')
    .values({
      client_id: registration.clientId,
      token_hash: registration.tokenHash,
      registered_from_mac: registration.from ?? null,
      initial_access_token_id: registration.initialTokenId ?? null,
    })
    .execute();
}

type Twin = Pick<Client, 'metadata' | 'name' | 'type'> & { readonly settings: object };

/**
 * The oldest client that anybody registered from this address with the same metadata, that nobody has used, and about which no
 * operator has decided anything.
 */
const oldestTwin = (from: Buffer, { name, type, metadata, settings }: Twin) => sql`
  select c.id from clients c join client_registrations r on r.client_id = c.id
  where r.registered_from_mac = ${from} and c.registered_by = 'anybody'
    and not ${decided} and c.used_at is null and c.disabled_at is null and c.deleted_at is null and c.name = ${name} and c.type = ${type}
    and c.metadata = ${JSON.stringify(metadata)}::jsonb and c.settings = ${JSON.stringify(settings)}::jsonb
  order by c.created_at limit 1`;

export async function hasTwin(db: Db, from: Buffer, twin: Twin): Promise<boolean> {
  return (await oldestTwin(from, twin).execute(db)).rows.length > 0;
}

/** Deletes it; gives whether there was one. It is held first, so that what is decided at the same moment counts. */
export async function deleteOldestTwin(db: Db, from: Buffer, twin: Twin): Promise<boolean> {
  const found = await sql<{ id: string }>`${oldestTwin(from, twin)} for update of c`.execute(db);
  const { rows } = await sql`
    delete from clients c where c.id = ${found.rows[0]?.id ?? null} and c.used_at is null and not ${decided}
    returning c.id`.execute(db);
  return rows.length > 0;
}

/** The client that a registration access token manages, and whether the token is one that replaces another. */
export async function findManaged(
  db: Db,
  tokenHash: Buffer,
): Promise<{ id: string; isNext: boolean } | undefined> {
  const row = await db
    .selectFrom('client_registrations')
    .select(['client_id', 'next_token_hash'])
    .where((row) =>
      row.or([row('token_hash', '=', tokenHash), row('next_token_hash', '=', tokenHash)]),
    )
    .executeTakeFirst();
  return row && { id: row.client_id, isNext: row.next_token_hash?.equals(tokenHash) ?? false };
}

/** Keeps a token that replaces the client's own once it is used. */
export async function setNextToken(db: Db, clientId: string, tokenHash: Buffer): Promise<void> {
  await db
    .updateTable('client_registrations')
    .set({ next_token_hash: tokenHash })
    .where('client_id', '=', clientId)
    .execute();
}

/** The token that replaces another was used: the other one ends. */
export async function promoteToken(db: Db, clientId: string, tokenHash: Buffer): Promise<void> {
  await db
    .updateTable('client_registrations')
    .set({ token_hash: tokenHash, next_token_hash: null })
    .where('client_id', '=', clientId)
    .where('next_token_hash', '=', tokenHash)
    .execute();
}

export async function forgetToken(db: Db, clientId: string): Promise<void> {
  await db
    .updateTable('client_registrations')
    .set({ token_hash: null, next_token_hash: null })
    .where('client_id', '=', clientId)
    .execute();
}

interface InitialTokenRow {
  id: string;
  name: string;
  apis: Record<string, string[]>;
  uses_left: number;
  created_at: Date;
  expires_at: Date;
}

const toInitialToken = (row: InitialTokenRow): InitialToken => ({
  id: row.id,
  name: row.name,
  usesLeft: row.uses_left,
  apis: row.apis,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
});

const columns = ['id', 'name', 'apis', 'uses_left', 'created_at', 'expires_at'] as const;

/** Whether the token has a use left. */
export async function isUsableToken(db: Db, tokenHash: Buffer): Promise<boolean> {
  const row = await db
    .selectFrom('initial_access_tokens')
    .select('id')
    .where('token_hash', '=', tokenHash)
    .where('uses_left', '>', 0)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  return row !== undefined;
}

/** Takes one use of the token, if it has one left; undefined where it has none, is over, or is none. */
export async function useInitialToken(
  db: Db,
  tokenHash: Buffer,
): Promise<InitialToken | undefined> {
  const row = await db
    .updateTable('initial_access_tokens')
    .set({ uses_left: sql<number>`uses_left - 1` })
    .where('token_hash', '=', tokenHash)
    .where('uses_left', '>', 0)
    .where('expires_at', '>', sql<Date>`now()`)
    .returning(columns)
    .executeTakeFirst();
  return row && toInitialToken(row);
}

export async function insertInitialToken(
  db: Db,
  token: {
    readonly id: string;
    readonly hash: Buffer;
    readonly name: string;
    readonly uses: number;
    readonly days: number;
    readonly apis: Readonly<Record<string, readonly string[]>>;
  },
): Promise<Date> {
  const row = await db
    .insertInto('initial_access_tokens')
    .values({
      id: token.id,
      token_hash: token.hash,
      name: token.name,
      apis: JSON.stringify(token.apis),
      uses_left: token.uses,
      expires_at: sql<Date>`now() + make_interval(days => ${token.days})`,
    })
    .returning('expires_at')
    .executeTakeFirstOrThrow();
  return row.expires_at;
}

/** Those that are good for something, the newest first. */
export async function listInitialTokens(db: Db): Promise<InitialToken[]> {
  const rows = await db
    .selectFrom('initial_access_tokens')
    .select(columns)
    .where('expires_at', '>', sql<Date>`now()`)
    .where('uses_left', '>', 0)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute();
  return rows.map(toInitialToken);
}

/** Gives whether there was one. */
export async function deleteInitialToken(db: Db, id: string): Promise<boolean> {
  const result = await db
    .deleteFrom('initial_access_tokens')
    .where('id', '=', id)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}
