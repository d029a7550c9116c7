import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, until } from './process.ts';

/** A real HAProxy before servers of PostgreSQL, of which new connections lead to one. */
export interface Haproxy {
  readonly port: number;
  /** New connections lead there from now on, and those that are open are closed. */
  leadTo(place: number): Promise<void>;
  stop(): Promise<void>;
}

/** @param ports of the servers; connections lead to the first one */
export async function startHaproxy(folder: string, ports: readonly number[]): Promise<Haproxy> {
  const port = await freePort();
  const servers = ports.map(
    (one, place) => `  server s${place} 127.0.0.1:${one}${place === 0 ? '' : ' disabled'}`,
  );
  const { socket, stop } = await runHaproxy(
    folder,
    `defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen database
  bind 127.0.0.1:${port}
${servers.join('\n')}
`,
  );
  return {
    port,
    async leadTo(place) {
      for (let other = 0; other < ports.length; other++) {
        await tell(
          socket,
          `set server database/s${other} state ${other === place ? 'ready' : 'maint'}`,
        );
        if (other !== place) await tell(socket, `shutdown sessions server database/s${other}`);
      }
    },
    stop,
  };
}

/**
 * A started HAProxy.
 * @param config without its section `global`
 * @returns the path of its runtime API besides
 */
export async function runHaproxy(
  folder: string,
  config: string,
): Promise<{ readonly socket: string; readonly stop: () => Promise<void> }> {
  const socket = join(folder, 'haproxy.sock');
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, `global\n  stats socket ${socket} mode 600 level admin\n${config}`);
  const child = spawn(process.env.HAPROXY ?? '/usr/sbin/haproxy', ['-db', '-f', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const failed = ended.then(() => {
    throw new Error(`HAProxy ended: ${log}`);
  });
  await Promise.race([
    until(async () => (await tell(socket, 'show version').catch(() => '')) !== ''),
    failed,
  ]);
  failed.catch(() => undefined);
  return {
    socket,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** One command of HAProxy's runtime API. */
export async function tell(path: string, command: string): Promise<string> {
  const socket = connect(path);
  socket.end(`${command}\n`);
  let answer = '';
  for await (const chunk of socket.setEncoding('utf8')) answer += String(chunk);
  return answer;
}
