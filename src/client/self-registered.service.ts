import { isDeepStrictEqual } from 'node:util';
import type { AuditOrigin } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { endClientFamilies } from '../grant/grant.service.ts';
import { randomToken } from '../lib/hash.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { hasSecret } from './client-authentication.ts';
import { type SelfDescription, selfRegistration } from './client-dynamic.ts';
import type { Registration } from './client-rules.ts';
import { newSecret } from './client-secret.ts';
import { checkSectorDocument } from './client-sector.ts';
import type { Client, ClientType } from './client.ts';
import { checked } from './registration.ts';
import { unknownClient } from './refusal.ts';
import * as store from './client.store.ts';
import * as secrets from './client-secret.store.ts';
import * as documents from './document-client.store.ts';

export type { SelfDescription } from './client-dynamic.ts';

/** Clients that register themselves, in the transaction of whoever lets them. */

/** A client as it says that it is, found to be in order. */
export interface SelfRegistered extends Registration {
  readonly name: string;
  readonly type: ClientType;
}

/**
 * Checks all that a client says of itself, as it would be checked of an operator's.
 * @throws AppError `invalid_redirect_uri`, `invalid_client`
 */
export async function prepareSelfRegistered(
  said: SelfDescription,
  outboundAllow: OutboundAllow,
): Promise<SelfRegistered> {
  const registration = selfRegistration(said, outboundAllow);
  await checkSectorDocument(registration.metadata, outboundAllow);
  return { ...registration, name: said.name };
}

/** Stores it under an id of ours, neither verified nor first-party; gives the secret, if it has one, this once. */
export async function insertSelfRegistered(
  db: Db,
  { name, type, metadata, settings }: SelfRegistered,
  by: 'anybody' | 'token',
): Promise<{ clientId: string; clientSecret: string | undefined }> {
  const id = `c_${randomToken(16)}`;
  const secret = hasSecret(metadata) ? newSecret() : undefined;
  await store.insertClient(db, {
    id,
    name,
    type,
    metadata,
    settings,
    firstParty: false,
    verified: false,
    registeredBy: by,
  });
  if (secret !== undefined) await secrets.insertSecret(db, { clientId: id, ...secret });
  return { clientId: id, clientSecret: secret?.value };
}

/** Opens scopes to the client besides those that are open to all. */
export function insertAllowedScopes(
  db: Db,
  clientId: string,
  resourceServerId: string,
  scopes: readonly string[],
): Promise<void> {
  return store.insertAllowed(db, clientId, resourceServerId, scopes);
}

/**
 * What a client says of itself under the policy that an operator has set for it, which it can't say itself out of.
 * @throws AppError `invalid_client` where the two do not go together
 */
export function underPolicy(
  { metadata, settings }: Registration,
  { settings: set, allowed }: Pick<Client, 'allowed'> & Pick<Registration, 'settings'>,
): Registration {
  const { sector: _, ...policy } = set;
  return checked({ metadata, settings: { ...policy, ...settings } }, allowed, {});
}

/**
 * Replaces what it says of itself; policy of ours stays. Gives a secret where it has one from now on.
 * @throws AppError `unknown_client`, `invalid_client` where it does not go together with that policy,
 * `invalid_client_metadata` where its people would get other subjects
 */
export async function replaceSelfRegistered(
  db: Db,
  id: string,
  said: SelfRegistered,
): Promise<string | undefined> {
  const stored = await store.lockClient(db, id);
  const client = stored && (await store.findClient(db, id));
  if (stored === undefined || client === undefined) throw unknownClient(id);
  const { name, type } = said;
  const { allowed } = client;
  const { metadata, settings } = underPolicy(said, { settings: stored.settings, allowed });
  if (stored.settings.sector !== settings.sector && (await store.hasPeople(db, id)))
    throw new AppError(
      'invalid_client_metadata',
      'The people of this client would get other subjects, and it would know none of them again.',
      { status: 400 },
    );
  await store.updateClient(db, id, { name, type, metadata, settings });
  const secret = hasSecret(metadata) && !hasSecret(stored.metadata) ? newSecret() : undefined;
  if (!hasSecret(metadata)) await secrets.deleteSecrets(db, id);
  if (secret !== undefined) await secrets.insertSecret(db, { clientId: id, ...secret });
  await raiseVersion(db, 'clients');
  return secret?.value;
}

/**
 * Ends every token of the client in the same commit, and the client for good: nobody finds it any more. Its row stays for as
 * long as a token of it could live. Gives how many families have ended: see `endLeftClientFamilies`.
 * @throws AppError `unknown_client`
 */
export async function deleteClient(db: Db, id: string, origin: AuditOrigin): Promise<number> {
  if (!(await store.setDeleted(db, id))) throw unknownClient(id);
  await secrets.deleteSecrets(db, id);
  await writeAudit(db, { type: 'client.deleted', outcome: 'success', clientId: id, ...origin });
  await raiseVersion(db, 'clients');
  return endClientFamilies(db, id, 'client_disabled');
}

/** As many apps that nobody has registered may one person have let in. */
const MOST_DOCUMENTS = 100;

/**
 * Keeps the client of a metadata document: what a person decides about it needs its row. Anonymous requests never make one.
 * @throws AppError `too_many_apps` (429)
 */
export async function keepDocumentClient(
  db: Db,
  client: Pick<Client, 'id' | 'metadata' | 'name' | 'settings' | 'type'>,
  accountId: string,
): Promise<void> {
  if ((await documents.countDocuments(db, accountId, client.id)) >= MOST_DOCUMENTS)
    throw new AppError(
      'too_many_apps',
      'You have let in too many apps that nobody here knows. Remove some first.',
      { status: 429, retryAfter: 60 },
    );
  await documents.insertDocumentClient(db, client);
}

/** Takes over what a document says by now, and that it was seen to say so; gives whether that is something new. */
export async function updateDocumentClient(
  db: Db,
  stored: Client,
  { name, type, metadata, settings }: SelfRegistered,
): Promise<boolean> {
  if (
    stored.name === name &&
    stored.type === type &&
    isDeepStrictEqual(stored.metadata, JSON.parse(JSON.stringify(metadata)))
  ) {
    await documents.touchDocumentClient(db, stored.id);
    return false;
  }
  const locked = await store.lockClient(db, stored.id);
  if (locked === undefined) return false;
  const { sector: _, ...kept } = locked.settings;
  await store.updateClient(db, stored.id, {
    name,
    type,
    metadata,
    settings: { ...kept, ...settings },
  });
  await raiseVersion(db, 'clients');
  return true;
}

/** The client as its document was seen to describe it within a day. */
export async function lastSeenDocumentClient(
  db: Db,
  id: string,
): Promise<SelfRegistered | undefined> {
  const row = await documents.findRecentDocumentClient(db, id);
  return row && { ...row, type: row.type as ClientType };
}
