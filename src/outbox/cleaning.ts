import { setTimeout as delay } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { isUnavailable } from '../db/sql-state.ts';
import type { Clockwork } from './outbox.ts';
import { type Rule, retention } from './retention.ts';

const BATCH = 1_000;
/** Milliseconds of one run; what is left then is next. */
const BUDGET_MS = 20_000;
/**
 * Milliseconds for which a run goes on from where the one before it came to, and does not pass once more what has been
 * deleted and not yet been vacuumed. Who was passed over meanwhile, because somebody held it, is found after that.
 */
const ONWARD_MS = 600_000;

const rules = Object.values(retention).flatMap((one) => (typeof one === 'string' ? [] : one));

/**
 * Ends what is over (see retention.ts) three times a minute, the oldest first, in batches of a thousand rows at the most
 * for each rule in turn, and rests after each for as long as it took: requests have at least half of the database to
 * themselves.
 */
export function createCleaning(db: Database): Clockwork {
  const reached = new Map<Rule, string>();
  let lookedBackAt = Date.now();
  return {
    everySeconds: 20,
    async run(signal) {
      const end = performance.now() + BUDGET_MS;
      const lookBack = Date.now() - lookedBackAt > ONWARD_MS;
      if (lookBack) lookedBackAt = Date.now();
      let isFirst = true;
      for (let due = rules; due.length > 0; isFirst = false) {
        const full: Rule[] = [];
        for (const rule of due) {
          if (signal.aborted || performance.now() > end) return true;
          const started = performance.now();
          const { count, last } = await endBatch(db, rule, reached.get(rule), lookBack && isFirst);
          if (last !== null) reached.set(rule, last);
          if (count < BATCH) continue;
          full.push(rule);
          await rest(performance.now() - started, signal);
        }
        due = full;
      }
      return false;
    },
  };
}

interface Batch {
  readonly count: number;
  /** The moment at which the newest of them ended. */
  readonly last: string | null;
}

/**
 * Rows that somebody holds are passed over: cleaning waits for nobody. A look back may take longer than a statement may,
 * while an old transaction keeps all that died since from being forgotten: then it goes on where it came to.
 */
async function endBatch(
  db: Database,
  rule: Rule,
  reached: string | undefined,
  lookBack: boolean,
): Promise<Batch> {
  const run = async (from: string | undefined) =>
    (await batch(rule, from).execute(db.kysely)).rows[0] as Batch;
  if (!lookBack || reached === undefined) return run(reached);
  try {
    return await run(undefined);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return run(reached);
  }
}

/** The statement of one batch. */
export function batch(rule: Rule, reached: string | undefined): RawBuilder<Batch> {
  const [table = ''] = rule.from.split(' ');
  const ended = sql.raw(rule.ended);
  const time = sql`now() - ${sql.lit(rule.after)}::interval`;
  const until = rule.type === 'bigint' ? sql`(extract(epoch from ${time}) * 1000)::bigint` : time;
  const where = rule.where === undefined ? sql`` : sql`and ${sql.raw(rule.where)}`;
  const onward =
    reached === undefined ? sql`` : sql`and ${ended} >= ${reached}::${sql.raw(rule.type)}`;
  const found = sql`
    select r.${sql.ref(rule.key)} as key, ${ended} as ended from ${sql.raw(rule.from)}
    where ${ended} < ${until} ${onward} ${where}
    order by ${ended} limit ${BATCH} for update of r skip locked`;
  const change =
    rule.set === undefined
      ? sql`delete from ${sql.table(table)}`
      : sql`update ${sql.table(table)} set ${sql.raw(rule.set)}`;
  // In the statement of the change, as everywhere (see db/versions.ts).
  const raised =
    rule.raises === undefined
      ? sql``
      : sql`, raised as (update config_versions set version = version + 1
          where topic = ${sql.lit(rule.raises)} and exists (select from gone) returning 1)`;
  return sql<Batch>`
    with found as materialized (${found}),
      gone as (${change} where ${sql.ref(rule.key)} = any(array(select key from found)) returning 1)${raised}
    select (select count(*) from gone) as count, (select max(ended)::text from found) as last`;
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
