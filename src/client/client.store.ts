import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Client, ClientSummary } from './client.ts';
import { completed } from './client-fapi.ts';
import { clientSettingsSchema } from './client-settings.ts';
import { laidOver } from './registration.ts';

interface ClientRow {
  id: string;
  name: string;
  type: Client['type'];
  metadata: Record<string, unknown>;
  settings: Record<string, unknown>;
  resource_server_id: string | null;
  first_party: boolean;
  verified: boolean;
  registered_by: Client['registeredBy'] | null;
  developer: string | null;
  disabled_at: Date | null;
  created_at: Date;
  said: Client['said'] | null;
  demanded: Client['demanded'];
  revision: number;
  secrets: { hash: string; expires_at: string | null }[];
  allowed: Record<string, string[]>;
}

/**
 * The stored metadata holds the demands already. During an upgrade, a process of the release before writes a registration
 * without them, so they are laid over each time.
 */
function underDemands({ metadata, demanded, settings, ...row }: ClientRow): Client['metadata'] {
  return row.registered_by === null
    ? metadata
    : completed({ metadata: laidOver(metadata, demanded), settings }).metadata;
}

function toClient(row: ClientRow): Client {
  return {
    id: row.id,
    name: row.demanded.name ?? row.name,
    type: row.type,
    metadata: underDemands(row),
    settings: clientSettingsSchema.parse(row.settings),
    resourceServerId: row.resource_server_id ?? undefined,
    firstParty: row.first_party,
    verified: row.verified,
    registeredBy: row.registered_by ?? undefined,
    developer: row.developer ?? undefined,
    disabled: row.disabled_at !== null,
    secrets: row.secrets.map((secret) => ({
      hash: Buffer.from(secret.hash, 'hex'),
      expiresAt: secret.expires_at === null ? undefined : new Date(secret.expires_at),
    })),
    allowed: new Map(
      Object.entries(row.allowed).map(([identifier, scopes]) => [identifier, new Set(scopes)]),
    ),
    createdAt: row.created_at,
    said: row.said ?? undefined,
    demanded: row.demanded,
    revision: row.revision,
  };
}

/**
 * A client with its secrets and its allow-list, in one read. What APIs open to clients that register themselves is theirs
 * to ask for. One that was deleted is not there; that of a metadata document is, as disabled, or it would come back by itself.
 */
export async function findClient(db: Db, id: string): Promise<Client | undefined> {
  const { rows } = await sql<ClientRow>`
    select c.id, c.name, c.type, c.metadata, c.settings, c.resource_server_id, c.first_party, c.verified, c.registered_by, c.developer, c.disabled_at, c.created_at, c.said, c.demanded, c.revision,
      (select coalesce(jsonb_agg(jsonb_build_object('hash', encode(s.secret_hash, 'hex'), 'expires_at', s.expires_at)), '[]')
       from client_secrets s where s.client_id = c.id) as secrets,
      (select coalesce(jsonb_object_agg(a.identifier, a.scopes), '{}') from (
         select r.identifier, jsonb_agg(cs.scope) as scopes
         from (
           select resource_server_id, scope from client_scopes where client_id = c.id
           union
           select resource_server_id, scope from resource_server_scopes where open and c.registered_by is not null
         ) cs join resource_servers r on r.id = cs.resource_server_id
         group by r.identifier) a) as allowed
    from clients c where c.id = ${id} and (c.deleted_at is null or c.registered_by = 'document')`.execute(
    db,
  );
  return rows[0] && toClient(rows[0]);
}

/** Every client, by name; also the credentials with which APIs introspect. */
export async function listClients(db: Db): Promise<ClientSummary[]> {
  const rows = await db
    .selectFrom('clients')
    .select([
      'id',
      'name',
      'type',
      'disabled_at',
      'first_party',
      'registered_by',
      'resource_server_id',
    ])
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    type: row.type,
    disabled: row.disabled_at !== null,
    firstParty: row.first_party,
    registeredBy: row.registered_by ?? undefined,
    resourceServerId: row.resource_server_id ?? undefined,
  }));
}

export interface ClientInsert {
  readonly id: string;
  readonly name: string;
  readonly type: Client['type'];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly resourceServerId?: string | undefined;
  readonly firstParty: boolean;
  readonly verified: boolean;
  readonly registeredBy?: Client['registeredBy'];
  readonly said?: Client['said'];
  readonly developer?: string | undefined;
}

