import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { GatewayRule } from './gateway.ts';

/** The rules of an API in their order. */
export async function listRules(db: Db, resourceServerId: string): Promise<GatewayRule[]> {
  return db
    .selectFrom('gateway_rules')
    .select(['id', 'methods', 'path', 'scopes', 'roles', 'public'])
    .where('resource_server_id', '=', resourceServerId)
    .orderBy('position')
    .execute();
}

/** Holds the API until the transaction ends, so that changes of its rules come one after the other. */
export async function lockResourceServer(db: Db, id: string): Promise<void> {
  await db.selectFrom('resource_servers').select('id').where('id', '=', id).forUpdate().execute();
}

/** Inserts a rule before the one that is at `index` now, counted from 0, or as the last one. */
export async function insertRule(
  db: Db,
  resourceServerId: string,
  rule: GatewayRule,
  index: number,
): Promise<void> {
  const rules = await db
    .selectFrom('gateway_rules')
    .select('position')
    .where('resource_server_id', '=', resourceServerId)
    .orderBy('position')
    .execute();
  const position = rules[index]?.position ?? (rules.at(-1)?.position ?? 0) + 1;
  await db
    .updateTable('gateway_rules')
    .set({ position: sql<number>`position + 1` })
    .where('resource_server_id', '=', resourceServerId)
    .where('position', '>=', position)
    .execute();
  await db
    .insertInto('gateway_rules')
    .values({
      id: rule.id,
      resource_server_id: resourceServerId,
      position,
      methods: [...rule.methods],
      path: rule.path,
      scopes: [...rule.scopes],
      roles: [...rule.roles],
      public: rule.public,
    })
    .execute();
}

/** Deletes a rule, and gives what it was. */
export async function deleteRule(
  db: Db,
  id: string,
): Promise<(GatewayRule & { readonly resourceServerId: string }) | undefined> {
  return db
    .deleteFrom('gateway_rules')
    .where('id', '=', id)
    .returning([
      'id',
      'resource_server_id as resourceServerId',
      'methods',
      'path',
      'scopes',
      'roles',
      'public',
    ])
    .executeTakeFirst();
}
