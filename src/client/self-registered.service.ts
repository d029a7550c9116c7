import { isDeepStrictEqual } from 'node:util';
import type { AuditOrigin } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { endClientFamilies } from '../grant/grant.service.ts';
import { randomToken } from '../lib/hash.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { hasSecret } from './client-authentication.ts';
import { type SelfDescription, selfRegistration } from './client-dynamic.ts';
import { findNarrowing } from './client-narrowing.ts';
import type { Registration } from './client-rules.ts';
import { clientSettingsSchema } from './client-settings.ts';
import { findChanges, shownOf } from './client-shown.ts';
import { newSecret } from './client-secret.ts';
import { checkSectorDocument } from './client-sector.ts';
import type { Client, ClientType } from './client.ts';
import { type Ended, endLeft, endNarrowed, endOfWeaker } from './narrowed.service.ts';
import { checked, laidOver } from './registration.ts';
import { unknownClient } from './refusal.ts';
import * as store from './client.store.ts';
import * as secrets from './client-secret.store.ts';
import * as documents from './document-client.store.ts';

export type { SelfDescription } from './client-dynamic.ts';
export { endLeft } from './narrowed.service.ts';

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
  said: SelfRegistered,
  by: 'anybody' | 'token',
): Promise<{ clientId: string; clientSecret: string | undefined }> {
  const { name, type, metadata, settings } = said;
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
    said: { name, type, metadata },
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

/** The policy of an operator for a client that registered itself. */
export interface Policy extends Pick<Client, 'allowed' | 'demanded'> {
  readonly settings: Registration['settings'];
}

/** A registration with the demands of an operator laid over it. */
export type Demanding = Registration & { readonly name: string };

/**
 * What a client registers itself, with what an operator has set for it and demands of it laid over.
 * @throws AppError `invalid_client` where the two do not go together
 */
export function underPolicy(
  { name, metadata, settings }: Pick<SelfRegistered, 'metadata' | 'name' | 'settings'>,
  { settings: set, allowed, demanded }: Policy,
): Demanding {
  const { sector: _, ...policy } = set;
  const laid = { metadata: laidOver(metadata, demanded), settings: { ...policy, ...settings } };
  return { name: demanded.name ?? name, ...checked(laid, allowed, demanded) };
}

/** What came of a change that a client made to its own registration. */
export interface Replaced {
  /** Where it has one from now on. */
  readonly secret: string | undefined;
  /** To be completed after the commit: see `endLeft`. */
  readonly ended: readonly Ended[];
}

/**
 * Replaces what the client registered itself; what an operator set and demands stays. Users who allowed it are asked again
 * where its name, a new host or a weaker authentication makes it another one; the last ends its token families.
 * @throws AppError `unknown_client`, `invalid_client` where it does not go together with that policy,
 * `invalid_client_metadata` where its people would get other subjects
 */
export async function replaceSelfRegistered(
  db: Db,
  id: string,
  said: SelfRegistered,
): Promise<Replaced> {
  const stored = await store.lockClient(db, id);
  const client = stored && (await store.findClient(db, id));
  if (stored === undefined || client === undefined) throw unknownClient(id);
  const next = underPolicy(said, { ...client, settings: stored.settings });
  if (stored.settings.sector !== next.settings.sector && (await store.hasPeople(db, id)))
    throw new AppError(
      'invalid_client_metadata',
      'The people of this client would get other subjects, and it would know none of them again.',
      { status: 400 },
    );
  const ended = await takeOver(db, client, said, next);
  const secret = hasSecret(next.metadata) && !hasSecret(stored.metadata) ? newSecret() : undefined;
  if (!hasSecret(next.metadata)) await secrets.deleteSecrets(db, id);
  if (secret !== undefined) await secrets.insertSecret(db, { clientId: id, ...secret });
  return { secret: secret?.value, ended };
}

/** Writes the new registration, and what follows from its changes; gives what ended by them. */
async function takeOver(
  db: Db,
  client: Client,
  { name, type, metadata }: SelfRegistered,
  next: Demanding,
): Promise<Ended[]> {
  const changes = findChanges(shownOf(client), shownOf(next));
  const isOther = changes.some(({ kind }) => kind !== 'authentication');
  await store.updateClient(db, client.id, {
    ...next,
    type,
    said: { name, type, metadata },
    // Another name, or another host, is not what the operator has looked into.
    verified: isOther ? false : undefined,
    isAnother: changes.length > 0,
  });
  const settings = clientSettingsSchema.parse(next.settings);
  const narrowing = findNarrowing(
    client.id,
    client,
    { ...client, ...next, settings },
    () => undefined,
  );
  const isWeaker = changes.some(({ kind }) => kind === 'authentication');
  const ended = await endNarrowed(db, client.id, narrowing);
  if (isWeaker) await endOfWeaker(db, client.id);
  await raiseVersion(db, 'clients');
  return ended === undefined ? [] : [ended];
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
  client: Pick<Client, 'id' | 'metadata' | 'name' | 'said' | 'settings' | 'type'>,
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

/** Takes over what a document says now, and that it was seen to say so; gives whether that is something new. */
export async function updateDocumentClient(
  db: Database,
  stored: Client,
  now: SelfRegistered,
): Promise<boolean> {
  const { id } = stored;
  const said = stored.said ?? stored;
  if (
    said.name === now.name &&
    said.type === now.type &&
    isDeepStrictEqual(said.metadata, JSON.parse(JSON.stringify(now.metadata)))
  ) {
    await documents.touchDocumentClient(db.kysely, id);
    return false;
  }
  const ended = await db.transaction(async (tx) => {
    const locked = await store.lockClient(tx, id);
    const client = locked && (await store.findClient(tx, id));
    if (locked === undefined || client === undefined) return undefined;
    return takeOver(tx, client, now, underPolicy(now, { ...client, settings: locked.settings }));
  });
  for (const one of ended ?? []) await endLeft(db, one);
  return ended !== undefined;
}

/** The client as its document was seen to describe it within a day. */
export async function lastSeenDocumentClient(
  db: Db,
  id: string,
): Promise<SelfRegistered | undefined> {
  const row = await documents.findRecentDocumentClient(db, id);
  if (row === undefined) return undefined;
  const said = row.said as Client['said'] | null;
  return { ...row, type: row.type as ClientType, ...said };
}
