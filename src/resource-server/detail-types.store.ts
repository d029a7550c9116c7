import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { DetailType } from './detail.ts';
import type { DetailTypeChanges, NewDetailType } from './detail-types.ts';

/** Every type with its API, by name. */
export async function listDetailTypes(db: Db): Promise<DetailType[]> {
  const rows = await db
    .selectFrom('detail_types as t')
    .innerJoin('resource_servers as r', 'r.id', 't.resource_server_id')
    .select([
      't.type',
      'r.identifier as api',
      't.schema',
      't.words',
      't.remember',
      't.machines',
      't.version',
    ])
    .orderBy('t.type')
    .execute();
  return rows as DetailType[];
}

export async function insertDetailType(
  db: Db,
  resourceServerId: string,
  input: NewDetailType,
): Promise<void> {
  await db
    .insertInto('detail_types')
    .values({
      type: input.type,
      resource_server_id: resourceServerId,
      schema: JSON.stringify(input.schema),
      words: JSON.stringify(input.words),
      remember: input.remember,
      machines: input.machines,
    })
    .execute();
}

export async function updateDetailType(
  db: Db,
  type: string,
  { schema, words, remember, machines }: DetailTypeChanges,
): Promise<void> {
  await db
    .updateTable('detail_types')
    .set({
      ...(schema === undefined ? {} : { schema: JSON.stringify(schema) }),
      ...(words === undefined ? {} : { words: JSON.stringify(words) }),
      remember,
      machines,
      version: sql<number>`version + 1`,
      updated_at: sql<Date>`now()`,
    })
    .where('type', '=', type)
    .execute();
}

/** Gives the identifier of the API that it belonged to; undefined where there was none. */
export async function deleteDetailType(db: Db, type: string): Promise<string | undefined> {
  const row = await db
    .deleteFrom('detail_types as t')
    .using('resource_servers as r')
    .whereRef('r.id', '=', 't.resource_server_id')
    .where('t.type', '=', type)
    .returning('r.identifier')
    .executeTakeFirst();
  return row?.identifier;
}
