import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from './config.ts';
import type { Database } from './db/database.ts';
import { AppError } from './errors.ts';
import { Sealer } from './lib/seal.ts';

const checkKey = 'master_key_check';
const checkPlace = `instance:${checkKey}`;
const howToMake = 'openssl rand -base64 32';

export interface SealerOptions {
  readonly config: Pick<Config, 'masterKeys' | 'dataDir' | 'databaseUrl'>;
  readonly db: Database;
  /** Hears what an operator should change. */
  readonly warn: (message: string) => void;
}

/**
 * The sealer of this process: under MASTER_KEY, or under the key file in the data folder, which is made with the database
 * it belongs to and never again. Several processes that start at once on an empty database agree on one key.
 * @throws AppError `master_key_missing`, `master_key_wrong`, `master_key_file`
 */
export async function openSealer({ config, db, warn }: SealerOptions): Promise<Sealer> {
  const file = join(config.dataDir, 'master.key');
  if (config.masterKeys !== undefined) {
    const sealer = new Sealer(config.masterKeys);
    if (!(await isKeyOf(db, sealer))) {
      throw new AppError(
        'master_key_wrong',
        `MASTER_KEY is not the key that this database was sealed under. Set the right one; if the key was in ${file} until now, set that file's content.`,
      );
    }
    return sealer;
  }
  const { keys, isNew } = await readOrMake(file, db);
  const sealer = new Sealer(keys);
  if (!(await isKeyOf(db, sealer))) {
    // Another machine has sealed the database meanwhile: what we have just made is nobody's key.
    if (isNew) await rm(file, { force: true });
    throw new AppError(
      'master_key_wrong',
      isNew
        ? 'Another process has just set this database up under a master key of its own. Set the same MASTER_KEY for both.'
        : `The key in ${file} is not the one that this database was sealed under. Put the right file back, or set MASTER_KEY to the right key.`,
    );
  }
  if (config.databaseUrl !== undefined) {
    warn(
      `No MASTER_KEY is set, so the key in ${file} encrypts the secrets in the database. Without it, every second factor and signing key is lost. Set MASTER_KEY (or MASTER_KEY_FILE) to that file's content, and keep a copy elsewhere.`,
    );
  }
  return sealer;
}

/**
 * Whether a master key of this installation opens the check of a database: that of a backup.
 * @throws AppError `master_key_missing`, `master_key_file`
 */
export async function opensMasterKeyCheck(
  config: Pick<Config, 'masterKeys' | 'dataDir'>,
  check: string,
): Promise<boolean> {
  const file = join(config.dataDir, 'master.key');
  const keys = config.masterKeys ?? (await read(file));
  if (keys === undefined)
    throw new AppError(
      'master_key_missing',
      `There is no master key, and without the one that sealed it a backup is of no use: set MASTER_KEY, or put ${file} back.`,
    );
  return opens(new Sealer(keys), check);
}

function opens(sealer: Sealer, check: string): boolean {
  try {
    sealer.open(Buffer.from(check, 'base64'), checkPlace);
    return true;
  } catch {
    return false;
  }
}

/** Claims the database for this key where it has none yet; then says whether the key opens what was sealed first. */
async function isKeyOf({ kysely }: Database, sealer: Sealer): Promise<boolean> {
  const find = () =>
    kysely.selectFrom('instance').select('value').where('key', '=', checkKey).executeTakeFirst();
  let row = await find();
  if (row === undefined) {
    const value = sealer.seal('vouchsafe', checkPlace).toString('base64');
    await kysely
      .insertInto('instance')
      .values({ key: checkKey, value })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    row = await find();
  }
  return opens(sealer, row?.value ?? '');
}

/** From now on the database is known by the current key alone: done when nothing lies under an earlier one. */
export async function renewCheck({ kysely }: Database, sealer: Sealer): Promise<void> {
  await kysely
    .updateTable('instance')
    .set({ value: sealer.seal('vouchsafe', checkPlace).toString('base64') })
    .where('key', '=', checkKey)
    .execute();
}

async function readOrMake(
  file: string,
  { kysely }: Database,
): Promise<{ keys: readonly Buffer[]; isNew: boolean }> {
  const found = await read(file);
  if (found !== undefined) return { keys: found, isNew: false };
  const sealed = await kysely
    .selectFrom('instance')
    .select('key')
    .where('key', '=', checkKey)
    .executeTakeFirst();
  // A process on the same folder may have made the file and sealed the database since we looked for the file.
  const late = await read(file);
  if (late !== undefined) return { keys: late, isNew: false };
  if (sealed !== undefined) {
    throw new AppError(
      'master_key_missing',
      `This database was sealed under a master key, and there is none: set MASTER_KEY, or put ${file} back.`,
    );
  }
  try {
    return { keys: [await make(file)], isNew: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      return { keys: (await read(file)) as Buffer[], isNew: false };
    throw new AppError(
      'master_key_file',
      `There is no master key, and none can be kept in ${file}. Set MASTER_KEY to the output of: ${howToMake}`,
      { cause: error },
    );
  }
}

/** The keys in the file: one, or during a rotation the new one and the old one, each on a line. */
async function read(file: string): Promise<readonly Buffer[] | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new AppError(
      'master_key_file',
      `The master key in ${file} can't be read: ${error.code ?? 'unknown error'}.`,
      { cause: error },
    );
  });
  if (text === undefined) return undefined;
  if (((await stat(file)).mode & 0o077) !== 0) {
    throw new AppError(
      'master_key_file',
      `Others than its owner may read the master key. Run: chmod 600 ${file}`,
    );
  }
  const keys = text
    .trim()
    .split(/[\s,]+/)
    .map((part) => Buffer.from(part, 'base64'));
  if (keys.every((key) => key.length === 32)) return keys;
  throw new AppError(
    'master_key_file',
    `${file} does not hold a master key: expected 32 bytes in base64. Put the right file back.`,
  );
}

/** Written whole and on disk before it has its name, so that nobody ever reads half a key. Fails with EEXIST. */
async function make(file: string): Promise<Buffer> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const key = randomBytes(32);
  const unfinished = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const handle = await open(unfinished, 'wx', 0o600);
  try {
    await handle.writeFile(`${key.toString('base64')}\n`);
    await handle.sync();
    await link(unfinished, file);
  } finally {
    await handle.close();
    await rm(unfinished, { force: true });
  }
  const directory = await open(folder);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
  return key;
}
