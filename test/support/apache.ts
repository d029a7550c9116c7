import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './process.ts';

const modules = [
  'mpm_event',
  'authn_core',
  'authz_core',
  'authz_user',
  'auth_openidc',
  'headers',
  'proxy',
  'proxy_http',
];

/** A real Apache with mod_auth_openidc and these sites, its files in the folder, once `answers` says that it does. */
export async function runApache(
  folder: string,
  sites: string,
  answers: () => Promise<boolean>,
): Promise<{ stop(): Promise<void>; log(): Promise<string> }> {
  const file = join(folder, 'apache.conf');
  const log = join(folder, 'apache.log');
  // Started by root, it answers as somebody else.
  chmodSync(folder, 0o755);
  await writeFile(
    file,
    `ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/apache.pid
DefaultRuntimeDir ${folder}
ErrorLog ${log}
LogLevel warn auth_openidc:info
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
User www-data
Group www-data
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
${sites}
`,
    { mode: 0o600 },
  );
  const child = spawn(
    process.env.APACHE ?? '/usr/sbin/apache2',
    ['-DFOREGROUND', '-d', folder, '-f', file],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  child.unref();
  const ended = once(child, 'exit');
  const failed = ended.then(async () => {
    throw new Error(`Apache ended: ${await readFile(log, 'utf8').catch(() => '')}`);
  });
  await Promise.race([until(answers), failed]);
  failed.catch(() => undefined);
  return {
    log: () => readFile(log, 'utf8'),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
