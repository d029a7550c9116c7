import { rm } from 'node:fs/promises';
import type { EmbeddedDatabase } from '../../src/db/embedded.ts';

export default async function globalTeardown(): Promise<void> {
  const { embedded, folder } = (
    globalThis as unknown as {
      vouchsafeTestPostgres: { embedded: EmbeddedDatabase; folder: string };
    }
  ).vouchsafeTestPostgres;
  await embedded.close();
  await rm(folder, { recursive: true, force: true });
}
