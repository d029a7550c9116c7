import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  readdir,
  realpath,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';
import { findCluster, unless, userOf } from './embedded-cluster.ts';
import { ownUid, type ServerUser, userName } from './embedded-user.ts';

const run = promisify(execFile);

const systemFolder = '/var/lib/vouchsafe';
/** The port only names the socket file: there is no TCP. */
export const port = 5432;
export const socketFile = `.s.PGSQL.${port}`;
/** `sun_path` holds 104 bytes on macOS and 108 on Linux, the closing zero included. */
const longestSocketPath = 103;

/** Where one embedded server lives, and as whom. */
export interface Place {
  /** The data folder's real path. */
  readonly dataFolder: string;
  /** Holds cluster, log and links to the binaries: the data folder, unless the server's user can't reach that. */
  readonly home: string;
  readonly cluster: string;
  readonly socketFolder: string;
  readonly logFile: string;
  /** How to start a process as the server's user: nothing of our environment, which holds secrets, goes along. */
  readonly spawnOptions: {
    readonly cwd: string;
    readonly env: Record<string, string>;
    readonly uid?: number;
    readonly gid?: number;
  };
  readonly serverUid: number;
  /** A sentence each for the operator, where something is unusual. */
  readonly notices: readonly string[];
}

/**
 * Settles where the server of this data folder lives, so that everyone who asks finds the same place;
 * makes the folder if it is missing.
 * @throws AppError `embedded_owner` if the folder or its database is another user's.
 */
export async function findPlace(dataDir: string): Promise<Place> {
  try {
    return await settle(resolve(dataDir));
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== undefined && code !== 'EACCES' && code !== 'EPERM')
      throw unusable(dataDir, code, error);
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    const owner = await stat(dataDir).then(
      ({ uid }) => `It belongs to ${userName(uid)}; this`,
      () => 'This',
    );
    throw new AppError(
      'embedded_owner',
      `The data folder ${dataDir} can't be used. ${owner} process runs as ${userName(ownUid())}. Start it as the folder's owner, or choose another data folder.`,
      { cause: error },
    );
  }
}

const reasons: Record<string, string> = {
  ENOENT: 'it can not be made there',
  ENOTDIR: 'it, or what it lies in, is a file',
  EEXIST: 'it is a file',
  EROFS: 'it lies on a file system that is read-only',
  ENOSPC: 'there is no space left',
};

function unusable(dataDir: string, code: string | undefined, cause?: unknown): AppError {
  const reason = reasons[code ?? ''] ?? `the system answers ${code}`;
  return new AppError(
    'embedded_failed',
    `The data folder ${dataDir} can't be used: ${reason}. Choose another one by DATA_DIR, or set DATABASE_URL to a PostgreSQL.`,
    { cause },
  );
}

async function settle(dataDir: string): Promise<Place> {
  await mkdir(dirname(dataDir), { recursive: true });
  await mkdir(dataDir, { mode: 0o700 }).catch(unless('EEXIST'));
  const dataFolder = await realpath(dataDir);
  if (!(await stat(dataFolder)).isDirectory()) throw unusable(dataDir, 'ENOTDIR');

  const existing = await findCluster(dataFolder);
  const user = await userOf(existing, dataFolder);
  const asRoot = user.gid !== undefined;
  const spawnOptions = {
    cwd: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(user.gid === undefined ? {} : { uid: user.uid, gid: user.gid }),
  };
  const reachable = async (folder: string) => !asRoot || (await canEnter(folder, spawnOptions));
  await letServerThrough(dataFolder, user, reachable);
  if (existing !== undefined) await letServerThrough(dirname(existing), user, reachable);
  // Whose database is there says more than that nothing can be written beside it.
  await access(dataFolder, constants.W_OK | constants.X_OK);
  if (existing !== undefined && !(await reachable(existing))) {
    throw new AppError(
      'embedded_owner',
      `PostgreSQL's user, ${userName(user.uid)}, can't reach the database in ${existing}.`,
    );
  }
  const elsewhere = async () =>
    existing === undefined ? await makeSystemHome(dataFolder, user) : dirname(existing);
  const home = (await reachable(dataFolder)) ? dataFolder : await elsewhere();
  const cluster = existing ?? join(home, 'postgres');
  const notices = user.notice === undefined ? [] : [user.notice];
  if (home !== dataFolder) {
    notices.push(
      `The database is in ${cluster}, because PostgreSQL does not run as root and its user can't reach ${dataFolder}.`,
    );
  }
  return {
    dataFolder,
    home,
    cluster,
    socketFolder: socketFolderOf(cluster, user.uid),
    logFile: join(home, 'postgres.log'),
    spawnOptions,
    serverUid: user.uid,
    notices,
  };
}

/** What a data folder holds of ours: its database, log and links, and the key that seals. */
const ours = /^(postgres|\.?master\.key|\.)/;

