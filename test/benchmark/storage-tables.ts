import type pg from 'pg';

/** How many rows of each table still serve a purpose, how many there are, and what they take. */

/** Not ended: neither revoked, nor over. */
const liveFamily = 'g.revoked_at is null and g.expires_at > now()';

/**
 * What of a table serves a purpose. Nothing is granted to cleaning here: neither the minutes that it waits, nor its turn.
 * A table that is not named has no row that ends.
 */
const live: Readonly<Record<string, string>> = {
  // Used codes for a day and used refresh tokens to their family's end, so that a replay is seen; JWTs as long as APIs
  // accept them, so that their revocation is told.
  tokens: `(r.expires_at > now() or r.kind = 'code' and r.expires_at > now() - interval '1 day')
    and (r.kind = 'jwt' or r.grant_id is null or exists (select from grants g where g.id = r.grant_id and ${liveFamily}))`,
  grants: `r.revoked_at is null and r.expires_at > now()
    or exists (select from tokens t where t.grant_id = r.id and t.kind = 'jwt' and t.expires_at > now())`,
  sessions: 'r.ended_at is null and r.expires_at > now()',
  session_clients:
    'exists (select from sessions s where s.uid = r.session_uid and s.ended_at is null and s.expires_at > now())',
  interactions: 'r.expires_at > now()',
  revoked_tokens: 'r.expires_at > now()',
  replays: 'r.expires_at > now()',
  action_links: 'r.expires_at > now()',
  rate_limits: 'r.expire > extract(epoch from now()) * 1000',
  // For the operator: what was delivered for a day, what was given up for a month.
  outbox: `coalesce(r.done_at > now() - interval '1 day', r.dead_at > now() - interval '30 days', true)`,
};

export interface Counted {
  readonly table: string;
  readonly rows: number;
  readonly live: number;
  /** As PostgreSQL estimates them. */
  readonly dead: number;
}

export interface Sized {
  readonly heap: number;
  readonly indexes: number;
}

/** The tables that have rows, by name. */
export async function countTables(client: pg.Client): Promise<Counted[]> {
  const { rows: tables } = await client.query<{ name: string; dead: number }>(`
    select c.relname as name, coalesce(s.n_dead_tup, 0)::int as dead
    from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname not like 'kysely_%' order by 1`);
  const counted: Counted[] = [];
  for (const { name, dead } of tables) {
    const { rows } = await client.query<{ rows: number; live: number }>(
      `select count(*)::int as rows, (count(*) filter (where ${live[name] ?? 'true'}))::int as live from ${name} r`,
    );
    const [row] = rows;
    if (row !== undefined && row.rows > 0) counted.push({ table: name, dead, ...row });
  }
  return counted;
}

/** Bytes of a table and of its indexes; of all parts, where it has parts. */
export async function sizeOf(client: pg.Client, table: string): Promise<Sized> {
  const { rows } = await client.query<Sized>(
    `with parts as (select relid from pg_partition_tree($1) union select $1::regclass)
     select sum(pg_relation_size(c.oid) + case when c.reltoastrelid = 0 then 0 else pg_relation_size(c.reltoastrelid) end)::float8 as heap,
       sum(pg_indexes_size(c.oid))::float8 as indexes
     from parts join pg_class c on c.oid = parts.relid`,
    [table],
  );
  return rows[0] as Sized;
}

/** What the table's live rows take when they, and nothing else, are written anew. The rest of it is gone after that. */
export async function rewrite(client: pg.Client, table: string): Promise<Sized> {
  await client.query(`delete from ${table} r where not (${live[table] ?? 'true'})`);
  await client.query(`vacuum full ${table}`);
  return sizeOf(client, table);
}
