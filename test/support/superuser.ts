import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openEmbedded } from '../../src/db/embedded.ts';
import { readServerLock } from '../../src/db/embedded-server.ts';
import { findPlace } from '../../src/db/embedded-place.ts';
import { until } from './process.ts';
import pg from 'pg';

/** An embedded PostgreSQL that lets its superuser in without a password, as tests need that create databases. */
export async function openAsSuperuser(folder: string, settings: Record<string, string>) {
  const embedded = await openEmbedded(folder, { settings });
  const { host, port, database } = embedded.owner;
  const place = await findPlace(folder);
  await writeFile(join(place.cluster, 'pg_hba.conf'), 'local all all trust\n');
  process.kill(readServerLock(place)?.pid as number, 'SIGHUP');
  const connection = { host, port, database, user: 'vouchsafe' };
  await until(async () => {
    const client = new pg.Client(connection);
    client.on('error', () => undefined);
    return client.connect().then(
      () => client.end().then(() => true),
      () => false,
    );
  });
  return { connection, close: () => embedded.close() };
}
