import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type pg from 'pg';
import { withinDeadline } from '../lib/deadline.ts';

/**
 * The pool as the stores see it: neither a connection nor an answer is waited for longer than the request may wait. A
 * connection that was left in the middle of something is closed, and the server undoes what it had begun there.
 */
export function deadlinePool(pool: pg.Pool): PostgresPool {
  return {
    connect: async () => bounded(await connect(pool)),
    end: () => pool.end(),
    options: {},
  } as PostgresPool;
}

/** A connection that comes too late goes back at once. */
function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  return withinDeadline(
    () => pool.connect(),
    (late) => late.release(),
  );
}

/** Whether the pool hands out a connection at once. */
export const hasIdle = (pool: pg.Pool): boolean => pool.idleCount > 0 && pool.waitingCount === 0;

/**
 * Runs one statement on any connection. It never leaves once the request was given up: in the pool's own queue it would wait
 * for a connection, and write then.
 */
export async function queryInTime(
  pool: pg.Pool,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult> {
  if (hasIdle(pool)) return withinDeadline(() => pool.query(statement));
  const client = await connect(pool);
  let isSent = false;
  try {
    return await withinDeadline(() => {
      isSent = true;
      return queryAndRelease(client, statement);
    });
  } finally {
    if (!isSent) client.release();
  }
}

/** As the pool's own `query` does it: an error ends the connection. */
async function queryAndRelease(
  client: pg.PoolClient,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult> {
  let failure: Error | undefined;
  try {
    return await client.query(statement);
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    client.release(failure);
  }
}

function bounded(client: pg.PoolClient): PostgresPoolClient {
  let isLeft = false;
  const query = async (...args: [string, unknown[]]) => {
    let isAnswered = false;
    try {
      return await withinDeadline(async () => {
        try {
          return await client.query(...args);
        } finally {
          isAnswered = true;
        }
      });
    } finally {
      // Where the deadline was over before, nothing was sent either: what it was to end is left open all the same.
      isLeft ||= !isAnswered;
    }
  };
  return {
    query,
    release: (destroy = false) => client.release(destroy || isLeft),
    // Kysely asks the database for it otherwise.
    processID: (client as { processID?: number }).processID,
  } as unknown as PostgresPoolClient;
}
