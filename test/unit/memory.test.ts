import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '../..');

/** What `npm start` and the image set for the process. */
function settings(): Record<string, string>[] {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  const image = readFileSync(join(root, 'Dockerfile'), 'utf8');
  return [
    Object.fromEntries(
      [...scripts.start.matchAll(/(\w+)=\$\{\w+:-(\d+)\}/g)].map((m) => m.slice(1)),
    ),
    Object.fromEntries(
      [...image.matchAll(/^ +(UV_THREADPOOL_SIZE|MALLOC_ARENA_MAX)=(\d+)/gm)].map((m) =>
        m.slice(1),
      ),
    ),
  ] as Record<string, string>[];
}

/**
 * Each hash takes 19 MiB. The C library keeps what a thread has freed for this thread, in one of up to 8 arenas for each
 * core: without MALLOC_ARENA_MAX, eight threads keep 152 MiB for good. With it, no more is kept than was in use at once: 76 MiB for four hashes.
 */
test('41: hashing passwords leaves no memory behind on each thread', async () => {
  for (const env of settings()) {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(root, 'test/support/hashing-child.ts')],
      { env: { PATH: process.env.PATH, ...env } },
    );
    expect(Number(stdout)).toBeLessThan(100);
  }
});
