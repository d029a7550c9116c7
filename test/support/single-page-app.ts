import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { type Certificate, certificate } from './certificates.ts';

const require = createRequire(import.meta.url);

/** A single-page app of another origin than ours: static files alone, and oidc-client-ts as it is published. */
export interface SinglePageApp {
  /** The same site as a server on id.example.com. */
  readonly near: string;
  /** Another site, as most apps are. */
  readonly far: string;
  close(): Promise<void>;
}

const page = `<!doctype html><title>App</title><link rel="icon" href="data:,">
<script src="/oidc-client-ts.js"></script>`;
/** What an app serves at its silent_redirect_uri. */
const silent = `${page}<script>new oidc.UserManager({}).signinSilentCallback()</script>`;

export async function openSinglePageApp(authority: Certificate): Promise<SinglePageApp> {
  const library = await readFile(
    require.resolve('oidc-client-ts').replace(/\/dist\/.*/, '/dist/browser/oidc-client-ts.min.js'),
  );
  const { cert, key } = certificate({ issuer: authority, names: { dns: 'app.example.com' } });
  const server = createServer({ cert, key }, (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'https://localhost');
    if (pathname === '/oidc-client-ts.js')
      response.setHeader('content-type', 'text/javascript').end(library);
    else
      response.setHeader('content-type', 'text/html').end(pathname === '/silent' ? silent : page);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    near: `https://app.example.com:${port}`,
    far: `https://app.example.org:${port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
