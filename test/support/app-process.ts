import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { HttpsServer } from './https-server.ts';
import type { Credentials } from './protocol.ts';

/** What an app in a process of its own is told. */
export interface AppSettings {
  readonly issuer: string;
  readonly url: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** An app in a process of its own: for libraries that jest can't load, and that trust nobody but who the process trusts. */
export interface AppProcess {
  readonly url: string;
  readonly clientId: string;
  stop(): Promise<void>;
}

/** @param register makes a client of the app that will stand at the address */
export async function startApp(
  name: 'auth-js' | 'passport',
  server: HttpsServer,
  register: (url: string) => Promise<Credentials>,
): Promise<AppProcess> {
  const child: ChildProcess = fork(join(import.meta.dirname, `${name}-app-child.ts`), [], {
    execArgv: [],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: server.authorityFile },
  });
  child.unref();
  child.channel?.unref();
  const ended = once(child, 'exit');
  const failed = ended.then(() => Promise.reject(new Error(`the app ${name} ended`)));
  const said = async <T>() => ((await Promise.race([once(child, 'message'), failed])) as [T])[0];
  const url = `http://localhost:${(await said<{ port: number }>()).port}`;
  const { clientId, clientSecret = '' } = await register(url);
  const settings: AppSettings = { issuer: server.issuer, url, clientId, clientSecret };
  child.send(settings);
  await said();
  failed.catch(() => undefined);
  return {
    url,
    clientId,
    async stop() {
      child.kill();
      await ended;
    },
  };
}
