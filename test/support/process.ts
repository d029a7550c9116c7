import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const root = join(import.meta.dirname, '../..');

export type Environment = Readonly<Record<string, string>>;

/** Nothing of our own environment goes along but what a program needs to run. */
function environment(env: Environment): Record<string, string> {
  const { PATH = '', HOME = '/', TMPDIR } = process.env;
  return { PATH, HOME, ...(TMPDIR === undefined ? {} : { TMPDIR }), ...env };
}

function start(file: string, args: readonly string[], env: Environment): ChildProcess {
  return spawn(process.execPath, ['--import', './bin/require-node-24.mjs', file, ...args], {
    cwd: root,
    env: environment(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** `src/main.ts` as an operator starts it. */
export class MainProcess {
  readonly child: ChildProcess;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  stdout = '';
  stderr = '';

  constructor(env: Environment) {
    this.child = start('src/main.ts', [], env);
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = once(this.child, 'close').then(
      ([code, signal]) => (code ?? signal) as number | string,
    );
  }

  /** Waits until it says that it is ready. */
  async ready(): Promise<this> {
    const failed = this.ended.then((code) => {
      throw new Error(`the server ended with ${code}:\n${this.stderr}`);
    });
    // The first start on a database makes keys, which takes its time on a busy machine.
    await Promise.race([until(() => this.stdout.includes('Vouchsafe is ready')), failed]);
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Ends it in order, and gives the exit code. */
  async stop(): Promise<number | string> {
    this.signal('SIGTERM');
    return await this.ended;
  }
}

export interface CliResult {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** One call of the command line. */
export async function runCli(
  args: readonly string[],
  env: Environment,
  input = '',
): Promise<CliResult> {
  const child = start('src/cli.ts', args, env);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that reads nothing may have ended before.
  child.stdin?.on('error', () => undefined).end(input);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { status: code ?? signal ?? '', stdout, stderr };
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits for a condition; fails where it stays false for so long that it will not come true any more. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  milliseconds = 60_000,
): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > deadline)
      throw new Error(`not within ${milliseconds} ms: ${condition.toString()}`);
    await delay(20);
  }
}
