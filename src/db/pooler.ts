import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { AppError } from '../errors.ts';
import type { Database } from './database.ts';
import { sqlState } from './sql-state.ts';

/** How often it is tried to be given the server connection that another client of ours has just used. */
const ROUNDS = 3;

/** A prepared statement was missing, or was there already: a pooler gives one client's connection to another. */
const isNameError = (error: unknown) => ['26000', '42P05'].includes(sqlState(error) ?? '');

/** What is thrown at the start for a failure that comes from a pooler's settings; undefined for any other. */
export function poolerError(error: unknown): AppError | undefined {
  if (isNameError(error))
    return new AppError(
      'database_pooler',
      'The pooler before the database gives connections out by transaction and does not follow prepared statements. Set DATABASE_PREPARED=false, or in PgBouncer from 1.21 on max_prepared_statements above 0.',
      { cause: error },
    );
  return undefined;
}

/**
 * Finds out whether a pooler stands before the database, and whether we work behind it as it is set.
 * @returns sentences for the operator about what it does not pass on
 * @throws AppError `database_pooler` for what can't work
 */
export async function checkPooler(db: Database, prepared: boolean): Promise<string[]> {
  const one = await db.pool.connect();
  try {
    const other = await db.pool.connect();
    try {
      await checkTransactions(other);
      if (prepared) await checkNames(one, other);
      return await missingTimeouts(one);
    } finally {
      other.release(true);
    }
  } finally {
    // What was prepared here for the check goes with it.
    one.release(true);
  }
}

async function checkTransactions(client: pg.PoolClient): Promise<void> {
  try {
    await client.query('begin');
    await client.query('commit');
  } catch (error) {
    if (sqlState(error) !== '08P01') throw error;
    throw new AppError(
      'database_pooler',
      'The pooler before the database refuses transactions. Set pool_mode to transaction or session in PgBouncer; statement can not work.',
      { cause: error },
    );
  }
}

/** A statement that `one` has prepared is run by it while `other` holds the server connection that knows it. */
async function checkNames(one: pg.PoolClient, other: pg.PoolClient): Promise<void> {
  const statement = {
    name: `vs_check_${randomBytes(8).toString('hex')}`,
    text: 'select pg_backend_pid() as pid',
  };
  const pidOf = async (client: pg.PoolClient, text: string | pg.QueryConfig) =>
    (await client.query<{ pid: number }>(text)).rows[0]?.pid;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await pidOf(one, statement);
      await other.query('begin');
      const isShared = (await pidOf(other, statement.text)) === before;
      if (isShared) await pidOf(one, statement);
      await other.query('commit');
      if (isShared) return;
    }
  } catch (error) {
    throw poolerError(error) ?? error;
  }
}

/** Without them, PostgreSQL goes on with a statement that nobody waits for, and keeps the locks of a lost transaction. */
async function missingTimeouts(client: pg.PoolClient): Promise<string[]> {
  const names = ['statement_timeout', 'idle_in_transaction_session_timeout'];
  const { rows } = await client.query<{ name: string }>(
    `select name from pg_settings where name = any($1) and setting = '0'`,
    [names],
  );
  if (rows.length === 0) return [];
  const advice = rows.map(({ name }) => `alter role … set ${name} = '5s'`).join('; ');
  return [
    `A pooler before the database does not pass on our time limits. Set them there: ${advice}`,
  ];
}
