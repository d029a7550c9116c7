import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { hasSecret } from './client-authentication.ts';
import { findNarrowing } from './client-narrowing.ts';
import { type ClientChanges, clientSettingsSchema } from './client-settings.ts';
import { type Client, isPublic } from './client.ts';
import * as store from './client.store.ts';
import * as secrets from './client-secret.store.ts';
import { endLeft, endNarrowed } from './narrowed.service.ts';
import { refuse, unknownClient } from './refusal.ts';
import { changedRegistration } from './registration.ts';
import { checkChangedSector, endOldSubjects } from './subject-changes.service.ts';

/** Changes of a client by an operator, and what ends with them. */

export interface ClientChangeParts {
  readonly db: Database;
  readonly resourceServers: ResourceServerService;
  readonly outboundAllow: OutboundAllow;
}

/**
 * Changes what is given. Tokens that are out stay as they are, except those that carry something the client has lost: these
 * end in the same commit.
 * @param forced also where its people get other subjects, and the client knows none of them again.
 * @throws AppError `unknown_client`, `invalid_client`, `unknown_api`, `unknown_scope`, `has_people` (409)
 */
export async function changeClient(
  { db, resourceServers, outboundAllow }: ClientChangeParts,
  id: string,
  changes: ClientChanges,
  actor: string,
  forced: boolean,
): Promise<void> {
  await checkChangedSector(db.kysely, id, changes, outboundAllow);
  const ended = await db.transaction(async (tx) => {
    const stored = await store.lockClient(tx, id);
    const client = stored && (await store.findClient(tx, id));
    if (stored === undefined || client === undefined) throw unknownClient(id);
    const allowed = await replaceAllowed(tx, resourceServers, client, changes);
    const next = changedRegistration({ ...client, allowed, stored }, changes, outboundAllow);
    const { metadata, settings } = next;
    checkTrust(client, metadata, changes);
    await resourceServers.checkDetailTypes(tx, changes.authorizationDetailsTypes);
    const { name, firstParty, verified, developer } = changes;
    await store.updateClient(tx, id, { name, firstParty, verified, developer, ...next });
    if (!hasSecret(metadata)) await secrets.deleteSecrets(tx, id);
    const hasOthers = client.settings.sector !== settings.sector;
    const ofOthers = hasOthers ? await endOldSubjects(tx, client, forced) : undefined;
    const after = {
      allowed,
      metadata,
      settings: clientSettingsSchema.parse(settings),
      firstParty: firstParty ?? client.firstParty,
    };
    const apiOf = await resourceServers.findDetailTypeApis(tx);
    const narrowing = findNarrowing(id, client, after, (type) => apiOf.get(type));
    const narrowed = await endNarrowed(tx, id, narrowing);
    await writeAudit(tx, {
      type: 'client.changed',
      outcome: 'success',
      clientId: id,
      actor,
      data: { changed: Object.keys(changes).filter((key) => key in changes) },
    });
    await raiseVersion(tx, 'clients');
    return ofOthers === undefined ? narrowed : { clientId: id, count: ofOthers };
  });
  await endLeft(db, ended);
}

/** What the client may ask for at APIs from now on, with what is open to all that registered themselves. */
async function replaceAllowed(
  db: Db,
  resourceServers: ResourceServerService,
  { id, allowed }: Client,
  { apis }: ClientChanges,
): Promise<Client['allowed']> {
  if (apis === undefined) return allowed;
  await store.deleteAllowed(db, id);
  for (const { identifier, scopes } of apis) {
    const server = await resourceServers.getForScopes(db, identifier, scopes);
    await store.insertAllowed(db, id, server.id, scopes);
  }
  return (await store.findClient(db, id))?.allowed ?? new Map();
}

/** @throws AppError `invalid_client` */
function checkTrust(
  { firstParty: wasFirstParty, registeredBy, resourceServerId }: Client,
  metadata: Client['metadata'],
  { apis, firstParty = wasFirstParty, scopes }: ClientChanges,
): void {
  if (firstParty && isPublic(metadata))
    refuse('A public client cannot be first-party: anybody can pretend to be it.');
  if (firstParty && registeredBy !== undefined)
    refuse('A client that registered itself cannot be first-party: users decide about it.');
  if (resourceServerId !== undefined && (apis ?? scopes) !== undefined)
    refuse('These are the credentials of an API, which asks for nothing.');
}
