import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { clusterUrl, issueToken, startClusterServer } from '../support/cluster-server.ts';
import { type Haproxy, startHaproxy } from '../support/haproxy.ts';
import { until } from '../support/process.ts';
import { isActive, post } from '../support/protocol.ts';

/** A planned switchover behind HAProxy, as seen by a process whose connections lead to a standby that lags. */

let cluster: Cluster;
let haproxy: Haproxy;

beforeAll(async () => {
  cluster = await startCluster();
  haproxy = await startHaproxy(cluster.folder, [cluster.primary.port, cluster.standby.port]);
});

afterAll(async () => {
  await haproxy.stop();
  await cluster.stop();
});

test('17: a process that is led to a lagging standby is not ready and says nothing of a revoked token, until there is a primary', async () => {
  const server = await startClusterServer(clusterUrl([haproxy.port]));
  const { client, token, revokeUnseen } = await issueToken(cluster, server.url);
  expect(await isActive(server.url, client, token)).toBe(true);
  await revokeUnseen(server.url);
  expect(await isActive(server.url, client, token)).toBe(false);

  await haproxy.leadTo(1);
  const ask = () => post(server.url, '/introspect', client, { token });
  // Never an answer of the standby's, from the first request on.
  for (let tries = 0; tries < 10; tries++) {
    const { status, body } = await ask();
    expect([status, body.active]).toEqual([503, undefined]);
  }
  await until(async () => (await server.ready()).status === 503);
  expect((await server.ready()).checks).toMatchObject({
    database: 'failed',
    reads: 'failed',
    writes: 'failed',
  });
  // None of its connections stays there.
  await until(async () => (await cluster.standby.connections()) === 0);

  await cluster.primary.stop();
  await cluster.standby.query('select pg_promote()', 'postgres');
  await until(async () => (await server.ready()).status === 200);
  expect((await ask()).body).toEqual({ active: false });
  expect(await server.main.stop()).toBe(0);
});
