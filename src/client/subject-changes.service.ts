import type { Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { endClientFamilies } from '../grant/grant.service.ts';
import { CLOCK_SLACK } from '../lib/time.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { withRedirects } from './client-redirects.ts';
import { checkSectorDocument } from './client-sector.ts';
import type { ClientChanges } from './client-settings.ts';
import { withSubjects } from './client-subjects.ts';
import type { Client } from './client.ts';
import * as store from './client.store.ts';
import { unknownClient } from './refusal.ts';

/** What a client knows its people by, where that changes. */

/**
 * Checks the document of the client's sector, where it or what it names changes. Asked of the foreign host before anything is
 * locked.
 * @throws AppError `unknown_client`, `invalid_client`
 */
export async function checkChangedSector(
  db: Db,
  id: string,
  changes: ClientChanges,
  outboundAllow: OutboundAllow,
): Promise<void> {
  if (typeof changes.sectorIdentifierUri !== 'string' && changes.redirectUris === undefined) return;
  const client = await store.findClient(db, id);
  if (client === undefined) throw unknownClient(id);
  const metadata = withRedirects(withSubjects(client.metadata, changes), changes);
  await checkSectorDocument(metadata, outboundAllow);
}

/**
 * Ends every token of a client that would take each of its people for somebody else from now on. Gives how many families
 * ended; undefined where it has no people yet.
 * @param forced also where it has people
 * @throws AppError `has_people` (409)
 */
export async function endOldSubjects(
  db: Db,
  { id, firstParty }: Client,
  forced: boolean,
): Promise<number | undefined> {
  // Who asks nobody for consent leaves nothing of people who were there once.
  if (!firstParty && !(await store.hasPeople(db, id))) return undefined;
  if (!forced)
    throw new AppError(
      'has_people',
      'The people of this client would get other subjects, and it would know none of them again. Say --force if that is what you want.',
      { status: 409 },
    );
  await store.endTokens(db, id, CLOCK_SLACK);
  return endClientFamilies(db, id, 'client_tokens_revoked');
}
