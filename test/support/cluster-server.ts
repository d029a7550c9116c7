import { randomBytes } from 'node:crypto';
import { Database } from '../../src/db/database.ts';
import { appRole, type Cluster, type PostgresNode } from './cluster.ts';
import { freePort, MainProcess } from './process.ts';
import { type Credentials, post, revoke, Seed } from './protocol.ts';

/** The URL of the cluster's database for servers under test, by way of these ports. */
export const clusterUrl = (ports: readonly number[], query = '', host = '127.0.0.1') =>
  `postgres://${appRole.user}:${encodeURIComponent(appRole.password)}@${ports.map((port) => `${host}:${port}`).join(',')}/vouchsafe${query}`;

/** `src/main.ts` on the database of a cluster. */
export interface ClusterServer {
  readonly url: string;
  readonly main: MainProcess;
  readonly ready: () => Promise<{ status: number; checks: Record<string, string> }>;
}

/** All servers on one cluster have this one, as all processes of one installation have. */
const masterKey = randomBytes(32).toString('base64');

export async function startClusterServer(
  databaseUrl: string,
  env: Record<string, string> = {},
): Promise<ClusterServer> {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const main = new MainProcess({
    PORT: String(port),
    DATABASE_URL: databaseUrl,
    DATABASE_POOL: '4',
    MASTER_KEY: masterKey,
    ...env,
  });
  await main.ready();
  return {
    url,
    main,
    async ready() {
      const response = await fetch(`${url}/readyz`);
      const { checks } = (await response.json()) as { checks: Record<string, string> };
      return { status: response.status, checks };
    },
  };
}

/** An end of `src/main.ts` before it is ready: what it says. */
export async function refusedStart(
  databaseUrl: string,
  env: Record<string, string> = {},
): Promise<string> {
  const main = new MainProcess({
    PORT: String(await freePort()),
    DATABASE_URL: databaseUrl,
    MASTER_KEY: masterKey,
    LOG_LEVEL: 'silent',
    ...env,
  });
  const code = await main.ended;
  if (code !== 1) throw new Error(`it ended with ${code}`);
  return main.stderr;
}

/** A client with a token, of which a standby that stops replaying goes on to think that it is live. */
export interface RevocableToken {
  readonly client: Credentials;
  readonly token: string;
  /** Stops the standby's replay once it knows the token, and revokes the token at `server`, which reaches the primary. */
  readonly revokeUnseen: (server: string) => Promise<void>;
}

export async function issueToken(cluster: Cluster, server: string): Promise<RevocableToken> {
  const { primary, standby } = cluster;
  const db = ownerOf(primary);
  try {
    const identifier = `https://${randomBytes(4).toString('hex')}.example.com`;
    const seed = new Seed(db);
    await seed.api(identifier);
    const client = await seed.client({
      type: 'machine',
      apis: [{ identifier, scopes: ['read'] }],
    });
    const { body } = await post(server, '/token', client, {
      grant_type: 'client_credentials',
      resource: identifier,
    });
    return {
      client,
      token: body.access_token,
      async revokeUnseen(at) {
        await cluster.caughtUp();
        await standby.query('select pg_wal_replay_pause()', 'postgres');
        const { status } = await revoke(at, client, body.access_token);
        if (status !== 200) throw new Error(`it was not revoked: ${status}`);
      },
    };
  } finally {
    await db.close();
  }
}

const ownerOf = ({ connection }: PostgresNode) =>
  new Database({ connection: { ...connection, user: appRole.user }, poolSize: 2 });
