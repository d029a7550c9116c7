import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { lchown, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';
import {
  makeSocketFolder,
  type Place,
  port,
  socketFile,
  unfinishedPrefix,
} from './embedded-place.ts';

const run = promisify(execFile);
const longestLog = 4 * 1024 * 1024;

/** The superuser that every cluster has. It is let in only while the roles are made (embedded-roles.ts). */
export const superuser = 'vouchsafe';

/** For a small server beside its application; the caller's settings win over these. */
const defaults: Record<string, string> = {
  shared_buffers: '64MB',
  max_connections: '100',
  max_wal_size: '256MB',
  max_parallel_workers_per_gather: '0',
  max_logical_replication_workers: '0',
  jit: 'off',
  // The log is the server's own story. Statements, their parameters and the details of errors hold what people entered,
  // and the application hears of its errors anyway.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_parameter_max_length_on_error: '0',
  log_statement: 'none',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/** The major version of the cluster, or undefined where there is none yet. */
export function clusterVersion({ cluster }: Place): number | undefined {
  const text = readIfPresent(join(cluster, 'PG_VERSION'));
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/**
 * Makes the cluster. It is made beside its place and renamed when it is whole, so that a kill leaves nothing half;
 * of several processes that do so at once, the first to rename wins.
 * @throws AppError `embedded_failed` with what initdb said.
 */
export async function makeCluster(place: Place, native: string, durable: boolean): Promise<void> {
  const { cluster, spawnOptions, serverUid } = place;
  const temporary = await mkdtemp(unfinishedPrefix(cluster));
  try {
    if (spawnOptions.gid !== undefined) await lchown(temporary, serverUid, spawnOptions.gid);
    const options = ['-D', temporary, '-U', superuser, '--encoding=UTF8', '--locale=C'];
    // Unicode by PostgreSQL itself: no sort order changes with the machine's libraries.
    options.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8');
    options.push('--auth-local=trust', '--auth-host=reject', '--no-instructions');
    if (!durable) options.push('--no-sync');
    await run(join(native, 'bin', 'initdb'), options, spawnOptions);
    await rename(temporary, cluster);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (clusterVersion(place) !== undefined) return;
    const said = (error as { stderr?: string }).stderr?.trim() || String(error);
    throw new AppError(
      'embedded_failed',
      `A new database could not be made in ${cluster}: ${said}\nMend this, or set DATABASE_URL to a PostgreSQL.`,
      { cause: error },
    );
  }
}

/** A server process of ours: undefined while it runs, then how it ended. */
export type Started = () => { code: number | null; said: string } | undefined;

/** Starts the server apart from our session and our streams: it outlives Ctrl-C until the last of us has left. */
export async function startServer(
  place: Place,
  native: string,
  settings: Record<string, string>,
): Promise<Started> {
  await makeSocketFolder(place);
  // In a list of folders, quotes keep a comma in the path from parting it.
  const socketFolder = `"${place.socketFolder.replaceAll('"', '""')}"`;
  const all = {
    ...defaults,
    ...settings,
    listen_addresses: '',
    port: String(port),
    unix_socket_directories: socketFolder,
    unix_socket_permissions: '0700',
  };
  const options = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // Opened by us, not by the server's user: the folder is ours. A link that someone planted there is not followed.
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const log = openSync(place.logFile, O_APPEND | O_CREAT | O_NOFOLLOW | O_WRONLY, 0o600);
  try {
    if (fstatSync(log).size > longestLog) ftruncateSync(log);
    const from = fstatSync(log).size;
    const server = spawn(join(native, 'bin', 'postgres'), ['-D', place.cluster, ...options], {
      ...place.spawnOptions,
      detached: true,
      stdio: ['ignore', log, log],
    });
    server.unref();
    await once(server, 'spawn');
    return () => {
      if (server.exitCode === null && server.signalCode === null) return undefined;
      return { code: server.exitCode, said: readFileSync(place.logFile).toString('utf8', from) };
    };
  } finally {
    closeSync(log);
  }
}

/** The end of the server's log, for an error that an operator reads. */
export async function logTail({ logFile }: Place): Promise<string> {
  const file = await open(logFile).catch(() => undefined);
  if (file === undefined) return '';
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(2000),
      position: Math.max(0, size - 2000),
    });
    return buffer.toString('utf8', 0, bytesRead).split('\n').slice(-12).join('\n').trim();
  } finally {
    await file.close();
  }
}

/** What `postmaster.pid` says; undefined where no server runs. */
export function readServerLock({
  cluster,
}: Place): { pid: number; isStopping: boolean } | undefined {
  const lines = readIfPresent(join(cluster, 'postmaster.pid'))?.split('\n');
  if (lines === undefined) return undefined;
  return { pid: Number.parseInt(lines[0] ?? '', 10), isStopping: lines[7]?.trim() === 'stopping' };
}

/** Asks for a smart shutdown, with the server's own rights: the pid stands in a file that the server's user can write. */
export async function requestShutdown({ spawnOptions }: Place, pid: number): Promise<void> {
  // One that is gone already is as good.
  await run('/bin/sh', ['-c', 'kill -TERM "$1" 2>/dev/null || :', 'sh', String(pid)], spawnOptions);
}

/** Tells a server that runs to read its settings again. */
export async function reloadSettings(place: Place): Promise<void> {
  const pid = readServerLock(place)?.pid;
  if (pid !== undefined && pid > 0)
    await run(
      '/bin/sh',
      ['-c', 'kill -HUP "$1" 2>/dev/null || :', 'sh', String(pid)],
      place.spawnOptions,
    );
}

/**
 * Whether a server holds the cluster's locks, ready or not. A lock whose process is dead PostgreSQL clears by itself.
 * What it takes for alive we clear: a pid that has gone to another process (after a crash of the machine or, commonly,
 * of a container), and an empty file, unless a server made it just now and is about to fill it.
 */
export function isServerThere({ cluster, socketFolder }: Place): boolean {
  let there = false;
  for (const lock of [join(cluster, 'postmaster.pid'), join(socketFolder, `${socketFile}.lock`)]) {
    const text = readIfPresent(lock);
    const pid = Number.parseInt(text ?? '', 10);
    if (text === undefined || !(text === '' ? isOld(lock) : isAlive(pid))) continue;
    if (isServer(pid, cluster)) there = true;
    else clearLock(lock, text);
  }
  return there;
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isOld(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found !== undefined && Date.now() - found.mtimeMs > 5000;
}

function isServer(pid: number, cluster: string): boolean {
  if (process.platform === 'linux') {
    const [program = '', ...options] = readIfPresent(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
    return basename(program) === 'postgres' && options.includes(cluster);
  }
  try {
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], {
      encoding: 'utf8',
    }).includes(`postgres -D ${cluster}`);
  } catch {
    return false;
  }
}

/** Removes the lock only if it is still the one that was judged; a newcomer's is put back. */
function clearLock(lock: string, judged: string): void {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
    if (readFileSync(aside, 'utf8') !== judged) linkSync(aside, lock);
    rmSync(aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A process that ends while its entry is read gives ESRCH.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
