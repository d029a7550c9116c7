import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { certificate } from './certificates.ts';

/** A host of somebody else, over https that this process trusts. */
export interface TrustedHost {
  readonly origin: string;
  /** The authority of its certificate (PEM), for processes that are to trust it. */
  readonly authority: string;
  stop(): Promise<void>;
}

export async function startTrustedHost(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TrustedHost> {
  const authority = certificate({ subject: [['CN', 'Authority of others']], ca: true });
  const { cert, key } = certificate({ issuer: authority, names: { dns: 'localhost' } });
  const trustedBefore = getCACertificates('default');
  setDefaultCACertificates([...trustedBefore, authority.cert]);
  const server = createServer({ cert, key }, answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `https://localhost:${(server.address() as AddressInfo).port}`,
    authority: authority.cert,
    async stop() {
      setDefaultCACertificates(trustedBefore);
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
