import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AccountService } from '../../src/account/account.service.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Seed } from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';

/** Whoever signs in over and over is ended like everybody else. */

let database: TestDatabase;
let seed: Seed;
let accounts: AccountService;
let statements = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  const counted = database.connect({ observer: () => void (statements += 1) });
  accounts = new AccountService(counted, new Passwords(), new Sealer([testMasterKey]), {
    requireSecondFactor: 'administrators',
    brandName: 'Vouchsafe',
  });
});

afterAll(() => database.drop());

/** An account that has so many sessions, and in each of them a client that wants to hear of its end. */
async function accountWith(sessions: number): Promise<string> {
  const accountId = await seed.account();
  const { clientId } = await seed.client({
    backchannelLogoutUri: 'https://app.example.com/signed-out',
  });
  const run = (text: string) => database.db.pool.query(text, [accountId, sessions]);
  await run(
    `insert into sessions (uid, id_hash, account_id, payload, expires_at)
     select $1 || n, sha256(convert_to($1 || n, 'UTF8')), $1, '{}', now() + interval '1 day'
     from generate_series(1, $2) n`,
  );
  await database.db.pool.query(
    `insert into session_clients (session_uid, client_id, sid)
     select uid, $2, 'sid ' || uid from sessions where account_id = $1`,
    [accountId, clientId],
  );
  return accountId;
}

async function statementsOf(work: () => Promise<unknown>): Promise<number> {
  statements = 0;
  await work();
  return statements;
}

test('SECURITY 22, 23: an account with more sessions than a statement has parameters is disabled as quickly as any', async () => {
  const [plain, restless] = [await accountWith(1), await accountWith(66_000)];
  const few = await statementsOf(() => accounts.setDisabled(plain, true, 'test'));
  expect(await statementsOf(() => accounts.setDisabled(restless, true, 'test'))).toBe(few);
  const { rows } = await database.db.pool.query(
    `select (select count(*)::int from sessions where ended_at is null) as live,
       (select count(distinct about->>'sid')::int from outbox where about->>'accountId' = $1) as told`,
    [restless],
  );
  expect(rows).toEqual([{ live: 0, told: 66_000 }]);
});
