import type { IncomingMessage, ServerResponse } from 'node:http';
import { DocumentHosts } from '../../src/client-registration/document-hosts.ts';
import {
  type DocumentParts,
  MetadataDocuments,
} from '../../src/client-registration/documents.service.ts';
import { Outbound } from '../../src/outbound/outbound.service.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import type { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
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

/** The metadata documents as the server has them, with a clock and a store of the test's. */
export function documentsWith(
  resourceServers: ResourceServerService,
  parts: Pick<DocumentParts, 'update' | 'lastSeen' | 'clock'>,
): MetadataDocuments {
  const outboundAllow = new OutboundAllow(['localhost']);
  return new MetadataDocuments({
    outbound: new Outbound({ allow: outboundAllow }),
    outboundAllow,
    resourceServers,
    hosts: new DocumentHosts(['any']),
    check: () => undefined,
    count: async () => undefined,
    ...parts,
  });
}
