import type { Measured, Run } from './measure.ts';
import type { StartUp } from './start-up.ts';
import type { Scenario } from './systems.ts';

/** A server whose own core was less busy than this was held up by the other core, or by the disk. */
const FULLY_BUSY = 0.9;
const QUIET = 0.08;

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

export function median(values: readonly number[]): number {
  const all = sorted(values);
  const middle = Math.floor(all.length / 2);
  return all.length % 2 === 1
    ? (all[middle] as number)
    : ((all[middle - 1] as number) + (all[middle] as number)) / 2;
}

const medianOf = (
  runs: readonly Run[],
  value: (run: Run) => number | undefined,
): number | undefined => {
  const values = runs.map(value).filter((one) => one !== undefined);
  return values.length === 0 ? undefined : median(values);
};

export function spread(values: readonly number[], format: (value: number) => string): string {
  const all = sorted(values);
  return `${format(median(values))} (${format(all[0] as number)}–${format(all.at(-1) as number)})`;
}

const count = (value: number) => Math.round(value).toLocaleString('en');
const ratio = (value: number) => value.toFixed(2);
const share = (value: number | undefined) =>
  value === undefined ? '' : `${Math.round(value * 100)} %`;

/** The ratio of each round on its own: the machine was the same for both of its parts. */
function ratios(measured: Measured, reference: Measured): number[] {
  return measured.runs.map(
    (run, index) => run.perSecond / (reference.runs[index] as Run).perSecond,
  );
}

export const startUpLine = ({ seconds, idleMiB }: StartUp): string =>
  `Start to ready: ${spread(seconds, ratio)} s, and then ${spread(idleMiB, count)} MiB of resident memory.`;

/** The table of a scenario, and below it what a reader must know to believe it. */
export function reportOf(scenario: Scenario, measured: readonly Measured[]): string {
  const references = scenario.references.map(
    (name) => measured.find(({ system }) => system.name === name) as Measured,
  );
  const heads = [
    'system',
    'requests/s',
    'p50 ms',
    'p99 ms',
    ...references.map(({ system }) => `to ${system.short}`),
    'CPU µs/request',
    'server core',
    'other core (generator)',
    'MiB (most)',
  ];
  const rows = measured.map((one) => [
    one.system.name,
    spread(
      one.runs.map(({ perSecond }) => perSecond),
      count,
    ),
    median(one.runs.map(({ load }) => load.p50)).toFixed(2),
    median(one.runs.map(({ load }) => load.p99)).toFixed(2),
    ...references.map((reference) =>
      reference === one ? '1' : spread(ratios(one, reference), ratio),
    ),
    count(median(one.runs.map(({ cpuPerAnswer }) => cpuPerAnswer * 1e6))),
    share(medianOf(one.runs, ({ serverShare }) => serverShare)),
    `${share(medianOf(one.runs, ({ othersShare }) => othersShare))} (${share(medianOf(one.runs, ({ generatorShare }) => generatorShare))})`,
    `${count(median(one.runs.map(({ memoryMiB }) => memoryMiB)))} (${count(Math.max(...one.runs.map(({ peakMiB }) => peakMiB)))})`,
  ]);
  const notes = notesOn(measured);
  return [
    `\n${scenario.title}\n`,
    ...table([heads, ...rows]),
    '',
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}

/** What a reader must know of the run besides its figures. */
function notesOn(measured: readonly Measured[]): string[] {
  const notes: string[] = [];
  const held = measured.filter(
    ({ runs }) =>
      (medianOf(runs, (run) => run.serverShare + (run.strangersShare ?? 0)) ?? 1) < FULLY_BUSY,
  );
  if (held.length > 0) {
    notes.push(
      `Not held by its own core: ${held.map(({ system }) => system.name).join('; ')}. There the other core was the limit (PostgreSQL and the`,
      '  load generator, whose part stands in brackets) or the disk, and the server could do more than the figure says.',
    );
  }
  const strangers = Math.max(
    ...measured.map(({ runs }) => medianOf(runs, (run) => run.strangersShare) ?? 0),
  );
  if (strangers > QUIET) {
    notes.push(
      `The machine was NOT QUIET: processes that are none of the benchmark's took up to ${share(strangers)} of the server's core.`,
    );
  }
  return [...notes, ...measured.flatMap(mistakesOf)];
}

function mistakesOf({ system, runs, rows }: Measured): string[] {
  const mistakes: string[] = [];
  if (rows !== undefined && rows.left < rows.answered) {
    mistakes.push(
      `INVALID: ${system.name} gave ${rows.answered} answers and left ${rows.left} rows.`,
    );
  }
  const wrong = runs.reduce((sum, { load }) => sum + load.wrong, 0);
  if (wrong > 0) {
    const example = runs.find(({ load }) => load.wrong > 0)?.load.wrongExample;
    mistakes.push(
      `INVALID: ${system.name} gave ${wrong} wrong answers. The first one:\n${example}`,
    );
  }
  return mistakes;
}

/** Whether every answer was right, and left behind what it should. */
export function isValid(measured: readonly Measured[]): boolean {
  return measured.every(
    ({ runs, rows }) =>
      runs.every(({ load }) => load.wrong === 0 && load.answered > 0) &&
      (rows === undefined || rows.left >= rows.answered),
  );
}

export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('   ')}`;
  const [head = [], ...body] = rows;
  return [
    line(head),
    `  ${widths.map((width) => '─'.repeat(width)).join('   ')}`,
    ...body.map(line),
  ];
}
