import { sql } from 'kysely';
import type { Database, Db } from './database.ts';
import { migrationTables, ourTables } from './tables.ts';

/**
 * What the server role may do with a table, where that is less than all. Events are only added; what is personal of them
 * is added and erased, and to find it by its account needs that one column.
 */
const limited: Readonly<Record<string, { rights: string; columns?: string }>> = {
  audit_events: { rights: 'insert' },
  audit_people: { rights: 'insert, delete', columns: 'select (account_id)' },
  kysely_migration: { rights: 'select' },
  kysely_migration_lock: { rights: 'select' },
};

const all = 'select, insert, update, delete';

/** The migrations' lock serves the rights as well: they follow the tables. Any number will do. */
const rightsLock = 0x766f7567;

/**
 * Gives the server role its rights on every table of ours, and takes away what is more: after the migrations, by the owner.
 * Partitions get none, because rows come to them by their parent. Several processes may call it at once.
 */
export function grantToServer(owner: Database, role: string): Promise<void> {
  return owner.transaction((trx) => grantRights(trx, role));
}

/** The same in the transaction that has made the tables. */
export async function grantRights(trx: Db, role: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(${rightsLock})`.execute(trx);
  const { rows } = await sql<{ name: string; partition: boolean; rights: string | null }>`
    select c.relname as name, c.relispartition as partition,
      (select string_agg(lower(a.privilege_type), ', ' order by array_position(
          array['SELECT', 'INSERT', 'UPDATE', 'DELETE'], a.privilege_type))
        from aclexplode(c.relacl) a where a.grantee = r.oid) as rights
    from pg_class c, pg_roles r
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and coalesce((select p.relname from pg_inherits i join pg_class p on p.oid = i.inhparent
        where i.inhrelid = c.oid and c.relispartition), c.relname) = any(${[...ourTables, ...migrationTables]}::text[])
      and r.rolname = ${role} and c.relowner <> r.oid`.execute(trx);
  const to = sql.ref(role);
  for (const { name, partition, rights } of rows) {
    const { rights: wanted, columns } = partition
      ? { rights: '', columns: undefined }
      : (limited[name] ?? { rights: all, columns: undefined });
    if ((rights ?? '') === wanted) continue;
    const table = sql.table(name);
    if (rights !== null) await sql`revoke all on ${table} from ${to}`.execute(trx);
    if (wanted !== '') await sql`grant ${sql.raw(wanted)} on ${table} to ${to}`.execute(trx);
    if (columns !== undefined)
      await sql`grant ${sql.raw(columns)} on ${table} to ${to}`.execute(trx);
  }
}

/** Who a pool is to the database. */
export async function roleOf({ kysely }: Database): Promise<string> {
  const { rows } = await sql<{ role: string }>`select current_user as role`.execute(kysely);
  return rows[0]?.role ?? '';
}

/**
 * Whether this role could change or remove what the audit holds: by itself, or by a function in the schema that the owner's
 * statements would find. PUBLIC may create such in `public` on a database from before PostgreSQL 15.
 */
export async function canChangeAudit({ kysely }: Database): Promise<boolean> {
  const { rows } = await sql<{ can: boolean }>`
    select has_table_privilege('audit_events', 'update') or has_table_privilege('audit_events', 'delete')
      or has_table_privilege('audit_events', 'truncate')
      or has_schema_privilege(current_schema()::text, 'create') as can`.execute(kysely);
  return rows[0]?.can ?? true;
}
