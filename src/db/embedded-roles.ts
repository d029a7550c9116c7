import { randomBytes } from 'node:crypto';
import { chown, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { type Place, port } from './embedded-place.ts';
import { reloadSettings, superuser } from './embedded-server.ts';

/**
 * The roles of the embedded server, each with a password. None is a superuser: that one exists in every cluster, and is
 * let in only while the roles are made.
 */
export const roles = { owner: 'vouchsafe_owner', server: 'vouchsafe_server' } as const;
type Role = keyof typeof roles;

export type Passwords = Readonly<Record<Role, string>>;

/** Makes the roles one process at a time. Any number will do. */
const rolesLock = 0x766f7572;

const rules = [
  `local all ${roles.owner},${roles.server} scram-sha-256`,
  'local all all reject',
  'host all all all reject',
  '',
];

const fileOf = ({ dataFolder }: Place) => join(dataFolder, 'postgres.passwords');

/** The passwords of a cluster whose roles are made; undefined before that, and where the file is lost. */
export async function readPasswords(place: Place): Promise<Passwords | undefined> {
  try {
    const found = JSON.parse(await readFile(fileOf(place), 'utf8')) as Partial<Passwords>;
    const { owner, server } = found;
    return owner === undefined || server === undefined ? undefined : { owner, server };
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT')
      return undefined;
    throw error;
  }
}

/**
 * Makes the roles, or gives them new passwords, in a cluster that the running server serves: a new one, one of an earlier
 * release, or one whose passwords are lost. Who may do so owns the cluster's files.
 */
export async function secureCluster(place: Place, database: string): Promise<void> {
  const before = await readPasswords(place);
  // A server that we have just started lets the superuser in already.
  const admin = await connect(place, 'postgres').catch(async (error: unknown) => {
    if (!isRefused(error)) throw error;
    await writeHbaFile(place, true);
    return connect(place, 'postgres');
  });
  try {
    await admin.query('select pg_advisory_lock($1)', [rolesLock]);
    const passwords = (await anotherHasDoneIt(place, before)) ?? (await makeRoles(admin));
    await handOver(admin, place, database);
    await write(fileOf(place), `${JSON.stringify(passwords)}\n`);
    await writeHbaFile(place, false);
  } finally {
    await admin.end().catch(() => undefined);
  }
}

/** Writes pg_hba.conf: only the two roles can connect, and the superuser while the roles are created. */
export async function writeHbaFile(place: Place, isBeingMade: boolean): Promise<void> {
  const { cluster, spawnOptions, serverUid } = place;
  const file = join(cluster, 'pg_hba.conf');
  const text = [...(isBeingMade ? [`local all ${superuser} trust`] : []), ...rules].join('\n');
  await write(
    file,
    text,
    spawnOptions.uid === undefined ? undefined : [serverUid, spawnOptions.gid],
  );
  await reloadSettings(place);
}

async function anotherHasDoneIt(
  place: Place,
  before: Passwords | undefined,
): Promise<Passwords | undefined> {
  const now = await readPasswords(place);
  return now?.owner === before?.owner ? undefined : now;
}

async function makeRoles(admin: pg.Client): Promise<Passwords> {
  const passwords = { owner: newPassword(), server: newPassword() };
  for (const role of ['owner', 'server'] as const) {
    const { rowCount } = await admin.query('select from pg_roles where rolname = $1', [
      roles[role],
    ]);
    // The owner makes the database again where it was dropped, and sees whether others are connected.
    const rights = `login nosuperuser nocreaterole ${role === 'owner' ? 'createdb' : 'nocreatedb'}`;
    await admin.query(
      `${rowCount === 0 ? 'create' : 'alter'} role ${roles[role]} ${rights} password '${passwords[role]}'`,
    );
  }
  await admin.query(`grant pg_read_all_stats to ${roles.owner}`);
  return passwords;
}

/** What an earlier release made as the superuser becomes the owner's. */
async function handOver(admin: pg.Client, place: Place, database: string): Promise<void> {
  const { rowCount } = await admin.query('select from pg_database where datname = $1', [database]);
  if (rowCount === 0) return;
  await admin.query(`alter database ${database} owner to ${roles.owner}`);
  const inside = await connect(place, database);
  try {
    const { rows } = await inside.query<{ table: string }>(
      `select c.oid::regclass::text as table from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p', 'v', 'm', 'S')
          and c.relowner <> (select oid from pg_roles where rolname = $1)`,
      [roles.owner],
    );
    if (rows.length === 0) return;
    const changes = rows.map(({ table }) => `alter table ${table} owner to ${roles.owner}`);
    await inside.query(`begin; ${changes.join('; ')}; commit`);
  } finally {
    await inside.end();
  }
}

async function connect({ socketFolder }: Place, database: string): Promise<pg.Client> {
  const client = new pg.Client({
    host: socketFolder,
    port,
    user: superuser,
    database,
    ssl: false,
    // Not one of the application's: whoever waits for those to leave does not wait for us.
    application_name: 'vouchsafe presence',
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The password is not the role's, or there is no rule that lets it in. */
export function isRefused(error: unknown): boolean {
  return ['28P01', '28000'].includes(String((error as pg.DatabaseError).code));
}

function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/** Written whole before it has its name, readable by its owner only. */
async function write(
  file: string,
  text: string,
  owner?: readonly [number, number | undefined],
): Promise<void> {
  const unfinished = `${file}.${randomBytes(4).toString('hex')}`;
  const handle = await open(unfinished, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (owner !== undefined) await chown(unfinished, owner[0], owner[1] ?? owner[0]);
  await rename(unfinished, file);
}
