import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestDatabase } from './database.ts';

/** Ends the process without a word at its `at`-th wait on the database, before the statement leaves or after it is done. */
export interface KillAt {
  readonly at: number;
  readonly when: 'before' | 'after';
}

/** A whole server in a process of its own, as an operator would run two of. */
export interface ServerProcess {
  readonly issuer: string;
  readonly url: string;
  /** From now on waits are counted; with `kill`, the process ends itself. */
  arm(kill?: KillAt): Promise<void>;
  /** The waits since `arm`. */
  waits(): Promise<number>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

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
      ...env,
      VOUCHSAFE_TEST_CONNECTION: JSON.stringify(database.connection),
      ISSUER: issuer,
      PORT: '0',
      LOG_LEVEL: 'error',
    },
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
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
    arm: (kill) => ask({ arm: kill ?? null }),
    waits: () => ask({ waits: true }),
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}
