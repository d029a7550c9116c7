import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { appRole, type Cluster, startCluster } from '../support/cluster.ts';
import {
  type ClusterServer,
  clusterUrl,
  issueToken,
  refusedStart,
  startClusterServer,
} from '../support/cluster-server.ts';
import { type Pgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import { until } from '../support/process.ts';
import { isActive, post } from '../support/protocol.ts';

/** PgBouncer as Debian has it (1.18), which does not follow prepared statements. */

let cluster: Cluster;
let pgbouncer: Pgbouncer | undefined;
let server: ClusterServer | undefined;

beforeAll(async () => {
  cluster = await startCluster();
  for (const name of ['statement_timeout', 'idle_in_transaction_session_timeout'])
    await cluster.primary.query(`alter role ${appRole.user} set ${name} = '5s'`);
});

afterEach(async () => {
  await server?.main.stop();
  await pgbouncer?.stop();
  server = pgbouncer = undefined;
});

afterAll(() => cluster.stop());

async function behind(
  mode: 'session' | 'transaction' | 'statement',
  env: Record<string, string> = {},
): Promise<ClusterServer> {
  pgbouncer = await startPgbouncer(cluster, mode);
  server = await startClusterServer(clusterUrl([pgbouncer.port]), env);
  return server;
}

/** Many at once, so that server connections go from client to client. */
async function works({ url }: ClusterServer): Promise<void> {
  const { client, token } = await issueToken(cluster, url);
  const answers = await Promise.all(
    Array.from({ length: 40 }, async (_, index) =>
      index % 4 === 0
        ? (await post(url, '/token', client, { grant_type: 'client_credentials' })).status < 500
        : isActive(url, client, token),
    ),
  );
  expect(answers).toEqual(answers.map(() => true));
}

/** One role is what the test has, and the server warns of that. */
const warnings = (log: string) => log.split('\n').filter((line) => /"level":[456]0/.test(line));

describe('22: PgBouncer', () => {
  test('works in transaction mode without prepared statements', async () => {
    const { main, ready } = await behind('transaction', { DATABASE_PREPARED: 'false' });
    await works(server as ClusterServer);
    expect((await ready()).status).toBe(200);
    expect(warnings(main.stderr)).toEqual([expect.stringContaining('DATABASE_OWNER_URL')]);
  });

  test('works in session mode as it is', async () => {
    const { main, ready } = await behind('session');
    await works(server as ClusterServer);
    expect((await ready()).status).toBe(200);
    expect(warnings(main.stderr)).toEqual([expect.stringContaining('DATABASE_OWNER_URL')]);
  });

  test('in a mode or with a setting that can not work, the start is refused by name', async () => {
    pgbouncer = await startPgbouncer(cluster, 'transaction');
    expect(await refusedStart(clusterUrl([pgbouncer.port]))).toContain('DATABASE_PREPARED=false');
    await cluster.primary.query(`alter role ${appRole.user} set search_path = elsewhere`);
    await pgbouncer.leadTo(cluster.primary.port);
    await pgbouncer.stop();
    pgbouncer = await startPgbouncer(cluster, 'transaction');
    expect(
      await refusedStart(clusterUrl([pgbouncer.port]), { DATABASE_PREPARED: 'false' }),
    ).toContain('search_path = public');
    await cluster.primary.query(`alter role ${appRole.user} reset search_path`);
    await pgbouncer.stop();
    pgbouncer = await startPgbouncer(cluster, 'statement');
    expect(
      await refusedStart(clusterUrl([pgbouncer.port]), { DATABASE_PREPARED: 'false' }),
    ).toContain('pool_mode');
  });

  test('time limits that it does not pass on are warned of', async () => {
    await cluster.primary.query(`alter role ${appRole.user} reset statement_timeout`);
    const { main } = await behind('transaction', { DATABASE_PREPARED: 'false' });
    expect(main.stderr).toContain('statement_timeout');
    await cluster.primary.query(`alter role ${appRole.user} set statement_timeout = '5s'`);
  });
});

test('17: a connection that PgBouncer has moved to a lagging standby reads nothing there', async () => {
  const { url, ready } = await behind('transaction', { DATABASE_PREPARED: 'false' });
  const { client, token, revokeUnseen } = await issueToken(cluster, url);
  expect(await isActive(url, client, token)).toBe(true);
  await revokeUnseen(url);
  await pgbouncer?.leadTo(cluster.standby.port);
  const ask = () => post(url, '/introspect', client, { token });
  // Server connections from before the change may still give the primary's answer.
  await until(async () => {
    const { status, body } = await ask();
    expect(body.active).not.toBe(true);
    return status === 503;
  });
  for (let tries = 0; tries < 10; tries++) {
    const { status, body } = await ask();
    expect([status, body.active]).toEqual([503, undefined]);
  }
  await until(async () => (await ready()).status === 503);
  await pgbouncer?.leadTo(cluster.primary.port);
  await until(async () => (await ready()).status === 200);
  expect((await ask()).body).toEqual({ active: false });
  await cluster.standby.query('select pg_wal_replay_resume()', 'postgres');
});
