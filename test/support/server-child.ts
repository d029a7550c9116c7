import { loadConfig } from '../../src/config.ts';
import { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createServer } from '../../src/server.ts';
import { type KillAt, testMasterKey } from './server-process.ts';

/** A server whose waits on the database are counted, and which can end itself at a chosen one (see server-process.ts). */

let armed = false;
let kill: KillAt | undefined;
let waits = 0;
let inFlight = 0;

function end(when: KillAt['when'], wait: number): void {
  if (armed && kill?.when === when && kill.at === wait) process.kill(process.pid, 'SIGKILL');
}

/** The watch for changed configuration ticks by itself and belongs to no request. */
const isOwnTick = (text: string) => text.includes('config_versions') || text.includes('outbox');

const db = new Database({
  connection: JSON.parse(process.env.VOUCHSAFE_TEST_CONNECTION as string) as {
    host: string;
    port: number;
    user: string;
    database: string;
  },
  poolSize: 10,
  observer: {
    before(text) {
      if (!armed || isOwnTick(text)) return;
      if (inFlight++ === 0) waits++;
      end('before', waits);
    },
    after(text) {
      if (!armed || isOwnTick(text)) return;
      inFlight = Math.max(0, inFlight - 1);
      end('after', waits);
    },
  },
});

const config = loadConfig(process.env);
const server = await createServer({
  config,
  db,
  sealer: new Sealer([testMasterKey]),
  logger: createLogger(config.logLevel),
});
process.on('message', (message: { arm?: KillAt | null; waits?: true }) => {
  if ('arm' in message) {
    armed = true;
    kill = message.arm ?? undefined;
    waits = 0;
    inFlight = 0;
    process.send?.({});
  } else {
    process.send?.(waits);
  }
});
process.on('disconnect', () => process.exit());
process.send?.({ port: await server.listen() });
