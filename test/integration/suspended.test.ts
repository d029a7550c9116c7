import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { basic, form, send } from '../support/wire.ts';

/** A process that stood still for seconds, as machines that are moved do, and was asked before it could look around. */

const api = 'https://jwt.example.com';
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(api, 'jwt', ['read']);
  server = await startServerProcess(database, 'http://localhost:3000');
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

/** Stops it, but not in the middle of a transaction: what that holds would be held from us too. */
async function suspended(): Promise<boolean> {
  process.kill(server.pid, 'SIGSTOP');
  const { rows } = await sql`select from pg_stat_activity where datname = current_database()
    and pid <> pg_backend_pid() and state <> 'idle'`.execute(database.db.kysely);
  if (rows.length > 0) process.kill(server.pid, 'SIGCONT');
  return rows.length === 0;
}

test('SECURITY 22: what waited for it gets no token of a client that was disabled meanwhile, whichever way it goes', async () => {
  const machine = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
  });
  const ask = async (more: Record<string, string>) => {
    const fields = { grant_type: 'client_credentials', resource: api, ...more };
    const body = form(fields);
    return (await send(server.url, '/token', { method: 'POST', headers: basic(machine), body }))
      .status;
  };
  expect(await ask({})).toBe(200);
  await until(suspended);
  const stopped = performance.now();
  await seed.disableClient(machine.clientId);
  const asked = Promise.all([ask({}), ask({ unknown: 'x' }), ask({}), ask({ unknown: 'x' })]);
  await until(async () => performance.now() - stopped > 3_500);
  process.kill(server.pid, 'SIGCONT');
  expect(await asked).toEqual([401, 401, 401, 401]);
});
