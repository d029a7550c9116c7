import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { AppError } from '../errors.ts';
import { isSocketFolderPrivate, type Place, port, removeSocketFolder } from './embedded-place.ts';
import { isRefused, readPasswords, roles, secureCluster } from './embedded-roles.ts';
import {
  isServerThere,
  logTail,
  readServerLock,
  requestShutdown,
  type Started,
} from './embedded-server.ts';

/**
 * The presence of a process at the embedded server: a connection with a shared lock. The server starts for the first
 * process that joins, and stops with the last one that leaves.
 */

export const database = 'vouchsafe';
const presenceName = 'vouchsafe presence';
/** Every present process holds this lock shared; the one that stops the server holds it exclusively. Any number will do. */
const presenceLock = 0x766f7563;
const patience = 30_000;

/** Gives the connection that marks our presence, and starts the server wherever there is none. */
export async function join(
  place: Place,
  start: () => Promise<Started>,
  signal: AbortSignal,
): Promise<pg.Client> {
  const deadline = Date.now() + patience;
  let server: Started | undefined;
  let failures = 0;
  let reason: unknown;
  for (;;) {
    // A server that we have started is waited for, and left in order: else nobody would stop it.
    if (server === undefined) signal.throwIfAborted();
    if (await isSocketFolderPrivate(place)) {
      const outcome = await enter(place);
      if (outcome instanceof pg.Client) return outcome;
      reason = outcome;
    }
    const end = server?.();
    if (end !== undefined) {
      server = undefined;
      // Somebody else's server, or the last processes of one that was killed, hold the cluster: that passes.
      const isHeld =
        /lock file .* (already exists|is empty)|shared memory block .* still in use/.test(end.said);
      if (end.code !== 0 && !isHeld) failures += 1;
      await delay(100);
    }
    if (failures === 3 || Date.now() > deadline) {
      throw new AppError(
        'embedded_failed',
        `The database in ${place.cluster} does not start. Its log ends with:\n${await logTail(place)}`,
        { cause: reason },
      );
    }
    if (server === undefined && !isServerThere(place)) server = await start();
    await delay(10);
  }
}

/** One attempt: the connection, or why it can't be had for the moment. */
async function enter(place: Place): Promise<pg.Client | Error> {
  const passwords = await readPasswords(place);
  if (passwords === undefined) return secure(place);
  const client = new pg.Client({
    host: place.socketFolder,
    port,
    user: roles.owner,
    password: passwords.owner,
    // Not the one of `connection`: who copies or replaces that one must find nobody in it.
    database: 'postgres',
    ssl: false,
    application_name: presenceName,
    connectionTimeoutMillis: 5000,
  });
  // Without a listener an error would end the process; the 'end' that follows it is what counts.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ present: boolean; made: boolean }>(
      'SELECT pg_try_advisory_lock_shared($1) AS present, EXISTS (SELECT FROM pg_database WHERE datname = $2) AS made',
      [presenceLock, database],
    );
    if (rows[0]?.present && !rows[0].made) await makeDatabase(client);
    // Who stops the server holds the lock alone until this file says so: with the lock and "ready" we are safe in.
    if (rows[0]?.present && readServerLock(place)?.isStopping === false) return client;
    await client.end();
    return new Error('The server is being stopped.');
  } catch (error) {
    void client.end().catch(() => undefined);
    if (isRefused(error)) return secure(place);
    if (isPassing(error)) return error as Error;
    throw new AppError('embedded_failed', `The database in ${place.cluster} can't be entered.`, {
      cause: error,
    });
  }
}

/** Makes the roles that are let in; the next attempt is with them. */
async function secure(place: Place): Promise<Error> {
  try {
    await secureCluster(place, database);
    return new Error('The roles have just been made.');
  } catch (error) {
    // Another process has made them, and the superuser is not let in any more.
    if (isRefused(error) || isPassing(error)) return error as Error;
    throw new AppError(
      'embedded_failed',
      `The roles of the database in ${place.cluster} can't be made.`,
      { cause: error },
    );
  }
}

async function makeDatabase(client: pg.Client): Promise<void> {
  try {
    await client.query(`CREATE DATABASE ${database}`);
  } catch (error) {
    // duplicate_database, unique_violation: another process was faster.
    if (!['42P04', '23505'].includes(String((error as pg.DatabaseError).code))) throw error;
  }
}

const passing = new Set([
  // No socket, a dead one, a full queue, a server that died meanwhile.
  'ENOENT',
  'ECONNREFUSED',
  'EAGAIN',
  'ECONNRESET',
  'EPIPE',
  // too_many_connections; admin_shutdown, crash_shutdown, cannot_connect_now.
  '53300',
  '57P01',
  '57P02',
  '57P03',
]);

/** Whether an error says no more than that the server comes or goes; pg's own "connection terminated" has no code. */
function isPassing(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === undefined || passing.has(code);
}

/**
 * Gives up our presence. Of several processes that leave at once, each first releases its shared lock and then tries to take
 * the exclusive one, so the last one always gets it. A process that joins meanwhile is refused, waits, and starts the server
 * again.
 */
export async function leave(presence: pg.Client, place: Place): Promise<void> {
  let stopped: number | undefined;
  try {
    await presence.query('SELECT pg_advisory_unlock_shared($1)', [presenceLock]);
    const { rows } = await presence.query<{ alone: boolean }>(
      'SELECT pg_try_advisory_lock($1) AS alone',
      [presenceLock],
    );
    if (rows[0]?.alone && (await areOthersGone(presence))) {
      stopped = readServerLock(place)?.pid;
      if (stopped !== undefined) await requestShutdown(place, stopped);
      await until(() => readServerLock(place)?.isStopping !== false, 5000);
    }
  } catch (error) {
    // The server stopped under us: then there is nothing to leave.
    if (!isPassing(error)) throw error;
  } finally {
    await presence.end();
  }
  if (stopped === undefined) return;
  await until(() => readServerLock(place)?.pid !== stopped, patience);
  await removeSocketFolder(place);
}

/** Backends end a moment after their clients: a pool that was closed just now gets that moment. */
async function areOthersGone(presence: pg.Client): Promise<boolean> {
  return await until(async () => {
    const { rows } = await presence.query<{ others: number }>(
      "SELECT count(*)::int AS others FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> $1",
      [presenceName],
    );
    return rows[0]?.others === 0;
  }, 1000);
}

async function until(
  condition: () => boolean | Promise<boolean>,
  milliseconds: number,
): Promise<boolean> {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await delay(10);
  }
  return true;
}
