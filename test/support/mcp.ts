import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js';
import express from 'express';
import { createResourceServer, type ResourceServer } from '../../resource-server/index.ts';

/** MCP as the SDK speaks it: a server that our export protects, and a client that knows nothing but its address. */

export interface RunningMcpServer {
  /** Its address, which is the identifier of the API. */
  readonly url: string;
  /** Who has called its tool. */
  readonly callers: {
    readonly sub: string;
    readonly clientId: string;
    readonly scopes: string[];
  }[];
  /** How many streams of server messages its clients have asked for; it refuses them all. */
  streamsRefused(): number;
  stop(): Promise<void>;
}

/**
 * Starts on a free port; `protect` is called once that is known. Its metadata names these
 * scopes, or none.
 */
export async function startMcpServer(
  protect: (url: string) => Promise<{ issuer: string; clientId: string; clientSecret: string }>,
  metadata: { readonly scopes?: readonly string[] } = { scopes: ['notes:read'] },
): Promise<RunningMcpServer> {
  const callers: { sub: string; clientId: string; scopes: string[] }[] = [];
  const app = express();
  const listener = createServer(app);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/mcp`;
  const api: ResourceServer = createResourceServer({
    ...(await protect(url)),
    audience: url,
    metadata: { name: 'Notes', ...metadata },
    introspection: { cacheTtl: 0 },
  });
  app.use(api.expressMetadata() as express.RequestHandler);
  app.all('/mcp', api.express({ scopes: 'notes:read' }) as express.RequestHandler);
  app.post('/mcp', express.json(), (request, response) => {
    const { auth } = request as unknown as {
      auth: { sub: string; clientId: string; scopes: Set<string> };
    };
    const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
    mcp.registerTool('list_notes', { description: 'Lists your notes' }, () => {
      callers.push({ sub: auth.sub, clientId: auth.clientId, scopes: [...auth.scopes] });
      return { content: [{ type: 'text', text: 'Buy ink' }] };
    });
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
    void mcp
      .connect(transport as never)
      .then(() => transport.handleRequest(request, response, request.body));
  });
  let streamsRefused = 0;
  app.all('/mcp', (request, response) => {
    response.status(405).end();
    if (request.method === 'GET') streamsRefused++;
  });
  return {
    url,
    callers,
    streamsRefused: () => streamsRefused,
    async stop() {
      api.close();
      listener.closeAllConnections();
      listener.close();
      await once(listener, 'close');
    },
  };
}

/** What an MCP client keeps: in memory, and the address to which it would open a browser. */
export class McpClientState implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly clientMetadata: OAuthClientMetadata;
  readonly clientMetadataUrl?: string;
  authorizationUrl: URL | undefined;
  information: OAuthClientInformationMixed | undefined;
  kept: OAuthTokens | undefined;
  #verifier = '';

  constructor(metadata: OAuthClientMetadata, clientMetadataUrl?: string) {
    this.clientMetadata = metadata;
    this.redirectUrl = metadata.redirect_uris[0] as string;
    if (clientMetadataUrl !== undefined) this.clientMetadataUrl = clientMetadataUrl;
  }

  clientInformation() {
    return this.information;
  }
  saveClientInformation(information: OAuthClientInformationMixed) {
    this.information = information;
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens: OAuthTokens) {
    this.kept = tokens;
  }
  redirectToAuthorization(url: URL) {
    this.authorizationUrl = url;
  }
  saveCodeVerifier(verifier: string) {
    this.#verifier = verifier;
  }
  codeVerifier() {
    return this.#verifier;
  }
}

/** Connects to the server as who the state says; fails where that takes a person. */
export async function connectMcp(url: string, state: McpClientState) {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: state });
  const client = new Client({ name: 'quillet-desktop', version: '1.0.0' });
  const connected = client.connect(transport as never).then(() => client);
  return { transport, connected };
}

/** A program that we did not write, in a process of its own, and what it prints. */
export interface ForeignClient {
  /** The address that it wants to open in a browser. */
  readonly address: Promise<URL>;
  readonly connected: Promise<Client>;
  /** Everything that it has printed so far. */
  printed(): string;
  stop(): Promise<void>;
}

/** The real mcp-remote, as desktop apps start it: they talk to it, and it to the server. What it keeps is in the folder. */
export function startMcpRemote(url: string, folder: string): ForeignClient {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve('mcp-remote/dist/proxy.js')), url],
    // It would open a browser itself; this one does nothing.
    env: {
      PATH: process.env.PATH ?? '',
      HOME: folder,
      MCP_REMOTE_CONFIG_DIR: folder,
      BROWSER: 'true',
    },
    stderr: 'pipe',
  });
  let printed = '';
  const addresses = () => printed.match(/^https?:\S+\/authorize\?\S+$/gm) ?? [];
  const address = new Promise<URL>((resolve) => {
    transport.stderr?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      const [first] = addresses();
      if (first !== undefined) resolve(new URL(first));
    });
  });
  const client = new Client({ name: 'quillet-desktop', version: '1.0.0' });
  const connected = client
    .connect(transport as never, { timeout: 120_000 })
    .then(() => client)
    .catch((cause: unknown) => {
      throw new Error(`mcp-remote: ${printed}`, { cause });
    });
  connected.catch(() => undefined);
  return { address, connected, printed: () => printed, stop: () => transport.close() };
}

/** What the Python SDK's client (mcp_client.py) prints, line by line. */
export interface PythonLine {
  readonly open?: string;
  readonly client_id?: string;
  readonly text?: string;
  readonly tokens?: OAuthTokens;
}

/** The real MCP SDK for Python; `python` has it installed (mcp-requirements.txt). */
export async function* runMcpPython(python: string, url: string): AsyncGenerator<PythonLine> {
  const child = spawn(python, [fileURLToPath(new URL('mcp_client.py', import.meta.url)), url], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let wrong = '';
  child.stderr.on('data', (chunk: Buffer) => (wrong += chunk.toString()));
  const ended = once(child, 'close');
  try {
    for await (const line of createInterface(child.stdout)) yield JSON.parse(line) as PythonLine;
    const [code] = (await ended) as [number | null];
    if (code !== 0) throw new Error(`the Python client ended with ${code}: ${wrong}`);
  } finally {
    child.kill();
    await ended;
  }
}

/** Where an app on the device waits for its browser to come back; gives what it came back with. */
export async function waitOnLoopback(): Promise<{
  redirectUri: string;
  answer: Promise<URLSearchParams>;
  stop(): Promise<void>;
}> {
  let came: (params: URLSearchParams) => void = () => undefined;
  const answer = new Promise<URLSearchParams>((resolve) => {
    came = resolve;
  });
  const server: Server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (pathname !== '/callback') {
      response.writeHead(404).end();
      return;
    }
    response
      .writeHead(200, { 'content-type': 'text/html' })
      .end('<title>Done</title><h1>Done</h1>');
    came(searchParams);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`,
    answer,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
