import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Clockwork } from './outbox.ts';

const BATCH = 1_000;
/** Milliseconds of one run; what is left then is next. */
const BUDGET_MS = 20_000;

interface Rule {
  readonly table: string;
  readonly key: string;
  /** What is gone for good, with an index to find it by. Our own queries never see such a row. */
  readonly gone: string;
}

/**
 * Rows stay ten minutes past their end, so that no clock and no late answer meets a hole. Codes stay a day, so that a
 * late replay is seen; a used refresh token stays as long as it would have lived. A family stays as long as one of its
 * tokens does: every read of a token joins it.
 */
const rules: readonly Rule[] = [
  {
    table: 'tokens',
    key: 'id_hash',
    gone: `kind <> 'code' and expires_at < now() - interval '10 minutes'`,
  },
  {
    table: 'tokens',
    key: 'id_hash',
    gone: `kind = 'code' and expires_at < now() - interval '1 day'`,
  },
  { table: 'interactions', key: 'id_hash', gone: `expires_at < now() - interval '10 minutes'` },
  { table: 'sessions', key: 'uid', gone: `expires_at < now() - interval '10 minutes'` },
  { table: 'sessions', key: 'uid', gone: `ended_at < now() - interval '10 minutes'` },
  {
    table: 'grants',
    key: 'id',
    gone: `expires_at < now() - interval '10 minutes' and not exists (select from tokens t where t.grant_id = grants.id)`,
  },
  { table: 'revoked_tokens', key: 'id_hash', gone: `expires_at < now() - interval '10 minutes'` },
  { table: 'action_links', key: 'id_hash', gone: `expires_at < now() - interval '10 minutes'` },
  {
    table: 'rate_limits',
    key: 'key',
    gone: `expire < (extract(epoch from now() - interval '10 minutes') * 1000)::bigint`,
  },
  { table: 'outbox', key: 'id', gone: `done_at < now() - interval '1 day'` },
  { table: 'outbox', key: 'id', gone: `dead_at < now() - interval '30 days'` },
  // What nobody here delivers: mails of a server without mail, kinds of another release.
  {
    table: 'outbox',
    key: 'id',
    gone: `done_at is null and dead_at is null and due_at < now() - interval '30 days' and kind not like 'clock:%'`,
  },
];

/** Deletes what has ended, in batches of a thousand at the most, every five minutes. */
export function createCleaning(db: Database): Clockwork {
  return {
    everySeconds: 300,
    async run(signal) {
      const end = performance.now() + BUDGET_MS;
      for (const rule of rules) {
        let deleted: number;
        do {
          if (signal.aborted || performance.now() > end) return true;
          deleted = await deleteBatch(db, rule);
        } while (deleted === BATCH);
      }
      return false;
    },
  };
}

/** Rows that somebody holds are passed over: cleaning waits for nobody. */
async function deleteBatch(db: Database, { table, key, gone }: Rule): Promise<number> {
  const target = sql.table(table);
  const result = await sql`
    delete from ${target} where ${sql.ref(key)} = any(array(
      select ${sql.ref(key)} from ${target} where ${sql.raw(gone)} limit ${BATCH} for update skip locked))`.execute(
    db.kysely,
  );
  return Number(result.numAffectedRows ?? 0n);
}
