import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const source = fileURLToPath(new URL('../src/', import.meta.url));

export type ServerProcess = ChildProcessByStdio<null, Readable, null>;

/** The server, as `npm start` runs it. */
export function spawnServer(env: NodeJS.ProcessEnv): ServerProcess {
  return spawn(process.execPath, [`${source}main.ts`], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Resolves when the server answers; rejects where it has ended, after it has said why. */
export async function untilReady(server: ServerProcess): Promise<void> {
  // The first thing that it says is that it is ready.
  const said = once(server.stdout, 'data');
  const ended = once(server, 'exit').then(() => undefined);
  const first = (await Promise.race([said, ended])) as [Buffer] | undefined;
  if (first === undefined) throw new Error('its server has ended');
  process.stdout.write(first[0]);
  server.stdout.pipe(process.stdout);
}

/** Asks the server to end, and waits until it has. */
export async function stopServer(server: ServerProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  await ended;
}

/**
 * Runs a command of the server's command line, with `input` to read, and gives what it prints as JSON.
 * @throws Error with what the command complained of.
 */
export async function runCommand<Output>(
  env: NodeJS.ProcessEnv,
  words: string,
  options: readonly (readonly [name: string, value?: string])[],
  input = '',
): Promise<Output> {
  const args = options.flatMap(([name, value]) =>
    value === undefined ? [`--${name}`] : [`--${name}`, value],
  );
  const all = [`${source}cli.ts`, ...words.split(' '), ...args, '--json'];
  const running = promisify(execFile)(process.execPath, all, { env });
  running.child.stdin?.end(input);
  const { stdout } = await running.catch((error: Error & { stderr?: string }) => {
    throw new Error(`${words} failed. ${error.stderr?.trim() ?? ''}`, { cause: error });
  });
  return JSON.parse(stdout) as Output;
}
