import { setTimeout as delay } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
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
 * Ends what is over (see retention.ts) three times a minute, the oldest first, in batches of a thousand rows at the most, and
 * rests after each for as long as it took: requests have at least half of the database to themselves.
 */
export function createCleaning(db: Database): Clockwork {
  let reached = new Map<Rule, string>();
  let from = Date.now();
  return {
    everySeconds: 20,
    async run(signal) {
      const end = performance.now() + BUDGET_MS;
      if (Date.now() - from > ONWARD_MS) {
        from = Date.now();
        reached = new Map();
      }
      for (const rule of rules) {
        for (;;) {
          if (signal.aborted || performance.now() > end) return true;
          const started = performance.now();
          const { count, last } = await endBatch(db, rule, reached.get(rule));
          if (last !== null) reached.set(rule, last);
          if (count < BATCH) break;
          await rest(performance.now() - started, signal);
        }
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

/** Rows that somebody holds are passed over: cleaning waits for nobody. */
async function endBatch(db: Database, rule: Rule, reached: string | undefined): Promise<Batch> {
  const { rows } = await batch(rule, reached).execute(db.kysely);
  return rows[0] as Batch;
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
  return sql<Batch>`
    with found as materialized (${found}),
      gone as (${change} where ${sql.ref(rule.key)} = any(array(select key from found)) returning 1)
    select (select count(*) from gone) as count, (select max(ended)::text from found) as last`;
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
