import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A client's server, which publishes its keys (`jwks_uri`). */
export interface KeyServer {
  /** The address of its keys below this name; each name is an address of its own. */
  uri(name?: string): string;
  /** What is there now, or how else it answers. */
  answer: Readonly<Record<string, unknown>> | ((response: ServerResponse) => void);
  /** How often it was asked for this name. */
  asked(name?: string): number;
  close(): Promise<void>;
}

export async function openKeyServer(): Promise<KeyServer> {
  const asked: string[] = [];
  const http = createServer((request, response) => {
    asked.push(request.url as string);
    if (typeof server.answer === 'function') server.answer(response);
    else response.end(JSON.stringify(server.answer));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const server: KeyServer = {
    uri: (name = 'keys') => `http://127.0.0.1:${port}/${name}`,
    answer: { keys: [] },
    asked: (name = 'keys') => asked.filter((path) => path === `/${name}`).length,
    async close() {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return server;
}
