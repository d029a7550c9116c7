import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestDatabase } from './database.ts';

/** Ends the process without a word at its `at`-th statement, before it leaves or after its answer came. */
export interface KillAt {
  readonly at: number;
  readonly when: 'before' | 'after';
}

/** A whole server in a process of its own, as an operator would run two of. */
export interface ServerProcess {
  readonly issuer: string;
  readonly url: string;
  readonly pid: number;
  /** From now on waits are counted; with `kill`, the process ends itself. */
  arm(kill?: KillAt): Promise<void>;
  /** The waits on the database since `arm`: statements that are under way together are one. */
  waits(): Promise<number>;
  /** The statements since `arm`. */
  statements(): Promise<number>;
  /** The prepared statements that PostgreSQL plans for each execution, not only for the first five. */
  replanned(): Promise<string[]>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

const shiftedClock = join(import.meta.dirname, 'shifted-clock.ts');

/** The master key of every test server on one database. */
export const testMasterKey = Buffer.alloc(32, 7);

/** Starts a server on the database; `issuer` is what several processes behind one name share. */
export async function startServerProcess(
  database: TestDatabase,
  issuer: string,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const child = fork(join(import.meta.dirname, 'server-child.ts'), [], {
    env: {
      ...process.env,
      VOUCHSAFE_TEST_CONNECTION: JSON.stringify(database.connection),
      ISSUER: issuer,
      PORT: '0',
      LOG_LEVEL: 'error',
      ...env,
    },
    execArgv: 'VOUCHSAFE_TEST_CLOCK_OFFSET' in env ? ['--import', shiftedClock] : [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  // One that a failed test has left behind keeps nobody waiting: it ends when its parent does.
  child.unref();
  child.channel?.unref();
  const ended = once(child, 'exit').then(() => undefined);
  const ask = async <T>(message: Record<string, unknown>): Promise<T> => {
    const answer = once(child, 'message');
    child.send(message);
    return (await answer)[0] as T;
  };
  const [{ port }] = (await Promise.race([
    once(child, 'message'),
    ended.then(() => Promise.reject(new Error('the server ended at its start'))),
  ])) as [{ port: number }];
  return {
    issuer,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid as number,
    arm: (kill) => ask({ arm: kill ?? null }),
    waits: () => ask({ count: 'waits' }),
    statements: () => ask({ count: 'statements' }),
    replanned: () => ask({ count: 'replanned' }),
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}

/** One address for several processes, as a load balancer gives them. */
export interface Door {
  readonly port: number;
  /** New connections lead to this process from now on; those to others are closed. */
  leadTo(server: ServerProcess): Promise<void>;
  close(): Promise<void>;
}

export async function openDoor(): Promise<Door> {
  const sockets = new Set<Socket>();
  let target = 0;
  const closeAll = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  const door = createServer((incoming) => {
    const outgoing = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      sockets.add(socket);
      // What breaks off on one side breaks off on the other.
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
      socket.pipe(other);
    }
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  return {
    port: (door.address() as AddressInfo).port,
    async leadTo(server) {
      target = Number(new URL(server.url).port);
      closeAll();
      // By the time a connection of our own is answered, clients have seen that theirs are closed.
      const probe = connect((door.address() as AddressInfo).port, '127.0.0.1');
      probe.end('GET /livez HTTP/1.0\r\n\r\n').resume();
      await once(probe, 'close');
    },
    async close() {
      closeAll();
      door.close();
      await once(door, 'close');
    },
  };
}
