import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { endPermissions, forgetDecided } from '../permission/permission.service.ts';
import { deleteApi, findRestsOnApi, lockApi, type RestsOnApi } from './api-deletion.store.ts';
import type { ResourceServer, ResourceServerChanges } from './resource-server.ts';
import { checkScopes, unknownApi } from './refusal.ts';
import { listResourceServers, updateResourceServer } from './resource-server.store.ts';
import {
  deleteScopes,
  insertScopes,
  listClientsOf,
  listOpenClients,
  updateOpenScopes,
} from './scopes.store.ts';

export type { RestsOnApi } from './api-deletion.store.ts';

/** Changes of an API, and what ends with them: tokens that carry what is gone, and what people decided about it. */

/**
 * Changes how tokens for the API are made, and its scopes. Tokens that carry a scope which is removed, or closed to their
 * client, end in the same commit.
 * @throws AppError `unknown_api`, `unknown_scope`, `last_scope`
 */
export async function changeApi(
  db: Database,
  identifier: string,
  changes: ResourceServerChanges,
  actor: string,
): Promise<void> {
  const { scopes: given = [], removedScopes = [], ...others } = changes;
  const before = (await listResourceServers(db.kysely)).find(
    (one) => one.identifier === identifier,
  );
  const added = given.map(({ scope }) => scope).filter((scope) => !before?.scopes.has(scope));
  // A scope of this name may have been removed before: what people decided then was about another one.
  if (added.length > 0) await forgetDecided(db, identifier, added);
  await db.transaction(async (tx) => {
    const id = await lockApi(tx, identifier);
    if (id === undefined) throw unknownApi(identifier);
    const stored = (await listResourceServers(tx)).find((one) => one.id === id) as ResourceServer;
    checkScopes(identifier, [...stored.scopes.keys()], removedScopes);
    const scopes = new Set([...stored.scopes.keys(), ...given.map(({ scope }) => scope)]);
    for (const scope of removedScopes) scopes.delete(scope);
    if (scopes.size === 0) throw lastScope();
    const { openScopes } = others;
    if (openScopes !== undefined) checkScopes(identifier, [...scopes], openScopes);
    await updateResourceServer(tx, identifier, others);
    await endScopes(tx, stored, removedScopes);
    await insertScopes(
      tx,
      id,
      given.filter(({ scope }) => scopes.has(scope)),
    );
    if (openScopes !== undefined) {
      await closeScopes(tx, stored, openScopes);
      await updateOpenScopes(tx, id, openScopes);
    }
    await writeAudit(tx, {
      type: 'resource_server.changed',
      outcome: 'success',
      actor,
      data: {
        resource_server: id,
        ...others,
        ...(given.length === 0 ? {} : { scopes: given.map(({ scope }) => scope) }),
        ...(removedScopes.length === 0 ? {} : { removed_scopes: removedScopes }),
      },
    });
    await raiseVersion(tx, 'resource_servers');
  });
  if (removedScopes.length > 0) await forgetDecided(db, identifier, removedScopes);
}

/** What stops working when the API is deleted. @throws AppError `unknown_api` */
export async function describeDeletion(db: Database, identifier: string): Promise<RestsOnApi> {
  const found = await findRestsOnApi(db.kysely, identifier);
  if (found === undefined) throw unknownApi(identifier);
  return found;
}

/**
 * Deletes the API that has this name: its credentials, its scopes and all rules that name it are gone, every token for it ends
 * in the same commit, and what people decided about it is forgotten.
 * @throws AppError `unknown_api`, `other_name`
 */
export async function deleteResourceServer(
  db: Database,
  identifier: string,
  name: string,
  actor: string,
): Promise<RestsOnApi> {
  const deleted = await db.transaction(async (tx) => {
    const id = await lockApi(tx, identifier);
    const found = id === undefined ? undefined : await findRestsOnApi(tx, identifier);
    if (found === undefined) throw unknownApi(identifier);
    if (found.name !== name)
      throw new AppError(
        'other_name',
        `The API ${identifier} has another name. Nothing was deleted.`,
        { status: 400 },
      );
    const clients = await clientsOf(tx, found.id, found.scopes, found.openScopes);
    await endPermissions(
      tx,
      [{ clientId: '*', audience: identifier, kind: 'api', name: '' }],
      clients,
    );
    await deleteApi(tx, identifier, found);
    await writeAudit(tx, {
      type: 'resource_server.deleted',
      outcome: 'success',
      actor,
      data: { resource_server: found.id, identifier },
    });
    for (const topic of [
      'resource_servers',
      'clients',
      'exchange_rules',
      'trusted_issuers',
    ] as const)
      await raiseVersion(tx, topic);
    return found;
  });
  await forgetDecided(db, identifier);
  return deleted;
}

/** Removes scopes: no token that carries one lives on. */
async function endScopes(db: Db, api: ResourceServer, removed: readonly string[]): Promise<void> {
  if (removed.length === 0) return;
  const open = removed.filter((scope) => api.openScopes.has(scope));
  const clients = await clientsOf(db, api.id, removed, open);
  await deleteScopes(db, api.id, removed);
  await endPermissions(
    db,
    removed.map((name) => ({ clientId: '*', audience: api.identifier, kind: 'scope', name })),
    clients,
  );
  await raiseVersion(db, 'exchange_rules');
  await raiseVersion(db, 'trusted_issuers');
}

/** Ends what clients that registered themselves were given of scopes that are open no more. */
async function closeScopes(db: Db, api: ResourceServer, open: readonly string[]): Promise<void> {
  for (const name of [...api.openScopes].filter((scope) => !open.includes(scope))) {
    const clients = await listOpenClients(db, api.id, name);
    await endPermissions(
      db,
      clients.map((clientId) => ({ clientId, audience: api.identifier, kind: 'scope', name })),
      clients,
    );
  }
}

/** Every client that may ask for one of the scopes. */
async function clientsOf(
  db: Db,
  id: string,
  scopes: readonly string[],
  open: readonly string[],
): Promise<string[]> {
  const lists = [await listClientsOf(db, id, scopes)];
  for (const scope of open) lists.push(await listOpenClients(db, id, scope));
  return [...new Set(lists.flat())];
}

function lastScope(): AppError {
  return new AppError('last_scope', 'An API has at least one scope. Delete the API instead.', {
    status: 400,
  });
}
