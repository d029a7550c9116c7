import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { type EndedPermission, textOf } from './permission.ts';

/** Notes that these have ended now. In one order, so that two changes at once wait for each other without a deadlock. */
export async function insertEnded(db: Db, ended: readonly EndedPermission[]): Promise<void> {
  const texts = [...new Set(ended.map(textOf))].toSorted();
  await sql`
    with moment as (select statement_timestamp() as at)
    insert into ended_permissions (permission, ended_at)
    select one.permission, moment.at from moment, unnest(${texts}::text[]) as one (permission)
    on conflict (permission) do update set ended_at = excluded.ended_at`.execute(db);
}

/** All that still matters: the text of each (see `textOf`) → when it ended, in epoch seconds. */
export async function listEnded(db: Db): Promise<Map<string, number>> {
  const rows = await db.selectFrom('ended_permissions').selectAll().execute();
  return new Map(rows.map((row) => [row.permission, row.ended_at.getTime() / 1_000]));
}

/**
 * Ends what was made by exchange (RFC 8693) from tokens of these clients: it rests on what they carried, and lives no longer.
 */
export async function endMadeFrom(db: Db, clientIds: readonly string[]): Promise<void> {
  if (clientIds.length === 0) return;
  await sql`
    with made as (
      select distinct s.id_hash from token_sources s
      where s.client_id = any(${[...clientIds]}::text[]) and s.expires_at > statement_timestamp()
    ), gone as (
      delete from tokens t using made where t.id_hash = made.id_hash returning t.id_hash, t.kind, t.expires_at
    )
    insert into revoked_tokens (id_hash, expires_at, opaque)
    select id_hash, expires_at, kind <> 'jwt' from gone on conflict (id_hash) do nothing`.execute(
    db,
  );
}

/** As many rows in one statement. */
const BATCH = 5_000;

/**
 * Takes scopes of an API, or the API where they are undefined, out of what people have decided and out of live token families:
 * a later scope of the same name is another permission. In steps, each of its own; safe to repeat.
 */
export async function forgetDecided(
  db: Db,
  identifier: string,
  scopes: readonly string[] | undefined,
): Promise<void> {
  for (const [table, column, path] of [
    ['consents', 'granted', ['resources']],
    ['consents', 'rejected', ['resources']],
    ['grants', 'payload', ['resources']],
    ['grants', 'payload', ['rejected', 'resources']],
  ] as const)
    for (let after: string | undefined = ''; after !== undefined; )
      after = await forgetIn(db, { table, column, path, identifier, scopes, after });
}

interface Forgotten {
  readonly table: 'consents' | 'grants';
  readonly column: 'granted' | 'payload' | 'rejected';
  readonly path: readonly string[];
  readonly identifier: string;
  readonly scopes: readonly string[] | undefined;
  /** The last id of the step before. */
  readonly after: string;
}

/** One step; gives the id to go on behind, or undefined at the end. Scopes are a list in consents and a text in families. */
async function forgetIn(
  db: Db,
  { table, column, path, identifier, scopes, after }: Forgotten,
): Promise<string | undefined> {
  const place = sql`${[...path, identifier]}::text[]`;
  const kept =
    table === 'consents'
      ? sql`(select coalesce(jsonb_agg(s), '[]') from jsonb_array_elements_text(r.${sql.ref(column)} #> ${place}) s where s <> all(${[...(scopes ?? [])]}::text[]))`
      : sql`to_jsonb((select coalesce(string_agg(s, ' '), '') from unnest(string_to_array(r.${sql.ref(column)} #>> ${place}, ' ')) s where s <> all(${[...(scopes ?? [])]}::text[])))`;
  const left =
    scopes === undefined
      ? sql`r.${sql.ref(column)} #- ${place}`
      : sql`jsonb_set(r.${sql.ref(column)}, ${place}, ${kept})`;
  const { rows } = await sql<{ last: string | null }>`
    with page as (
      select id from ${sql.table(table)} where id > ${after} order by id limit ${BATCH}
    ), changed as (
      update ${sql.table(table)} r set ${sql.ref(column)} = ${left}
        ${table === 'consents' ? sql`, version = r.version + 1` : sql``}
      from page where r.id = page.id and r.${sql.ref(column)} #> ${place} is not null returning 1
    )
    select max(id) as last, (select count(*) from changed) as changed from page`.execute(db);
  return rows[0]?.last ?? undefined;
}
