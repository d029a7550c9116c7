import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newGatewayRuleSchema, type NewGatewayRule } from '../../src/gateway/gateway.ts';
import { GatewayRules } from '../../src/gateway/rules.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { runNginx } from './nginx.ts';
import { freePort } from './process.ts';
import type { Credentials, Seed } from './protocol.ts';

/** An API with rules for its gateway, and a small server in the place of the API itself. */

export interface GatewayApi {
  readonly id: string;
  readonly identifier: string;
  readonly credentials: Credentials;
  /** What its gateway says of itself. */
  readonly basic: string;
  readonly rules: GatewayRules;
}

export const basicOf = ({ clientId, clientSecret }: Credentials): string =>
  `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;

export async function gatewayApi(
  seed: Seed,
  identifier: string,
  rules: readonly Partial<NewGatewayRule>[],
  tokenFormat: 'opaque' | 'jwt' = 'opaque',
): Promise<GatewayApi> {
  const credentials = await seed.api(identifier, tokenFormat);
  const service = new GatewayRules(seed.db, new ResourceServerService(seed.db));
  for (const rule of rules)
    await service.add(identifier, newGatewayRuleSchema.parse({ methods: [], ...rule }), 'test');
  const { resource_server_id: id } = await seed.db.kysely
    .selectFrom('clients')
    .select('resource_server_id')
    .where('id', '=', credentials.clientId)
    .executeTakeFirstOrThrow();
  return {
    id: id as string,
    identifier,
    credentials,
    basic: basicOf(credentials),
    rules: service,
  };
}

/** A request as it reached the API: the target as it was sent, and every header. */
export interface Reached {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface Upstream {
  readonly port: number;
  /** What has reached it, the oldest first. */
  readonly reached: Reached[];
  close(): Promise<void>;
}

/** The API behind a gateway: it answers everything with 200, and with what reached it. */
export async function startUpstream(): Promise<Upstream> {
  const reached: Reached[] = [];
  const server = createServer((request, response) => {
    const one = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: Object.fromEntries(
        Object.entries(request.headersDistinct).map(([name, values]) => [name, values?.join('|')]),
      ),
    };
    reached.push(one);
    // After the body: a gateway that still writes when the connection closes takes it for a failure.
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(one));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // What a failed test has left behind keeps nobody waiting.
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    reached,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The blocks of a language in docs/gateways.md, in their order. */
export async function documented(language: 'nginx' | 'yaml'): Promise<string[]> {
  const text = await readFile(join(import.meta.dirname, '../../docs/gateways.md'), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , block = '']) => block);
}

/** Replaces what stands in the text exactly once, so that a change of the documentation is no silent change of the test. */
export function replaceOnce(text: string, from: string, to: string): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${from} stands ${parts.length - 1} times in: ${text}`);
  return parts.join(to);
}

export interface Nginx {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * A real nginx with the documented configuration, changed where it must be: ports of this machine, and the API.
 * @param change what of the documented text is otherwise.
 */
export async function startNginx(
  {
    api,
    server,
    upstream,
  }: { readonly api: GatewayApi; readonly server: string; readonly upstream: Upstream },
  change: (configuration: string, folder: string) => string = (text) => text,
): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'vouchsafe-nginx-'));
  const port = await freePort();
  const [block = ''] = await documented('nginx');
  const site = [
    ['server 127.0.0.1:3000;', `server ${new URL(server).host};`],
    ['server 127.0.0.1:8080;', `server 127.0.0.1:${upstream.port};`],
    ['listen 80;', `listen 127.0.0.1:${port};`],
    ['/gateway/api_ID/', `/gateway/${api.id}/`],
    ['Basic CREDENTIALS', api.basic],
  ].reduce((text, [from = '', to = '']) => replaceOnce(text, from, to), block);
  const url = `http://127.0.0.1:${port}`;
  const nginx = await runNginx(folder, change(site, folder), () =>
    fetch(`${url}/there-is-no-such-path`).then(
      () => true,
      () => false,
    ),
  );
  upstream.reached.length = 0;
  return {
    url,
    async stop() {
      await nginx.stop();
      await rm(folder, { recursive: true });
    },
  };
}
