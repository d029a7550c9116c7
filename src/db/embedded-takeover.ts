import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
  statSync,
} from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { type ServerUser, userName } from './embedded-user.ts';

/**
 * Root gives a cluster to another user: one of an earlier release, which ran PostgreSQL as nobody, or of a machine where the
 * user had another uid. Only on Linux, where files can be named below an open folder.
 *
 * The user that has the files until now may be hostile. So nothing is followed: each folder and file is opened, looked at, and
 * changed through what was opened. And PostgreSQL, which takes a server of another user for none, must not find one running.
 */
export async function takeOver(cluster: string, from: number, to: ServerUser): Promise<Outcome> {
  if (isInUse(cluster, to)) return 'in use';
  const obstacle = walk(cluster, cluster, ({ uid }) => uid === from || uid === to.uid);
  if (obstacle !== undefined) return { obstacle };
  walk(cluster, cluster, (stats, file) => {
    if (stats.uid === from) fchownSync(file, to.uid, to.gid as number);
    return true;
  });
  // A server that another process started meanwhile can't read its files any more, and ends.
  for (let left = 100; isInUse(cluster, to); left -= 1) {
    if (left === 0)
      throw new AppError(
        'embedded_failed',
        `A server that was started as ${userName(from)} still runs in ${cluster}. Stop it, and start again.`,
      );
    await delay(100);
  }
  return 'taken';
}

/** Where something is not taken over: what, in words. */
export type Outcome = 'taken' | 'in use' | { readonly obstacle: string };

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * Calls `visit` for all plain files and folders, each folder after what is in it; so the cluster's own folder, whose owner
 * PostgreSQL checks, comes last. Gives the first thing that is anything else, or that `visit` refuses.
 */
function walk(
  path: string,
  name: string,
  visit: (stats: Stats, file: number) => boolean,
): string | undefined {
  const file = open(path);
  if (file === undefined) return undefined;
  if (file === 'link') return `${name} is a symbolic link`;
  let first: string | undefined;
  try {
    const stats = fstatSync(file);
    if (stats.isDirectory()) {
      const folder = `/proc/self/fd/${file}`;
      for (const entry of readdirSync(folder)) {
        const found = walk(`${folder}/${entry}`, `${name}/${entry}`, visit);
        first ??= found;
      }
    } else if (!stats.isFile()) return `${name} is neither a file nor a folder`;
    else if (stats.nlink !== 1) return `${name} has a second name elsewhere`;
    if (!visit(stats, file)) first ??= `${name} belongs to ${userName(stats.uid)}`;
    return first;
  } finally {
    closeSync(file);
  }
}

function open(path: string): number | 'link' | undefined {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') return 'link';
    // Gone meanwhile, or the socket of a server that was killed: the next server replaces it.
    if (code === 'ENOENT' || code === 'ENXIO') return undefined;
    throw error;
  }
}

/** Whether a process of another user than the new one and root works in the cluster: all of PostgreSQL's do. */
function isInUse(cluster: string, to: ServerUser): boolean {
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return ![0, to.uid].includes(statSync(`/proc/${pid}`).uid) && worksIn(cluster, pid);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ESRCH') return false;
      throw error;
    }
  });
}

function worksIn(cluster: string, pid: string): boolean {
  try {
    const folder = readlinkSync(`/proc/${pid}/cwd`);
    return folder === cluster || folder.startsWith(`${cluster}/`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    // Root of a container may not see it. Any PostgreSQL counts then.
    const [program = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return basename(program).startsWith('postgres');
  }
}
