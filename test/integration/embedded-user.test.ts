import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ServerUser } from '../../src/db/embedded-user.ts';

// The system user of the embedded PostgreSQL, with an /etc that only the processes of the test see: it needs root, and the
// right to mount.
const canMount =
  process.getuid?.() === 0 && spawnSync('/bin/sh', ['-c', 'unshare --mount true']).status === 0;
const module = pathToFileURL(join(import.meta.dirname, '../../src/db/embedded-user.ts'));

const withUsers = ['passwd', 'group', 'shadow', 'gshadow'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync('/tmp/vouchsafe-etc-');
  mkdirSync(join(folder, 'etc'));
  for (const name of [...withUsers, 'login.defs', 'nsswitch.conf'])
    if (existsSync(join('/etc', name))) cpSync(join('/etc', name), join(folder, 'etc', name));
  for (const name of withUsers) {
    const file = join(folder, 'etc', name);
    if (existsSync(file))
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/^vouchsafe.*\n/gm, ''));
  }
  writeFileSync(
    join(folder, 'find.mjs'),
    `const { findServerUser } = await import(${JSON.stringify(module)});
     process.stdout.write(JSON.stringify(await findServerUser()) + '\\n');`,
  );
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What so many processes find that ask at once, with that /etc; `before` runs first. */
function find(processes: number, before = ':'): ServerUser[] {
  const script = `mount --bind "$1/etc" /etc && ${before} || exit
    for each in $(seq ${processes}); do "$2" "$1/find.mjs" & done; wait`;
  const said = execFileSync(
    '/bin/sh',
    ['-c', `exec unshare --mount /bin/sh -c '${script}' sh "$@"`, 'sh', folder, process.execPath],
    { encoding: 'utf8' },
  );
  return said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ServerUser);
}

const passwd = () => readFileSync(join(folder, 'etc/passwd'), 'utf8');

if (canMount) {
  test('28: processes that start at once create one user, and it may not sign in', () => {
    const found = find(6);
    expect(found).toHaveLength(6);
    const { uid, gid } = found[0] as ServerUser;
    for (const one of found) expect(one).toMatchObject({ uid, gid });
    expect(found.some(({ notice }) => notice?.includes('was created'))).toBe(true);
    expect(passwd().match(/^vouchsafe-postgres:.*$/gm)).toEqual([
      `vouchsafe-postgres:x:${uid}:${gid}::/nonexistent:/usr/sbin/nologin`,
    ]);
    expect([0, 65534]).not.toContain(uid);

    // From then on nothing is said of it.
    expect(find(1)).toEqual([{ uid, gid }]);
  });

  test('28: where it can not be created, the server runs as nobody, and says so', () => {
    expect(find(1, 'mount -o remount,bind,ro /etc')).toEqual([
      {
        uid: 65534,
        gid: 65534,
        notice: expect.stringMatching(/runs as the user nobody.*cannot lock \/etc\/passwd/),
      },
    ]);
    expect(passwd()).not.toContain('vouchsafe');
  });

  test('SECURITY: 28: a user of that name that is root is not taken', () => {
    writeFileSync(join(folder, 'etc/passwd'), `${passwd()}vouchsafe-postgres:x:0:0::/:/bin/sh\n`);
    expect(find(1)).toEqual([
      expect.objectContaining({ uid: 65534, notice: expect.stringContaining('not usable') }),
    ]);
  });
} else test.todo('the system user of the embedded PostgreSQL needs root, and the right to mount');
