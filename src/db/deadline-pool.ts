import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type pg from 'pg';
import { withinDeadline } from '../lib/deadline.ts';

/**
 * The pool as the stores see it: neither a connection nor an answer is waited for longer than the request may wait. A
 * connection that was left in the middle of something is closed, and the server undoes what it had begun there.
 */
export function deadlinePool(pool: pg.Pool): PostgresPool {
  return {
    async connect() {
      const client = await withinDeadline(
        () => pool.connect(),
        (late) => late.release(),
      );
      return bounded(client);
    },
    end: () => pool.end(),
    options: {},
  } as PostgresPool;
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
