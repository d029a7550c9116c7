import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import type { Client, ClientSummary, ShownSecret } from './client.ts';
import { clientSettingsSchema } from './client-settings.ts';

interface ClientRow {
  id: string;
  name: string;
  type: Client['type'];
  metadata: Record<string, unknown>;
  settings: Record<string, unknown>;
  resource_server_id: string | null;
  first_party: boolean;
  verified: boolean;
  developer: string | null;
  disabled_at: Date | null;
  created_at: Date;
  secrets: { hash: string; expires_at: string | null }[];
  allowed: Record<string, string[]>;
}

function toClient(row: ClientRow): Client {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    metadata: row.metadata,
    settings: clientSettingsSchema.parse(row.settings),
    resourceServerId: row.resource_server_id ?? undefined,
    firstParty: row.first_party,
    verified: row.verified,
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
  };
}

/** A client with its secrets and its allow-list, in one read. */
export async function findClient(db: Db, id: string): Promise<Client | undefined> {
  const { rows } = await sql<ClientRow>`
    select c.id, c.name, c.type, c.metadata, c.settings, c.resource_server_id, c.first_party, c.verified, c.developer, c.disabled_at, c.created_at,
      (select coalesce(jsonb_agg(jsonb_build_object('hash', encode(s.secret_hash, 'hex'), 'expires_at', s.expires_at)), '[]')
       from client_secrets s where s.client_id = c.id) as secrets,
      (select coalesce(jsonb_object_agg(a.identifier, a.scopes), '{}') from (
         select r.identifier, jsonb_agg(cs.scope) as scopes
         from client_scopes cs join resource_servers r on r.id = cs.resource_server_id
         where cs.client_id = c.id group by r.identifier) a) as allowed
    from clients c where c.id = ${id}`.execute(db);
  return rows[0] && toClient(rows[0]);
}

/** Every client, by name; also the credentials with which APIs introspect. */
export async function listClients(db: Db): Promise<ClientSummary[]> {
  const rows = await db
    .selectFrom('clients')
    .select(['id', 'name', 'type', 'disabled_at', 'first_party', 'resource_server_id'])
    .orderBy('name')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    type: row.type,
    disabled: row.disabled_at !== null,
    firstParty: row.first_party,
    resourceServerId: row.resource_server_id ?? undefined,
  }));
}

/** What may be shown of the client's secrets, the oldest first. */
export async function listSecrets(db: Db, clientId: string): Promise<ShownSecret[]> {
  const rows = await db
    .selectFrom('client_secrets')
    .select(['last_four', 'created_at', 'expires_at'])
    .where('client_id', '=', clientId)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({
    lastFour: row.last_four,
    createdAt: row.created_at,
    expiresAt: row.expires_at ?? undefined,
  }));
}

export interface ClientInsert {
  readonly id: string;
  readonly name: string;
  readonly type: Client['type'];
  readonly metadata: Record<string, unknown>;
  readonly settings?: Record<string, unknown> | undefined;
  readonly resourceServerId?: string | undefined;
  readonly firstParty: boolean;
  readonly verified: boolean;
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
      developer: client.developer ?? null,
      disabled_at: null,
      tokens_since: null,
    })
    .execute();
}

export async function insertSecret(
  db: Db,
  secret: { id: string; clientId: string; hash: Buffer; lastFour: string },
): Promise<void> {
  await db
    .insertInto('client_secrets')
    .values({
      id: secret.id,
      client_id: secret.clientId,
      secret_hash: secret.hash,
      last_four: secret.lastFour,
      expires_at: null,
    })
    .execute();
}

/** How many secrets of the client are live. Locks the client, so that two additions at once are counted. */
export async function countSecrets(db: Db, clientId: string): Promise<number> {
  await db.selectFrom('clients').select('id').where('id', '=', clientId).forUpdate().execute();
  const row = await db
    .selectFrom('client_secrets')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('client_id', '=', clientId)
    .where(({ eb }) =>
      eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]),
    )
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Deletes the oldest secret of the client that is live, or does nothing where there is none. */
export async function deleteOldestSecret(db: Db, clientId: string): Promise<void> {
  await sql`delete from client_secrets where id = (
    select id from client_secrets where client_id = ${clientId} order by created_at, id limit 1)`.execute(
    db,
  );
}

/** Deletes every secret of the client. */
export async function deleteSecrets(db: Db, clientId: string): Promise<void> {
  await db.deleteFrom('client_secrets').where('client_id', '=', clientId).execute();
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

/** Whether anybody has signed in to the client, as far as is known. */
export async function hasPeople(db: Db, id: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`
    select exists (select from consents where client_id = ${id}) or exists (select from grants where client_id = ${id}) as found`.execute(
    db,
  );
  return rows[0]?.found === true;
}

/** Locks the client until the end of the transaction; undefined where there is none. */
export async function lockClient(
  db: Db,
  id: string,
): Promise<{ metadata: Record<string, unknown>; settings: Record<string, unknown> } | undefined> {
  return db
    .selectFrom('clients')
    .select(['metadata', 'settings'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
}

export async function updateClient(
  db: Db,
  id: string,
  change: {
    readonly name: string | undefined;
    readonly metadata: Record<string, unknown>;
    readonly settings: Record<string, unknown>;
  },
): Promise<void> {
  await db
    .updateTable('clients')
    .set({
      name: change.name,
      metadata: JSON.stringify(change.metadata),
      settings: JSON.stringify(change.settings),
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
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
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
    .returning('tokens_since')
    .executeTakeFirst();
  return row?.tokens_since ?? undefined;
}
