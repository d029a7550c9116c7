import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { ExchangeRule } from './exchange.ts';

/** The rules of a client, or all of them, by client and APIs. */
export async function listRules(db: Db, clientId?: string): Promise<ExchangeRule[]> {
  let query = db
    .selectFrom('exchange_rules as r')
    .innerJoin('resource_servers as source', 'source.id', 'r.source_id')
    .innerJoin('resource_servers as target', 'target.id', 'r.target_id')
    .select([
      'r.id',
      'r.client_id as clientId',
      'source.identifier as source',
      'target.identifier as target',
      'r.scopes',
      'r.impersonation',
      'r.actors',
    ])
    .orderBy('r.client_id')
    .orderBy('source.identifier')
    .orderBy('target.identifier');
  if (clientId !== undefined) query = query.where('r.client_id', '=', clientId);
  return query.execute();
}

/** Writes the rule in place of the one for the same client and APIs; gives its id, which is that one's where there was one. */
export async function putRule(
  db: Db,
  rule: ExchangeRule,
  sourceId: string,
  targetId: string,
): Promise<string> {
  const changes = {
    scopes: [...rule.scopes],
    impersonation: rule.impersonation,
    actors: [...rule.actors],
  };
  const { id } = await db
    .insertInto('exchange_rules')
    .values({
      id: rule.id,
      client_id: rule.clientId,
      source_id: sourceId,
      target_id: targetId,
      ...changes,
    })
    .onConflict((conflict) =>
      conflict.columns(['client_id', 'source_id', 'target_id']).doUpdateSet(changes),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** Deletes a rule, and gives whose it was. */
export async function deleteRule(db: Db, id: string): Promise<string | undefined> {
  const row = await db
    .deleteFrom('exchange_rules')
    .where('id', '=', id)
    .returning('client_id')
    .executeTakeFirst();
  return row?.client_id;
}

/** Those of the clients that there are none of. */
export async function findUnknownClients(db: Db, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .selectFrom('clients')
    .select('id')
    .where(sql<boolean>`id = any(${[...ids]}::text[])`)
    .execute();
  const known = new Set(rows.map((row) => row.id));
  return ids.filter((id) => !known.has(id));
}
