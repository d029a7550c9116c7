import { destination } from 'pino';
import { loadConfig } from '../../src/config.ts';
import { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createServer } from '../../src/server.ts';
import { benchmarkMasterKey, type Connection, POOL, serve } from './protocol.ts';
import { type SimulatedDate, simulateDate } from './simulated-clock.ts';

/** Vouchsafe, in a process whose clock is moved by the benchmark. */

export type StorageQuestion =
  | { readonly start: Connection; readonly now: number }
  | { readonly now: number };

let clock: SimulatedDate | undefined;

serve(async (question: StorageQuestion) => {
  if (!('start' in question)) {
    clock?.set(question.now);
    return {};
  }
  clock = simulateDate(question.now);
  const config = loadConfig({
    ISSUER: 'http://localhost:4600',
    PORT: '0',
    DATABASE_POOL: String(POOL),
    LOG_LEVEL: 'error',
  });
  const db = new Database({ connection: question.start, poolSize: config.databasePool });
  const sealer = new Sealer([benchmarkMasterKey]);
  // What goes wrong is told by the process that benchmarks.
  const logger = createLogger(config.logLevel, destination(2));
  const server = await createServer({ config, db, sealer, logger });
  return { port: await server.listen() };
});