export async function insertClient(db: Db, client: ClientInsert): Promise<void> {
  await db
    .insertInto('clients')
    .values({
      id: client.id,
      name: client.name,
      type: client.type,
      metadata: JSON.stringify(client.metadata),
      settings: JSON.stringify(client.settings ?? {}),
      resource_server_id: client.resourceServerId ?? null,
      first_party: client.firstParty,
      verified: client.verified,
      registered_by: client.registeredBy ?? null,
      said: client.said === undefined ? null : JSON.stringify(client.said),
      developer: client.developer ?? null,
      disabled_at: null,
      tokens_since: null,
    })
    .execute();
}

/** Opens scopes of an API to a client; scopes that the API does not have are refused by the database. */
export async function insertAllowed(
  db: Db,
  clientId: string,
  resourceServerId: string,
  scopes: readonly string[],
): Promise<void> {
  await db
    .insertInto('client_scopes')
    .values(
      scopes.map((scope) => ({ client_id: clientId, resource_server_id: resourceServerId, scope })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Takes every scope of every API from the client, except those that are open to all. */
export async function deleteAllowed(db: Db, clientId: string): Promise<void> {
  await db.deleteFrom('client_scopes').where('client_id', '=', clientId).execute();
}

/** Whether anybody has signed in to the client, as far as is known. */
export async function hasPeople(db: Db, id: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from consents where client_id = ${id}) or exists (select from grants where client_id = ${id}) as found`.execute(
    db,
  );
  return rows[0]?.found === true;
}

/** A client's row, as far as it is changed. */
export interface LockedClient {
  readonly name: string;
  readonly type: Client['type'];
  readonly metadata: Record<string, unknown>;
  readonly settings: Record<string, unknown>;
  readonly said: Client['said'];
  readonly demanded: Client['demanded'];
}

/** Locks the client until the end of the transaction; undefined where there is none. */
export async function lockClient(db: Db, id: string): Promise<LockedClient | undefined> {
  const row = await db
    .selectFrom('clients')
    .select(['name', 'type', 'metadata', 'settings', 'said', 'demanded'])
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  return row && { ...row, said: (row.said as Client['said'] | null) ?? undefined };
}

export interface ClientUpdate {
  readonly name?: string | undefined;
  readonly type?: Client['type'] | undefined;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly said?: Client['said'];
  readonly demanded?: Client['demanded'] | undefined;
  readonly firstParty?: boolean | undefined;
  readonly verified?: boolean | undefined;
  readonly developer?: string | null | undefined;
  /** Users who allowed it are asked again. */
  readonly isAnother?: boolean;
}

/** Changes the client; what is undefined stays. */
export async function updateClient(db: Db, id: string, change: ClientUpdate): Promise<void> {
  await db
    .updateTable('clients')
    .set({
      name: change.name,
      type: change.type,
      metadata: JSON.stringify(change.metadata),
      settings: JSON.stringify(change.settings),
      said: change.said && JSON.stringify(change.said),
      demanded: change.demanded && JSON.stringify(change.demanded),
      first_party: change.firstParty,
      verified: change.verified,
      developer: change.developer,
      ...(change.isAnother === true ? { revision: sql<number>`revision + 1` } : {}),
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .execute();
}

/**
 * Disables or enables; gives whether the client is there. No token from before either lives: another process may have
 * made one for a client that it did not know to be disabled.
 */
export async function setDisabled(db: Db, id: string, disabled: boolean): Promise<boolean> {
  const result = await db
    .updateTable('clients')
    .set({
      disabled_at: disabled ? sql<Date>`coalesce(disabled_at, now())` : null,
      tokens_since: disabled
        ? sql<Date>`now()`
        : sql<Date>`case when disabled_at is null then tokens_since else now() end`,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/**
 * Disables for good: its tokens end with this commit, and its row goes once none of them could live any more. Gives whether
 * there was such a client.
 */
export async function setDeleted(db: Db, id: string): Promise<boolean> {
  if (!(await setDisabled(db, id, true))) return false;
  await db
    .updateTable('clients')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
  return true;
}

/**
 * Ends every token of the client that is made before `slack` seconds from now: so far the clocks of the processes that
 * make them may be from the database's. Gives that time; undefined where there is no such client.
 */
export async function endTokens(db: Db, id: string, slack: number): Promise<Date | undefined> {
  const row = await db
    .updateTable('clients')
    .set({
      tokens_since: sql<Date>`clock_timestamp() + make_interval(secs => ${slack})`,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning('tokens_since')
    .executeTakeFirst();
  return row?.tokens_since ?? undefined;
}
