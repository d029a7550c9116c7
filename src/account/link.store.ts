import { sql } from 'kysely';
import type { Db } from '../db/database.ts';

export type LinkPurpose = 'verify_email' | 'register' | 'setup';

export interface LinkRow {
  readonly id_hash: Buffer;
  readonly token_hash: Buffer;
  readonly purpose: LinkPurpose;
  readonly account_id: string | null;
  readonly email: string | null;
  readonly code_mac: Buffer | null;
  readonly attempts: number;
  readonly payload_sealed: Buffer | null;
}

/** Where a link stands; `pausedFor` are the seconds until it may be sent again. All by the database's clock. */
export interface LinkState {
  readonly id_hash: Buffer;
  readonly purpose: LinkPurpose;
  readonly email: string | null;
  readonly attempts: number;
  readonly payload_sealed: Buffer | null;
  readonly used: boolean;
  readonly expired: boolean;
  readonly paused_for: number;
}

export interface LinkWrite {
  readonly idHash: Buffer;
  readonly tokenHash: Buffer;
  readonly purpose: LinkPurpose;
  readonly accountId?: string | undefined;
  readonly email?: string | undefined;
  readonly codeMac?: Buffer | undefined;
  readonly payloadSealed?: Buffer | undefined;
  readonly ttlSeconds: number;
}

/**
 * Writes the link, in the place of the one with the same id, if that was sent `pauseSeconds` ago or more. Gives whether it
 * was written.
 */
export async function saveLink(db: Db, link: LinkWrite, pauseSeconds: number): Promise<boolean> {
  const { rows } = await sql`
    insert into action_links (id_hash, token_hash, purpose, account_id, email, code_mac, payload_sealed, expires_at)
    values (${link.idHash}, ${link.tokenHash}, ${link.purpose}, ${link.accountId ?? null}, ${link.email ?? null}, ${link.codeMac ?? null},
      ${link.payloadSealed ?? null}, now() + make_interval(secs => ${link.ttlSeconds}))
    on conflict (id_hash) do update set token_hash = excluded.token_hash, code_mac = excluded.code_mac, payload_sealed = excluded.payload_sealed,
      attempts = 0, sent_at = now(), expires_at = excluded.expires_at, used_at = null
    where action_links.sent_at <= now() - make_interval(secs => ${pauseSeconds})
    returning 1`.execute(db);
  return rows.length > 0;
}

/** Puts a new token and code in the place of the old ones, which are dead then; undefined where it is paused, used or expired. */
export async function renewLink(
  db: Db,
  link: {
    readonly idHash: Buffer;
    readonly tokenHash: Buffer;
    readonly codeMac: Buffer;
    readonly ttlSeconds: number;
    readonly pauseSeconds: number;
  },
): Promise<LinkRow | undefined> {
  const { rows } = await sql<LinkRow>`
    update action_links set token_hash = ${link.tokenHash}, code_mac = ${link.codeMac}, attempts = 0, sent_at = now(),
      expires_at = now() + make_interval(secs => ${link.ttlSeconds})
    where id_hash = ${link.idHash} and purpose in ('register', 'verify_email') and used_at is null and expires_at > now()
      and sent_at <= now() - make_interval(secs => ${link.pauseSeconds})
    returning *`.execute(db);
  return rows[0];
}

/** Counts a guess at the code before it is looked at; undefined where none is left, or the link is used or expired. */
export async function countAttempt(
  db: Db,
  idHash: Buffer,
  most: number,
): Promise<LinkRow | undefined> {
  const { rows } = await sql<LinkRow>`
    update action_links set attempts = attempts + 1
    where id_hash = ${idHash} and purpose in ('register', 'verify_email') and used_at is null and expires_at > now()
      and attempts < ${most} returning *`.execute(db);
  return rows[0];
}

/** Uses the link up. Of several who try, one gets it; the others, and whoever comes late, get undefined. */
export async function useLink(
  db: Db,
  tokenHash: Buffer,
  purposes: readonly LinkPurpose[],
): Promise<LinkRow | undefined> {
  const { rows } = await sql<LinkRow>`
    update action_links set used_at = now()
    where token_hash = ${tokenHash} and purpose = any(${purposes}::text[]) and used_at is null and expires_at > now() returning *`.execute(
    db,
  );
  return rows[0];
}

export async function findLink(
  db: Db,
  key: { readonly idHash: Buffer } | { readonly tokenHash: Buffer },
  pauseSeconds = 0,
): Promise<LinkState | undefined> {
  const mine = 'idHash' in key ? sql`id_hash = ${key.idHash}` : sql`token_hash = ${key.tokenHash}`;
  const { rows } = await sql<LinkState>`
    select id_hash, purpose, email, attempts, payload_sealed, used_at is not null as used, expires_at <= now() as expired,
      greatest(0, ceil(extract(epoch from sent_at + make_interval(secs => ${pauseSeconds}) - now())))::int as paused_for
    from action_links where ${mine}`.execute(db);
  return rows[0];
}
