import { resolve } from 'node:path';

/** What the parts of the demo are told: where everything listens, and where the server keeps its data. */
export interface Settings {
  readonly issuer: string;
  /** The example app's own address. */
  readonly appUrl: string;
  /** The example API's own address, which is also the audience of its tokens. */
  readonly apiUrl: string;
  readonly dataDir: string;
  /** The environment of the server and of its command line. */
  readonly env: NodeJS.ProcessEnv;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const port = env.PORT || '3000';
  // Another host name than the server's: cookies know no ports, so on one name all of them would share theirs.
  const appUrl = `http://127.0.0.1:${env.DEMO_APP_PORT || '3001'}`;
  const apiUrl = `http://127.0.0.1:${env.DEMO_API_PORT || '3002'}`;
  const issuer = env.ISSUER || `http://localhost:${port}`;
  const dataDir = resolve(env.DATA_DIR || './data/demo');
  const server = {
    PORT: port,
    ISSUER: issuer,
    DATA_DIR: dataDir,
    LOG_LEVEL: env.LOG_LEVEL || 'warn',
  };
  return { issuer, appUrl, apiUrl, dataDir, env: { ...env, ...server } };
}
