import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { Database } from '../../src/db/database.ts';
import { findBinaryPackage, prepareBinaries } from '../../src/db/embedded-binaries.ts';
import { findPlace, type Place } from '../../src/db/embedded-place.ts';
import { makeCluster, superuser } from '../../src/db/embedded-server.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import type { Certificate } from './certificates.ts';
import { freePort, until } from './process.ts';

const run = promisify(execFile);

/** The role that a server under test signs in as: it owns the database, and is no superuser. */
export const appRole = { user: 'app', password: 'p@ss/word:1' };
const database = 'vouchsafe';

/** One PostgreSQL on a port of loopback, with the migrated database of `appRole`. */
export class PostgresNode {
  readonly port: number;
  readonly #place: Place;
  readonly #folder: string;
  readonly #native: string;
  readonly #settings: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(
    place: Place,
    folder: string,
    native: string,
    port: number,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#place = place;
    this.#folder = folder;
    this.#native = native;
    this.port = port;
    this.#settings = settings;
  }

  /** For `pg`, as the superuser. */
  get connection() {
    return { host: '127.0.0.1', port: this.port, user: superuser, database };
  }

  async start(): Promise<void> {
    const options = Object.entries({
      listen_addresses: '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: '',
      fsync: 'off',
      wal_keep_size: '256MB',
      ...this.#settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(this.#native, 'bin/postgres'), ['-D', this.#folder, ...options], {
      ...this.#place.spawnOptions,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#ended = once(child, 'exit');
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    const failed = this.#ended.then(() => {
      throw new Error(`PostgreSQL ended: ${log}`);
    });
    await Promise.race([until(() => this.#answers()), failed]);
    failed.catch(() => undefined);
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({ ...this.connection, database: 'postgres' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGINT');
    await this.#ended;
  }

  /** One statement as the superuser, in whichever database. */
  async query<Row extends pg.QueryResultRow>(
    text: string,
    inDatabase: string = database,
  ): Promise<Row[]> {
    const client = new pg.Client({ ...this.connection, database: inDatabase });
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Connections of servers under test that are open here. */
  async connections(): Promise<number> {
    const rows = await this.query(
      `select from pg_stat_activity where datname = '${database}' and usename = '${appRole.user}'`,
    );
    return rows.length;
  }
}

/** A primary and a standby that streams from it. */
export interface Cluster {
  readonly primary: PostgresNode;
  readonly standby: PostgresNode;
  /** A folder that the servers' user may enter. */
  readonly folder: string;
  readonly spawnOptions: Place['spawnOptions'];
  /** Waits until the standby has all that the primary has written. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

export async function startCluster({
  certificate,
}: {
  /** With it, both speak TLS as well. */
  readonly certificate?: Certificate;
} = {}): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'vouchsafe-cluster-'));
  const place = await findPlace(folder);
  const native = await prepareBinaries(await findBinaryPackage(), place);
  await makeCluster(place, native, false);
  await configure(place, certificate);
  const standbyFolder = join(place.home, 'standby');
  await run('cp', ['-a', place.cluster, standbyFolder]);
  const settings: Record<string, string> = certificate === undefined ? {} : { ssl: 'on' };
  const primary = new PostgresNode(place, place.cluster, native, await freePort(), settings);
  const standby = new PostgresNode(place, standbyFolder, native, await freePort(), {
    ...settings,
    primary_conninfo: `host=127.0.0.1 port=${primary.port} user=${superuser}`,
  });
  await writeFile(join(standbyFolder, 'standby.signal'), '');
  await primary.start();
  const [role, password] = [appRole.user, appRole.password];
  await primary.query(`create role ${role} login password '${password}'`, 'postgres');
  await primary.query(`create database ${database} owner ${role}`, 'postgres');
  const db = new Database({ connection: { ...primary.connection, user: role }, poolSize: 2 });
  await migrateUp(db.kysely);
  await db.close();
  await standby.start();
  const position = async () =>
    (await primary.query<{ at: string }>('select pg_current_wal_flush_lsn() as at'))[0]?.at;
  const caughtUp = async () => {
    const at = await position();
    await until(async () => {
      const [row] = await standby.query<{ there: boolean }>(
        `select pg_last_wal_replay_lsn() >= '${at}'::pg_lsn as there`,
        'postgres',
      );
      return row?.there === true;
    });
  };
  await caughtUp();
  return {
    primary,
    standby,
    folder: place.home,
    spawnOptions: place.spawnOptions,
    caughtUp,
    async stop() {
      await Promise.all([primary.stop(), standby.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Everybody on this machine is let in, over TLS by password. */
async function configure({ cluster, spawnOptions }: Place, certificate?: Certificate) {
  const rules = [
    'hostssl all app 127.0.0.1/32 scram-sha-256',
    'hostnossl all all 127.0.0.1/32 trust',
    'host replication all 127.0.0.1/32 trust',
  ];
  await writeFile(join(cluster, 'pg_hba.conf'), `${rules.join('\n')}\n`);
  if (certificate === undefined) return;
  for (const [name, text] of [
    ['server.crt', certificate.cert],
    ['server.key', certificate.key],
  ] as const) {
    const file = join(cluster, name);
    await writeFile(file, text);
    await chmod(file, 0o600);
    if (spawnOptions.uid !== undefined) await chown(file, spawnOptions.uid, spawnOptions.gid ?? 0);
  }
}
