import { createHmac } from 'node:crypto';
import type { Sealer } from '../../lib/seal.ts';
import type { FamilyRecord } from '../../unit-of-work/records.ts';

/**
 * The id of the refresh token that follows the presented one. It is derived, so that the same client's own repetition
 * gets the same successor while only hashes are stored; the key is in no table, so that a dump and a used token do not
 * add up to a live one.
 */
export function successorId(
  sealer: Sealer,
  family: Pick<FamilyRecord, 'id' | 'keyId'>,
  presented: string,
): string {
  // A master key that was dropped takes nothing with it: from then on the current one derives.
  const keyId = sealer.has(family.keyId) ? family.keyId : sealer.keyId;
  const key = sealer.derive('refresh token successor', keyId);
  return createHmac('sha256', key).update(`${family.id} ${presented}`).digest('base64url');
}
