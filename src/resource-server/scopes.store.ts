import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { NewScope } from './resource-server.ts';

/** The scopes of APIs, and who may ask for them. */

/** Adds scopes behind those that there are; one that is there already gets the new words and keeps its place. */
export async function insertScopes(
  db: Db,
  id: string,
  scopes: readonly NewScope[],
  openScopes: readonly string[] = [],
): Promise<void> {
  if (scopes.length === 0) return;
  const { next } = await db
    .selectFrom('resource_server_scopes')
    .select(sql<number>`coalesce(max(position) + 1, 0)::integer`.as('next'))
    .where('resource_server_id', '=', id)
    .executeTakeFirstOrThrow();
  await db
    .insertInto('resource_server_scopes')
    .values(
      scopes.map(({ scope, verb, description }, index) => ({
        resource_server_id: id,
        scope,
        verb: verb ?? null,
        description,
        position: next + index,
        open: openScopes.includes(scope),
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['resource_server_id', 'scope']).doUpdateSet((eb) => ({
        verb: eb.ref('excluded.verb'),
        description: eb.ref('excluded.description'),
      })),
    )
    .execute();
}

/** Opens these scopes of the API, and no others, to clients that register themselves. */
export async function updateOpenScopes(
  db: Db,
  id: string,
  scopes: readonly string[],
): Promise<void> {
  await db
    .updateTable('resource_server_scopes')
    .set({ open: sql<boolean>`scope = any(${[...scopes]}::text[])` })
    .where('resource_server_id', '=', id)
    .execute();
}

/** Removes scopes from the API, from its clients, and from the rules by which tokens for it are made. */
export async function deleteScopes(db: Db, id: string, scopes: readonly string[]): Promise<void> {
  const gone = sql`${[...scopes]}::text[]`;
  await sql`update exchange_rules set scopes = array(select s from unnest(scopes) s where s <> all(${gone}))
    where target_id = ${id} and scopes && ${gone}`.execute(db);
  await sql`update trusted_subjects set scopes = array(select s from unnest(scopes) s where s <> all(${gone}))
    where resource_server_id = ${id} and scopes && ${gone}`.execute(db);
  await db
    .deleteFrom('resource_server_scopes')
    .where('resource_server_id', '=', id)
    .where('scope', 'in', [...scopes])
    .execute();
}

/** The clients that may ask for any of these scopes of the API, because an operator let them. */
export async function listClientsOf(
  db: Db,
  id: string,
  scopes: readonly string[],
): Promise<string[]> {
  const rows = await db
    .selectFrom('client_scopes')
    .select('client_id')
    .distinct()
    .where('resource_server_id', '=', id)
    .where('scope', '=', sql<string>`any(${[...scopes]}::text[])`)
    .execute();
  return rows.map((row) => row.client_id);
}

/** The clients that registered themselves, and may ask for an open scope only because it is open. */
export async function listOpenClients(db: Db, id: string, scope: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select c.id from clients c where c.registered_by is not null and c.deleted_at is null
      and not exists (select from client_scopes s
        where s.client_id = c.id and s.resource_server_id = ${id} and s.scope = ${scope})`.execute(
    db,
  );
  return rows.map((row) => row.id);
}
