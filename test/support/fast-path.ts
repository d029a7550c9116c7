import { Agent, request as httpRequest } from 'node:http';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createServer } from '../../src/server.ts';
import type { TestDatabase } from './database.ts';
import { testMasterKey } from './server-process.ts';

/** Two servers on one database, alike in all but that one of them has no fast paths: whatever is asked, they answer the same. */

export interface Asked {
  readonly path: string;
  readonly method?: string;
  /** As they go out: names and values in turn, in any case, and as often as they are named. */
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
}

export interface Told {
  readonly status: number;
  readonly body: string;
  /** All but those that differ from answer to answer. */
  readonly headers: Readonly<Record<string, unknown>>;
  /** A fast path writes its headers in an order of its own, and that alone tells its answers from others. */
  readonly byFastPath: boolean;
}

export interface Pair {
  /** The one with fast paths. */
  readonly url: string;
  readonly engineUrl: string;
  /** The answers of both: with fast paths, and without. */
  ask(asked: Asked): Promise<[fastPath: Told, engine: Told]>;
  /** Ends one of them in order. */
  closeFastPaths(): Promise<void>;
  close(): Promise<void>;
}

export async function startPair(
  database: TestDatabase,
  issuer: string,
  log?: { write(line: string): void },
  env: Record<string, string> = {},
): Promise<Pair> {
  const start = async (fastPaths: boolean) => {
    const server = await createServer({
      config: loadConfig({ PORT: '0', ISSUER: issuer, ...env }),
      db: database.db,
      sealer: new Sealer([testMasterKey]),
      logger: log === undefined ? createLogger('silent') : createLogger('info', log),
      fastPaths,
    });
    return { server, port: await server.listen() };
  };
  const [withFastPaths, without] = [await start(true), await start(false)];
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  return {
    url: `http://127.0.0.1:${withFastPaths.port}`,
    engineUrl: `http://127.0.0.1:${without.port}`,
    ask: (asked) =>
      Promise.all([send(agent, withFastPaths.port, asked), send(agent, without.port, asked)]),
    closeFastPaths: () => withFastPaths.server.close(),
    async close() {
      agent.destroy();
      await Promise.all([withFastPaths.server.close(), without.server.close()]);
    },
  };
}

const passing = new Set(['date', 'x-request-id', 'connection', 'keep-alive']);

function send(agent: Agent, port: number, asked: Asked): Promise<Told> {
  const { path, method = 'POST', headers = [], body = '' } = asked;
  const names = headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const framed = names.some((name) => name === 'content-length' || name === 'transfer-encoding');
  const rest = framed ? [] : ['Content-Length', String(Buffer.byteLength(body))];
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        agent,
        headers: [...headers, 'Host', 'localhost', ...rest],
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        const isPage = response.headers['content-type']?.startsWith('text/html');
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: comparable(Buffer.concat(chunks).toString('utf8')),
            headers: Object.fromEntries(
              Object.entries(response.headers)
                .filter(([name]) => !passing.has(name) && !(isPage && name === 'content-length'))
                .sort(([a], [b]) => (a < b ? -1 : 1)),
            ),
            byFastPath: response.rawHeaders[0] === 'X-Content-Type-Options',
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Without the request's id and time, and the line that an error page draws from them. */
const comparable = (body: string) =>
  body
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id')
    .replace(/<svg class="cut"[^]*?<\/svg>/g, '')
    .replace(/<time [^]*?<\/time>/g, '');

/** Runs `work` for each of them, a few at once. */
export async function each<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) await work(items[index] as T);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
