import pg from 'pg';
import type { Connection } from './protocol.ts';

/**
 * A clock that stands still until it is moved, for whole processes and for a database. In the database it is a function
 * `now()` in the schema that is looked through before PostgreSQL's own, so that every statement of ours, and every
 * default of a table that is made after it, goes by it.
 */

const RealDate = Date;

export interface SimulatedDate {
  set(now: number): void;
  /** The process's dates are real again. */
  end(): void;
}

/** From now on this process's dates are what `set` says (milliseconds). */
export function simulateDate(start: number): SimulatedDate {
  let current = start;
  globalThis.Date = class extends RealDate {
    constructor(...given: unknown[]) {
      if (given.length === 0) super(current);
      else super(...(given as [number]));
    }
    static override now(): number {
      return current;
    }
  } as DateConstructor;
  return {
    set(now) {
      current = now;
    },
    end() {
      globalThis.Date = RealDate;
    },
  };
}

/** Makes an empty database whose clock is a simulated one; connections that are opened after it go by it. */
export async function createSimulatedDatabase(
  server: Connection,
  database: string,
): Promise<Connection> {
  const admin = await connect(server);
  await admin.query(`create database ${database}`);
  await admin.end();
  const connection = { ...server, database, options: '-c search_path=public,pg_catalog' };
  const client = await connect(connection);
  await client.query(`
    create schema simulated;
    create table simulated.clock (at timestamptz not null);
    insert into simulated.clock values (pg_catalog.now());
    create function public.now() returns timestamptz language plpgsql stable as
      'begin return (select at from simulated.clock); end'`);
  await client.end();
  return connection;
}

/** Moves the database's clock. */
export async function setDatabaseClock(client: pg.Client, now: number): Promise<void> {
  await client.query('update simulated.clock set at = $1::timestamptz', [
    new RealDate(now).toISOString(),
  ]);
}

export async function connect(connection: Connection): Promise<pg.Client> {
  const client = new pg.Client(connection);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
