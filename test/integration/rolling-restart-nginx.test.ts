import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { runNginx } from '../support/nginx.ts';
import { allAnswered, restartInTurn } from '../support/rolling-restart.ts';
import { snippetsOf } from '../support/snippets.ts';

/** 21: behind the nginx of docs/operations.md, which knows nothing of readiness. */

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-nginx-'));

afterAll(() => rmSync(folder, { recursive: true }));

test('21: no request fails in a rolling restart behind nginx', async () => {
  const documented = (await snippetsOf('operations.md')).get('upstream.conf') ?? '';
  const outcomes = await restartInTurn((front, ports) => {
    const site = documented
      .replace(/10\.0\.0\.1:3000/, `127.0.0.1:${ports[0]}`)
      .replace(/10\.0\.0\.2:3000/, `127.0.0.1:${ports[1]}`)
      .replace(/listen 443 ssl;/, `listen 127.0.0.1:${front};`)
      .replace(/\n\s*ssl_certificate[^\n]*/g, '');
    return runNginx(folder, site, () =>
      fetch(`http://127.0.0.1:${front}/livez`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
  });
  expect([...outcomes.keys()].toSorted()).toEqual(allAnswered);
}, 120_000);
