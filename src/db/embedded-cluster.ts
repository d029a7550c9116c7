import { lstat, readlink, realpath, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../errors.ts';
import { takeOver } from './embedded-takeover.ts';
import { findServerUser, isNobody, ownUid, type ServerUser, userName } from './embedded-user.ts';

/** The cluster that the data folder holds or, by a symbolic link, points to. */
export async function findCluster(dataFolder: string): Promise<string | undefined> {
  const entry = join(dataFolder, 'postgres');
  if ((await lstat(entry).catch(unless('ENOENT'))) === undefined) return undefined;
  const cluster = await realpath(entry).catch(unless('ENOENT'));
  // A new, empty database in its stead would look like a loss of all accounts.
  if (cluster !== undefined) return cluster;
  throw new AppError(
    'embedded_gone',
    `The database of ${dataFolder} was in ${await readlink(entry)}, which no longer exists. Put it back, or delete ${entry} to start with an empty database.`,
  );
}

/**
 * The user that this cluster's server runs as. A cluster of another user, commonly nobody's, is given to ours where only root
 * can have put it there; while a server runs in it as that user, it goes on so.
 * @throws AppError `embedded_owner` if it is somebody else's.
 */
export async function userOf(cluster: string | undefined, dataFolder: string): Promise<ServerUser> {
  if (cluster === undefined) return findServerUser();
  const { uid, gid } = await stat(cluster);
  const isOfRoot = (await isRoots(dataFolder)) && (await isRoots(dirname(cluster)));
  if (ownUid() !== 0) {
    if (uid === ownUid()) return { uid, gid: undefined };
    throw foreign(cluster, uid, isOfRoot ? ' (root)' : '');
  }
  const user = await findServerUser();
  if (uid === user.uid) return user;
  if (uid === 0 || !(isOfRoot || isNobody(uid))) throw foreign(cluster, uid);
  const outcome = isOfRoot
    ? await takeOver(cluster, uid, user)
    : { obstacle: `root is not the only one who can write to the folder of ${cluster}` };
  if (outcome === 'taken') return user;
  if (outcome === 'in use') return { uid, gid };
  if (isNobody(uid)) {
    const notice = `PostgreSQL runs as ${userName(uid)} and not as ${userName(user.uid)}, because ${outcome.obstacle}.`;
    return { uid, gid, notice };
  }
  throw new AppError(
    'embedded_owner',
    `The database in ${cluster} belongs to ${userName(uid)}, and can't be given to ${userName(user.uid)}, because ${outcome.obstacle}.`,
  );
}

function foreign(cluster: string, uid: number, hint = ''): AppError {
  return new AppError(
    'embedded_owner',
    `The database in ${cluster} belongs to ${userName(uid)}, and this process runs as ${userName(ownUid())}. Start it as the user who made the database${hint}, or choose another data folder.`,
  );
}

/** Whether only root can put anything into the folder. */
async function isRoots(folder: string): Promise<boolean> {
  const { uid, mode } = await stat(folder);
  return uid === 0 && (mode & 0o022) === 0;
}

/**
 * Points from the data folder to a cluster that lies elsewhere: it shows people where their data is, keeps a data folder
 * that is moved together with its database, and keeps another user from making a second database beside it.
 */
export async function pointToCluster({
  dataFolder,
  cluster,
}: {
  readonly dataFolder: string;
  readonly cluster: string;
}): Promise<void> {
  const entry = join(dataFolder, 'postgres');
  if (cluster !== entry) await symlink(cluster, entry).catch(unless('EEXIST'));
}

/** For `catch`: gives undefined for one expected code, throws the rest. */
export const unless =
  (code: string) =>
  (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== code) throw error;
  };
