import { expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

test('files past 400 lines are named, lists excepted', () => {
  const tree = mkdtempSync(join(tmpdir(), 'vouchsafe-lengths-'));
  const lines = {
    'src/server.ts': 400,
    'src/oidc/adapter/adapter.ts': 401,
    'src/db/schema.ts': 900,
    'src/pages/messages.ts': 900,
    'src/pages/messages/en.ts': 900,
    'src/pages/messenger.ts': 402,
    'views/pages/consent.eta': 403,
    'views/assets/vouchsafe.css': 404,
    'bin/check.mjs': 405,
    'demo/main.ts': 406,
    'test/unit/long.test.ts': 900,
    'migrations/0001-first.ts': 900,
  };
  for (const [file, count] of Object.entries(lines)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), '\n'.repeat(count));
  }
  const script = join(import.meta.dirname, '../../bin/check-lengths.mjs');
  const { status, stdout } = spawnSync(process.execPath, [script, tree], { encoding: 'utf8' });
  rmSync(tree, { recursive: true });

  const named = new Set(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(';')[0]),
  );
  expect(named).toEqual(
    new Set([
      'bin/check.mjs: 405 lines',
      'demo/main.ts: 406 lines',
      'src/pages/messenger.ts: 402 lines',
      'src/oidc/adapter/adapter.ts: 401 lines',
      'views/assets/vouchsafe.css: 404 lines',
      'views/pages/consent.eta: 403 lines',
    ]),
  );
  expect(status).toBe(1);
});
