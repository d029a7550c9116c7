import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { findBinaryPackage, prepareBinaries } from './embedded-binaries.ts';
import { pointToCluster } from './embedded-cluster.ts';
import { findPlace, type Place, port, sweepUnfinished } from './embedded-place.ts';
import { database, join, leave } from './embedded-presence.ts';
import { writeHbaFile, type Passwords, readPasswords, roles } from './embedded-roles.ts';
import { clusterVersion, makeCluster, startServer } from './embedded-server.ts';

export interface EmbeddedConnection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** A PostgreSQL of our own that runs on this machine. */
export interface EmbeddedDatabase {
  /** Settings of the server role for `pg`: a Unix socket in `host`, which is a folder; there is no TCP. */
  readonly connection: EmbeddedConnection;
  /** The same of the role that owns the database. */
  readonly owner: EmbeddedConnection;
  /** A sentence each for the operator, where something is unusual. */
  readonly notices: readonly string[];
  /** Leaves, and stops the server if nobody else is connected; end the pools before. Can be called again. */
  close(): Promise<void>;
}

/**
 * Starts the PostgreSQL whose cluster is `postgres` in the data folder, or joins it where it runs already: any number of
 * processes may, at any moment, and whoever leaves last stops it. It survives a kill of any of them; where it dies itself,
 * those who are present start it anew. `settings` count only when this call starts it.
 * @throws AppError `embedded_missing` without binaries that run here, `embedded_owner` where the folder is another
 * user's, `embedded_gone` and `embedded_version` for a cluster that can't be used, `embedded_failed` where it does not start.
 */
export async function openEmbedded(
  dataDir: string,
  { settings = {} }: { settings?: Record<string, string> } = {},
): Promise<EmbeddedDatabase> {
  const binaries = await findBinaryPackage();
  let place = await findPlace(dataDir);
  let programs: Promise<string> | undefined;
  const prepared = () => (programs ??= prepareBinaries(binaries, place));
  const start = async () => {
    checkVersion(place, binaries.version);
    await sweepUnfinished(place.home);
    await writeHbaFile(place, (await readPasswords(place)) === undefined);
    return await startServer(place, await prepared(), settings);
  };
  if (clusterVersion(place) === undefined) {
    await makeCluster(place, await prepared(), settings.fsync !== 'off');
  }
  checkVersion(place, binaries.version);
  await pointToCluster(place);

  const leaving = new AbortController();
  let presence = await join(place, start, leaving.signal);
  let restored: Promise<void> | undefined;
  const watch = () => presence.once('end', () => void (restored = restore()));
  // The presence ends by itself only when the server does, by a crash or a hand other than ours.
  const restore = async () => {
    while (!leaving.signal.aborted) {
      try {
        // The cluster may have been given to another user meanwhile.
        place = await findPlace(dataDir);
        presence = await join(place, start, leaving.signal);
        watch();
        return;
      } catch {
        // The users of the database see its errors meanwhile; nothing else needs to know.
        await delay(1000, undefined, { ref: false, signal: leaving.signal }).catch(() => undefined);
      }
    }
  };
  watch();

  let closed: Promise<void> | undefined;
  const close = async () => {
    leaving.abort();
    await restored;
    await leave(presence, place);
  };
  const { owner, server } = (await readPasswords(place)) as Passwords;
  const shared = { host: place.socketFolder, port, database };
  return {
    connection: { ...shared, user: roles.server, password: server },
    owner: { ...shared, user: roles.owner, password: owner },
    notices: place.notices,
    close: () => (closed ??= close()),
  };
}

function checkVersion(place: Place, packageVersion: string): void {
  const found = clusterVersion(place);
  const expected = Number.parseInt(packageVersion, 10);
  if (found === expected) return;
  throw new AppError(
    'embedded_version',
    found === undefined
      ? `The database in ${place.cluster} is gone.`
      : `The database in ${place.cluster} is PostgreSQL ${found}'s, and the PostgreSQL that comes along is ${expected}. Back it up with the release that wrote it (npm run -s cli -- backup FILE), and restore that file into a new data folder.`,
  );
}
