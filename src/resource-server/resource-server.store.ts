import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { DetailType } from './detail.ts';
import type {
  NewResourceServer,
  ResourceServer,
  ResourceServerChanges,
} from './resource-server.ts';
import { insertScopes } from './scopes.store.ts';

/** Every API with its scopes, in the order in which they were given, and its types of authorization details. */
export async function listResourceServers(db: Db): Promise<ResourceServer[]> {
  const { rows } = await sql<{
    id: string;
    identifier: string;
    name: string;
    token_format: 'opaque' | 'jwt';
    access_token_ttl: number;
    signing_alg: ResourceServer['signingAlg'];
    token_typ: ResourceServer['tokenTyp'];
    takes_plain_typ: boolean;
    scopes: [string, string, boolean, string | null][];
    detail_types: DetailType[];
  }>`select r.id, r.identifier, r.name, r.token_format, r.access_token_ttl, r.signing_alg, r.token_typ,
       (r.token_typ = 'JWT' or coalesce(r.plain_typ_until > now(), false)) as takes_plain_typ,
       (select coalesce(jsonb_agg(jsonb_build_array(s.scope, s.description, s.open, s.verb) order by s.position), '[]')
        from resource_server_scopes s where s.resource_server_id = r.id) as scopes,
       (select coalesce(jsonb_agg(jsonb_build_object('type', t.type, 'api', r.identifier, 'schema', t.schema, 'words', t.words,
          'remember', t.remember, 'machines', t.machines, 'version', t.version) order by t.type), '[]')
        from detail_types t where t.resource_server_id = r.id) as detail_types
     from resource_servers r order by r.name, r.id`.execute(db);
  return rows.map((row) => ({
    id: row.id,
    identifier: row.identifier,
    name: row.name,
    tokenFormat: row.token_format,
    accessTokenTtl: row.access_token_ttl,
    signingAlg: row.signing_alg,
    tokenTyp: row.token_typ,
    takesPlainTyp: row.takes_plain_typ,
    scopes: new Map(
      row.scopes.map(([scope, description, , verb]) => [
        scope,
        { verb: verb ?? undefined, description },
      ]),
    ),
    openScopes: new Set(row.scopes.flatMap(([scope, , open]) => (open ? [scope] : []))),
    detailTypes: row.detail_types,
  }));
}

export async function insertResourceServer(
  db: Db,
  id: string,
  input: NewResourceServer,
): Promise<void> {
  await db
    .insertInto('resource_servers')
    .values({
      id,
      identifier: input.identifier,
      name: input.name,
      token_format: input.tokenFormat,
      access_token_ttl: input.accessTokenTtl,
      signing_alg: input.signingAlg,
      token_typ: input.tokenTyp,
    })
    .execute();
  await insertScopes(db, id, input.scopes, input.openScopes);
}

/** Changes what is given of the API; gives its id, or undefined where there is none. */
export async function updateResourceServer(
  db: Db,
  identifier: string,
  changes: ResourceServerChanges,
): Promise<string | undefined> {
  const row = await db
    .updateTable('resource_servers')
    .set({
      name: changes.name,
      token_format: changes.tokenFormat,
      token_typ: changes.tokenTyp,
      // As long as the last of them may live, and a little for clocks.
      ...(changes.tokenTyp === 'at+jwt'
        ? {
            plain_typ_until: sql<Date>`case when token_typ = 'JWT' then now() + interval '25 hours' else plain_typ_until end`,
          }
        : {}),
      signing_alg: changes.signingAlg,
      access_token_ttl: changes.accessTokenTtl,
      updated_at: sql<Date>`now()`,
    })
    .where('identifier', '=', identifier)
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}
