import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { GUARD, GUARD_NAME, GuardedQuery } from '../../src/db/guarded-query.ts';
import { openDatabase } from '../../src/db/open.ts';
import { certificate } from '../support/certificates.ts';
import { appRole, type Cluster, startCluster } from '../support/cluster.ts';
import {
  clusterUrl,
  issueToken,
  refusedStart,
  startClusterServer,
} from '../support/cluster-server.ts';
import { until } from '../support/process.ts';
import { isActive } from '../support/protocol.ts';

/** A primary, and a standby that streams from it; both speak TLS, by a certificate for `localhost`. */

const authority = certificate({ subject: [['CN', 'Authority of databases']], ca: true });
const stranger = certificate({ subject: [['CN', 'Another authority']], ca: true });
let cluster: Cluster;
let authorityFile: string;
let strangerFile: string;

beforeAll(async () => {
  cluster = await startCluster({
    certificate: certificate({ issuer: authority, names: { dns: 'localhost' } }),
  });
  authorityFile = join(cluster.folder, 'authority.crt');
  strangerFile = join(cluster.folder, 'stranger.crt');
  await writeFile(authorityFile, authority.cert);
  await writeFile(strangerFile, stranger.cert);
});

afterAll(() => cluster.stop());

const open = (databaseUrl: string) =>
  openDatabase({ databaseUrl, databasePool: 3, dataDir: '/nowhere' });

/** The port of the server that the URL leads to, or the error. */
async function portOf(databaseUrl: string): Promise<number | string> {
  try {
    const { db } = await open(databaseUrl);
    const { rows } = await db.pool.query<{ port: number }>(
      `select current_setting('port')::int as port`,
    );
    await db.close();
    return rows[0]?.port as number;
  } catch (error) {
    return (error as Error).message;
  }
}

test('17: every statement that may read is refused by a standby, prepared or not, and none is done', async () => {
  const client = new pg.Client({ ...cluster.standby.connection, user: appRole.user });
  await client.connect();
  const send = (config: string | pg.QueryConfig, prepared: boolean) =>
    new Promise((resolve, reject) => {
      const query = new GuardedQuery(config, {
        isChecked: () => false,
        onChecked: () => undefined,
        isPrepared: () => prepared,
      });
      query.callback = (error, result) => (error ? reject(error) : resolve(result));
      client.query(query as unknown as pg.Submittable);
    });
  // On a primary the guard is prepared when the connection opens; a standby prepares it as well, and refuses to run it.
  await client
    .query({ name: GUARD_NAME, text: GUARD })
    .then(() => Promise.reject(new Error('a standby ran the guard')))
    .catch((error: unknown) => expect(error).toMatchObject({ code: '25006' }));
  try {
    for (const statement of [
      'select 1',
      '  SELECT id from accounts where false',
      { text: 'select $1::int', values: [1] },
      { name: 'named', text: 'select $1::int as one', values: [1] },
      'with one as (select 1) select * from one',
      'values (1)',
      'table accounts',
    ]) {
      await expect(send(statement, false)).rejects.toMatchObject({ code: '25006' });
      expect(client.getTransactionStatus()).toBe('I');
    }
    // In a transaction the first that may read.
    await client.query('begin isolation level repeatable read');
    await expect(send('select 1', false)).rejects.toMatchObject({ code: '25006' });
    await client.query('rollback');
    // What writes is refused by the standby itself.
    for (const statement of [
      `insert into replays (id_hash, expires_at) select '', now() where false`,
      'update accounts set name = name where false',
      'select from accounts for share',
    ])
      await expect(send(statement, false)).rejects.toMatchObject({ code: '25006' });
  } finally {
    await client.end();
  }
});

describe('17: several hosts', () => {
  test('the primary is found among them, in whichever form they are written', async () => {
    const { primary, standby } = cluster;
    const [user, password] = [appRole.user, encodeURIComponent(appRole.password)];
    for (const url of [
      clusterUrl([primary.port, standby.port]),
      clusterUrl([standby.port, primary.port]),
      clusterUrl([standby.port, standby.port, 1, primary.port], '?target_session_attrs=read-write'),
      `postgresql://${user}:${password}@/vouchsafe?host=127.0.0.1,localhost&port=${standby.port},${primary.port}`,
      `postgresql://${user}:${password}@/vouchsafe?host=localhost,127.0.0.1&port=${primary.port}`,
    ])
      expect(await portOf(url)).toBe(primary.port);
  });

  test('where none is a primary, or standbys are asked for, the start is refused', async () => {
    const { standby } = cluster;
    for (const ports of [
      [standby.port, 1],
      [1, standby.port],
    ]) {
      const reason = await portOf(clusterUrl(ports));
      expect(reason).toContain(`127.0.0.1:${standby.port} is a standby`);
      expect(reason).toContain('ECONNREFUSED 127.0.0.1:1');
    }
    expect(await portOf(clusterUrl([standby.port], '?target_session_attrs=standby'))).toContain(
      'target_session_attrs',
    );
    const words = await portOf(`postgres://u:se/cret@127.0.0.1:1,127.0.0.1:2/x`);
    expect(words).not.toContain('se/cret');
  });
});

describe('22: TLS to PostgreSQL', () => {
  const verified = (port: number, file: string, host?: string) =>
    clusterUrl([port], `?sslmode=verify-full&sslrootcert=${encodeURIComponent(file)}`, host);

  test('verify-full takes the right certificate of the right name, and no other', async () => {
    const { port } = cluster.primary;
    expect(await portOf(verified(port, authorityFile, 'localhost'))).toBe(port);
    expect(await portOf(verified(port, strangerFile, 'localhost'))).toMatch(/certificate/);
    expect(await portOf(verified(port, authorityFile, '127.0.0.1'))).toMatch(/altnames|IP/i);
    expect(await portOf(verified(port, join(cluster.folder, 'missing.crt')))).toContain(
      'missing.crt',
    );
    const { db, notices } = await open(verified(port, authorityFile, 'localhost'));
    const { rows } = await db.pool.query(
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
    );
    expect([rows, notices]).toEqual([[{ ssl: true }], []]);
    await db.close();
  });

  test('each of several hosts is verified by its own name', async () => {
    const { primary, standby } = cluster;
    const url = `postgres://${appRole.user}:${encodeURIComponent(appRole.password)}@localhost:${standby.port},127.0.0.1:${primary.port},localhost:${primary.port}/vouchsafe?sslmode=verify-full&sslrootcert=${encodeURIComponent(authorityFile)}`;
    expect(await portOf(url)).toBe(primary.port);
    expect(await portOf(url.replace(`,localhost:${primary.port}`, ''))).toMatch(/altnames|IP/i);
  });
});

test('17: a server goes on with the standby once that is the primary, and never reads from it before', async () => {
  const { primary, standby } = cluster;
  const url = clusterUrl([primary.port, standby.port]);
  const server = await startClusterServer(url);
  const { client, token, revokeUnseen } = await issueToken(cluster, server.url);
  expect(await isActive(server.url, client, token)).toBe(true);
  await revokeUnseen(server.url);
  await primary.stop();
  await expect(isActive(server.url, client, token)).rejects.toThrow('503');
  await until(async () => (await server.ready()).status === 503);
  expect(await refusedStart(url)).toContain('is a standby');
  await standby.query('select pg_promote()', 'postgres');
  await until(async () => (await server.ready()).status === 200);
  expect(await isActive(server.url, client, token)).toBe(false);
  expect(await standby.connections()).toBeGreaterThan(0);
  expect(await server.main.stop()).toBe(0);
});
