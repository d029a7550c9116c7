import { randomBytes } from 'node:crypto';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import type { Sealer } from '../lib/seal.ts';
import { Subjects } from '../unit-of-work/subjects.ts';
import { findSubjectKey, insertSubjectKey, isKeyInUse, keyPlace } from './subject-keys.store.ts';

/**
 * The subjects of this installation. Their key is made with the first start, sealed, and never again: several processes
 * that start at once agree on one. It is no key derived from the master key, so that it outlives a rotation of that.
 * @throws AppError `subject_key_missing` where people are known by a key that is gone, `unseal_failed`
 */
export async function openSubjects({ kysely }: Database, sealer: Sealer): Promise<Subjects> {
  let sealed = await findSubjectKey(kysely);
  if (sealed === undefined) {
    if (await isKeyInUse(kysely))
      throw new AppError(
        'subject_key_missing',
        'The key of pairwise subjects is gone, and clients know their people by it: put the row of subject_keys back from a backup.',
      );
    await insertSubjectKey(kysely, sealer.seal(randomBytes(32), keyPlace));
    sealed = await findSubjectKey(kysely);
  }
  return new Subjects(sealer.open(sealed ?? Buffer.alloc(0), keyPlace));
}
