import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

/** What rests on an API. */
export interface RestsOnApi {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  /** Client ids and names of those that may ask for its scopes because an operator let them. */
  readonly clients: readonly { readonly id: string; readonly name: string }[];
  /** Its scopes that every client may ask for that registered itself. */
  readonly openScopes: readonly string[];
  /** The client ids with which it introspects. */
  readonly introspects: readonly string[];
  /** Whose tokens are for it where they name no API. */
  readonly defaultOf: readonly string[];
  readonly detailTypes: readonly string[];
  readonly exchangeRules: number;
  readonly trustedSubjects: number;
  readonly gatewayRules: number;
}

/** Reads what rests on an API; undefined where there is none. */
export async function findRestsOnApi(db: Db, identifier: string): Promise<RestsOnApi | undefined> {
  const { rows } = await sql<RestsOnApi>`
    select r.id, r.name,
      array(select s.scope from resource_server_scopes s where s.resource_server_id = r.id order by s.position) as scopes,
      (select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'name', c.name) order by c.name, c.id), '[]') from clients c
        where c.deleted_at is null
          and exists (select from client_scopes s where s.client_id = c.id and s.resource_server_id = r.id)) as clients,
      array(select s.scope from resource_server_scopes s where s.resource_server_id = r.id and s.open order by s.position) as "openScopes",
      array(select c.id from clients c where c.resource_server_id = r.id order by c.id) as introspects,
      array(select c.id from clients c where c.settings->>'defaultResource' = r.identifier order by c.id) as "defaultOf",
      array(select t.type from detail_types t where t.resource_server_id = r.id order by t.type) as "detailTypes",
      (select count(*)::integer from exchange_rules e where r.id in (e.source_id, e.target_id)) as "exchangeRules",
      (select count(*)::integer from trusted_subjects t where t.resource_server_id = r.id) as "trustedSubjects",
      (select count(*)::integer from gateway_rules g where g.resource_server_id = r.id) as "gatewayRules"
    from resource_servers r where r.identifier = ${identifier}`.execute(db);
  return rows[0];
}

/** Deletes the API with all that belongs to it, and takes it out of what was set for clients. */
export async function deleteApi(
  db: Db,
  identifier: string,
  { id, detailTypes }: Pick<RestsOnApi, 'detailTypes' | 'id'>,
): Promise<void> {
  await sql`
    update clients set settings = settings - 'defaultResource' where settings->>'defaultResource' = ${identifier}`.execute(
    db,
  );
  if (detailTypes.length > 0)
    await sql`
      update clients set settings = jsonb_set(settings, '{authorizationDetailsTypes}',
        (settings->'authorizationDetailsTypes') - ${[...detailTypes]}::text[])
      where settings->'authorizationDetailsTypes' ?| ${[...detailTypes]}::text[]`.execute(db);
  await db.deleteFrom('resource_servers').where('id', '=', id).execute();
}

/** Holds the row of the API until the transaction ends; gives its id, or undefined where there is none. */
export async function lockApi(db: Db, identifier: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('resource_servers')
    .select('id')
    .where('identifier', '=', identifier)
    .forUpdate()
    .executeTakeFirst();
  return row?.id;
}
