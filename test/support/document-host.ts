import type { IncomingMessage, ServerResponse } from 'node:http';
import { startTrustedHost, type TrustedHost } from './trusted-host.ts';

/** A host that publishes client ID metadata documents. */
export interface DocumentHost extends TrustedHost {
  /** The paths that were asked for so far. */
  readonly requests: string[];
  /** What is answered at a path: an object as JSON, or whatever is done. */
  answer(path: string, what: object | Answer, headers?: Record<string, string>): string;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export async function startDocumentHost(): Promise<DocumentHost> {
  const requests: string[] = [];
  const answers = new Map<string, Answer>();
  const host = await startTrustedHost((request, response) => {
    const path = request.url ?? '/';
    requests.push(path);
    const answer = answers.get(path);
    if (answer === undefined) response.writeHead(404).end();
    else answer(request, response);
  });
  return {
    ...host,
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
      return `${host.origin}${path}`;
    },
  };
}
