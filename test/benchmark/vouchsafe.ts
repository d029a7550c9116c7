import { loadConfig } from '../../src/config.ts';
import { Database } from '../../src/db/database.ts';
import { createLogger, logFile } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createServer } from '../../src/server.ts';
import { benchmarkMasterKey, issuer, POOL, serve, type Task } from './protocol.ts';

/** Vouchsafe as it is configured without being told anything; its log, one line a request, is written to nowhere. */
serve(async ({ connection }: Task) => {
  const config = loadConfig({
    ISSUER: issuer,
    PORT: '0',
    DATABASE_POOL: String(POOL),
  });
  const db = new Database({ connection, poolSize: config.databasePool });
  const sealer = new Sealer([benchmarkMasterKey]);
  const logger = createLogger(config.logLevel, logFile('/dev/null'));
  const server = await createServer({ config, db, sealer, logger });
  return { port: await server.listen() };
});
