import type { Database } from '../db/database.ts';
import { CLOCK_SLACK } from '../lib/time.ts';
import { PERMISSION_LAG } from '../permission/permission.ts';
import { keyOfClient, keyOfPermission, keyOfToken, type Revocation } from './revocation.ts';

/** For so long (seconds) a process that has not heard of it may still make tokens for a client that was disabled. */
const CLIENT_LAG = 10 + CLOCK_SLACK;

/** In the span of time that is asked for. What ends by the clock has ended only once its time has come. */
const within = (time: string, last = "'infinity'") =>
  `${time} > to_timestamp($1::float8) and ${time} <= least(to_timestamp($2::float8), ${last})`;

/** Looked up one by one, by an index, whatever the planner thinks of their number. */
const each = (alias: string, rows: string) => `cross join lateral (${rows} offset 0) ${alias}`;

/**
 * Past its time, a token is taken by an API whose clock is behind ours, or that allows for that: one that was dead before
 * would live again there. Rows stay as long (src/outbox/retention.ts).
 */
const mayBeTaken = (row: string) => `${row}.expires_at > now() - interval '1 minute'`;

/** The rows of JWT access tokens of a family that would still be taken. */
const jwts = (family: string, condition = '') =>
  each(
    't',
    `select t.id_hash, t.expires_at from tokens t
     where t.grant_id = ${family} and t.kind = 'jwt' and ${mayBeTaken('t')} ${condition}`,
  );
/** The same of JWTs that were made from others (RFC 8693), by what they were made from. */
const madeFrom = (condition: string) =>
  `${each('p', `select p.id_hash from token_sources p where ${condition}`)} ${each(
    't',
    `select t.id_hash, t.expires_at from tokens t where t.id_hash = p.id_hash and t.kind = 'jwt' and ${mayBeTaken('t')}`,
  )}`;
const grantsOf = (column: string, value: string) =>
  each('g', `select g.id from grants g where g.${column} = ${value}`);

/**
 * What has ended in a span of time, read from the very columns that decide introspection (src/unit-of-work/reads.ts, `live`):
 * the denylist; families that were revoked, have come to their end, or whose account was disabled; sessions that have
 * ended, for what is bound to them; clients whose tokens ended; permissions that were taken away. While a client is disabled, its time goes on for a little:
 * another process may not have heard of it.
 */
const text = `
  with families as (
    select g.id, g.revoked_at as at from grants g where ${within('g.revoked_at')}
      and g.revoked_at is not null and g.revoked_reason not in ('client_disabled', 'client_tokens_revoked')
    union all
    select g.id, g.expires_at from grants g where ${within('g.expires_at', 'now()')}
    union all
    select g.id, a.disabled_at from accounts a ${grantsOf('account_id', 'a.id')}
    where a.disabled_at is not null and ${within('a.disabled_at')}
  ), ended_sessions as (
    select s.uid, s.ended_at as at from sessions s where s.ended_at is not null and ${within('s.ended_at')}
    union all
    select s.uid, s.expires_at from sessions s where ${within('s.expires_at', 'now()')}
  ), found as (
    select t.id_hash, null as client_id, null as permission, extract(epoch from t.expires_at) as time, f.at
    from families f ${jwts('f.id')}
    union all
    select t.id_hash, null, null, extract(epoch from t.expires_at), s.at
    from ended_sessions s ${grantsOf('session_uid', 's.uid')} ${jwts('g.id', 'and t.session_uid = s.uid')}
    union all
    select r.id_hash, null, null, extract(epoch from r.expires_at), r.revoked_at from revoked_tokens r
    where not r.opaque and ${mayBeTaken('r')} and ${within('r.revoked_at')}
    union all
    -- what was made from tokens that have ended one by one, or with their client
    select t.id_hash, null, null, extract(epoch from t.expires_at), r.revoked_at
    from revoked_tokens r ${madeFrom('p.source_hash = r.id_hash')} where ${within('r.revoked_at')}
    union all
    select t.id_hash, null, null, extract(epoch from t.expires_at), c.tokens_since
    from clients c ${madeFrom('p.client_id = c.id and (c.disabled_at is not null or p.issued_at <= c.tokens_since)')}
    where c.tokens_since is not null and ${within('c.tokens_since')}
    union all
    select null, c.id, null, extract(epoch from case when c.disabled_at is null then c.tokens_since
      else greatest(c.tokens_since, least(now(), c.disabled_at + make_interval(secs => ${CLIENT_LAG}))) end), c.tokens_since
    from clients c where c.tokens_since is not null and ${within('c.tokens_since')}
    union all
    select null, null, e.permission, extract(epoch from e.ended_at) + ${PERMISSION_LAG}, e.ended_at
    from ended_permissions e where ${within('e.ended_at')}
  )
  select (extract(epoch from now()) * 1000)::float8 as now, found.id_hash, found.client_id, found.permission, found.time::float8 as time,
    (extract(epoch from found.at) * 1000)::float8 as at
  from (select) one left join found on true`;

interface Row {
  now: number;
  id_hash: Buffer | null;
  client_id: string | null;
  permission: string | null;
  time: number;
  at: number;
}

export interface Found {
  /** Milliseconds of the database's clock, before anything was read. */
  readonly now: number;
  /** `at`: when it ended, by the clock of the transaction that ended it, which may have taken its time to commit. */
  readonly revocations: readonly (Revocation & { readonly at: number })[];
}

/** Times are milliseconds of the database's clock; without `until`, up to now. */
export async function findRevocations(
  db: Database,
  { after, until }: { readonly after: number; readonly until?: number | undefined },
): Promise<Found> {
  const bounds = [after / 1000, until === undefined ? Infinity : until / 1000];
  const rows = await db.run<Row>({ name: 'vs_revocations', text, values: bounds });
  return {
    now: Math.floor((rows[0] as Row).now),
    revocations: rows.flatMap(({ id_hash, client_id, permission, time, at }) => {
      if (id_hash !== null) return [{ key: keyOfToken(id_hash), time: Math.ceil(time), at }];
      if (permission !== null) return [{ key: keyOfPermission(permission), time, at }];
      return client_id === null ? [] : [{ key: keyOfClient(client_id), time, at }];
    }),
  };
}
