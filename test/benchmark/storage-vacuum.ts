import type pg from 'pg';

/**
 * What autovacuum would do, by the simulated clock: PostgreSQL's own goes by the real one, and would come by once in what
 * is half a day here. The rule is PostgreSQL's, with its defaults and what is set on the tables; the caps on how quickly
 * it goes are not simulated.
 */

const due = `
  select s.relid::regclass::text as name from pg_stat_user_tables s join pg_class c on c.oid = s.relid
  cross join lateral (select
    coalesce(max(option_value) filter (where option_name = 'autovacuum_vacuum_threshold'), '50')::float8 as threshold,
    coalesce(max(option_value) filter (where option_name = 'autovacuum_vacuum_scale_factor'), '0.2')::float8 as scale
    from pg_options_to_table(c.reloptions)) o
  where s.n_dead_tup > o.threshold + o.scale * greatest(c.reltuples, 0)
    or s.n_ins_since_vacuum > 1000 + 0.2 * greatest(c.reltuples, 0)`;

/** One look at all tables; gives the names of those that were vacuumed. */
export async function vacuumDue(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(due);
  for (const { name } of rows) await client.query(`vacuum analyze ${name}`);
  return rows.map(({ name }) => name);
}
