import type { RequestListener } from 'node:http';
import type { Context, Middleware } from 'koa';
import { sql } from 'kysely';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { AuditEvent } from '../audit/audit.ts';
import type { Database, DatabaseObserver } from '../db/database.ts';
import { deadlineOf } from '../lib/deadline.ts';

export interface Watched {
  readonly db: Database;
  /** Passwords that wait for a thread to be hashed on. */
  readonly passwords: { readonly waiting: number };
}

/** What names the kind of a request; nothing in it was sent by a caller. */
interface Measured extends Context {
  readonly oidc?: { readonly route?: string; readonly params?: { readonly grant_type?: unknown } };
  readonly _matchedRoute?: unknown;
}

interface State {
  /** What the audit has of the request, once it is committed. */
  readonly recorded?: () => readonly AuditEvent[];
  /** The client whose repeated refresh was answered with the same successor. */
  readonly repeatedRefresh?: () => string | undefined;
}

const GRANT = 'urn:ietf:params:oauth:grant-type:';
const grantTypes = new Map([
  ['authorization_code', 'authorization_code'],
  ['refresh_token', 'refresh_token'],
  ['client_credentials', 'client_credentials'],
  [`${GRANT}device_code`, 'device_code'],
  [`${GRANT}token-exchange`, 'token_exchange'],
  [`${GRANT}jwt-bearer`, 'jwt_bearer'],
  ['urn:openid:params:grant-type:ciba', 'ciba'],
]);

/** So many clients have a series of their own. */
const MOST_CLIENTS = 1_000;

