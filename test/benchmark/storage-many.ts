import { Database } from '../../src/db/database.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { exchangesFor } from './exchanges.ts';
import { Child } from './processes.ts';
import type {
  Connection,
  Exchange,
  LoadResult,
  LoadTask,
  Material,
  Ready,
  Task,
} from './protocol.ts';
import { seed } from './seed.ts';
import { connect } from './simulated-clock.ts';
import { fill, sampleTokens } from './storage-fill.ts';
import { reportMany } from './storage-report.ts';
import type { StorageContext } from './storage-week.ts';

const CONNECTIONS = 4;
/** How many of the tokens are asked about: so many of a large table are in no cache of the server's, and few in PostgreSQL's. */
const SAMPLE = 10_000;

interface System {
  readonly live: number;
  readonly port: number;
  readonly exchanges: readonly Exchange[];
  readonly runs: LoadResult[];
}

/** Introspection with many live tokens against few, run by run in turn, each on a database of its own in one PostgreSQL. */
export async function measureMany(context: StorageContext): Promise<void> {
  const children: Child[] = [];
  try {
    const { options, signal } = context;
    const [few, many] = await fillBoth(context);
    const generator = new Child('the load generator', import.meta.resolve('./load.ts'));
    children.push(generator);
    const systems: System[] = [];
    for (const one of [few, many]) systems.push(await start(one, context, children));
    for (let round = 0; round <= options.rounds; round++) {
      for (const system of systems) {
        signal.throwIfAborted();
        await context.database.checkpoint();
        const { port, exchanges } = system;
        const task: LoadTask = {
          port,
          connections: CONNECTIONS,
          seconds: options.seconds,
          exchanges,
        };
        const result = await generator.ask<LoadResult>(task);
        if (result.wrong > 0)
          throw new Error(`${result.wrong} wrong answers. The first one:\n${result.wrongExample}`);
        // The first one warms up.
        if (round > 0) system.runs.push(result);
      }
    }
    console.log(reportMany(systems));
  } finally {
    await Promise.all(children.map((child) => child.stop()));
  }
}

interface Filled {
  readonly connection: Connection;
  readonly live: number;
  readonly material: Material;
}

async function fillBoth({
  database,
  options,
  signal,
  progress,
}: StorageContext): Promise<[Filled, Filled]> {
  const admin = await connect(database.connection);
  const fillOne = async (name: string, live: number, machines: Material): Promise<Filled> => {
    const connection = { ...database.connection, database: name };
    const client = await connect(connection);
    try {
      await fill(client, machines.clients, live, { signal, progress });
    } finally {
      await client.end();
    }
    const tokens = sampleTokens(machines.clients, live, SAMPLE);
    return { connection, live, material: { ...machines, tokens } };
  };
  try {
    const connection = { ...database.connection, database: 'few' };
    await admin.query('create database few');
    const db = new Database({ connection, poolSize: 2 });
    await migrateUp(db.kysely);
    await db.close();
    const { machines } = await seed(connection);
    await admin.query('create database many template few');
    return [
      await fillOne('few', options.few, machines),
      await fillOne('many', options.many, machines),
    ];
  } finally {
    await admin.end();
  }
}

async function start(
  { connection, live, material }: Filled,
  { cores }: StorageContext,
  children: Child[],
): Promise<System> {
  const child = new Child('Vouchsafe', import.meta.resolve('./vouchsafe.ts'), {
    core: cores?.server,
  });
  children.push(child);
  const task: Task = { scenario: 'introspection', variant: '', connection };
  const { port } = await child.ask<Ready>(task);
  return { live, port, exchanges: await exchangesFor('introspection', port, material), runs: [] };
}
