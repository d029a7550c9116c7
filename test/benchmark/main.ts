// What `npm run bench` runs: docs/performance.md says how to read what it prints. It never fails for being slow; it fails
// where an answer was wrong.
import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchmarkDatabase } from './database.ts';
import { measure, type Options } from './measure.ts';
import { describeCores, pin } from './processes.ts';
import { isValid, reportOf, startUpLine } from './report.ts';
import { seed } from './seed.ts';
import { measureStartUp } from './start-up.ts';
import { type Scenario, scenariosFor } from './systems.ts';

const usage = `npm run bench -- [options]
  --only NAMES        scenarios, with a comma between them: introspection or client-credentials (each with all that begins so),
                      introspection-people, client-credentials-jwt, discovery, jwks, single-sign-on, code-exchange, refresh,
                      token-exchange, mixed
  --seconds N         how long a run lasts (5)
  --rounds N          how many runs of each system, in turn (5)
  --connections N     how many connections the load generator keeps busy (16)
  --profile FOLDER    leaves a processor profile of each system there; the figures are then lower
`;

/** Beyond the runs themselves, for starting, seeding and warming up. */
const SLACK_SECONDS = 300;

function readOptions() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      only: text,
      seconds: text,
      rounds: text,
      connections: text,
      profile: text,
      help: { type: 'boolean' },
    },
  });
  const number = (name: 'seconds' | 'rounds' | 'connections', otherwise: number, most: number) => {
    const value = Number(values[name] ?? otherwise);
    if (!(value > 0 && value <= most))
      throw new TypeError(`--${name}: expected a number above 0, at most ${most}.`);
    return value;
  };
  return {
    help: values.help === true,
    scenarios: scenariosFor(values.only),
    seconds: number('seconds', 5, 600),
    rounds: Math.ceil(number('rounds', 5, 100)),
    connections: Math.ceil(number('connections', 16, 1_000)),
    profiles: values.profile === undefined ? undefined : resolve(values.profile),
  };
}

type Chosen = ReturnType<typeof readOptions>;

function longest({ scenarios, seconds, rounds }: Chosen): number {
  const runs = scenarios.reduce((sum, { systems }) => sum + systems.length * (rounds + 1), 0);
  return SLACK_SECONDS + runs * (seconds + 5);
}

/** The end that was asked for, or that had to be. */
class Stopped extends Error {}

/** Signals and the time limit: whichever comes first ends everything in order. */
function ending(limitSeconds: number): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => controller.abort(new Stopped(`Stopped by ${name}.`)));
  }
  setTimeout(
    () => controller.abort(new Stopped(`Stopped: it took more than ${limitSeconds} seconds.`)),
    limitSeconds * 1000,
  ).unref();
  return controller.signal;
}

const isTerminal = process.stderr.isTTY;
/** Only where somebody watches. */
const progress = (text: string) => {
  if (isTerminal) process.stderr.write(`\r\u001b[K${text}`);
};

async function run(chosen: Chosen): Promise<boolean> {
  const signal = ending(longest(chosen));
  const cores = await pin();
  if (chosen.profiles !== undefined) await mkdir(chosen.profiles, { recursive: true });
  progress('starting PostgreSQL');
  const database = await BenchmarkDatabase.open();
  try {
    signal.throwIfAborted();
    progress('seeding');
    const seeded = await database.quickly(() => seed(database.connection));
    const materialFor = ({ name }: Scenario) =>
      ['introspection', 'client-credentials', 'client-credentials-jwt'].includes(name)
        ? seeded.machines
        : seeded.people;
    console.log(
      `${cpus()[0]?.model ?? 'unknown processor'}; Node.js ${process.versions.node}; PostgreSQL ${await database.version()}, fsync on, ${(await database.commitTime()).toFixed(2)} ms a commit`,
    );
    console.log(`Cores: ${describeCores(cores)}.`);
    console.log(
      `Runs: ${chosen.rounds} rounds of ${chosen.seconds} s, ${chosen.connections} connections. Figures are medians, with the lowest and the highest.`,
    );
    progress('starting the server');
    console.log(startUpLine(await measureStartUp(database.connection, signal)));
    let valid = true;
    for (const scenario of chosen.scenarios) {
      const options: Options = { ...chosen, cores, signal, progress };
      const measured = await measure(scenario, database, materialFor, options);
      progress('');
      console.log(reportOf(scenario, measured));
      valid &&= isValid(measured);
    }
    return valid;
  } finally {
    progress('');
    await database.close();
  }
}

function chosenOrUsage(): Chosen | undefined {
  try {
    const chosen = readOptions();
    if (!chosen.help) return chosen;
    console.log(usage);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exitCode = 1;
  }
  return undefined;
}

const chosen = chosenOrUsage();
if (chosen !== undefined) {
  try {
    if (!(await run(chosen))) process.exitCode = 1;
  } catch (error) {
    console.error(error instanceof Stopped ? error.message : error);
    process.exitCode = 1;
  }
}
