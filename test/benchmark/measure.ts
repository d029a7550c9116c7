import { readFileSync } from 'node:fs';
import type { BenchmarkDatabase } from './database.ts';
import { exchangesFor } from './exchanges.ts';
import { Child, type Cores } from './processes.ts';
import type { Exchange, LoadResult, LoadTask, Material, Ready, Task } from './protocol.ts';
import { connectionOf, type Scenario, type System } from './systems.ts';

export interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly cores: Cores | undefined;
  /** A folder for processor profiles of the systems under test. */
  readonly profiles: string | undefined;
  /** Ends everything. */
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

/** One run of one system. Shares are of one core. */
export interface Run {
  readonly load: LoadResult;
  readonly perSecond: number;
  /** Processor seconds of the server under test for each answer. */
  readonly cpuPerAnswer: number;
  readonly serverShare: number;
  readonly generatorShare: number;
  /** How busy the core of PostgreSQL and the generator was; undefined where that can't be told. */
  readonly othersShare: number | undefined;
  /** What processes that are none of ours took of the server's core. */
  readonly strangersShare: number | undefined;
  /** Resident memory of the server at the end of the run, and the most that it ever was. */
  readonly memoryMiB: number;
  readonly peakMiB: number;
}

export interface Measured {
  readonly system: System;
  readonly runs: readonly Run[];
  /** How many answers were right, and how many rows they left: these must be as many. */
  readonly rows: { readonly answered: number; readonly left: number } | undefined;
}

interface Started {
  readonly system: System;
  readonly child: Child;
  readonly port: number;
  readonly exchanges: readonly Exchange[];
  readonly runs: Run[];
  answered: number;
}

const WARM_UP_SECONDS = 3;

/** Measures the systems of a scenario in turn, round after round, so that what drifts drifts for all of them. */
export async function measure(
  scenario: Scenario,
  database: BenchmarkDatabase,
  seeded: (scenario: Scenario) => Material,
  options: Options,
): Promise<Measured[]> {
  const children: Child[] = [];
  const aborted = new Promise<never>((_, reject) => {
    options.signal.throwIfAborted();
    options.signal.addEventListener('abort', () => reject(options.signal.reason as Error), {
      once: true,
    });
  });
  aborted.catch(() => undefined);
  const work = async () => {
    const generator = new Child('the load generator', import.meta.resolve('./load.ts'));
    children.push(generator);
    const started: Started[] = [];
    for (const system of scenario.systems) {
      options.progress(`${scenario.name}: starting ${system.name}`);
      const nodeOptions =
        options.profiles === undefined
          ? []
          : [
              '--cpu-prof',
              `--cpu-prof-dir=${options.profiles}`,
              `--cpu-prof-name=${profileName(scenario, system)}`,
            ];
      const child = new Child(system.name, system.file, {
        core: options.cores?.server,
        nodeOptions,
      });
      children.push(child);
      const task: Task = {
        scenario: scenario.name,
        variant: system.variant,
        connection: connectionOf(system, database),
      };
      const { port, material = seeded(scenario) } = await child.ask<Ready>(task);
      const exchanges = await exchangesFor(scenario.name, port, material);
      started.push({ system, child, port, exchanges, runs: [], answered: 0 });
    }
    await database.settle();
    const rowsOf = ({ system }: Started) =>
      system.leavesRowsIn === undefined
        ? Promise.resolve(0)
        : database.countRows(connectionOf(system, database), system.leavesRowsIn);
    const rowsBefore = await Promise.all(started.map(rowsOf));
    for (const one of started) {
      options.progress(`${scenario.name}: warming up ${one.system.name}`);
      await runOnce(generator, one, {
        ...options,
        seconds: Math.min(WARM_UP_SECONDS, options.seconds),
      });
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const one of started) {
        await database.checkpoint();
        options.progress(
          `${scenario.name}: round ${round} of ${options.rounds}, ${one.system.name}`,
        );
        one.runs.push(await runOnce(generator, one, options));
      }
    }
    const rowsAfter = await Promise.all(started.map(rowsOf));
    return started.map((one, index) => ({
      system: one.system,
      runs: one.runs,
      rows:
        one.system.leavesRowsIn === undefined
          ? undefined
          : { answered: one.answered, left: (rowsAfter[index] ?? 0) - (rowsBefore[index] ?? 0) },
    }));
  };
  const working = work();
  try {
    return await Promise.race([working, aborted]);
  } finally {
    working.catch(() => undefined);
    await Promise.all(children.map((child) => child.stop()));
  }
}

const profileName = (scenario: Scenario, system: System) =>
  `${scenario.name}.${system.name.replaceAll(/[^a-zA-Z]+/g, '-')}.cpuprofile`;

async function runOnce(
  generator: Child,
  one: Started,
  { seconds, connections, cores }: Options,
): Promise<Run> {
  const task: LoadTask = { port: one.port, connections, seconds, exchanges: one.exchanges };
  const before = {
    at: performance.now(),
    usage: await one.child.usage(),
    server: busy(cores?.server),
    others: busy(cores?.others),
  };
  const load = await generator.ask<LoadResult>(task);
  const after = {
    at: performance.now(),
    usage: await one.child.usage(),
    server: busy(cores?.server),
    others: busy(cores?.others),
  };
  one.answered += load.answeredInAll;
  const elapsed = (after.at - before.at) / 1000;
  const cpu = after.usage.cpuSeconds - before.usage.cpuSeconds;
  const share = (to: number | undefined, from: number | undefined) =>
    to === undefined || from === undefined ? undefined : (to - from) / elapsed;
  const serverCoreShare = share(after.server, before.server);
  return {
    load,
    perSecond: load.answered / load.seconds,
    cpuPerAnswer: cpu / load.answeredInAll,
    serverShare: cpu / elapsed,
    generatorShare: load.cpuSeconds / elapsed,
    othersShare: share(after.others, before.others),
    strangersShare:
      serverCoreShare === undefined ? undefined : Math.max(0, serverCoreShare - cpu / elapsed),
    memoryMiB: after.usage.memoryMiB,
    peakMiB: after.usage.peakMiB,
  };
}

/** Seconds for which a core was busy since the machine started; Linux counts them in hundredths. */
function busy(core: number | undefined): number | undefined {
  if (core === undefined) return undefined;
  const line = readFileSync('/proc/stat', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`cpu${core} `));
  const [user, nice, system, , , irq, softIrq, steal] = (line?.split(' ').slice(1) ?? []).map(
    Number,
  );
  return (
    [user, nice, system, irq, softIrq, steal].reduce<number>(
      (sum, ticks) => sum + (ticks ?? 0),
      0,
    ) / 100
  );
}
