import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { appRole, type Cluster } from './cluster.ts';
import { freePort, until } from './process.ts';

/** A real PgBouncer, as Debian has it, before one server of PostgreSQL. */
export interface Pgbouncer {
  readonly port: number;
  /** Server connections lead to this port from now on; those of clients stay open. */
  leadTo(port: number): Promise<void>;
  stop(): Promise<void>;
}

const configuration = (folder: string, port: number, target: number, mode: string) => `[databases]
vouchsafe = host=127.0.0.1 port=${target} dbname=vouchsafe user=${appRole.user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 20
admin_users = admin
server_login_retry = 1
logfile = ${folder}/pgbouncer.log
`;

export async function startPgbouncer(
  { folder: parent, spawnOptions, primary }: Cluster,
  mode: 'session' | 'transaction' | 'statement',
): Promise<Pgbouncer> {
  const folder = await mkdtemp(join(parent, 'pgbouncer-'));
  await chmod(folder, 0o755);
  // PgBouncer refuses to run as root, as PostgreSQL does.
  if (spawnOptions.uid !== undefined) await chown(folder, spawnOptions.uid, spawnOptions.gid ?? 0);
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  const write = (target: number) => writeFile(file, configuration(folder, port, target, mode));
  await write(primary.port);
  const child = spawn(process.env.PGBOUNCER ?? '/usr/sbin/pgbouncer', [file], {
    ...spawnOptions,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const failed = ended.then(() => {
    throw new Error(`PgBouncer ended: ${log}`);
  });
  const admin = async (command: string) => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'admin', database: 'pgbouncer' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query(command);
      return true;
    } finally {
      await client.end();
    }
  };
  await Promise.race([until(() => admin('show version').catch(() => false)), failed]);
  failed.catch(() => undefined);
  return {
    port,
    async leadTo(target) {
      await write(target);
      await admin('reload');
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
