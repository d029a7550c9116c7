import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './process.ts';

const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** A real nginx with these sites, and all that it writes in the folder, once `answers` says that it does. */
export async function runNginx(
  folder: string,
  sites: string,
  answers: () => Promise<boolean>,
): Promise<{ stop(): Promise<void> }> {
  const file = join(folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events {}
http {
access_log off;
${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n')}
${sites}
}
`,
    { mode: 0o600 },
  );
  const child = spawn(
    process.env.NGINX ?? '/usr/sbin/nginx',
    ['-p', folder, '-c', file, '-e', join(folder, 'error.log')],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  child.unref();
  const ended = once(child, 'exit');
  const failed = ended.then(async () => {
    throw new Error(`nginx ended: ${await readFile(join(folder, 'error.log'), 'utf8')}`);
  });
  await Promise.race([until(answers), failed]);
  failed.catch(() => undefined);
  return {
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
