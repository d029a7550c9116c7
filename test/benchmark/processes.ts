import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Usage } from './protocol.ts';

const run = promisify(execFile);
const LONGEST_STDERR = 8_000;
const STOP_MS = 5_000;

/** Which core the system under test has to itself, and which one everything else shares. */
export interface Cores {
  readonly server: number;
  readonly others: number;
}

/**
 * Moves this process, and with it all that it starts from now on, to one core, and gives the two that are used; undefined
 * where that can't be done here.
 */
export async function pin(): Promise<Cores | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const { stdout } = await run('taskset', ['-cp', String(process.pid)]);
    const [server, others] = parseCores(stdout.slice(stdout.lastIndexOf(':') + 1));
    if (server === undefined || others === undefined) return undefined;
    await run('taskset', ['-acp', String(others), String(process.pid)]);
    return { server, others };
  } catch {
    return undefined;
  }
}

/** "0-2,5" → 0, 1, 2, 5 */
function parseCores(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [from, to] = part.trim().split('-').map(Number);
    if (from === undefined) return [];
    return Array.from({ length: (to ?? from) - from + 1 }, (_, index) => from + index);
  });
}

/** In words, for the head of the report. */
export function describeCores(cores: Cores | undefined): string {
  if (cores === undefined)
    return `nothing is pinned (taskset, and two cores to choose from, are needed): ${availableParallelism()} cores are shared by all, and the ratios mean less`;
  return `the server under test has core ${cores.server}, PostgreSQL and the load generator share core ${cores.others}`;
}

/** A process of the benchmark's own that answers questions (see `serve` in protocol.ts). */
export class Child {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<unknown>;
  #stderr = '';

  /** @param url the file's, as `import.meta.resolve` gives it */
  constructor(
    name: string,
    url: string,
    { core, nodeOptions = [] }: { core?: number | undefined; nodeOptions?: readonly string[] } = {},
  ) {
    // As `npm start` has it.
    const command = [
      process.execPath,
      '--max-semi-space-size=32',
      ...nodeOptions,
      fileURLToPath(url),
    ];
    if (core !== undefined) command.unshift('taskset', '-c', String(core));
    this.#name = name;
    this.#process = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // As `npm start` has it, and no debugging by what happens to be set.
      env: {
        ...process.env,
        UV_THREADPOOL_SIZE: '8',
        MALLOC_ARENA_MAX: '2',
        DEBUG: '',
        NODE_OPTIONS: '',
      },
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-LONGEST_STDERR);
    });
    this.#ended = once(this.#process, 'exit').catch(() => undefined);
  }

  /** @throws Error where the process fails or ends instead of answering */
  ask<Answer>(question: unknown): Promise<Answer> {
    return this.#send<Answer>({ ask: question });
  }

  usage(): Promise<Usage> {
    return this.#send<Usage>({ usage: true });
  }

  async #send<Answer>(message: object): Promise<Answer> {
    const answered = new AbortController();
    try {
      const answer = once(this.#process, 'message', { signal: answered.signal });
      const ended = this.#ended.then(() =>
        Promise.reject(new Error(`${this.#name} has ended.\n${this.#stderr}`)),
      );
      ended.catch(() => undefined);
      this.#process.send(message, () => undefined);
      const [given] = (await Promise.race([answer, ended])) as [
        { answer: Answer; failure?: string },
      ];
      if (given.failure !== undefined)
        throw new Error(`${this.#name} has failed: ${given.failure}\n${this.#stderr}`);
      return given.answer;
    } finally {
      answered.abort();
    }
  }

  /** Returns when the process has ended; it can be called at any time. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    if (this.#process.connected) this.#process.disconnect();
    const waiting = new AbortController();
    const late = delay(STOP_MS, undefined, { signal: waiting.signal }).then(
      () => this.#process.kill('SIGKILL'),
      () => undefined,
    );
    await this.#ended;
    waiting.abort();
    await late;
  }
}
