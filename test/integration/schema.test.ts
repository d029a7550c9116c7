import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** Each table of src/db/schema.ts with its columns, and a `?` behind those that may be null. */
function declared(): Record<string, string[]> {
  const text = readFileSync(new URL('../../src/db/schema.ts', import.meta.url), 'utf8');
  const interfaces = new Map(
    [...text.matchAll(/^export interface (\w+) \{\n(.*?)^\}/gms)].map(([, name, body]) => [
      name,
      [...(body ?? '').matchAll(/^ {2}(\w+): (.*);$/gm)],
    ]),
  );
  return Object.fromEntries(
    (interfaces.get('Schema') ?? []).map(([, table, type]) => [
      table,
      (interfaces.get(type) ?? [])
        .map(([, column, is]) => `${column}${/\bnull\b/.test(is ?? '') ? '?' : ''}`)
        .sort(),
    ]),
  );
}

test('the row types say what the migrations have made, column by column', async () => {
  const { rows } = await database.db.pool.query<{ table: string; columns: string[] }>(`
    select c.table_name as table,
      array_agg(c.column_name || case c.is_nullable when 'YES' then '?' else '' end) as columns
    from information_schema.columns c
    where c.table_schema = 'public' and c.table_name !~ '^(kysely_|audit_\\w+_(\\d|rest$))'
    group by c.table_name`);
  const made = Object.fromEntries(rows.map(({ table, columns }) => [table, columns.sort()]));
  expect(declared()).toEqual(made);
});