/**
 * A data folder that root made for itself alone, or that was opened to nobody or an earlier user of the server, is opened just
 * so far that the server's group may pass through; one that holds anything else is somebody's for other things, and stays
 * as it is.
 */
async function letServerThrough(
  folder: string,
  user: ServerUser,
  reachable: (folder: string) => Promise<boolean>,
): Promise<void> {
  if ((await reachable(folder)) || !(await reachable(dirname(folder)))) return;
  const { uid, gid, mode } = await stat(folder);
  if (uid !== 0 || (gid !== 0 && (mode & 0o7777) !== opened)) return;
  if (!(await readdir(folder)).every((name) => ours.test(name))) return;
  await chown(folder, 0, user.gid as number);
  await chmod(folder, opened);
}

const opened = 0o710;

async function makeSystemHome(dataFolder: string, user: ServerUser): Promise<string> {
  const home = join(systemFolder, shortHash(dataFolder));
  for (const [folder, gid, mode] of [
    [systemFolder, 0, 0o711],
    [home, user.gid as number, opened],
  ] as const) {
    await mkdir(folder, { mode }).catch(unless('EEXIST'));
    const found = await lstat(folder);
    if (!found.isDirectory() || found.uid !== 0) {
      throw new AppError(
        'embedded_owner',
        `${folder} must be a folder of root's: it belongs to ${userName(found.uid)}.`,
      );
    }
    await chown(folder, 0, gid);
    await chmod(folder, mode);
  }
  return await realpath(home);
}

/** The cluster itself, which nobody else may enter; a path too long for a socket gets a short private folder. */
function socketFolderOf(cluster: string, serverUid: number): string {
  if (Buffer.byteLength(join(cluster, socketFile)) <= longestSocketPath) return cluster;
  // Not os.tmpdir(): TMPDIR differs between sessions, and everyone must find the same folder.
  return `/tmp/vouchsafe-${serverUid}-${shortHash(cluster)}`;
}

/**
 * Makes the short folder where one is used.
 * @throws AppError `embedded_owner` if somebody else was there before.
 */
export async function makeSocketFolder(place: Place): Promise<void> {
  const { socketFolder, cluster, serverUid, spawnOptions } = place;
  if (socketFolder !== cluster) {
    await mkdir(socketFolder, { mode: 0o700 }).catch(unless('EEXIST'));
    // Only a folder that is root's own is handed over, never what another user planted.
    const found = await lstat(socketFolder);
    if (spawnOptions.gid !== undefined && found.uid === 0 && found.isDirectory())
      await lchown(socketFolder, serverUid, spawnOptions.gid);
  }
  await isSocketFolderPrivate(place);
}

/** Removes the short folder after the server, unless the next server is in it already. */
export async function removeSocketFolder({ socketFolder, cluster }: Place): Promise<void> {
  if (socketFolder !== cluster) await rmdir(socketFolder).catch(() => undefined);
}

/**
 * Whether the socket's folder is there, and only the server's user and root can enter it: whoever could put a socket
 * there would be shown every query. Authentication rests on this.
 * @throws AppError `embedded_owner` if it is somebody else's or open to others.
 */
export async function isSocketFolderPrivate({ socketFolder, serverUid }: Place): Promise<boolean> {
  const found = await lstat(socketFolder).catch(unless('ENOENT'));
  if (found === undefined) return false;
  // Another process of root's made it a moment ago, and has yet to hand it over.
  if (found.uid === 0 && ownUid() === 0) return false;
  if (found.isDirectory() && found.uid === serverUid && (found.mode & 0o077) === 0) return true;
  throw new AppError(
    'embedded_owner',
    `${socketFolder} must be a folder that only ${userName(serverUid)} can enter (mode 0700): it belongs to ${userName(found.uid)}, mode ${(found.mode & 0o7777).toString(8)}.`,
  );
}

/** Removes what a process that was killed left half made; a living one is done within minutes. */
export async function sweepUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!unfinished.test(name)) continue;
    const found = await lstat(join(home, name)).catch(unless('ENOENT'));
    if (found !== undefined && Date.now() - found.mtimeMs > 600_000) {
      await rm(join(home, name), { recursive: true, force: true });
    }
  }
}

const unfinished = /^postgres.*\.new-\w{6}$/;
/** The prefix for a temporary sibling of `path`, to be renamed when it is whole. */
export const unfinishedPrefix = (path: string): string =>
  join(dirname(path), `${basename(path)}.new-`);

/** Asks the system itself, so that access control lists and the like count too. */
async function canEnter(folder: string, spawnOptions: Place['spawnOptions']): Promise<boolean> {
  try {
    await run('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], spawnOptions);
    return true;
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'number') return false;
    throw new AppError(
      'embedded_failed',
      `PostgreSQL does not run as root, and this process can't start it as ${userName(spawnOptions.uid ?? ownUid())}. Start as an ordinary user, or set DATABASE_URL.`,
      { cause: error },
    );
  }
}

function shortHash(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 16);
}
