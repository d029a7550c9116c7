import { readFile } from 'node:fs/promises';
import { freePort, MainProcess } from '../support/process.ts';
import { benchmarkMasterKey, type Connection } from './protocol.ts';

const STARTS = 7;

/** From the start of `npm start`'s program to ready, on a migrated database, and the resident memory then. */
export interface StartUp {
  readonly seconds: readonly number[];
  readonly idleMiB: readonly number[];
}

/** Starts the server as an operator does, several times in turn. The first start makes keys, and does not count. */
export async function measureStartUp(
  { host, port, user, database }: Connection,
  signal: AbortSignal,
): Promise<StartUp> {
  const env = {
    PORT: String(await freePort()),
    DATABASE_URL: `postgres://${user}@/${database}?host=${encodeURIComponent(host)}&port=${port}`,
    MASTER_KEY: benchmarkMasterKey.toString('base64'),
  };
  const seconds: number[] = [];
  const idleMiB: number[] = [];
  for (let start = 0; start <= STARTS; start++) {
    signal.throwIfAborted();
    const began = performance.now();
    const main = await new MainProcess(env).ready();
    if (start > 0) {
      seconds.push((performance.now() - began) / 1_000);
      idleMiB.push(await residentMiB(main.child.pid));
    }
    await main.stop();
  }
  return { seconds, idleMiB };
}

async function residentMiB(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const [, kB = 'NaN'] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return Number(kB) / 1024;
}
