import { AsyncLocalStorage } from 'node:async_hooks';
import { Server } from 'node:http';
import { loadConfig } from '../../src/config.ts';
import { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createServer } from '../../src/server.ts';
import { type KillAt, testMasterKey } from './server-process.ts';

/** A server whose waits on the database are counted, and which can end itself at a chosen one (see server-process.ts). */

const poolSize = 10;
let armed = false;
let generation = 0;
let kill: KillAt | undefined;
let waits = 0;
let statements = 0;
let answered = 0;
let inFlight = 0;

function end(when: KillAt['when'], statement: number): void {
  if (kill?.when === when && kill.at === statement) process.kill(process.pid, 'SIGKILL');
}

/** The watch for changed configuration and the outbox tick by themselves: they belong to no request. */
const ofRequest = new AsyncLocalStorage<true>();
const emit = Reflect.get(Server.prototype, 'emit') as (
  this: Server,
  event: string,
  ...args: unknown[]
) => boolean;
Server.prototype.emit = function emitInside(this: Server, event: string, ...args: unknown[]) {
  const deliver = () => emit.call(this, event, ...args);
  return event === 'request' ? ofRequest.run(true, deliver) : deliver();
} as typeof Server.prototype.emit;

const db = new Database({
  connection: JSON.parse(process.env.VOUCHSAFE_TEST_CONNECTION as string) as {
    host: string;
    port: number;
    user: string;
    database: string;
  },
  poolSize,
  observer: () => {
    if (!armed || ofRequest.getStore() === undefined) return undefined;
    if (inFlight++ === 0) waits++;
    end('before', ++statements);
    const counting = generation;
    return () => {
      // One that was under way when the counters were reset is not counted.
      if (counting !== generation) return;
      inFlight--;
      end('after', ++answered);
    };
  },
});

const config = loadConfig(process.env);
const server = await createServer({
  config,
  db,
  sealer: new Sealer([testMasterKey]),
  logger: createLogger(config.logLevel),
});
interface Message {
  readonly arm?: KillAt | null;
  readonly count?: 'waits' | 'statements' | 'replanned';
}
process.on('message', (message: Message) => {
  if (message.count === 'replanned') {
    void replanned().then((texts) => process.send?.(texts));
    return;
  }
  if (message.count !== undefined) {
    process.send?.(message.count === 'waits' ? waits : statements);
    return;
  }
  void openConnections().then(() => arm(message.arm ?? undefined));
});

/** With all connections open, what is sent together is under way together. */
async function openConnections(): Promise<void> {
  const clients = await Promise.all(Array.from({ length: poolSize }, () => db.pool.connect()));
  for (const client of clients) client.release();
}

/** Asked on each connection: all others tell nothing of its statements. */
async function replanned(): Promise<string[]> {
  const statement = {
    name: 'replanned',
    text: 'select statement from pg_prepared_statements where custom_plans > 5',
    values: [],
  };
  const clients = await Promise.all(Array.from({ length: poolSize }, () => db.pool.connect()));
  const results = await Promise.all(clients.map((client) => client.query(statement)));
  for (const client of clients) client.release();
  const rows = [...results.map((result) => result.rows), await db.read(statement)].flat();
  return rows.map((row) => (row as { statement: string }).statement);
}

function arm(at: KillAt | undefined): void {
  armed = true;
  generation++;
  kill = at;
  waits = statements = answered = inFlight = 0;
  process.send?.({});
}

process.on('disconnect', () => process.exit());
process.send?.({ port: await server.listen() });
