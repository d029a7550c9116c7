import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { Database } from '../../src/db/database.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { openAsSuperuser } from '../support/superuser.ts';
import type { Connection } from './protocol.ts';
import { tableOfModels } from './table-adapter.ts';

type Embedded = Awaited<ReturnType<typeof openAsSuperuser>>;

/** A PostgreSQL of the benchmark's own, which it commits to as safely as an operator's would. */
export class BenchmarkDatabase {
  /** Migrated, for Vouchsafe. */
  readonly connection: Connection;
  /** With a table each for what Vouchsafe is held against. */
  readonly plain: Connection;
  readonly #folder: string;
  readonly #embedded: Embedded;
  readonly #admin: pg.Client;

  private constructor(folder: string, embedded: Embedded, admin: pg.Client) {
    this.#folder = folder;
    this.#embedded = embedded;
    this.#admin = admin;
    this.connection = embedded.connection;
    this.plain = { ...embedded.connection, database: 'plain' };
  }

  /** @param more settings of PostgreSQL, besides those of every benchmark */
  static async open(more: Readonly<Record<string, string>> = {}): Promise<BenchmarkDatabase> {
    const folder = await mkdtemp(join(tmpdir(), 'vouchsafe-bench-'));
    let embedded: Embedded | undefined;
    try {
      // Checkpoints are made between the runs, not in them.
      const settings = {
        max_connections: '200',
        max_wal_size: '4GB',
        checkpoint_timeout: '1h',
        fsync: 'on',
        ...more,
      };
      embedded = await openAsSuperuser(folder, settings);
      const admin = new pg.Client(embedded.connection);
      admin.on('error', () => undefined);
      await admin.connect();
      const opened = new BenchmarkDatabase(folder, embedded, admin);
      await opened.#prepare();
      return opened;
    } catch (error) {
      await embedded?.close();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    const database = new Database({ connection: this.connection, poolSize: 2 });
    try {
      await migrateUp(database.kysely);
    } finally {
      await database.close();
    }
    await this.#admin.query('create database plain');
    await using(this.plain, async (client) => {
      await client.query(`create table lookups (id text primary key, answer text not null);
        create table inserts (id text primary key, payload jsonb not null, expires_at timestamptz not null);
        ${tableOfModels}`);
    });
  }

  /** Runs `work` without waiting for the disk, which is for seeding alone: connections of later do wait. */
  async quickly<T>(work: () => Promise<T>): Promise<T> {
    const { database } = this.connection;
    await this.#admin.query(`alter database ${database} set synchronous_commit = off`);
    try {
      return await work();
    } finally {
      await this.#admin.query(`alter database ${database} reset synchronous_commit`);
    }
  }

  /** Statistics and hint bits are made now, so that they are not made while something is measured. */
  async settle(): Promise<void> {
    await this.#admin.query('vacuum analyze');
    await this.#admin.query('checkpoint');
  }

  async checkpoint(): Promise<void> {
    await this.#admin.query('checkpoint');
  }

  async countRows(connection: Connection, table: string): Promise<number> {
    return using(connection, async (client) => {
      const { rows } = await client.query<{ count: number }>(
        `select count(*)::int as count from ${table}`,
      );
      return rows[0]?.count ?? 0;
    });
  }

  async version(): Promise<string> {
    const { rows } = await this.#admin.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? '';
  }

  /** The median milliseconds that one commit takes, which is mostly what the disk takes. */
  async commitTime(): Promise<number> {
    return using(this.plain, async (client) => {
      const times: number[] = [];
      for (let index = 0; index < 50; index++) {
        const started = performance.now();
        await client.query('insert into inserts values ($1, $2, now())', [`probe-${index}`, '{}']);
        times.push(performance.now() - started);
      }
      await client.query('delete from inserts');
      return times.sort((a, b) => a - b)[25] ?? Number.NaN;
    });
  }

  /** Stops the server and removes its folder. */
  async close(): Promise<void> {
    await this.#admin.end().catch(() => undefined);
    await this.#embedded.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function using<T>(
  connection: Connection,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