/**
 * Metrics in the text format of Prometheus. A label is a fixed word (a route's pattern, a status, a result) or, for a bounded
 * number of them, a registered client's id: never a text that a caller sent, which could fill the memory or hold a secret.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #durations = new Histogram({
    name: 'vouchsafe_http_request_duration_seconds',
    help: 'How long requests took, by route and status',
    labelNames: ['route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.#registry],
  });
  readonly #signIns = new Counter({
    name: 'vouchsafe_sign_ins_total',
    help: 'Sign-ins that were done, and attempts that were refused, by reason',
    labelNames: ['result'],
    registers: [this.#registry],
  });
  readonly #tokens = new Counter({
    name: 'vouchsafe_token_responses_total',
    help: 'Token responses, by grant type',
    labelNames: ['grant_type'],
    registers: [this.#registry],
  });
  readonly #introspections = new Counter({
    name: 'vouchsafe_introspections_total',
    help: 'Introspections, by result',
    labelNames: ['result'],
    registers: [this.#registry],
  });
  readonly #refreshGraces = new Counter({
    name: 'vouchsafe_refresh_graces_total',
    help: 'Repeated refreshes that got the same refresh token again, by client; past 1,000 clients as "other"',
    labelNames: ['client_id'],
    registers: [this.#registry],
  });
  /** The clients that have a series of their own in `#refreshGraces`. */
  readonly #graceClients = new Set<string>();
  readonly #queries = new Counter({
    name: 'vouchsafe_database_queries_total',
    help: 'Statements sent to the database',
    registers: [this.#registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Counts what goes to the database. */
  get databaseObserver(): DatabaseObserver {
    return () => {
      this.#queries.inc();
      return undefined;
    };
  }

  /** Reads these when somebody asks for the metrics. */
  watch({ db, passwords }: Watched): void {
    const registers = [this.#registry];
    new Gauge({
      name: 'vouchsafe_database_connections',
      help: 'Connections of the pool: open, idle, and requests that wait for one',
      labelNames: ['state'],
      registers,
      collect() {
        this.set({ state: 'open' }, db.pool.totalCount);
        this.set({ state: 'idle' }, db.pool.idleCount);
        this.set({ state: 'waiting' }, db.pool.waitingCount);
      },
    });
    new Gauge({
      name: 'vouchsafe_password_hashes_waiting',
      help: 'Passwords that wait for a thread to be hashed on',
      registers,
      collect() {
        this.set(passwords.waiting);
      },
    });
    new Gauge({
      name: 'vouchsafe_outbox_rows',
      help: 'Deliveries that are due or wait for another attempt, and those that were given up',
      labelNames: ['state'],
      registers,
      async collect() {
        this.reset();
        const depth = await outboxDepth(db).catch(() => undefined);
        if (depth === undefined) return;
        this.set({ state: 'due' }, depth.due);
        this.set({ state: 'dead' }, depth.dead);
      },
    });
  }

  /** Stands before everything that is measured; what it counts has been committed by then. */
  middleware(): Middleware {
    return async (ctx, next) => {
      const started = deadlineOf(ctx.req)?.startedAt ?? performance.now();
      await next();
      const seconds = (performance.now() - started) / 1000;
      this.#durations.observe({ route: routeOf(ctx), status: ctx.status }, seconds);
      this.#count(ctx);
    };
  }

  /** The same for an answer that a fast path gave; `result` is the grant type, or the result of an introspection. */
  noteFastPath(
    route: 'discovery' | 'introspection' | 'jwks' | 'token',
    seconds: number,
    result = '',
  ): void {
    this.#durations.observe({ route, status: 200 }, seconds);
    if (route === 'token') this.#tokens.inc({ grant_type: result });
    else if (route === 'introspection') this.#introspections.inc({ result });
  }

  /** Answers `GET /metrics`, on a port of its own. */
  handler(): RequestListener {
    return (request, response) => {
      if (request.method !== 'GET' || request.url?.split('?', 1)[0] !== '/metrics') {
        response.writeHead(404).end();
        return;
      }
      this.#registry.metrics().then(
        (text) => response.writeHead(200, { 'Content-Type': this.#registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    };
  }

  #count(ctx: Context): void {
    for (const event of (ctx.state as State).recorded?.() ?? []) {
      if (event.type === 'sign_in')
        this.#signIns.inc({
          result: event.outcome === 'success' ? 'success' : (event.reason ?? 'refused'),
        });
    }
    const { oidc } = ctx as Measured;
    const repeated = (ctx.state as State).repeatedRefresh?.();
    if (repeated !== undefined && ctx.status === 200) this.#countGrace(repeated);
    if (oidc?.route === 'token' && ctx.status === 200)
      this.#tokens.inc({ grant_type: grantTypes.get(String(oidc.params?.grant_type)) ?? 'other' });
    if (routeOf(ctx) === 'introspection')
      this.#introspections.inc({ result: introspectionResult(ctx) });
  }

  #countGrace(clientId: string): void {
    if (this.#graceClients.size < MOST_CLIENTS) this.#graceClients.add(clientId);
    const label = this.#graceClients.has(clientId) ? clientId : 'other';
    this.#refreshGraces.inc({ client_id: label });
  }
}

/** The engine's names of its endpoints, for requests that were refused before they reached it. */
const engineRoutes = new Map([
  ['/authorize', 'authorization'],
  ['/token', 'token'],
  ['/introspect', 'introspection'],
  ['/revoke', 'revocation'],
  ['/userinfo', 'userinfo'],
  ['/par', 'pushed_authorization_request'],
  ['/device_authorization', 'device_authorization'],
  ['/ciba', 'backchannel_authentication'],
  ['/logout', 'end_session'],
]);

/** The engine's name of a route, or the pattern of ours. */
function routeOf(ctx: Context): string {
  const { oidc, _matchedRoute: pattern, path } = ctx as Measured;
  if (oidc?.route !== undefined) return oidc.route;
  if (typeof pattern === 'string') return pattern;
  return path.startsWith('/assets/') ? '/assets' : (engineRoutes.get(path) ?? 'other');
}

function introspectionResult(ctx: Context): string {
  if (ctx.status !== 200) return 'refused';
  const { active } = (ctx.body ?? {}) as { active?: unknown };
  if (typeof active !== 'boolean') return 'answered';
  return active ? 'active' : 'inactive';
}

async function outboxDepth({
  kysely,
}: Database): Promise<{ due: number; dead: number } | undefined> {
  const { rows } = await sql<{ due: number; dead: number }>`
    select count(*) filter (where dead_at is null and (due_at <= now() or last_error is not null)) as due,
      count(*) filter (where dead_at is not null) as dead
    from outbox where done_at is null`.execute(kysely);
  return rows[0];
}
