import type { Middleware } from 'koa';
import { sql } from 'kysely';
import type { Database, Statement } from '../db/database.ts';
import { sqlState } from '../db/sql-state.ts';
import { issuerPath } from '../http/request.ts';

const checkNames = [
  'database',
  'reads',
  'writes',
  'changes',
  'migrations',
  'signing_key',
  'clock',
  'accepting',
] as const;
type CheckName = (typeof checkNames)[number];

export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<CheckName, 'ok' | 'failed'>>;
}

export interface HealthOptions {
  readonly db: Database;
  /** The names of the migrations that this release needs; newer ones may have been applied as well. */
  readonly migrations: readonly string[];
  /** The engine has keys and can answer. */
  readonly hasKeys: () => boolean;
  /** The changes that other processes made are known. */
  readonly hearsChanges: () => boolean;
  /** The process is about to end. */
  readonly isDraining: () => boolean;
}

/** Tokens are refused for less than this by many a client, so a process whose clock is off takes no requests. */
const MAX_CLOCK_OFFSET_MS = 5_000;
/** Anybody may ask: one question to the database a second is enough for all of them. */
const FRESH_MS = 1_000;
/** Shorter than what load balancers wait. */
const PATIENCE_MS = 2_000;
/** Seconds after which it makes sense to ask a process again that was not ready. */
const RETRY_AFTER = '5';
const UNDEFINED_TABLE = '42P01';

/** What requests read tokens by: a connection of its own. */
const READ: Statement = { name: 'vs_ready_read', text: 'select 1', values: [] };

/**
 * A commit that is flushed, and confirmed by synchronous standbys where there are any, and leaves no row. The update finds
 * none, and is refused where nothing may be written.
 */
const WRITE: Statement = {
  name: 'vs_ready_write',
  text: `with written as (update config_versions set version = version where false returning 1)
    select pg_logical_emit_message(true, 'vouchsafe', 'ready') where not exists (select from written)`,
  values: [],
  writes: true,
};

/** Says whether this process should be given requests. */
export class Health {
  readonly #options: HealthOptions;
  #known: { readonly at: number; readonly facts: Promise<Facts> } | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  async readiness(): Promise<Readiness> {
    const { hasKeys, hearsChanges, isDraining } = this.#options;
    const facts = await this.#facts();
    const passed: Record<CheckName, boolean> = {
      database: facts.answers,
      reads: facts.reads,
      writes: facts.writes,
      changes: hearsChanges(),
      migrations: facts.migrated,
      signing_key: facts.hasSigningKey && hasKeys(),
      clock: facts.clockOffsetMs < MAX_CLOCK_OFFSET_MS,
      accepting: !isDraining(),
    };
    const checks = Object.fromEntries(
      checkNames.map((name) => [name, passed[name] ? 'ok' : 'failed']),
    ) as Readiness['checks'];
    return { ready: checkNames.every((name) => passed[name]), checks };
  }

  #facts(): Promise<Facts> {
    const now = performance.now();
    if (this.#known === undefined || now - this.#known.at > FRESH_MS)
      this.#known = { at: now, facts: ask(this.#options) };
    return this.#known.facts;
  }
}

interface Facts extends PoolFacts {
  readonly reads: boolean;
  readonly writes: boolean;
}

/** What one statement by the pool finds out. */
interface PoolFacts {
  readonly answers: boolean;
  readonly migrated: boolean;
  readonly hasSigningKey: boolean;
  readonly clockOffsetMs: number;
}

const silence: PoolFacts = {
  answers: false,
  migrated: false,
  hasSigningKey: false,
  clockOffsetMs: Number.POSITIVE_INFINITY,
};

async function ask({ db, migrations }: HealthOptions): Promise<Facts> {
  const [pool, reads, writes] = await Promise.all([
    within(PATIENCE_MS, askPool(db, migrations), silence),
    within(PATIENCE_MS, db.read(READ).then(succeeded), false),
    within(PATIENCE_MS, db.run(WRITE).then(succeeded), false),
  ]);
  return { ...pool, reads, writes };
}

const succeeded = () => true;

/** What comes of it, or `otherwise` if it fails or takes too long. */
async function within<T>(patienceMs: number, work: Promise<T>, otherwise: T): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>();
  const timer = setTimeout(() => resolve(otherwise), patienceMs);
  work.then(resolve, () => resolve(otherwise));
  const result = await promise;
  clearTimeout(timer);
  return result;
}

async function askPool(db: Database, migrations: readonly string[]): Promise<PoolFacts> {
  const before = Date.now();
  try {
    const { rows } = await sql<{ now: Date; applied: string[]; signing: boolean }>`
      select clock_timestamp() as now,
        (select coalesce(array_agg(name::text), '{}') from kysely_migration) as applied,
        exists (select from signing_keys where active_at <= now() and (retired_at is null or retired_at > now())) as signing`.execute(
      db.kysely,
    );
    const [row] = rows;
    if (row === undefined) return silence;
    // The database looked at its clock at some time in between.
    const clockOffsetMs = Math.max(before - row.now.getTime(), row.now.getTime() - Date.now(), 0);
    return {
      answers: true,
      migrated: migrations.every((name) => row.applied.includes(name)),
      hasSigningKey: row.signing,
      clockOffsetMs,
    };
  } catch (error) {
    // It answers, and knows nothing of us yet.
    if (sqlState(error) === UNDEFINED_TABLE) return { ...silence, answers: true };
    throw error;
  }
}

/**
 * Answers `/livez` (the process runs) and `/readyz` (it should be given requests), below the issuer's path and without
 * it: the one thing that may be asked by any name of this server, and before any limit.
 */
export function answerHealth(issuer: string, health: Health): Middleware {
  const prefix = issuerPath(issuer);
  return async (ctx, next) => {
    const path =
      prefix !== '' && ctx.path.startsWith(`${prefix}/`) ? ctx.path.slice(prefix.length) : ctx.path;
    if (path !== '/livez' && path !== '/readyz') return next();
    ctx.set('Cache-Control', 'no-store');
    ctx.set('X-Content-Type-Options', 'nosniff');
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      ctx.set('Allow', 'GET, HEAD');
      ctx.status = 405;
      return undefined;
    }
    const { ready, checks } =
      path === '/livez' ? { ready: true, checks: undefined } : await health.readiness();
    ctx.status = ready ? 200 : 503;
    if (!ready) ctx.set('Retry-After', RETRY_AFTER);
    ctx.body = { status: ready ? 'ok' : 'failed', checks };
    return undefined;
  };
}
