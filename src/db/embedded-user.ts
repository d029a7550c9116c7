import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The system user that PostgreSQL, which refuses root, runs as when we are root. */
const name = 'vouchsafe-postgres';
/** The user where that one can't be created. Other programs of the machine may run as it too. */
const nobody = { uid: 65534, gid: 65534 };

export interface ServerUser {
  readonly uid: number;
  /** Undefined where we are not root: the server then runs as we do. */
  readonly gid: number | undefined;
  /** A sentence for the operator where something is unusual. */
  readonly notice?: string;
}

export function ownUid(): number {
  // Only Windows has no uids, and no embedded PostgreSQL either.
  return process.getuid?.() ?? -1;
}

/** The user that the server runs as; under root a system user of its own, which is created where it is missing. */
export async function findServerUser(): Promise<ServerUser> {
  if (ownUid() !== 0) return { uid: ownUid(), gid: undefined };
  // Elsewhere a new user takes more than one command.
  if (process.platform !== 'linux') return nobody;
  const existing = await lookUp();
  if (existing !== undefined) return existing;
  const problem = await create();
  const created = await lookUp();
  if (created === undefined) {
    return {
      ...nobody,
      notice: `PostgreSQL runs as the user nobody, because a user of its own can't be created (${problem ?? `${name} is not usable`}). Other programs that run as nobody can read the database. Create a system user ${name} to prevent this.`,
    };
  }
  return { ...created, notice: `PostgreSQL runs as the system user ${name}, which was created.` };
}

/** Asks the system instead of reading a file, so that users of a directory service count too. */
async function lookUp(): Promise<{ uid: number; gid: number } | undefined> {
  try {
    const { stdout } = await run('/bin/sh', ['-c', `id -u ${name} && id -g ${name}`], { env });
    const [uid, gid] = stdout.trim().split('\n').map(Number);
    return uid !== undefined && gid !== undefined && uid > 0 && gid > 0 ? { uid, gid } : undefined;
  } catch {
    return undefined;
  }
}

/** Nothing of our environment, which holds secrets, goes along; what creates users is in folders of the system's. */
const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/**
 * Creates the user, and gives what went wrong. Only one process at a time does: of two calls of useradd at the same moment,
 * the second would replace what the first has made, with another uid.
 */
async function create(): Promise<string | undefined> {
  const options = `--system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin`;
  const script = `id -u ${name} >/dev/null 2>&1 || exec useradd ${options} ${name}`;
  try {
    await run('flock', ['--timeout', '20', '/etc', '/bin/sh', '-c', script], { env });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    return (stderr?.trim() || message).replaceAll('\n', '; ');
  }
}

export function isNobody(uid: number): boolean {
  return uid === nobody.uid;
}

/** The user for a message to the operator. */
export function userName(uid: number): string {
  if (uid === 0) return 'root';
  const found = entries().find(([, , id]) => Number(id) === uid)?.[0];
  return found === undefined ? `uid ${uid}` : `${found} (uid ${uid})`;
}

function entries(): string[][] {
  try {
    return readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}
