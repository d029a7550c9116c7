import type { Database } from '../db/database.ts';
import { ownerColumns, type OwnerRow, type Owners, toOwners } from './read-parts.ts';
import { prepared, preparedRows } from './statement.ts';
import type { Payload, TokenKind, TokenWorth } from './records.ts';

/** What tokens are worth: each read is one round trip, and brings along what the request will ask for next. */

/** A token rests on its client, its family and its account: where one of them is gone, it is worth nothing to anybody. */
const standing = `(c.id is not null and c.disabled_at is null and (c.tokens_since is null or t.issued_at > c.tokens_since)
  and (t.grant_id is null or (g.id is not null and g.revoked_at is null))
  and (t.account_id is null or (a.id is not null and a.disabled_at is null)))`;

/**
 * What was made from other tokens (RFC 8693) belongs to the family of the first of them, and ends with each of them: one that
 * was revoked, and one whose client was disabled or lost its tokens.
 */
const sourcesLive = `coalesce((select bool_and(sc.id is not null and sc.disabled_at is null
    and (sc.tokens_since is null or ts.issued_at > sc.tokens_since)
    and not exists (select from revoked_tokens r where r.id_hash = ts.source_hash))
  from token_sources ts left join clients sc on sc.id = ts.client_id where ts.id_hash = t.id_hash), false)`;

/** It stands, its time and that of its family is not over, it was not used up, and the session that it ends with lives. */
const live = `(${standing} and t.consumed_at is null and t.expires_at > now()
  and (t.grant_id is null or (g.expires_at > now() and (g.client_id = t.client_id or t.generation > 0) and g.account_id is not distinct from t.account_id))
  and (t.generation = 0 or ${sourcesLive})
  and (t.session_uid is null
    or coalesce(s.expires_at > now() and s.account_id = t.account_id and g.session_uid = t.session_uid, false)))`;

/** An address is told only where the person let the client have it, and the client may still. */
const username = `case when g.client_id = t.client_id and 'email' = any(string_to_array(g.payload->'openid'->>'scope', ' '))
  and (c.metadata->>'scope' is null or 'email' = any(string_to_array(c.metadata->>'scope', ' '))) then a.email end`;

/** Its own where the client has pairwise subjects; one that lacks its sector has none that could be told. */
const sectorOf = (client: string) =>
  `case when ${client}.metadata->>'subject_type' = 'pairwise' then coalesce(${client}.settings->>'sector', '') end`;

/** What was made by exchange names the person as the first client's tokens do: who exchanges learns no other name. */
const sector = `case when t.generation = 0 then ${sectorOf('c')}
  else (select ${sectorOf('f')} from clients f where f.id = g.client_id) end`;

const tokenColumns = `t.kind, t.payload, t.grant_id, t.client_id, t.account_id, t.session_uid, t.generation,
  ${live} as live, ${username} as username, ${sector} as sector, nullif(a.roles, '{}') as roles`;

const tokenJoins = `left join grants g on g.id = t.grant_id
  left join accounts a on a.id = t.account_id
  left join clients c on c.id = t.client_id
  left join sessions s on s.uid = t.session_uid and s.ended_at is null`;

const readToken =
  prepared(`select ${tokenColumns}, ${standing} as standing, t.expires_at <= now() as expired,
  extract(epoch from now() - t.consumed_at)::float8 as consumed_age,
  ${ownerColumns}
  from tokens t ${tokenJoins} where t.id_hash = $1`);

/** Of each of several tokens what it is worth, found one by one by primary key whatever the planner thinks of their number. */
const readLiveTokens = preparedRows(
  (places) => `select ids.place, found.*
  from (values ${places.map((place) => `($${place + 1}::bytea, ${place})`).join(', ')}) as ids (id_hash, place)
  cross join lateral (select ${tokenColumns} from tokens t ${tokenJoins} where t.id_hash = ids.id_hash limit 1) found`,
);

const readMachineJwt = prepared(`select to_timestamp($4) <= now() as expired,
  exists (select from clients where id = $2 and disabled_at is null
    and (tokens_since is null or to_timestamp($3) > tokens_since)) as client_live,
  exists (select from revoked_tokens where id_hash = $1) as revoked`);

export interface TokenRead extends TokenWorth, Owners {
  /** What it rests on is there: see `standing`. */
  readonly standing: boolean;
  /** By the database's clock. */
  readonly expired: boolean;
  /** Seconds since it was used up, by the database's clock; undefined while it was not. */
  readonly consumedAge: number | undefined;
}

interface TokenRow {
  kind: TokenKind;
  payload: Payload | null;
  grant_id: string | null;
  client_id: string;
  account_id: string | null;
  session_uid: string | null;
  generation: number;
  live: boolean;
  username: string | null;
  sector: string | null;
  roles: string[] | null;
}

function toTokenWorth(row: TokenRow): TokenWorth {
  return {
    token: {
      kind: row.kind,
      payload: row.payload ?? undefined,
      grantId: row.grant_id ?? undefined,
      clientId: row.client_id,
      accountId: row.account_id ?? undefined,
      sessionUid: row.session_uid ?? undefined,
      generation: row.generation,
    },
    live: row.live,
    username: row.username ?? undefined,
    sector: row.sector ?? undefined,
    roles: row.roles ?? [],
  };
}

/** A token of any kind by the hash of its id, with its family, account, client status and session. */
export async function findToken(db: Database, idHash: Buffer): Promise<TokenRead | undefined> {
  const [row] = await db.read<
    TokenRow & OwnerRow & { standing: boolean; expired: boolean; consumed_age: number | null }
  >(readToken(idHash));
  if (row === undefined) return undefined;
  return {
    ...toTokenWorth(row),
    standing: row.standing,
    expired: row.expired,
    consumedAge: row.consumed_age ?? undefined,
    ...toOwners(row),
  };
}

/** What tokens are worth, in the order of their hashes: one read for all of them. */
export async function findTokenWorths(
  db: Database,
  idHashes: readonly Buffer[],
): Promise<(TokenWorth | undefined)[]> {
  const rows = await db.read<TokenRow & { place: number }>(
    readLiveTokens(idHashes.length, [...idHashes]),
  );
  const worths: (TokenWorth | undefined)[] = idHashes.map(() => undefined);
  for (const row of rows) worths[row.place] = toTokenWorth(row);
  return worths;
}

/** Whether a machine's JWT access token is live: it has no row, only a place in the denylist once revoked. */
export async function isMachineJwtLive(
  db: Database,
  idHash: Buffer,
  {
    clientId,
    issuedAt,
    expiresAt,
  }: { readonly clientId: string; readonly issuedAt: number; readonly expiresAt: number },
): Promise<boolean> {
  const [row] = await db.read<{ client_live: boolean; revoked: boolean; expired: boolean }>(
    readMachineJwt(idHash, clientId, issuedAt, expiresAt),
  );
  return row?.client_live === true && !row.revoked && !row.expired;
}
