import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mailWrite } from '../../src/email/email.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { insertOutbox } from '../../src/outbox/outbox.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/process.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';

/** A mail server that takes connections and says nothing. */

let database: TestDatabase;
let silent: Server;
let server: ServerProcess | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
});

afterAll(async () => {
  await server?.stop();
  silent.close();
  await database.drop();
});

test('while mails wait for a mail server that hangs, what is done by the clock goes on', async () => {
  const sealer = new Sealer([testMasterKey]);
  for (let i = 0; i < 40; i++)
    await insertOutbox(
      database.db.kysely,
      mailWrite(sealer, { template: 'registration_attempt', to: `ann${i}@example.com` }),
    );
  const { port } = silent.address() as AddressInfo;
  server = await startServerProcess(database, 'http://localhost:3000', {
    SMTP_URL: `smtp://127.0.0.1:${port}`,
    MAIL_FROM: 'id@example.com',
    LOG_LEVEL: 'silent',
  });
  const run = async (text: string) => (await database.db.pool.query(text)).rows;
  // Its places are taken; all of the mails would take a hundred seconds.
  await until(
    async () =>
      (await run(`select 1 from outbox where kind = 'mail' and leased_until > now()`)).length > 2,
  );
  await run(`update outbox set due_at = now() where kind like 'clock:%' and leased_until is null`);
  const waiting = `select id from outbox where kind like 'clock:%' and due_at <= now()`;
  await until(async () => (await run(waiting)).length === 0);
  expect(
    (await run(`select 1 from outbox where kind = 'mail' and attempts = 0`)).length,
  ).toBeGreaterThan(0);
});
