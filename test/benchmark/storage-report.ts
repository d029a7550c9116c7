import type { LoadResult } from './protocol.ts';
import { median, spread, table as tabled } from './report.ts';
import type { Counted, Sized } from './storage-tables.ts';

export interface Sample {
  readonly at: number;
  readonly counted: readonly Counted[];
}

export interface WeekReport {
  readonly days: number;
  readonly machineTokens: number;
  readonly requests: number;
  readonly vacuums: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly introspection: readonly [LoadResult, LoadResult];
}

export interface Sizes {
  readonly table: string;
  readonly before: Sized;
  readonly after: Sized;
}

const count = (value: number) => Math.round(value).toLocaleString('en');
const ratio = (value: number) => (Number.isFinite(value) ? value.toFixed(2) : '');
const kilobytes = (bytes: number) => count(bytes / 1024);

/** Of a few pages nothing can be told. */
const telling = (before: number, after: number) =>
  after < 512 * 1024 ? '' : ratio(before / after);

export function reportWeek(week: WeekReport): string {
  const [first, last] = week.introspection;
  const line = (when: string, { p50, p99, answered, seconds }: LoadResult) => [
    when,
    count(answered / seconds),
    p50.toFixed(2),
    p99.toFixed(2),
  ];
  return [
    `\n${week.days} simulated days in ${count(week.seconds)} s\n`,
    `  Issued, and cleaned away, at ${count(week.perSecond)} machines' tokens a second; ${count(week.requests)} requests over HTTP; ${count(week.vacuums)} vacuums.`,
    '',
    ...tabled([
      ['introspection meanwhile', 'requests/s', 'p50 ms', 'p99 ms'],
      line('in the first hours', first),
      line('at the end', last),
    ]),
    `  p50 at the end to the first: ${ratio(last.p50 / first.p50)}`,
  ].join('\n');
}

/** What every table has come to: the end, and the worst that was seen since the first simulated day. */
export function reportTables(samples: readonly Sample[], sizes: readonly Sizes[]): string {
  const last = samples.at(-1)?.counted ?? [];
  const settled = samples.filter(({ at }) => at - (samples[0]?.at ?? 0) >= 86_400_000);
  const worst = (name: string) =>
    Math.max(
      ...settled.flatMap(({ counted }) =>
        counted.filter(({ table }) => table === name).map(({ rows, live }) => rows / live),
      ),
    );
  const rows = last.map(({ table, rows: all, live, dead }) => {
    const size = sizes.find((one) => one.table === table) as Sizes;
    const total = ({ heap, indexes }: Sized) => heap + indexes;
    return [
      table,
      count(live),
      count(all),
      ratio(all / live),
      ratio(worst(table)),
      count(dead),
      kilobytes(size.before.heap),
      kilobytes(size.before.indexes),
      count(total(size.before) / live),
      telling(size.before.heap, size.after.heap),
      telling(size.before.indexes, size.after.indexes),
    ];
  });
  const heads = [
    'table',
    'live rows',
    'rows',
    'to live',
    'at worst',
    'dead',
    'heap KiB',
    'indexes KiB',
    'bytes a live row',
    'heap to new',
    'indexes to new',
  ];
  return ['\nTables at the end\n', ...tabled([heads, ...rows])].join('\n');
}

interface ManyRuns {
  readonly live: number;
  readonly runs: readonly LoadResult[];
}

export function reportMany(systems: readonly ManyRuns[]): string {
  const [few, many] = systems as [ManyRuns, ManyRuns];
  const rows = systems.map(({ live, runs }) => [
    count(live),
    spread(
      runs.map(({ answered, seconds }) => answered / seconds),
      count,
    ),
    spread(
      runs.map(({ p50 }) => p50),
      (value) => value.toFixed(2),
    ),
    median(runs.map(({ p99 }) => p99)).toFixed(2),
  ]);
  const ratios = many.runs.map(({ p50 }, round) => p50 / (few.runs[round] as LoadResult).p50);
  return [
    '\nIntrospection with few and with many live tokens, half of them of machines, half of people\n',
    ...tabled([['live tokens', 'requests/s', 'p50 ms', 'p99 ms'], ...rows]),
    `  p50 with many to few: ${spread(ratios, ratio)}`,
  ].join('\n');
}
