import type { Database, Statement } from '../db/database.ts';

/** A row of `rate_limits`, and what it may hold. */
export interface CountedKey {
  readonly key: string;
  readonly points: number;
  readonly seconds: number;
}

/** The bucket that was empty: its place among those asked for, and the seconds until it has points again. */
export interface EmptyBucket {
  readonly place: number;
  readonly seconds: number;
}

/**
 * Takes a point from each bucket in turn, in one statement; the first empty one ends it, and those behind it stay untouched.
 * Written by hand, since each step depends on the one before. Everybody takes rows in the same order, so there is no
 * deadlock.
 */
export async function takePoints(
  db: Database,
  buckets: readonly CountedKey[],
): Promise<EmptyBucket | undefined> {
  const [row] = await db.run<{ place: number; ms: number }>(
    takeStatement(buckets.length, [
      buckets.map(({ key }) => key),
      buckets.map(({ points }) => points),
      buckets.map(({ seconds }) => seconds * 1000),
    ]),
  );
  return row && { place: row.place, seconds: Math.max(1, Math.ceil(row.ms / 1000)) };
}

/** Empties the first ones, and takes a point out of each of the others; one statement. */
export async function returnPoints(
  db: Database,
  emptied: readonly string[],
  lowered: readonly string[],
): Promise<void> {
  if (emptied.length === 0 && lowered.length === 0) return;
  await db.run({
    name: 'limits_return',
    text: returnText,
    values: [emptied, lowered],
    writes: true,
  });
}

const returnText = `
with gone as (delete from rate_limits where key = any($1::text[]) returning key),
held as (
  select r.key from unnest($2::text[]) with ordinality as asked (key, place) join rate_limits r on r.key = asked.key
  where (select count(*) from gone) >= 0 order by asked.place for update of r
)
update rate_limits r set points = greatest(r.points - 1, 0) from held where r.key = held.key`;

const takeTexts: string[] = [];

function takeStatement(steps: number, values: unknown[]): Statement {
  const text = (takeTexts[steps] ??= takeText(steps));
  return { name: `limits_take_${steps}`, text, values, writes: true };
}

function takeText(steps: number): string {
  const places = Array.from({ length: steps }, (_, index) => index + 1);
  const isRunning = 'r.expire > (select now from clock)';
  const step = (place: number) => `step_${place} as (
  insert into rate_limits as r (key, points, expire)
  select ($1::text[])[${place}], 1, clock.now + ($3::bigint[])[${place}]
  from clock${place === 1 ? '' : `, step_${place - 1} as before where not before.is_empty`}
  on conflict (key) do update set
    points = case when ${isRunning} then r.points + 1 else 1 end,
    expire = case when ${isRunning} then r.expire else excluded.expire end
  returning r.points > ($2::integer[])[${place}] as is_empty, r.expire
)`;
  const refusals = places.map(
    (place) =>
      `select ${place} as place, step_${place}.expire - clock.now as ms from step_${place}, clock where is_empty`,
  );
  return `with clock as materialized (
  select floor(extract(epoch from statement_timestamp()) * 1000)::bigint as now
),
${places.map(step).join(',\n')}
${refusals.join('\nunion all\n')}`;
}
