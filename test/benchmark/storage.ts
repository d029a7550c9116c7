// What `npm run bench:storage` runs: docs/storage.md says how to read what it prints. It never fails for being large or
// slow; it fails where an answer was wrong.
import { totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { BenchmarkDatabase } from './database.ts';
import { describeCores, pin } from './processes.ts';
import { measureMany } from './storage-many.ts';
import { simulateWeek } from './storage-week.ts';

const usage = `npm run bench:storage -- [options]
  --only NAME         week (the simulated week) or many (introspection with many live tokens against few)
  --days N            how long the simulated time is (7)
  --scale N           how much is issued in a minute of it: 1 are 200 machines' tokens, 2 families and 3 refreshes (1)
  --many N            live tokens of the large table (10000000)
  --few N             live tokens of the small one (10000)
  --seconds N         how long a run of introspection lasts (5)
  --rounds N          how many runs of it, in turn (5)
`;

export interface StorageOptions {
  readonly days: number;
  readonly scale: number;
  readonly many: number;
  readonly few: number;
  readonly seconds: number;
  readonly rounds: number;
}

const defaults: StorageOptions = {
  days: 7,
  scale: 1,
  many: 10_000_000,
  few: 10_000,
  seconds: 5,
  rounds: 5,
};

function readOptions(): (StorageOptions & { only: string | undefined }) | undefined {
  const names = Object.keys(defaults) as (keyof StorageOptions)[];
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(names.map((name) => [name, text])),
      only: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  const only = values.only as string | undefined;
  if (only !== undefined && only !== 'week' && only !== 'many')
    throw new TypeError(`--only: expected week or many.`);
  const given = names.map((name) => {
    const value = Number((values as Record<string, unknown>)[name] ?? defaults[name]);
    if (!(value > 0)) throw new TypeError(`--${name}: expected a number above 0.`);
    return [name, value];
  });
  return { ...(Object.fromEntries(given) as StorageOptions), only };
}

/** Only where somebody watches. */
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
};

class Stopped extends Error {}

/** Ctrl-C ends everything in order. */
function ending(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => controller.abort(new Stopped(`Stopped by ${name}.`)));
  return controller.signal;
}

async function run({ only, ...options }: StorageOptions & { only: string | undefined }) {
  const signal = ending();
  const cores = await pin();
  // As who keeps ten million tokens would have set it: a quarter of the memory.
  const sharedBuffers = `${Math.floor(totalmem() / 4 / 2 ** 20)}MB`;
  const database = await BenchmarkDatabase.open({ shared_buffers: sharedBuffers });
  try {
    console.log(
      `Node.js ${process.versions.node}; PostgreSQL ${await database.version()}, fsync on, shared_buffers ${sharedBuffers}, ${(await database.commitTime()).toFixed(2)} ms a commit`,
    );
    console.log(`Cores: ${describeCores(cores)}.`);
    const context = { database, cores, signal, options, progress };
    if (only !== 'many') await simulateWeek(context);
    if (only !== 'week') await measureMany(context);
  } finally {
    progress('');
    await database.close();
  }
}

function optionsOrUsage(): ReturnType<typeof readOptions> {
  try {
    const options = readOptions();
    if (options === undefined) console.log(usage);
    return options;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exitCode = 1;
    return undefined;
  }
}

const options = optionsOrUsage();
if (options !== undefined) {
  try {
    await run(options);
  } catch (error) {
    console.error(error instanceof Stopped ? error.message : error);
    process.exitCode = 1;
  }
}
