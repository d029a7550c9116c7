import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Browser, chromium } from 'playwright-core';
import { createRenderer } from '../../src/pages/render.ts';
import { NOW, pageStates } from './page-fixtures.ts';

/** The policy that the server sends with interaction pages. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

export interface Posted {
  path: string;
  fields: [string, string][];
}

export interface ServedPages {
  origin: string;
  /** What forms have posted so far, in order. */
  posted: Posted[];
  close(): void;
}

/** Serves every page fixture under `/<page>-<state>`, in German below `/de`, and takes whatever its forms post. */
export async function servePages(): Promise<ServedPages> {
  const renderer = createRenderer({ name: 'Vouchsafe', now: () => NOW });
  const posted: Posted[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '/';
    response.setHeader('content-security-policy', POLICY);
    if (request.method === 'POST') {
      posted.push({ path, fields: [...new URLSearchParams(await text(request))] });
      response.setHeader('content-type', 'text/html').end('<title>Posted</title>');
      return;
    }
    const asset = renderer.asset(path);
    const [, lang, name] = /^\/(?:(de)\/)?([\w-]+)$/.exec(path) ?? [];
    const found = pageStates.find(({ page, state }) => name === `${page}-${state}`);
    if (asset) response.setHeader('content-type', asset.type).end(asset.body);
    else if (found) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(renderer.page(found.page, { lang, ...found.model } as never));
    } else response.writeHead(404).end();
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    posted,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** @param args of Chromium, besides those that every test needs. */
export function launchBrowser(args: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...args,
    ],
  });
}
