import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { certificate } from './certificates.ts';

/** A host that publishes client ID metadata documents, over https that this process trusts. */
export interface DocumentHost {
  readonly origin: string;
  /** The authority of its certificate (PEM). */
  readonly authority: string;
  /** The paths that were asked for so far. */
  readonly requests: string[];
  /** What is answered at a path: an object as JSON, or whatever is done. */
  answer(path: string, what: object | Answer, headers?: Record<string, string>): string;
  stop(): Promise<void>;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export async function startDocumentHost(): Promise<DocumentHost> {
  const authority = certificate({ subject: [['CN', 'Authority of documents']], ca: true });
  const own = certificate({ issuer: authority, names: { dns: 'localhost' } });
  const trustedBefore = getCACertificates('default');
  setDefaultCACertificates([...trustedBefore, authority.cert]);
  const requests: string[] = [];
  const answers = new Map<string, Answer>();
  const server = createServer({ cert: own.cert, key: own.key }, (request, response) => {
    const path = request.url ?? '/';
    requests.push(path);
    const answer = answers.get(path);
    if (answer === undefined) response.writeHead(404).end();
    else answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `https://localhost:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    authority: authority.cert,
    requests,
    answer(path, what, headers = {}) {
      answers.set(
        path,
        typeof what === 'function'
          ? (what as Answer)
          : (_request, response) => {
              response.writeHead(200, { 'content-type': 'application/json', ...headers });
              response.end(JSON.stringify(what));
            },
      );
      return `${origin}${path}`;
    },
    async stop() {
      setDefaultCACertificates(trustedBefore);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
