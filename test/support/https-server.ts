import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Certificate, certificate } from './certificates.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { createPeople } from './people.ts';
import { freePort } from './process.ts';
import { Seed } from './protocol.ts';
import { startServerProcess } from './server-process.ts';
import type { Person } from './walk.ts';

/** A server in a process of its own that ends TLS itself, as software meets it that takes no issuer without https. */
export interface HttpsServer {
  readonly issuer: string;
  readonly database: TestDatabase;
  readonly seed: Seed;
  /** For what the test writes; a person of another uid may look into it. */
  readonly folder: string;
  /** The file of the authority (PEM) of the server's certificate; the test's own process trusts it. */
  readonly authorityFile: string;
  readonly authority: Certificate;
  /** The authority whose certificates authenticate clients. */
  readonly clientAuthority: Certificate;
  /** Somebody who signs in by password. */
  person(name?: string): Promise<Person>;
  stop(): Promise<void>;
}

/**
 * @param host as a browser knows it that is told where it stands; the test's own process reaches no other than localhost
 * @param inside hosts that clients may name to be called, as OUTBOUND_ALLOW lists them
 */
export async function startHttpsServer({
  host = 'localhost',
  inside = [],
  env = {},
}: {
  readonly host?: string;
  readonly inside?: readonly string[];
  readonly env?: Record<string, string>;
} = {}): Promise<HttpsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-https-'));
  const authority = certificate({ subject: [['CN', 'Authority of servers']], ca: true });
  const clientAuthority = certificate({ subject: [['CN', 'Authority of clients']], ca: true });
  const own = certificate({ issuer: authority, names: { dns: host } });
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const trustedBefore = getCACertificates('default');
  setDefaultCACertificates([...trustedBefore, authority.cert]);
  const database = await createTestDatabase();
  const people = createPeople(database.db);
  const [port, mtlsPort] = [await freePort(), await freePort()];
  const issuer = `https://${host}:${port}`;
  const server = await startServerProcess(database, issuer, {
    HOST: '127.0.0.1',
    PORT: String(port),
    MTLS_PORT: String(mtlsPort),
    TLS_CERT_FILE: file('server.crt', own.cert),
    TLS_KEY_FILE: file('server.key', own.key),
    TLS_CLIENT_CA_FILE: file('clients.crt', clientAuthority.cert),
    ...(inside.length === 0 ? {} : { OUTBOUND_ALLOW: inside.join(',') }),
    ...env,
  });
  return {
    issuer,
    database,
    seed: new Seed(database.db, inside),
    folder,
    authority,
    authorityFile: file('authority.crt', authority.cert),
    clientAuthority,
    async person(name = 'Imani Okoro') {
      const email = `p${randomBytes(6).toString('hex')}@example.com`;
      const password = `nine quiet herons ${randomBytes(4).toString('hex')}`;
      const input = { email, password, name, verified: true, admin: false };
      return { id: (await people.accounts.create(input, 'test')).id, email, password, name };
    },
    async stop() {
      await server.stop();
      await database.drop();
      setDefaultCACertificates(trustedBefore);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
