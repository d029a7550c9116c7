import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { runHaproxy, tell } from '../support/haproxy.ts';
import { allAnswered, restartInTurn } from '../support/rolling-restart.ts';
import { snippetsOf } from '../support/snippets.ts';

/** 21: behind the HAProxy of docs/operations.md, which asks for readiness. */

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-haproxy-'));

afterAll(() => rmSync(folder, { recursive: true }));

test('21: no request fails in a rolling restart behind HAProxy', async () => {
  const documented = (await snippetsOf('operations.md')).get('haproxy.cfg') ?? '';
  const outcomes = await restartInTurn(async (front, ports) => {
    const { socket, stop } = await runHaproxy(
      folder,
      documented
        .replace('10.0.0.1:3000', `127.0.0.1:${ports[0]}`)
        .replace('10.0.0.2:3000', `127.0.0.1:${ports[1]}`)
        .replace(/bind :443[^\n]*/, `bind 127.0.0.1:${front}`),
    );
    return {
      stop,
      leadsTo: async (place) =>
        new RegExp(`^vouchsafe,${['one', 'two'][place]},.*,UP,`, 'm').test(
          await tell(socket, 'show stat'),
        ),
    };
  });
  expect([...outcomes.keys()].toSorted()).toEqual(allAnswered);
}, 120_000);
